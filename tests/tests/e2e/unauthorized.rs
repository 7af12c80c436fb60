//! Every route of the description: without a credential 401, as a member 403 where it is due.

use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, World};

/// What a member may.
const MEMBERS: &[&str] = &["self", "access.evaluate"];

#[tokio::test]
async fn no_route_answers_somebody_who_may_not() {
    let world = World::new().await;
    let (member, id) = world.person("mia", &["member"]).await;
    // Who tries every door is contained as an intruder; this one is known, and must only be refused.
    let protect = json!({"kind": "user", "value": id, "reason": "tries every route in a test"});
    world
        .owner
        .post("/api/v2/protected", protect)
        .await
        .expect(201);
    let document = world.nobody().get("/openapi.json").await.body;
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let filled = fill(path);
        for (method, operation) in methods.as_object().unwrap() {
            let Some(permission) = operation["x-permission"].as_str() else {
                continue;
            };
            let method: Method = method.to_uppercase().parse().unwrap();
            let call = |request: reqwest::RequestBuilder| async {
                Answer::of(request.send().await.unwrap()).await
            };
            let nobody = call(world.nobody().request(method.clone(), &filled)).await;
            assert_eq!(
                nobody.status, 401,
                "{method} {path} without a credential: {}",
                nobody.body
            );
            let garbage = call(
                world
                    .nobody()
                    .with("garbage")
                    .request(method.clone(), &filled),
            )
            .await;
            assert_eq!(
                garbage.status, 401,
                "{method} {path} with a bad credential: {}",
                garbage.body
            );
            if !MEMBERS.contains(&permission) {
                let member = call(member.request(method.clone(), &filled)).await;
                assert_eq!(
                    member.status, 403,
                    "{method} {path} as a member: {}",
                    member.body
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

fn fill(path: &str) -> String {
    let id = "01a208fa-8fce-7565-bc38-c1fdcf663a0d";
    path.split('/')
        .map(|part| match part {
            "{index}" => "0",
            "{name}" => "clerk",
            part if part.starts_with('{') => id,
            part => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

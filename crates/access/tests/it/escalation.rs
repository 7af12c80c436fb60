//! Nobody hands out, or takes away, what they do not hold.

use crate::world::World;

#[tokio::test]
async fn an_administrator_makes_no_analysts_and_unmakes_no_owners() {
    let world = World::new().await;
    let owner = world.person("ada", &["owner"]).await;
    let admin = world.person("bob", &["admin"]).await;
    let eve = world.person("eve", &["member"]).await;
    let refused = |text: &str| {
        Err(format!(
            "you cannot give `{text}`, because you do not have it"
        ))
    };

    assert_eq!(
        world.assign(&admin, &eve, &["analyst"]).await,
        refused("blocks.read")
    );
    assert_eq!(
        world.assign(&admin, &admin, &["admin", "owner"]).await,
        refused("blocks.read")
    );
    assert_eq!(
        world.assign(&admin, &owner, &[]).await,
        refused("blocks.read")
    );
    assert_eq!(
        world.assign(&eve, &eve, &["admin"]).await,
        refused("api_keys.create")
    );
    assert_eq!(world.assign(&admin, &eve, &["admin"]).await, Ok(()));
    assert_eq!(
        world.assign(&owner, &eve, &["analyst", "auditor"]).await,
        Ok(())
    );
    let roles = world
        .authorizer
        .roles_of(world.tenant, eve.principal.user().unwrap())
        .await;
    assert_eq!(roles.unwrap(), ["analyst", "auditor"]);
}

#[tokio::test]
async fn a_role_of_ones_own_is_no_way_around() {
    let world = World::new().await;
    let owner = world.person("ada", &["owner"]).await;
    let admin = world.person("bob", &["admin"]).await;
    let refused = Err("you cannot give `incidents.respond`, because you do not have it".to_owned());
    assert_eq!(
        world.define(&admin, "soc", &["incidents.respond"]).await,
        refused
    );
    assert_eq!(
        world
            .define(&owner, "soc", &["incidents.respond", "document.read"])
            .await,
        Ok(())
    );
    // Neither is emptying a role that others hold; an application's permissions are free.
    assert_eq!(
        world.define(&admin, "soc", &["document.read"]).await,
        refused
    );
    let kept = &["incidents.respond", "document.write", "users.read"];
    assert_eq!(world.define(&admin, "soc", kept).await, Ok(()));
    let program = world.program(&["roles.update"]);
    assert!(
        world
            .define(&program, "soc2", &["users.read"])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn faults_are_told_for_what_they_are() {
    let world = World::new().await;
    let owner = world.person("ada", &["owner"]).await;
    let unknown = |name: &str| Err(format!("the role `{name}` is not known in this tenant"));
    for name in ["ghost", "operator", "", "a\0b", "Owner"] {
        assert_eq!(
            world.assign(&owner, &owner, &[name]).await,
            unknown(name),
            "{name:?}"
        );
    }
    for name in ["", "a\0b", "Üser", "9x", &"x".repeat(64)] {
        let fault = world
            .define(&owner, name, &["users.read"])
            .await
            .unwrap_err();
        assert!(fault.starts_with("`name` must be"), "{name:?}: {fault}");
    }
    for role in ["owner", "operator"] {
        let fault = world.define(&owner, role, &[]).await.unwrap_err();
        assert_eq!(
            fault,
            format!("the role `{role}` is built in and cannot be changed")
        );
    }
    let stranger = world
        .person_of(hub_base::TenantId::SYSTEM, "eve", &[])
        .await;
    let fault = world
        .assign(&owner, &stranger, &["member"])
        .await
        .unwrap_err();
    assert_eq!(fault, "no such user in this tenant");
}

#[tokio::test]
async fn keys_get_no_scope_that_their_maker_lacks() {
    let world = World::new().await;
    let admin = world.person("bob", &["admin"]).await;
    let check = async |scope: &str| {
        hub_access::roles::check_scopes(&admin, &world.authorizer, &[scope.to_owned()]).await
    };
    check("users.read").await.unwrap();
    assert!(
        check("events.ingest")
            .await
            .unwrap_err()
            .to_string()
            .contains("`events.ingest`")
    );
    assert!(
        check("users.destroy")
            .await
            .unwrap_err()
            .to_string()
            .contains("no permission")
    );
}

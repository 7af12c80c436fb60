//! The part of Kubernetes' API that a deploy uses, over real HTTP: objects with versions, merge and strategic-merge
//! patches, label selectors, background deletion, and the shipped Role's rules, enforced.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

pub(super) const TOKEN: &str = "deployer-token";

/// Objects by `resource/name`, and who may do what with them.
#[derive(Default)]
pub(super) struct Api {
    pub(super) objects: Mutex<BTreeMap<String, Value>>,
    rules: Vec<Value>,
    /// What was refused.
    pub(super) denied: Mutex<Vec<String>>,
    /// What was for a version that is no more.
    pub(super) conflicts: Mutex<Vec<String>>,
    /// What was answered, but for what was refused.
    answered: Mutex<Vec<String>>,
    made: AtomicU64,
    meanwhile: Mutex<Option<Meanwhile>>,
    /// Requests that are done, and whose answer is lost, once each.
    pub(super) lost: Mutex<Vec<&'static str>>,
}

/// What somebody else does once these requests, one after the other, have come to what they came to.
struct Meanwhile {
    after: &'static [&'static str],
    act: Box<dyn FnOnce(&Api) + Send>,
}

/// A request's target.
struct Target {
    group: String,
    resource: String,
    name: Option<String>,
}

impl Target {
    /// `/api/v1/namespaces/N/R[/NAME]` or `/apis/GROUP/VERSION/namespaces/N/R[/NAME]`.
    fn parse(path: &str) -> Option<Self> {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match words.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let (resource, name) = match rest {
            ["namespaces", "security-hub", resource] => (resource, None),
            ["namespaces", "security-hub", resource, name] => (resource, Some((*name).to_owned())),
            _ => return None,
        };
        Some(Self {
            group: group.to_owned(),
            resource: (*resource).to_owned(),
            name,
        })
    }
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, axum::Json(body)).into_response()
}

impl Api {
    pub(super) fn new(objects: Vec<(&str, Value)>, rules: Vec<Value>) -> Arc<Self> {
        let objects = objects.into_iter().map(|(key, mut object)| {
            object["metadata"]["generation"] = json!(1);
            object["metadata"]["resourceVersion"] = json!("1");
            (key.to_owned(), object)
        });
        Arc::new(Self {
            objects: Mutex::new(objects.collect()),
            rules,
            ..Self::default()
        })
    }

    /// Has somebody else act between two requests: once, after these.
    pub(super) fn meanwhile(
        &self,
        after: &'static [&'static str],
        act: impl FnOnce(&Self) + Send + 'static,
    ) {
        let act = Box::new(act);
        *self.meanwhile.lock().unwrap() = Some(Meanwhile { after, act });
    }

    fn asked(&self, verb: &str, key: &str) {
        let mut answered = self.answered.lock().unwrap();
        answered.push(format!("{verb} {key}"));
        let ends = |after: &[&str]| {
            let rest = answered.len().checked_sub(after.len());
            rest.is_some_and(|rest| answered[rest..] == *after)
        };
        let mut meanwhile = self.meanwhile.lock().unwrap();
        let due = meanwhile.take_if(|one| ends(one.after));
        drop((meanwhile, answered));
        if let Some(due) = due {
            (due.act)(self);
        }
    }

    pub(super) async fn serve(self: &Arc<Self>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn is_lost(&self, request: &str) -> bool {
        let mut lost = self.lost.lock().unwrap();
        let at = lost.iter().position(|one| *one == request);
        at.map(|at| lost.swap_remove(at)).is_some()
    }

    fn permits(&self, verb: &str, target: &Target) -> bool {
        let has = |rule: &Value, list: &str, word: &str| {
            rule[list]
                .as_array()
                .is_some_and(|words| words.iter().any(|found| found == word))
        };
        self.rules.iter().any(|rule| {
            let named = rule["resourceNames"].is_null()
                || target
                    .name
                    .as_ref()
                    .is_some_and(|name| has(rule, "resourceNames", name));
            has(rule, "apiGroups", &target.group)
                && has(rule, "resources", &target.resource)
                && has(rule, "verbs", verb)
                && named
        })
    }

    fn list(&self, target: &Target, query: &str) -> Response {
        let selector = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="));
        let selector = selector
            .unwrap_or("")
            .replace("%2F", "/")
            .replace("%3D", "=")
            .replace("%2C", ",");
        let wanted: Vec<(&str, &str)> = selector
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let objects = self.objects.lock().unwrap();
        let prefix = format!("{}/", target.resource);
        let items: Vec<&Value> = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, object)| object)
            .filter(|object| {
                let labels = &object["metadata"]["labels"];
                wanted.iter().all(|(name, value)| labels[*name] == **value)
            })
            .collect();
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items});
        axum::Json(list).into_response()
    }

    pub(super) fn change(&self, key: &str, change: impl FnOnce(&mut Value)) -> Option<Value> {
        let mut objects = self.objects.lock().unwrap();
        let object = objects.get_mut(key)?;
        let before = object.clone();
        change(object);
        // As the real one: a change that changes nothing is none.
        if *object == before {
            return Some(before);
        }
        let count = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
        let version = count(&object["metadata"]["resourceVersion"]).unwrap_or(0) + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        if object["spec"] != before["spec"] {
            let generation = object["metadata"]["generation"].as_u64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = json!(generation);
        }
        Some(object.clone())
    }

    /// What a controller writes.
    pub(super) fn set_status(&self, key: &str, status: Value) {
        self.change(key, |object| object["status"] = status);
    }
}

async fn answer(
    State(api): State<Arc<Api>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let bearer = format!("Bearer {TOKEN}");
    if headers
        .get("authorization")
        .is_none_or(|given| given != bearer.as_str())
    {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
    }
    let Some(target) = Target::parse(uri.path()) else {
        return status(StatusCode::NOT_FOUND, "NotFound", "no such path");
    };
    let verb = match (&method, &target.name) {
        (&Method::GET, Some(_)) => "get",
        (&Method::GET, None) => "list",
        (&Method::POST, _) => "create",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, _) => "delete",
        _ => "other",
    };
    let name = target.name.clone().unwrap_or_default();
    let key = format!("{}/{name}", target.resource);
    if !api.permits(verb, &target) {
        api.denied.lock().unwrap().push(format!("{verb} {key}"));
        let message = format!("cannot {verb} resource \"{}\"", target.resource);
        return status(StatusCode::FORBIDDEN, "Forbidden", &message);
    }
    let missing = || {
        status(
            StatusCode::NOT_FOUND,
            "NotFound",
            &format!("{key} not found"),
        )
    };
    let answer = match verb {
        "list" => api.list(&target, uri.query().unwrap_or("")),
        "get" => {
            let found = api.objects.lock().unwrap().get(&key).cloned();
            found.map_or_else(missing, |object| axum::Json(object).into_response())
        }
        "patch" => {
            let patch: Value = serde_json::from_slice(&body).unwrap();
            let form = headers.get("content-type").unwrap().to_str().unwrap();
            // A patch that names a version is for that version only.
            let version = patch["metadata"]["resourceVersion"].clone();
            let current = api
                .objects
                .lock()
                .unwrap()
                .get(&key)
                .map(|object| object["metadata"]["resourceVersion"].clone());
            if !version.is_null() && current.is_some_and(|current| current != version) {
                api.conflicts.lock().unwrap().push(key.clone());
                return status(StatusCode::CONFLICT, "Conflict", &key);
            }
            let is_strategic = form.starts_with("application/strategic-merge-patch");
            let changed = api.change(&key, |object| merge(object, &patch, is_strategic));
            changed.map_or_else(missing, |object| axum::Json(object).into_response())
        }
        "create" => {
            let mut object: Value = serde_json::from_slice(&body).unwrap();
            let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
            let key = format!("{}/{name}", target.resource);
            let mut objects = api.objects.lock().unwrap();
            if objects.contains_key(&key) {
                return status(StatusCode::CONFLICT, "AlreadyExists", &key);
            }
            object["metadata"]["resourceVersion"] = json!("1");
            let nth = api.made.fetch_add(1, Ordering::Relaxed);
            object["metadata"]["uid"] = json!(format!("uid-{nth}"));
            objects.insert(key, object.clone());
            (StatusCode::CREATED, axum::Json(object)).into_response()
        }
        // In the background: it is gone when its controller has seen it.
        _ => {
            let wanted: Value = serde_json::from_slice(&body).unwrap();
            let wanted = &wanted["preconditions"]["uid"];
            let there = api.objects.lock().unwrap().get(&key).cloned();
            if there.is_some_and(|there| !wanted.is_null() && there["metadata"]["uid"] != *wanted) {
                api.conflicts.lock().unwrap().push(key.clone());
                return status(StatusCode::CONFLICT, "Conflict", &key);
            }
            let marked = api.change(&key, |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            });
            marked.map_or_else(missing, |object| axum::Json(object).into_response())
        }
    };
    api.asked(verb, &key);
    if api.is_lost(&format!("{verb} {key}")) {
        return status(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &key);
    }
    answer
}

/// RFC 7386; strategic merge also merges lists of named things by name.
fn merge(object: &mut Value, patch: &Value, is_strategic: bool) {
    match (object, patch) {
        (Value::Array(list), Value::Array(changes))
            if is_strategic && changes.iter().all(|change| change["name"].is_string()) =>
        {
            for change in changes {
                match list.iter_mut().find(|item| item["name"] == change["name"]) {
                    Some(item) => merge(item, change, true),
                    None => list.push(change.clone()),
                }
            }
        }
        (object @ Value::Object(_), Value::Object(fields)) => {
            for (name, value) in fields {
                if value.is_null() {
                    object.as_object_mut().unwrap().remove(name);
                } else {
                    merge(&mut object[name], value, is_strategic);
                }
            }
        }
        (object @ Value::Null, Value::Object(_)) => {
            *object = json!({});
            merge(object, patch, is_strategic);
        }
        (object, value) => *object = value.clone(),
    }
}

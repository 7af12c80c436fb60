//! AuthZEN Authorization API 1.0: may this subject do that to this resource, by the tenant's own permissions?

use hub_base::{TenantId, UserId};
use serde_json::Value;

use crate::authorizer::Authorizer;
use crate::error::Error;

/// A question, parsed. Unknown fields are ignored, as the standard asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    pub subject_type: String,
    /// A user's id or user name.
    pub subject_id: String,
    pub action: String,
    pub resource_type: String,
    pub resource_id: String,
}

/// The answer, and the permission that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub decision: bool,
    pub permission: String,
}

impl Evaluation {
    /// # Errors
    /// [`Error::Invalid`] that names the field that is missing or has the wrong type.
    pub fn parse(body: &Value) -> Result<Self, Error> {
        let text = |path: &str| -> Result<String, Error> {
            let fault = |why: &str| Error::Invalid {
                field: path.to_owned(),
                why: why.to_owned(),
            };
            let mut value = body;
            for part in path.split('.') {
                let object = value
                    .as_object()
                    .ok_or_else(|| fault("must stand in an object"))?;
                value = object.get(part).ok_or_else(|| fault("is missing"))?;
            }
            let text = value.as_str().ok_or_else(|| fault("must be a string"))?;
            if text.is_empty() || text.len() > 512 {
                return Err(fault("must have 1 to 512 bytes"));
            }
            Ok(text.to_owned())
        };
        for optional in [
            "context",
            "subject.properties",
            "action.properties",
            "resource.properties",
        ] {
            let value = optional
                .split('.')
                .try_fold(body, |value, part| value.get(part));
            if value.is_some_and(|value| !value.is_object()) {
                let why = "must be an object".to_owned();
                return Err(Error::Invalid {
                    field: optional.to_owned(),
                    why,
                });
            }
        }
        Ok(Self {
            subject_type: text("subject.type")?,
            subject_id: text("subject.id")?,
            action: text("action.name")?,
            resource_type: text("resource.type")?,
            resource_id: text("resource.id")?,
        })
    }

    /// The permission asked for: the action itself if it is dotted, else `resource type . action`.
    pub fn permission(&self) -> String {
        if self.action.contains('.') {
            self.action.clone()
        } else {
            format!("{}.{}", self.resource_type, self.action)
        }
    }
}

/// Answers for a person of the tenant; `user` is `None` if the subject is nobody here, who may nothing.
///
/// # Errors
/// [`Error::Store`].
pub async fn evaluate(
    authorizer: &Authorizer,
    tenant: TenantId,
    user: Option<UserId>,
    evaluation: &Evaluation,
) -> Result<Answer, Error> {
    let permission = evaluation.permission();
    let decision = match user {
        Some(user) if evaluation.subject_type == "user" => authorizer
            .grants(tenant, user)
            .await?
            .permissions
            .contains(&permission),
        _ => false,
    };
    Ok(Answer {
        decision,
        permission,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn question() -> Value {
        json!({"subject": {"type": "user", "id": "ada"}, "action": {"name": "read"},
               "resource": {"type": "document", "id": "1"}, "unknown": 1})
    }

    #[test]
    fn a_question_names_its_permission() {
        let mut body = question();
        assert_eq!(
            Evaluation::parse(&body).unwrap().permission(),
            "document.read"
        );
        body["action"]["name"] = json!("folder.list");
        assert_eq!(
            Evaluation::parse(&body).unwrap().permission(),
            "folder.list"
        );
    }

    #[test]
    fn each_missing_or_ill_typed_field_is_named() {
        for path in [
            "subject",
            "subject.type",
            "subject.id",
            "action.name",
            "resource.type",
            "resource.id",
        ] {
            for bad in [None, Some(json!(7)), Some(json!(""))] {
                let mut body = question();
                let (last, parents) = {
                    let mut p: Vec<&str> = path.split('.').collect();
                    (p.pop().unwrap(), p)
                };
                let object = parents
                    .iter()
                    .fold(&mut body, |v, p| &mut v[*p])
                    .as_object_mut()
                    .unwrap();
                match bad {
                    None => object.remove(last),
                    Some(bad) => object.insert(last.into(), bad),
                };
                let error = Evaluation::parse(&body).unwrap_err().to_string();
                assert!(error.contains(path), "{path}: {error}");
            }
        }
        let mut body = question();
        body["context"] = json!("x");
        assert!(Evaluation::parse(&body).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in ".{0,200}") {
            let _ = Evaluation::parse(&Value::String(text));
        }
    }
}

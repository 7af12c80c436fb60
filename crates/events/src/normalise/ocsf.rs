//! Events that are OCSF already: the base attributes are checked, the rest is kept as it came.

use hub_base::Timestamp;
use serde_json::{Map, Value};

use crate::event::{Event, LogSource};

/// Checks an OCSF object; the reason names the attribute at fault.
pub(crate) fn event(body: Map<String, Value>) -> Result<Event, String> {
    let number = |name: &str| -> Result<i64, String> {
        let value = body
            .get(name)
            .ok_or_else(|| format!("`{name}` is missing"))?;
        value
            .as_i64()
            .ok_or_else(|| format!("`{name}` is not a whole number"))
    };
    let class = number("class_uid")?;
    let activity = number("activity_id")?;
    number("severity_id")?;
    let time = number("time")?;
    if !(0..=999_999).contains(&class) || !(0..=99).contains(&activity) {
        return Err("`class_uid` or `activity_id` is out of range".to_owned());
    }
    if body.contains_key("type_uid") && number("type_uid")? != class * 100 + activity {
        return Err("`type_uid` is not `class_uid` times 100 plus `activity_id`".to_owned());
    }
    let metadata = body.get("metadata").ok_or("`metadata` is missing")?;
    let metadata = metadata.as_object().ok_or("`metadata` is not an object")?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    let product = metadata
        .get("product")
        .and_then(|product| product.get("name"))
        .and_then(Value::as_str);
    let provider = text("log_provider")
        .or(product)
        .ok_or("`metadata.product.name` is missing")?;
    // A stranger's event cannot pose as the hub's own.
    let provider = provider.to_lowercase().replace(' ', "_");
    let provider = if provider == "security_hub" {
        "external_security_hub".to_owned()
    } else {
        provider
    };
    let source = LogSource::new(provider, text("log_name").unwrap_or("generic"));
    Ok(Event {
        time: Timestamp::from_unix_millis(time),
        source,
        body,
    })
}

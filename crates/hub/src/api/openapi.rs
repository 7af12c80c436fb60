//! The API's description, OpenAPI 3.1, made from the route table and the types of its bodies.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::table::{Guard, Route};

/// The whole document.
pub(crate) fn document(routes: &[Route], version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        let entry = paths
            .entry(route.path.to_owned())
            .or_insert_with(|| json!({}));
        if let Some(methods) = entry.as_object_mut() {
            methods.insert(route.method.as_str().to_lowercase(), operation);
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Security Hub", "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "an access token or an API key"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "hub_session"},
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let (status, gives) = &route.gives;
    let mut good = json!({"description": status.canonical_reason().unwrap_or("done")});
    if let Some(schema) = gives {
        put(
            &mut good,
            "content",
            json!({route.media: {"schema": schema(generator)}}),
        );
    } else if *status != http::StatusCode::NO_CONTENT && *status != http::StatusCode::ACCEPTED {
        put(&mut good, "content", json!({route.media: {}}));
    }
    let name = format!("{} {}", route.method.as_str().to_lowercase(), route.path);
    let id: Vec<&str> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let mut operation = json!({
        "operationId": id.join("_"),
        "summary": route.summary,
        "parameters": parameters(route, generator),
        "responses": {
            status.as_str(): good,
            "default": {
                "description": "a problem (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    });
    match route.guard {
        Guard::Public(why) => {
            put(&mut operation, "security", json!([]));
            put(
                &mut operation,
                "description",
                format!("For anybody: {why}.").into(),
            );
        }
        Guard::Local(action) | Guard::Needs(action) => {
            put(
                &mut operation,
                "security",
                json!([{"bearer": []}, {"cookie": []}]),
            );
            put(&mut operation, "x-permission", action.name().into());
        }
    }
    if let Some(takes) = route.takes {
        let body = json!({
            "required": true, "content": {"application/json": {"schema": takes(generator)}},
        });
        put(&mut operation, "requestBody", body);
    }
    operation
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if let Some(asks) = route.asks {
        let schema = asks(generator);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            parameters.push(json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": property,
            }));
        }
    }
    parameters
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    })
}

//! The OpenAPI 3.1 document of the whole API.

use crate::endpoint::{Kind, Method};
use crate::registry::registry;
use crate::schema::document_generator;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Builds the document.
pub fn document() -> Value {
    let mut generator = document_generator();
    let mut paths = Map::new();
    for declaration in registry() {
        let params = crate::schema::params(&declaration);
        let output = (declaration.output)(&mut generator).to_value();
        let operation = operation(declaration.method, &params, output);
        let path = paths
            .entry(declaration.method.path)
            .or_insert_with(|| json!({}));
        path[declaration.method.verb.as_str().to_ascii_lowercase()] = operation;
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Basalt",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Booleans are 0 and 1 on the wire.",
        },
        "servers": [{ "url": "/api2/json" }],
        "security": [{ "ticket": [], "csrf": [] }, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "ticket": { "type": "apiKey", "in": "cookie", "name": "PVEAuthCookie" },
                "csrf": { "type": "apiKey", "in": "header", "name": "CSRFPreventionToken" },
                "token": { "type": "apiKey", "in": "header", "name": "Authorization" },
            },
            "responses": { "Error": error_response() },
        },
    });
    booleans_on_the_wire(&mut document);
    document
}

fn operation(method: &Method, params: &Value, output: Value) -> Value {
    let mut operation = json!({
        "operationId": method.name,
        "summary": method.summary(),
        "description": format!("{}\n\nPermission: {}.", method.description(), method.permission.describe()),
        "parameters": [],
        "responses": responses(method, output),
    });
    if method.permission == crate::Permission::World {
        operation["security"] = json!([]);
    }
    let in_path: BTreeSet<&str> = method.placeholders().collect();
    let in_body = matches!(method.verb, crate::Verb::Post | crate::Verb::Put);
    let required = |name: &str| {
        params["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|n| n == name))
    };
    let mut body = Map::new();
    let empty = Map::new();
    let mut listed = Vec::new();
    for (name, schema) in params["properties"].as_object().unwrap_or(&empty) {
        if in_body && !in_path.contains(name.as_str()) {
            body.insert(name.clone(), schema.clone());
            continue;
        }
        let place = if in_path.contains(name.as_str()) {
            "path"
        } else {
            "query"
        };
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|s| s.remove("description"));
        listed.push(json!({
            "name": name, "in": place, "required": required(name),
            "description": description, "schema": schema,
        }));
    }
    operation["parameters"] = Value::Array(listed);
    if in_body && !body.is_empty() {
        let names: Vec<&String> = body.keys().filter(|name| required(name)).collect();
        operation["requestBody"] = request_body(method, json!(names), &body, params);
    }
    operation
}

fn request_body(
    method: &Method,
    required: Value,
    body: &Map<String, Value>,
    params: &Value,
) -> Value {
    let mut schema = json!({ "type": "object", "properties": body, "additionalProperties": false });
    if let Some(patterns) = params.get("patternProperties") {
        schema["patternProperties"] = patterns.clone();
    }
    if required != json!([]) {
        schema["required"] = required;
    }
    let content = match method.kind {
        Kind::Upload => json!({ "multipart/form-data": { "schema": schema } }),
        Kind::Sync | Kind::Task | Kind::Console => json!({
            "application/json": { "schema": schema },
            "application/x-www-form-urlencoded": { "schema": schema },
        }),
    };
    json!({ "content": content })
}

/// What a method answers. Of the 5xx there are those that say why: the work failed or what is named
/// does not exist (500), there is no such method yet (501), the node's service is away (595).
fn responses(method: &Method, output: Value) -> Value {
    let mut responses = json!({ "200": success_response(method, output) });
    for status in ["4XX", "500", "501", "595"] {
        responses[status] = json!({ "$ref": "#/components/responses/Error" });
    }
    responses
}

fn success_response(method: &Method, output: Value) -> Value {
    if method.kind == Kind::Console {
        return json!({ "description": "Never: the connection becomes a websocket (101)." });
    }
    json!({
        "description": "Done.",
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["data"],
            "properties": { "data": output, "total": { "type": "integer" } },
        } } },
    })
}

fn error_response() -> Value {
    json!({
        "description": "Not done. The reason phrase is the first line of the message.",
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["data", "message"],
            "properties": {
                "data": { "type": "null" },
                "message": { "type": "string" },
                "errors": { "type": "object", "additionalProperties": { "type": "string" } },
            },
        } } },
    })
}

/// Says of every boolean that it is 0 or 1.
fn booleans_on_the_wire(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(booleans_on_the_wire),
        Value::Object(members) => {
            if members.get("type").is_some_and(|t| t == "boolean") {
                members.insert("type".into(), "integer".into());
                members.insert("enum".into(), json!([0, 1]));
                members.remove("default");
            }
            members.values_mut().for_each(booleans_on_the_wire);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

//! TypeScript types of the whole API, for the web interface.
//!
//! Made from the OpenAPI document: one interface per named type, and `Methods`, which maps
//! `"VERB path"` to the types of parameters and result.

use crate::endpoint::Kind;
use crate::openapi;
use crate::registry::registry;
use serde_json::{Map, Value};
use std::fmt::Write;

/// Writes the whole file.
pub fn file() -> String {
    let document = openapi::document();
    let mut out = String::from(
        "// Generated from the declarations of services/api by `cargo run --bin generate`.\n\
         // Changes here are lost.\n\n\
         /** A boolean as the API writes it. */\n\
         export type Flag = 0 | 1;\n\n",
    );
    let empty = Map::new();
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .unwrap_or(&empty)
    {
        comment(&mut out, schema, "");
        let _ = writeln!(
            out,
            "export type {} = {};\n",
            type_name(name),
            type_of(schema, "")
        );
    }
    out.push_str("/** Parameters and result of every method. */\nexport interface Methods {\n");
    for declaration in registry().filter(|d| d.method.kind != Kind::Console) {
        let method = declaration.method;
        let operation = &document["paths"][method.path][method.verb.as_str().to_ascii_lowercase()];
        let output = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let params = crate::schema::params(&declaration);
        let _ = writeln!(out, "  /** {} */", method.summary());
        let _ = writeln!(out, "  \"{} {}\": {{", method.verb, method.path);
        let _ = writeln!(out, "    params: {};", type_of(&params, "    "));
        let _ = writeln!(
            out,
            "    output: {};",
            type_of(&output["properties"]["data"], "    ")
        );
        out.push_str("  };\n");
    }
    out.push_str("}\n");
    out
}

fn type_name(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

fn comment(out: &mut String, schema: &Value, indent: &str) {
    if let Some(text) = schema["description"].as_str() {
        let text = text
            .trim()
            .replace("*/", "* /")
            .replace('\n', &format!("\n{indent} * "));
        let _ = writeln!(out, "{indent}/** {text} */");
    }
}

/// The TypeScript type of a schema.
fn type_of(schema: &Value, indent: &str) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return type_name(reference.rsplit('/').next().unwrap_or(reference));
    }
    if let Some(words) = schema["enum"].as_array() {
        let is_flag = words.len() == 2 && words[0] == 0 && words[1] == 1;
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        return if is_flag {
            "Flag".into()
        } else {
            words.join(" | ")
        };
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(variants) = schema[key].as_array() {
            let variants: Vec<String> = variants.iter().map(|v| type_of(v, indent)).collect();
            return variants.join(" | ");
        }
    }
    match schema["type"].as_str() {
        Some("string") => "string".into(),
        Some("integer" | "number") => "number".into(),
        Some("boolean") => "Flag".into(),
        Some("null") => "null".into(),
        Some("array") => format!("Array<{}>", type_of(&schema["items"], indent)),
        Some("object") => object(schema, indent),
        _ => "unknown".into(),
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let deeper = format!("{indent}  ");
    let mut out = String::from("{\n");
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (name, property) in properties {
        let required = schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|n| n == name));
        comment(&mut out, property, &deeper);
        let mark = if required { "" } else { "?" };
        let _ = writeln!(
            out,
            "{deeper}{}{mark}: {};",
            key(name),
            type_of(property, &deeper)
        );
    }
    let patterns = schema["patternProperties"].as_object().unwrap_or(&empty);
    for (pattern, property) in patterns {
        let prefix: String = pattern
            .trim_start_matches('^')
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        comment(&mut out, property, &deeper);
        let kind = type_of(property, &deeper);
        let _ = writeln!(
            out,
            "{deeper}[key: `{prefix}${{number}}`]: {kind} | undefined;"
        );
    }
    if properties.is_empty() && patterns.is_empty() {
        return match schema.get("additionalProperties") {
            Some(values) if values.is_object() => {
                format!("Record<string, {}>", type_of(values, indent))
            }
            _ => "Record<string, never>".into(),
        };
    }
    let _ = write!(out, "{indent}}}");
    out
}

fn key(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        name.into()
    } else {
        format!("\"{name}\"")
    }
}

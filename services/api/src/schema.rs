//! JSON Schemas of parameters and results, brought into the form that the rest derives from.
//!
//! schemars writes an optional value as "this or null"; on this API an optional value is absent
//! instead, so "or null" is taken out everywhere.

use crate::registry::Declaration;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// Takes "or null" out of a schema and everything below it.
#[derive(Debug, Clone)]
pub struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(object) = schema.as_object_mut() {
            without_null(object);
        }
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|w| !w.is_null());
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    let Some(Value::Array(variants)) = object.get_mut("anyOf") else {
        return;
    };
    variants.retain(|v| v.get("type").is_none_or(|t| t != "null"));
    if let [only] = variants.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        if let Value::Object(only) = only {
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// A generator for the whole document: named types are kept apart under `components`.
pub fn document_generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|s| {
            s.definitions_path = "/components/schemas".into();
            s.meta_schema = None;
        })
        .with_transform(WithoutNull)
        .into_generator()
}

/// The parameters of a method, complete in itself.
pub fn params(declaration: &Declaration) -> Value {
    let generator = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = (declaration.params)(&mut generator.into_generator());
    WithoutNull.transform(&mut schema);
    schema.to_value()
}

/// The result of a method, complete in itself.
pub fn output(declaration: &Declaration) -> Value {
    let generator = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = (declaration.output)(&mut generator.into_generator());
    WithoutNull.transform(&mut schema);
    schema.to_value()
}

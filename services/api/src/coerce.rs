//! Turns the bag of a request into the typed parameters of its method.
//!
//! The parameters' schema says what each value should be: text becomes a number or a boolean
//! where the schema wants one, ranges and word lists are checked, and every wrong, missing or
//! unknown parameter is reported by its name, all in one answer.

use crate::bag::{Bag, plain};
use crate::error::{Error, Result};
use basalt_model::field::FieldErrors;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// The format of a text that is a list, separated by commas. Such a parameter may also come several
/// times, or as a list of JSON: many clients write lists that way.
const LIST: &str = "list";

/// Reads a method's parameters; `schema` is [`crate::schema::params`] of its declaration.
pub fn params<P: DeserializeOwned>(schema: &Value, bag: Bag) -> Result<P> {
    let read = |bag: Bag| serde_json::from_value::<P>(Value::Object(bag));
    let (good, errors) = check(schema, bag);
    if errors.is_empty()
        && is_complete(schema, &good)
        && let Ok(params) = read(good.clone())
    {
        return Ok(params);
    }
    let refusal = |bag| read(bag).err().map(|error| error.to_string());
    Err(Error::params(faults(schema, good, errors, &refusal)))
}

/// Checks a bag against a schema; values get the types that the schema wants.
pub fn check(schema: &Value, bag: Bag) -> (Bag, BTreeMap<String, String>) {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let patterns = schema["patternProperties"].as_object().unwrap_or(&empty);
    let mut errors = BTreeMap::new();
    let mut good = Bag::new();
    for (name, value) in bag {
        let found = properties.get(&name).or_else(|| {
            patterns
                .iter()
                .find(|(pattern, _)| numbered(pattern, &name))
                .map(|(_, schema)| schema)
        });
        let Some(found) = found else {
            errors.insert(name, "there is no such parameter".into());
            continue;
        };
        match coerce(found, value) {
            Ok(value) => {
                good.insert(name, value);
            }
            Err(text) => {
                errors.insert(name, text);
            }
        }
    }
    for name in required(schema) {
        if !good.contains_key(name) && !errors.contains_key(name) {
            errors.insert(name.into(), "is missing and not optional".into());
        }
    }
    (good, errors)
}

/// What the type of the parameters says against a bag, if anything.
type Refusal<'a> = &'a dyn Fn(Bag) -> Option<String>;

/// All that is wrong with a bag, by parameter: `errors` that are known, and what the type refuses.
fn faults(
    schema: &Value,
    good: Bag,
    mut errors: BTreeMap<String, String>,
    refusal: Refusal<'_>,
) -> BTreeMap<String, String> {
    if !is_complete(schema, &good) {
        errors.extend(beside_missing(schema, good, refusal));
    } else if let Some(text) = refusal(good.clone()) {
        errors.extend(blame(schema, &good, &text, refusal));
    }
    errors
}

/// What types refuse besides the required parameters that are missing or wrong. Those are filled
/// with something plausible, so that one answer tells of everything.
fn beside_missing(schema: &Value, mut good: Bag, refusal: Refusal<'_>) -> BTreeMap<String, String> {
    for name in required(schema) {
        let wanted = &schema["properties"][name];
        let plausible = match wanted["type"].as_str() {
            Some("integer" | "number") => wanted["minimum"].as_u64().unwrap_or(1).into(),
            _ => wanted["enum"].get(0).cloned().unwrap_or_else(|| "x".into()),
        };
        good.entry(name).or_insert(plausible);
    }
    let refused = refusal(good).and_then(|text| FieldErrors::from_lines(&text));
    refused.map(|errors| errors.0).unwrap_or_default()
}

/// Finds which parameters a type refused, for types whose error does not name them.
///
/// Each optional parameter is tried alone beside the required ones.
fn blame(schema: &Value, good: &Bag, text: &str, refusal: Refusal<'_>) -> BTreeMap<String, String> {
    if let Some(errors) = FieldErrors::from_lines(text) {
        return errors.0;
    }
    let try_with = |names: &[&str]| {
        let part = good
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        refusal(part.map(|(n, v)| (n.clone(), v.clone())).collect())
    };
    let base: Vec<&str> = required(schema).collect();
    if let Some(text) = try_with(&base) {
        // Only a required value of a type of its own can fail here, and it is the last such one.
        let own_type = |name: &&&str| good.get(**name).is_some_and(Value::is_string);
        let name = base.iter().rev().find(own_type).copied().unwrap_or("body");
        return BTreeMap::from([(name.to_owned(), text)]);
    }
    let optional = good.keys().filter(|name| !base.contains(&name.as_str()));
    let failed = optional.filter_map(|name| {
        let with: Vec<&str> = base.iter().copied().chain([name.as_str()]).collect();
        Some((name.clone(), try_with(&with)?))
    });
    let failed: BTreeMap<String, String> = failed.collect();
    if failed.is_empty() {
        BTreeMap::from([("body".to_owned(), text.to_owned())])
    } else {
        failed
    }
}

fn is_complete(schema: &Value, bag: &Bag) -> bool {
    required(schema).all(|name| bag.contains_key(name))
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Whether `name` fits a pattern of the form `^prefix…[0-9]…$`, the only form that is declared.
fn numbered(pattern: &str, name: &str) -> bool {
    let prefix: String = pattern
        .trim_start_matches('^')
        .chars()
        .take_while(|c| c.is_ascii_alphabetic())
        .collect();
    basalt_model::field::index_of(&prefix, name).is_some()
}

/// Gives one value the type that its schema wants.
fn coerce(schema: &Value, value: Value) -> std::result::Result<Value, String> {
    let value = match schema["type"].as_str() {
        Some("boolean") => Value::Bool(boolean(&value)?),
        Some("integer") => integer(schema, &value)?,
        Some("number") => number(&value)?,
        Some("string") => text(schema, &value)?,
        Some("array") => {
            let items = match value {
                Value::Array(items) => items,
                one => vec![one],
            };
            let items = items.into_iter().map(|item| coerce(&schema["items"], item));
            Value::Array(items.collect::<std::result::Result<_, _>>()?)
        }
        _ => value,
    };
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(&value)
    {
        let words: Vec<String> = words.iter().filter_map(plain).collect();
        return Err(format!("must be one of: {}", words.join(", ")));
    }
    Ok(value)
}

fn boolean(value: &Value) -> std::result::Result<bool, String> {
    let text = plain(value).ok_or("must be a boolean, 1 or 0")?;
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Ok(true),
        "0" | "off" | "no" | "false" => Ok(false),
        _ => Err(format!("'{text}' is not a boolean: use 1 or 0")),
    }
}

fn integer(schema: &Value, value: &Value) -> std::result::Result<Value, String> {
    let text = plain(value).ok_or("must be a whole number")?;
    let number: i128 = text
        .trim()
        .parse()
        .map_err(|_| format!("'{text}' is not a whole number"))?;
    let bound = |key: &str| {
        let bound = &schema[key];
        bound
            .as_i64()
            .map(i128::from)
            .or(bound.as_f64().map(|f| f as i128))
    };
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        return Err(format!("must be at least {least}"));
    }
    if let Some(most) = bound("maximum").filter(|most| number > *most) {
        return Err(format!("must be at most {most}"));
    }
    let number = i64::try_from(number)
        .map(Number::from)
        .or_else(|_| u64::try_from(number).map(Number::from));
    number
        .map(Value::Number)
        .map_err(|_| format!("'{text}' is out of range"))
}

fn number(value: &Value) -> std::result::Result<Value, String> {
    let text = plain(value).ok_or("must be a number")?;
    let number = text.trim().parse().ok().and_then(Number::from_f64);
    number
        .map(Value::Number)
        .ok_or_else(|| format!("'{text}' is not a number"))
}

fn text(schema: &Value, value: &Value) -> std::result::Result<Value, String> {
    let text = match value {
        Value::Array(parts) if schema["format"] == LIST => {
            let parts: Option<Vec<String>> = parts.iter().map(plain).collect();
            parts.map(|parts| parts.join(","))
        }
        other => plain(other),
    };
    let text = text.ok_or("must be one text")?;
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        return Err(format!("must have at most {most} characters"));
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        return Err(format!("must have at least {least} characters"));
    }
    Ok(Value::String(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Sample {
        name: String,
        #[schemars(range(min = 1, max = 10))]
        count: Option<u32>,
        force: Option<bool>,
        owner: Option<basalt_model::userid::Userid>,
        tags: Option<Vec<u8>>,
        #[schemars(extend("format" = "list"))]
        content: Option<String>,
    }

    fn read(bag: Value) -> Result<Sample> {
        use schemars::transform::Transform;
        let mut schema = schemars::schema_for!(Sample);
        crate::schema::WithoutNull.transform(&mut schema);
        params(&schema.to_value(), bag.as_object().unwrap().clone())
    }

    #[test]
    fn strings_become_what_the_schema_wants() {
        let sample = read(json!({"name": 5, "count": "7", "force": "yes", "tags": "3"})).unwrap();
        assert_eq!(
            (sample.name.as_str(), sample.count, sample.force),
            ("5", Some(7), Some(true))
        );
        assert_eq!(sample.tags, Some(vec![3]));
        assert!(sample.owner.is_none());
    }

    #[test]
    fn every_wrong_parameter_is_named_at_once() {
        let error = read(json!({"count": "11", "force": "maybe", "colour": "red"})).unwrap_err();
        let names: Vec<&str> = error.errors.keys().map(String::as_str).collect();
        assert_eq!(names, ["colour", "count", "force", "name"]);
        assert_eq!(
            (error.status, error.message.as_str()),
            (400, "Parameter verification failed.")
        );
    }

    #[test]
    fn lists_may_come_in_parts_and_other_texts_may_not() {
        let sample = read(json!({"name": "x", "content": ["iso", "images"]})).unwrap();
        assert_eq!(sample.content.as_deref(), Some("iso,images"));
        let error = read(json!({"name": ["x", "y"], "content": [["iso"]]})).unwrap_err();
        let names: Vec<&str> = error.errors.keys().map(String::as_str).collect();
        assert_eq!(names, ["content", "name"]);
    }

    #[test]
    fn a_type_of_its_own_is_named_too() {
        let error = read(json!({"name": "x", "owner": "nobody", "force": "2"})).unwrap_err();
        let names: Vec<&str> = error.errors.keys().map(String::as_str).collect();
        assert_eq!(names, ["force", "owner"]);
    }

    #[test]
    fn a_configuration_is_checked_even_when_something_required_is_missing() {
        use crate::endpoint::Endpoint;
        use crate::methods::qemu::VmCreate;
        let schema = crate::schema::params(&crate::Declaration::of::<VmCreate>());
        let bag = json!({"node": "n", "net0": "bogus=1", "cores": "x", "virtio99": "local:1"});
        let error = VmCreate::read(&schema, bag.as_object().unwrap().clone()).unwrap_err();
        let names: Vec<&str> = error.errors.keys().map(String::as_str).collect();
        assert_eq!(names, ["cores", "net0", "virtio99", "vmid"]);
    }

    #[test]
    fn huge_and_negative_numbers_are_refused() {
        for count in [
            "-1",
            "99999999999999999999999999999999999999999",
            "1.5",
            "",
            "0x1",
        ] {
            let error = read(json!({"name": "x", "count": count})).unwrap_err();
            assert!(error.errors.contains_key("count"), "{count}");
        }
    }
}

//! The bag of parameters of a request, before they have types.
//!
//! Path, query and body merge into one bag. A form value is text, a JSON value keeps its type, a
//! key that comes twice is an array.

use crate::error::{Error, Result};
use crate::route::PathParams;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Untyped parameters by name.
pub type Bag = Map<String, Value>;

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes a value for a path, query or form.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Decodes percent-encoding; none when the result is no UTF-8.
pub fn decode(text: &str) -> Option<String> {
    percent_decode_str(text)
        .decode_utf8()
        .ok()
        .map(Cow::into_owned)
}

/// Writes a bag as a form.
pub fn to_form(bag: &Bag) -> String {
    let mut parts = Vec::new();
    for (name, value) in bag {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            other => std::slice::from_ref(other),
        };
        for text in values.iter().filter_map(plain) {
            parts.push(format!("{}={}", encode(name), encode(&text)));
        }
    }
    parts.join("&")
}

/// The text of a plain value, booleans as `1` and `0`.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "1" } else { "0" }.into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Adds the pairs of a query or form, `a=1&b=2` or `a=1;b=2`.
pub fn add_form(bag: &mut Bag, text: &str) -> Result<()> {
    for pair in text.split(['&', ';']).filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |s: &str| {
            decode(&s.replace('+', " ")).ok_or_else(|| Error::new(400, "parameters are not UTF-8"))
        };
        add(bag, read(name)?, Value::String(read(value)?));
    }
    Ok(())
}

/// Adds the members of a JSON object.
pub fn add_json(bag: &mut Bag, body: &[u8]) -> Result<()> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|e| Error::new(400, format_args!("the body is not JSON: {e}")))?;
    let Value::Object(members) = value else {
        return Err(Error::new(400, "the body must be a JSON object"));
    };
    for (name, value) in members {
        if !value.is_null() {
            add(bag, name, value);
        }
    }
    Ok(())
}

/// Adds a body by its content type: JSON or, without a known type, a form.
pub fn add_body(bag: &mut Bag, content_type: &str, body: &[u8]) -> Result<()> {
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => add_json(bag, body),
        "" | "application/x-www-form-urlencoded" => {
            let text = std::str::from_utf8(body)
                .map_err(|_| Error::new(400, "parameters are not UTF-8"))?;
            add_form(bag, text.trim())
        }
        other => Err(Error::new(
            415,
            format_args!("content type '{other}' is not supported"),
        )),
    }
}

/// Adds the values of a path; a different value of the same name elsewhere is refused.
pub fn add_path(bag: &mut Bag, params: PathParams) -> Result<()> {
    for (name, value) in params {
        match bag.get(&name).map(plain) {
            Some(other) if other.as_deref() != Some(value.as_str()) => {
                return Err(Error::param(name, "is given twice with different values"));
            }
            _ => {
                bag.insert(name, Value::String(value));
            }
        }
    }
    Ok(())
}

/// Adds one value; a name that is there already becomes an array.
pub fn add(bag: &mut Bag, name: String, value: Value) {
    match bag.get_mut(&name) {
        None => {
            bag.insert(name, value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => {
            let first = std::mem::take(first);
            bag.insert(name, Value::Array(vec![first, value]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_and_json_merge() {
        let mut bag = Bag::new();
        add_form(&mut bag, "a=1&b=x%20y;c=p+q&a=2").unwrap();
        add_body(
            &mut bag,
            "application/json; charset=utf-8",
            br#"{"d":true,"e":null}"#,
        )
        .unwrap();
        assert_eq!(
            Value::Object(bag),
            json!({"a":["1","2"],"b":"x y","c":"p q","d":true})
        );
    }

    #[test]
    fn a_path_value_cannot_be_contradicted() {
        let path = PathParams::from([("vmid".to_owned(), "100".to_owned())]);
        let mut bag = Bag::from_iter([("vmid".to_owned(), json!(100))]);
        add_path(&mut bag, path.clone()).unwrap();
        let mut bag = Bag::from_iter([("vmid".to_owned(), json!("101"))]);
        assert!(
            add_path(&mut bag, path)
                .unwrap_err()
                .errors
                .contains_key("vmid")
        );
    }

    #[test]
    fn malformed_input_is_refused() {
        assert_eq!(add_form(&mut Bag::new(), "a=%ff").unwrap_err().status, 400);
        assert_eq!(add_json(&mut Bag::new(), b"[1]").unwrap_err().status, 400);
        assert_eq!(
            add_body(&mut Bag::new(), "text/plain", b"a")
                .unwrap_err()
                .status,
            415
        );
    }

    #[test]
    fn forms_round_trip() {
        let mut bag = Bag::new();
        add(&mut bag, "net0".into(), json!("virtio,bridge=vmbr0"));
        add(&mut bag, "ü".into(), json!("a&b=c;d"));
        let mut again = Bag::new();
        add_form(&mut again, &to_form(&bag)).unwrap();
        assert_eq!(bag, again);
    }
}

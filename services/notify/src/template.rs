//! Texts with gaps that an event fills: `{{ title }}`, `{{ fields.hostname }}`, `{{ json message }}`.
//!
//! ```text
//! {{ NAME }}             title, message, severity, timestamp (seconds since 1970), fields, fields.NAME,
//!                        secrets.NAME; a field that the event does not have is empty
//! {{ url-encode NAME }}  encoded for an address
//! {{ escape NAME }}      as it stands in a string of JSON, without the quotes
//! {{ json NAME }}        as JSON
//! {{! anything }}        nothing
//! ```

use crate::Event;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What stands in an address as it is (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const NAMES: [&str; 6] = [
    "title",
    "message",
    "severity",
    "timestamp",
    "fields",
    "secrets",
];

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    UrlEncode,
    Escape,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { form: Form, path: Vec<String> },
}

/// A text with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// What gaps are filled with.
pub struct Values(Value);

impl Values {
    /// Of an event, and secrets by their names.
    pub fn new(event: &Event, secrets: &BTreeMap<String, String>) -> Self {
        Self(json!({
            "title": event.title,
            "message": event.body,
            "severity": event.severity.as_str(),
            "timestamp": event.time,
            "fields": event.fields,
            "secrets": secrets,
        }))
    }

    fn at(&self, path: &[String]) -> &Value {
        path.iter()
            .fold(&self.0, |value, name| &value[name.as_str()])
    }
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// Which gap is none, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(begins) = rest.find("{{") {
            parts.push(Part::Text(rest[..begins].to_owned()));
            let (open, close) = match rest[begins..].starts_with("{{{") {
                true => ("{{{", "}}}"),
                false => ("{{", "}}"),
            };
            let inner = &rest[begins + open.len()..];
            let ends = inner.find(close);
            let ends = ends.ok_or_else(|| format!("'{open}' is never closed by '{close}'"))?;
            parts.extend(gap(inner[..ends].trim())?);
            rest = &inner[ends + close.len()..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The names of the secrets that it uses.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Value { path, .. } if path[0] == "secrets" => path.get(1).map(String::as_str),
            Part::Value { .. } | Part::Text(_) => None,
        })
    }

    /// Fills the gaps.
    pub fn fill(&self, values: &Values) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Value { form, path } => written(*form, values.at(path)),
        });
        parts.collect()
    }
}

/// What stands between braces.
fn gap(text: &str) -> Result<Option<Part>, String> {
    if text.starts_with('!') {
        return Ok(None);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let (form, name) = match words.as_slice() {
        [name] => (Form::Plain, *name),
        ["url-encode", name] => (Form::UrlEncode, *name),
        ["escape", name] => (Form::Escape, *name),
        ["json", name] => (Form::Json, *name),
        _ => {
            return Err(format!(
                "'{{{{ {} }}}}' is not understood: write a name, or one of url-encode, escape and \
                 json before it",
                text.escape_debug()
            ));
        }
    };
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    let deepest = match path[0].as_str() {
        "fields" => 1..=2,
        "secrets" => 2..=2,
        _ => 1..=1,
    };
    if !NAMES.contains(&path[0].as_str()) || !deepest.contains(&path.len()) {
        return Err(format!(
            "there is no '{}': use title, message, severity, timestamp, fields.NAME or secrets.NAME",
            name.escape_debug()
        ));
    }
    Ok(Some(Part::Value { form, path }))
}

/// A text as a part of an address.
pub fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn written(form: Form, value: &Value) -> String {
    let plain = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match form {
        Form::Plain => plain,
        Form::UrlEncode => url_encoded(&plain),
        Form::Escape => {
            let quoted = Value::String(plain).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        Form::Json => match value {
            Value::Object(members) => sorted(members).to_string(),
            other => other.to_string(),
        },
    }
}

/// Members in the order of their names, so that equal events give equal texts.
fn sorted(members: &Map<String, Value>) -> Value {
    let ordered: BTreeMap<&String, &Value> = members.iter().collect();
    json!(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::notify::{EventType, Severity};

    fn filled(text: &str) -> String {
        let kind = EventType::UpdateFallback;
        let mut event = Event::new(kind, Severity::Error, "a \"b\" & c", "one\ntwo");
        event = event.with("hostname", "n1");
        event.time = 1_800_000_000;
        let secrets = BTreeMap::from([("my-key".to_owned(), "s/1".to_owned())]);
        Template::parse(text)
            .unwrap()
            .fill(&Values::new(&event, &secrets))
    }

    #[test]
    fn gaps_are_filled() {
        assert_eq!(filled("{{title}}|{{ message }}"), "a \"b\" & c|one\ntwo");
        assert_eq!(filled("{{severity}} {{timestamp}}"), "error 1800000000");
        assert_eq!(
            filled("{{ fields.type }} {{fields.none}}."),
            "update-fallback ."
        );
        assert_eq!(filled("{{{ secrets.my-key }}}"), "s/1");
        assert_eq!(filled("a {{! nothing }}b } {"), "a b } {");
        assert_eq!(filled("ü{{title}}ü").len(), "üa \"b\" & cü".len());
    }

    #[test]
    fn values_are_written_for_where_they_stand() {
        assert_eq!(
            filled("?t={{ url-encode title }}"),
            "?t=a%20%22b%22%20%26%20c"
        );
        assert_eq!(filled("\"{{ escape message }}\""), "\"one\\ntwo\"");
        assert_eq!(filled("{{ json message }}"), "\"one\\ntwo\"");
        let fields = r#"{"hostname":"n1","type":"update-fallback"}"#;
        assert_eq!(filled("{{ json fields }}"), fields);
        assert_eq!(filled("{{ json timestamp }}"), "1800000000");
    }

    #[test]
    fn what_is_no_gap_is_refused() {
        for wrong in [
            "{{",
            "{{ title",
            "{{}}",
            "{{ colour }}",
            "{{ upper title }}",
            "{{#if title}}",
            "{{ secrets }}",
            "{{ title.x }}",
            "{{ json secrets }}",
            "{{{ title }}",
        ] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
        let template = Template::parse("{{secrets.a}} {{json secrets.b}}").unwrap();
        assert_eq!(template.secrets().collect::<Vec<_>>(), ["a", "b"]);
    }
}

//! Writes answers as clients of Proxmox VE expect them.

use crate::endpoint::Reply;
use crate::error::Error;
use crate::wire::Wire;
use serde_json::{Map, Value, json};

/// The exact content type; some clients compare the string.
pub const CONTENT_TYPE: &str = "application/json;charset=UTF-8";

/// Which of the two encodings a client asked for by the path's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `/api2/json`: errors have their own HTTP status.
    Json,
    /// `/api2/extjs`: always status 200; `success` tells.
    Extjs,
}

impl Format {
    /// Splits a request path into its format and the path below it.
    pub fn split(path: &str) -> Option<(Self, &str)> {
        let rest = path.strip_prefix("/api2/")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let format = match &rest[..end] {
            "json" => Self::Json,
            "extjs" => Self::Extjs,
            _ => return None,
        };
        Some((format, &rest[end..]))
    }
}

/// An answer ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Reason phrase of the status line, for errors.
    pub reason: Option<String>,
    /// Body, of type [`CONTENT_TYPE`].
    pub body: String,
}

/// Encodes a result.
pub fn success(format: Format, reply: &Reply<Wire>) -> Answer {
    let mut body = format!("{{\"data\":{}", reply.data.as_str());
    if let Some(total) = reply.total {
        body.push_str(&format!(",\"total\":{total}"));
    }
    if format == Format::Extjs {
        body.push_str(",\"success\":1");
    }
    body.push('}');
    Answer {
        status: 200,
        reason: None,
        body,
    }
}

/// Encodes an error.
pub fn failure(format: Format, error: &Error) -> Answer {
    let mut body = Map::new();
    body.insert("data".into(), Value::Null);
    body.insert(
        "message".into(),
        format!("{}\n", error.message.trim_end()).into(),
    );
    if !error.errors.is_empty() {
        body.insert("errors".into(), json!(error.errors));
    }
    let first = error.message.lines().next().unwrap_or("").to_owned();
    if format == Format::Extjs {
        body.insert("success".into(), 0.into());
        body.insert("status".into(), error.status.into());
        return Answer {
            status: 200,
            reason: None,
            body: Value::Object(body).to_string(),
        };
    }
    let reason = Some(reason_phrase(&first)).filter(|r| !r.is_empty());
    Answer {
        status: error.status,
        reason,
        body: Value::Object(body).to_string(),
    }
}

/// Text that may stand in a status line: one line, at most 512 bytes of visible ASCII.
fn reason_phrase(text: &str) -> String {
    let visible = text.chars().map(|c| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    });
    visible.take(512).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_numbers_and_nothing_is_absent() {
        let data = Wire::of(&json!([{"a": true, "b": null, "c": [false]}]));
        let reply = Reply::page(data.unwrap(), 9);
        let answer = success(Format::Json, &reply);
        assert_eq!(answer.body, r#"{"data":[{"a":1,"c":[0]}],"total":9}"#);
        let nothing = Reply::from(Wire::of(&()).unwrap());
        let answer = success(Format::Extjs, &nothing);
        assert_eq!(answer.body, r#"{"data":null,"success":1}"#);
    }

    #[test]
    fn the_reason_is_the_first_line_and_cannot_break_the_status_line() {
        let answer = failure(Format::Json, &Error::failed("VM 100 is\rlocked\r\nX: y"));
        assert_eq!(answer.status, 500);
        assert_eq!(answer.reason.as_deref(), Some("VM 100 is?locked"));
        let answer = failure(Format::Extjs, &Error::param("vmid", "must be at least 100"));
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains(r#""success":0"#) && answer.body.contains("vmid"));
    }

    #[test]
    fn the_prefix_says_the_format() {
        assert_eq!(
            Format::split("/api2/json/version"),
            Some((Format::Json, "/version"))
        );
        assert_eq!(Format::split("/api2/extjs"), Some((Format::Extjs, "")));
        assert_eq!(Format::split("/api2/jsonx/version"), None);
        assert_eq!(Format::split("/"), None);
    }
}

//! Something that happened.

use basalt_model::notify::{EventType, Severity};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest title in characters; what is longer is cut.
const LONGEST_TITLE: usize = 200;
/// Longest text in characters; what is longer is cut.
const LONGEST_BODY: usize = 100_000;

/// Something that happened, and that people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in one line.
    pub title: String,
    /// More of it.
    pub body: String,
    /// What rules of matchers look at; the event's type is the field `type`.
    pub fields: BTreeMap<String, String>,
    /// When it was, in seconds since 1970.
    pub time: u64,
}

impl Event {
    /// Something that happens now.
    pub fn new(kind: EventType, severity: Severity, title: &str, body: &str) -> Self {
        Self::untyped(severity, title, body).with("type", kind.as_str())
    }

    /// A test of a target.
    pub fn test(target: &str) -> Self {
        let body = format!(
            "This is a test of the notification target '{target}'. Whoever reads this is told of \
             what happens on the host."
        );
        Self::untyped(Severity::Info, "Test notification", &body)
    }

    fn untyped(severity: Severity, title: &str, body: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            severity,
            title: title.chars().map(plain).take(LONGEST_TITLE).collect(),
            body: body.chars().take(LONGEST_BODY).collect(),
            fields: BTreeMap::new(),
            time: now.map_or(0, |passed| passed.as_secs()),
        }
    }

    /// With a field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }
}

//! Which events go to which targets.

use super::Severity;
use crate::calendar::DailySpan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// How many of a matcher's rules must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatcherMode {
    /// Every one.
    #[default]
    All,
    /// At least one.
    Any,
}

/// Says which events go to which targets. One without rules takes every event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Matcher {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether it is ignored (default no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Whether it takes the events that its rules do not hold for, instead of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invert_match: Option<bool>,
    /// When events happen: `[DAYS] [FROM-TO]`, e.g. `mon..fri 8-17`, by the host's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_calendar: Option<Vec<DailySpan>>,
    /// What events say: `exact:FIELD=VALUE,VALUE…` or `regex:FIELD=EXPRESSION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_field: Option<Vec<FieldMatch>>,
    /// How bad events are: severities, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_severity: Option<Vec<SeverityMatch>>,
    /// Whether all rules must hold, or any (default all).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<MatcherMode>,
    /// The targets that are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Vec<String>>,
}

impl Matcher {
    /// The names of all settings that can be put back.
    pub const NAMES: &[&str] = &[
        "comment",
        "disable",
        "invert-match",
        "match-calendar",
        "match-field",
        "match-severity",
        "mode",
        "target",
    ];
}

/// Longest rule in bytes.
const LONGEST: usize = 1024;

/// A rule for a field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldMatch {
    /// It has one of these values.
    Exact {
        /// Name of the field.
        field: String,
        /// The values.
        values: Vec<String>,
    },
    /// A regular expression finds something in its value.
    Regex {
        /// Name of the field.
        field: String,
        /// The expression.
        pattern: String,
    },
}

impl fmt::Display for FieldMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { field, values } => write!(f, "exact:{field}={}", values.join(",")),
            Self::Regex { field, pattern } => write!(f, "regex:{field}={pattern}"),
        }
    }
}

impl FromStr for FieldMatch {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rule) = match text.split_once(':') {
            Some((kind @ ("exact" | "regex"), rule)) => (kind, rule),
            Some(_) | None => ("exact", text),
        };
        // As it is printed, and so kept: with its kind.
        if kind.len() + ":".len() + rule.len() > LONGEST {
            return Err(format!("a rule has at most {LONGEST} bytes with its kind"));
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let parts = rule.split_once('=');
        let parts = parts.filter(|(field, value)| {
            !field.is_empty() && field.bytes().all(good) && !value.is_empty()
        });
        let Some((field, value)) = parts else {
            return Err(format!(
                "'{}' is no rule: write exact:FIELD=VALUE or regex:FIELD=EXPRESSION",
                text.escape_debug()
            ));
        };
        let field = field.to_owned();
        if kind == "regex" {
            let pattern = value.to_owned();
            return Ok(Self::Regex { field, pattern });
        }
        let values = value.split(',').map(|one| one.trim().to_owned());
        let values: Vec<String> = values.collect();
        match values.iter().any(String::is_empty) {
            true => Err(format!(
                "'{}' names an empty value: write exact:FIELD=VALUE,VALUE",
                text.escape_debug()
            )),
            false => Ok(Self::Exact { field, values }),
        }
    }
}

crate::text_field!(
    FieldMatch,
    "FieldMatch",
    json!({"type": "string", "maxLength": LONGEST})
);

/// Some severities: `warning,error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeverityMatch(BTreeSet<Severity>);

impl SeverityMatch {
    /// Whether a severity is among them.
    pub fn contains(&self, severity: Severity) -> bool {
        self.0.contains(&severity)
    }
}

impl fmt::Display for SeverityMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|severity| severity.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for SeverityMatch {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ';']).map(str::trim);
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

crate::text_field!(
    SeverityMatch,
    "SeverityMatch",
    json!({"type": "string", "maxLength": 64})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_printed() {
        for (text, printed) in [
            ("exact:type=a,b", "exact:type=a,b"),
            ("type=a", "exact:type=a"),
            (
                "regex:job-id=^backup-[0-9]+=x$",
                "regex:job-id=^backup-[0-9]+=x$",
            ),
            ("exact:a=b:c", "exact:a=b:c"),
        ] {
            assert_eq!(text.parse::<FieldMatch>().unwrap().to_string(), printed);
        }
        for wrong in [
            "",
            "type",
            "exact:type=",
            "exact:=x",
            "exact:type=a,,b",
            "exact:type= ",
            "other:type=x",
            "regex:a b=c",
        ] {
            assert!(wrong.parse::<FieldMatch>().is_err(), "{wrong}");
        }
        let severities: SeverityMatch = "error, warning".parse().unwrap();
        assert_eq!(severities.to_string(), "warning,error");
        assert!("error,bad".parse::<SeverityMatch>().is_err());
    }

    #[test]
    fn a_rule_that_is_taken_can_be_read_as_it_is_kept() {
        let rule = |len: usize| format!("type={}", "a".repeat(len - "type=".len()));
        let most = LONGEST - "exact:".len();
        let kept = rule(most).parse::<FieldMatch>().unwrap().to_string();
        assert!(kept.parse::<FieldMatch>().is_ok());
        for long in [
            rule(most + 1),
            rule(LONGEST),
            format!("regex:{}", rule(most + 1)),
        ] {
            assert!(long.parse::<FieldMatch>().unwrap_err().contains("1024"));
        }
    }

    #[test]
    fn every_setting_has_its_name() {
        let schema = schemars::schema_for!(Matcher).to_value();
        let names = schema["properties"].as_object().unwrap().keys();
        assert!(names.eq(Matcher::NAMES), "{schema}");
    }
}

//! Which events a matcher takes.

use crate::Event;
use basalt_model::notify::{FieldMatch, Matcher, MatcherMode, NotifyConfig};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;

/// Most bytes that an expression may take when it is compiled.
const LARGEST: usize = 1 << 20;

/// Compiles the expression of a rule.
///
/// # Errors
/// What is wrong with it.
pub fn expression(pattern: &str) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(pattern).size_limit(LARGEST).build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the expression is too large".to_owned(),
        other => other
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned(),
    })
}

/// Whether a matcher takes an event that happened at `local`, in seconds since 1970 by the host's clock.
pub fn takes(matcher: &Matcher, event: &Event, local: i64) -> bool {
    let fields = matcher.match_field.iter().flatten();
    let fields = fields.map(|rule| field_holds(rule, event));
    let severities = matcher.match_severity.iter().flatten();
    let severities = severities.map(|rule| rule.contains(event.severity));
    let calendar = matcher.match_calendar.iter().flatten();
    let calendar = calendar.map(|span| span.contains(local));
    let rules: Vec<bool> = fields.chain(severities).chain(calendar).collect();
    let holds = match matcher.mode.unwrap_or_default() {
        MatcherMode::All => rules.iter().all(|holds| *holds),
        MatcherMode::Any => rules.is_empty() || rules.contains(&true),
    };
    holds != matcher.invert_match.unwrap_or(false)
}

fn field_holds(rule: &FieldMatch, event: &Event) -> bool {
    match rule {
        FieldMatch::Exact { field, values } => {
            let value = event.fields.get(field);
            value.is_some_and(|value| values.contains(value))
        }
        FieldMatch::Regex { field, pattern } => {
            let value = event.fields.get(field);
            // An expression that cannot be compiled is refused when it is set.
            let found = |value: &String| expression(pattern).is_ok_and(|it| it.is_match(value));
            value.is_some_and(found)
        }
    }
}

/// The names of the targets that are told of an event.
pub fn targets<'a>(config: &'a NotifyConfig, event: &Event, local: i64) -> BTreeSet<&'a str> {
    let on = config.matcher.values();
    let on = on.filter(|matcher| !matcher.disable.unwrap_or(false));
    let taking = on.filter(|matcher| takes(matcher, event, local));
    let named: BTreeSet<&str> = taking
        .flat_map(|matcher| matcher.target.iter().flatten())
        .map(String::as_str)
        .collect();
    let told = config.targets().filter(|(.., disabled)| !disabled);
    told.map(|(name, ..)| name)
        .filter(|name| named.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::notify::{EventType, Severity};
    use serde_json::{Value, json};

    /// Monday, 4 January 2027, 09:00.
    const MONDAY: i64 = 1_799_020_800 + 9 * 3600;

    fn event(severity: Severity) -> Event {
        let kind = EventType::CertificateRenewal;
        Event::new(kind, severity, "title", "body").with("hostname", "node-1")
    }

    fn taken(matcher: Value) -> bool {
        let matcher: Matcher = serde_json::from_value(matcher).unwrap();
        takes(&matcher, &event(Severity::Error), MONDAY)
    }

    #[test]
    fn all_rules_must_hold_or_any() {
        assert!(taken(json!({})));
        assert!(taken(json!({"mode": "any"})));
        assert!(taken(json!({"match-severity": ["warning,error"]})));
        let both = |mode: &str, severity: &str| {
            json!({"mode": mode, "match-severity": [severity],
                "match-field": ["exact:type=certificate-renewal,other"]})
        };
        assert!(taken(both("all", "error")));
        assert!(!taken(both("all", "info")));
        assert!(taken(both("any", "info")));
        assert!(!taken(json!({"match-severity": ["error", "info"]})));
        assert!(!taken(
            json!({"mode": "any", "match-severity": ["notice", "info"]})
        ));
    }

    #[test]
    fn fields_are_compared_and_searched() {
        let rule = |rule: &str| taken(json!({"match-field": [rule]}));
        assert!(rule("exact:hostname=node-1"));
        assert!(!rule("exact:hostname=node"));
        assert!(rule("regex:hostname=^node-[0-9]$"));
        assert!(!rule("regex:hostname=^n$"));
        assert!(!rule("regex:job-id=.*"), "a field that is not there");
    }

    #[test]
    fn times_are_by_the_host_and_a_matcher_can_be_turned_round() {
        let span = |span: &str| taken(json!({"match-calendar": [span]}));
        assert!(span("mon..fri 8-12") && !span("tue 8-12") && !span("10-12"));
        assert!(!taken(
            json!({"match-severity": ["error"], "invert-match": true})
        ));
        assert!(taken(
            json!({"match-severity": ["info"], "invert-match": true})
        ));
    }

    #[test]
    fn targets_are_told_once_and_only_those_that_are_on() {
        let config = json!({
            "gotify": {
                "one": {"server": "https://a"},
                "off": {"server": "https://a", "disable": true},
                "other": {"server": "https://a"},
            },
            "matcher": {
                "first": {"target": ["one", "off", "gone"]},
                "second": {"target": ["one"]},
                "third": {"target": ["other"], "disable": true},
            },
        });
        let config: NotifyConfig = serde_json::from_value(config).unwrap();
        let told = targets(&config, &event(Severity::Info), MONDAY);
        assert_eq!(told.into_iter().collect::<Vec<_>>(), ["one"]);
    }

    #[test]
    fn expressions_that_cannot_be_are_refused() {
        assert!(expression("(").is_err());
        assert!(expression(r"(\w{200}){200}").is_err());
    }
}

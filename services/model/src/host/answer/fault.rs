//! Reading an answer file so that every mistake is found at once, with its place and its cure.
//!
//! Keys that nobody knows are taken out first; then each value that does not mean what its key asks
//! for is taken out and the rest is read again, until the rest is good.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue, Deserializer};

use super::written::{Written, inlined};

/// How different a key may be from a known one and still be taken for it.
const LIKENESS: usize = 2;

/// One mistake: where it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerError {
    /// Line and column, both counted from 1.
    pub place: Option<(usize, usize)>,
    /// The key with its table, as `network.gateway`.
    pub key: Option<String>,
    /// What is wrong and how to put it right.
    pub message: String,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answer file")?;
        if let Some((line, column)) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", `{key}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why an answer file cannot be used: every mistake, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerErrors(pub Vec<AnswerError>);

impl fmt::Display for AnswerErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for AnswerErrors {}

/// A file being read, and the mistakes found so far.
pub(super) struct Reading<'a> {
    text: &'a str,
    keys: Vec<(String, Range<usize>)>,
    errors: Vec<AnswerError>,
}

impl<'a> Reading<'a> {
    /// Reads what can be read of `text`.
    pub fn new(text: &'a str) -> (Self, Written) {
        let mut reading = Self {
            text,
            keys: Vec::new(),
            errors: Vec::new(),
        };
        let (document, mistakes) = DeTable::parse_recoverable(text);
        for mistake in &mistakes {
            let message = mistake.message().trim().replace('\n', "; ");
            reading.at(mistake.span(), None, message);
        }
        if !mistakes.is_empty() {
            return (reading, Written::default());
        }
        let mut table = document;
        collect_keys(table.get_ref(), "", &mut reading.keys);
        let schema = inlined();
        reading.take_out_unknown(table.get_mut(), &schema, "");
        let written = loop {
            match Written::deserialize(Deserializer::from(table.clone())) {
                Ok(written) => break written,
                Err(error) => {
                    let message = error.message().trim().replace('\n', "; ");
                    let span = error.span().unwrap_or_default();
                    let key = take_out(table.get_mut(), &span, "");
                    reading.at(Some(span), key.clone(), message);
                    if key.is_none() {
                        break Written::default();
                    }
                }
            }
        };
        (reading, written)
    }

    /// Whether a key has been complained about.
    pub fn is_wrong(&self, key: &str) -> bool {
        self.errors
            .iter()
            .any(|error| error.key.as_deref() == Some(key) || error.key.is_none())
    }

    /// Notes a mistake about a key, at its value if it is set.
    pub fn wrong(&mut self, key: &str, message: impl Into<String>) {
        // What was wrong by itself needs no second complaint.
        if self.is_wrong(key) {
            return;
        }
        let found = self.keys.iter().find(|(name, _)| name == key);
        let span = found.map(|(_, span)| span.clone());
        self.at(span, Some(key.to_owned()), message.into());
    }

    /// The mistakes in the file's order; none is good.
    pub fn end(mut self) -> Result<(), AnswerErrors> {
        self.errors
            .sort_by_key(|error| error.place.unwrap_or((usize::MAX, 0)));
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(AnswerErrors(self.errors))
        }
    }

    fn at(&mut self, span: Option<Range<usize>>, key: Option<String>, message: String) {
        let place = span.map(|span| place(self.text, span.start));
        self.errors.push(AnswerError {
            place,
            key,
            message,
        });
    }

    fn take_out_unknown(&mut self, table: &mut DeTable<'_>, schema: &Value, prefix: &str) {
        let empty = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&empty);
        let mut unknown = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().to_string();
            match known.get(&name) {
                None => unknown.push((name, key.span())),
                Some(below) => {
                    if let DeValue::Table(table) = value.get_mut() {
                        self.take_out_unknown(table, below, &format!("{prefix}{name}."));
                    }
                }
            }
        }
        for (name, span) in unknown {
            table.remove(name.as_str());
            let full = format!("{prefix}{name}");
            let message = match suggestion(&full, known) {
                Some(meant) => format!("unknown key; did you mean `{prefix}{meant}`?"),
                None => match elsewhere(&name) {
                    Some(place) => format!("unknown key here; did you mean `{place}`?"),
                    None => {
                        let names: Vec<&str> = known.keys().map(String::as_str).collect();
                        format!("unknown key; known are {}", names.join(", "))
                    }
                },
            };
            self.at(Some(span), Some(full), message);
        }
    }
}

/// The known key that a misspelt one is most like.
fn suggestion(full: &str, known: &Map<String, Value>) -> Option<String> {
    let name = full.rsplit('.').next().unwrap_or(full);
    let simple = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    known
        .keys()
        .map(|key| (distance(&simple(name), &simple(key)), key))
        .filter(|(distance, key)| *distance <= LIKENESS.min(key.len() / 2))
        .min()
        .map(|(_, key)| key.clone())
}

/// The way to a key of this name in another table.
fn elsewhere(name: &str) -> Option<String> {
    let schema = inlined();
    let top = schema["properties"].as_object()?;
    if top.contains_key(name) {
        return Some(format!("{name}` above the first `[table]"));
    }
    top.iter()
        .find(|(_, below)| below["properties"].get(name).is_some())
        .map(|(table, _)| format!("{table}.{name}"))
}

/// Every key with its table's name, and where its value stands.
fn collect_keys(table: &DeTable<'_>, prefix: &str, into: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table.iter() {
        let name = format!("{prefix}{}", key.get_ref());
        if let DeValue::Table(below) = value.get_ref() {
            collect_keys(below, &format!("{name}."), into);
        }
        into.push((name, value.span()));
    }
}

/// Takes the innermost entry out whose value covers `span`; returns its key with its table.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>, prefix: &str) -> Option<String> {
    for (key, value) in table.iter_mut() {
        if let DeValue::Table(below) = value.get_mut() {
            let prefix = format!("{prefix}{}.", key.get_ref());
            if let Some(taken) = take_out(below, span, &prefix) {
                return Some(taken);
            }
        }
    }
    let covers = |value: Range<usize>| value.start <= span.start && span.end <= value.end;
    let name = table
        .iter()
        .find(|(_, value)| covers(value.span()))
        .map(|(key, _)| key.get_ref().to_string())?;
    table.remove(name.as_str());
    Some(format!("{prefix}{name}"))
}

/// Line and column of a byte, counted from 1; columns are characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// How many letters must be changed, added, left out or swapped to make one word of another.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + same);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_counts_slips_of_the_hand() {
        for (a, b, count) in [
            ("hostnam", "hostname", 1),
            ("serail", "serial", 1),
            ("", "dns", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(a, b), count, "{a} {b}");
        }
    }

    #[test]
    fn places_count_characters() {
        assert_eq!(place("a\nüb = 1", 5), (2, 3));
        assert_eq!(place("", 9), (1, 1));
    }
}

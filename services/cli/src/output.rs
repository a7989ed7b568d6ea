//! Prints answers: lists of objects as tables, objects as name and value, or all as JSON.

use anyhow::Result;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables and lines for people.
    Text,
    /// One line of JSON.
    Json,
    /// Indented JSON.
    JsonPretty,
}

/// Prints `data`; a reader that went away is no error.
pub fn print(data: &Value, format: Format) -> Result<()> {
    let text = match format {
        Format::Json => format!("{data}\n"),
        Format::JsonPretty => format!("{}\n", serde_json::to_string_pretty(data)?),
        Format::Text => text(data),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

fn text(data: &Value) -> String {
    match data {
        Value::Null => String::new(),
        Value::Array(rows) if rows.iter().any(Value::is_object) => table(rows),
        Value::Array(items) => items.iter().map(|i| cell(i) + "\n").collect(),
        Value::Object(members) => pairs(members),
        other => cell(other) + "\n",
    }
}

fn pairs(members: &Map<String, Value>) -> String {
    let width = members.keys().map(|k| k.chars().count()).max().unwrap_or(0);
    members
        .iter()
        .map(|(key, value)| format!("{key:width$}  {}\n", cell(value)))
        .collect()
}

/// Columns are the scalar members of all rows, in the order in which they first appear.
fn table(rows: &[Value]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for (name, value) in rows.iter().filter_map(Value::as_object).flatten() {
        let scalar = !value.is_object() && !value.is_array();
        if scalar && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|c| c.to_uppercase()).collect()];
    lines.extend(
        rows.iter()
            .map(|row| columns.iter().map(|c| cell(&row[*c])).collect()),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| {
            lines
                .iter()
                .map(|l| l[i].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // Text of guests and clients may hold control characters; a terminal must not obey them.
        Value::String(text) => text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_become_a_table_over_all_their_members() {
        let rows = json!([{"vmid": 100, "name": "a"}, {"vmid": 7, "lock": "x", "net": {}}]);
        assert_eq!(text(&rows), "VMID  NAME  LOCK\n100   a\n7           x\n");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(text(&json!("a\u{1b}[2Jb")), "a [2Jb\n");
    }
}

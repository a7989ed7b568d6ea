//! Prints answers: lists of objects as tables, objects as name and value, or all as JSON or YAML.

mod yaml;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and lines for people.
    Text,
    /// One line of JSON.
    Json,
    /// Indented JSON.
    JsonPretty,
    /// YAML.
    Yaml,
}

/// What stands around the cells of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Blanks.
    None,
    /// Lines.
    Lines,
}

/// The text of an answer.
pub fn formatted(data: &Value, format: Format) -> Result<String> {
    Ok(match format {
        Format::Json => format!("{data}\n"),
        Format::JsonPretty => format!("{}\n", serde_json::to_string_pretty(data)?),
        Format::Yaml => yaml::document(data),
        Format::Text => text(data),
    })
}

/// Prints; a reader that went away is no error.
pub fn print(text: &str) -> Result<()> {
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
fn columns(rows: &[Value]) -> Vec<&str> {
    let mut columns: Vec<&str> = Vec::new();
    for (name, value) in rows.iter().filter_map(Value::as_object).flatten() {
        let scalar = !value.is_object() && !value.is_array();
        if scalar && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    columns
}

fn cells(rows: &[Value], columns: &[&str]) -> Vec<Vec<String>> {
    rows.iter()
        .map(|row| columns.iter().map(|c| cell(&row[*c])).collect())
        .collect()
}

fn table(rows: &[Value]) -> String {
    let columns = columns(rows);
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|c| c.to_uppercase()).collect()];
    lines.extend(cells(rows, &columns));
    plain(&lines)
}

fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i| lines.iter().filter_map(move |l: &Vec<String>| l.get(i));
    (0..count)
        .map(|i| width(i).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect()
}

fn plain(lines: &[Vec<String>]) -> String {
    let widths = widths(lines);
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

/// A table with lines around its cells, as the peers show lists and objects.
pub fn bordered(data: &Value) -> String {
    table_with(data, Border::Lines, true)
}

/// A table of a list's entries, or of an object's members; anything else is text.
pub fn table_with(data: &Value, border: Border, header: bool) -> String {
    let (head, rows) = match data {
        Value::Array(rows) if rows.is_empty() => return String::new(),
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            let columns = columns(rows);
            let rows = cells(rows, &columns);
            (columns.into_iter().map(str::to_owned).collect(), rows)
        }
        Value::Object(members) => (
            vec!["key".to_owned(), "value".to_owned()],
            members
                .iter()
                .map(|(key, value)| vec![key.clone(), cell(value)])
                .collect(),
        ),
        other => return text(other),
    };
    let mut lines: Vec<Vec<String>> = if header { vec![head] } else { Vec::new() };
    lines.extend(rows);
    match border {
        Border::None => plain(&lines),
        Border::Lines => framed(&lines, header),
    }
}

fn framed(lines: &[Vec<String>], header: bool) -> String {
    let widths = widths(lines);
    let rule = |left: char, line: char, middle: char, right: char| {
        let parts: Vec<String> = widths
            .iter()
            .map(|width| line.to_string().repeat(width + 2))
            .collect();
        format!("{left}{}{right}\n", parts.join(&middle.to_string()))
    };
    let mut text = rule('┌', '─', '┬', '┐');
    for (index, cells) in lines.iter().enumerate() {
        match index {
            0 => {}
            1 if header => text.push_str(&rule('╞', '═', '╪', '╡')),
            _ => text.push_str(&rule('├', '─', '┼', '┤')),
        }
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("│ {cell:width$} "));
        }
        text.push_str("│\n");
    }
    text + &rule('└', '─', '┴', '┘')
}

/// A value in one line.
pub fn cell(value: &Value) -> String {
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

/// The kind of value that a schema allows, in a word or two.
pub fn kind(schema: &Value) -> String {
    let words = crate::leaf::allowed(schema);
    if !words.is_empty() {
        return words.join("|");
    }
    match schema["type"].as_str() {
        Some("boolean") => "0|1".to_owned(),
        Some("integer") => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("{least}..{most}"),
            _ => "NUMBER".to_owned(),
        },
        Some("number") => "NUMBER".to_owned(),
        _ => "TEXT".to_owned(),
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

    #[test]
    fn frames_are_as_wide_as_their_cells() {
        let text = bordered(&json!({"release": "1"}));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "┌─────────┬───────┐");
        assert_eq!(lines[1], "│ key     │ value │");
        assert_eq!(lines[2], "╞═════════╪═══════╡");
        assert_eq!(lines[3], "│ release │ 1     │");
        assert_eq!(lines[4], "└─────────┴───────┘");
        let bare = table_with(&json!([{"a": 1}, {"a": 2}]), Border::None, false);
        assert_eq!(bare, "1\n2\n");
    }
}

//! Writes a value as YAML 1.2. Text that is not a plain word is written as JSON has it, which YAML
//! reads the same.

use serde_json::Value;

/// A document.
pub fn document(data: &Value) -> String {
    let mut text = String::from("---");
    write(&mut text, data, 0);
    text.push('\n');
    text
}

/// Writes a value behind a key, a dash or the document's start.
fn write(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("\n{indent}-"));
                write(text, item, depth + 1);
            }
        }
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                text.push_str(&format!("\n{indent}{}:", scalar(name)));
                write(text, member, depth + 1);
            }
        }
        Value::String(word) => text.push_str(&format!(" {}", scalar(word))),
        other => text.push_str(&format!(" {other}")),
    }
}

/// A word as it is, anything that YAML could read otherwise in quotes.
fn scalar(word: &str) -> String {
    let plain = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./@+".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&word.to_ascii_lowercase().as_str());
    if plain {
        word.to_owned()
    } else {
        Value::from(word).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_values_are_indented_and_odd_text_is_quoted() {
        let data = json!({"a": [1, {"b": "x y", "c": "on"}], "d": {}, "e": "vm/100"});
        let want = "---\na:\n  - 1\n  -\n    b: \"x y\"\n    c: \"on\"\nd: {}\ne: vm/100\n";
        assert_eq!(document(&data), want);
    }
}

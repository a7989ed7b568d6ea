//! Writes YAML 1.2 for people to read: blocks, with every text in double quotes as JSON has them
//! (section 1.3: JSON is YAML), so that no text is ever taken for something else.

use serde_json::Value;

/// A mapping as a document.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

/// Writes a mapping or a list whose entries are indented by `depth`.
fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&" ".repeat(depth));
                out.push_str(key);
                out.push(':');
                entry(value, depth + 2, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                out.push_str(&" ".repeat(depth));
                out.push('-');
                entry(value, depth + 2, out);
            }
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn entry(value: &Value, depth: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        block(value, depth, out);
    } else {
        out.push(' ');
        out.push_str(&value.to_string());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_are_indented_and_texts_quoted() {
        let value = json!({"a": 1, "list": ["yes", {"b": null, "c": "x: #\n\"y\""}], "none": []});
        let wanted =
            "a: 1\nlist:\n  - \"yes\"\n  -\n    b: null\n    c: \"x: #\\n\\\"y\\\"\"\nnone: []\n";
        assert_eq!(text(&value), wanted);
    }
}

//! JSON as Proxmox VE's clients expect it: booleans are 0 and 1, absent members of objects disappear.
//!
//! It is written in one go from the typed result, for lists can be long.

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::cell::RefCell;
use std::io::{self, Write};

/// A value as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire(String);

impl Wire {
    /// Encodes a value.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        let page = Page(RefCell::new(Vec::new()));
        let members = Members {
            page: &page,
            open: Vec::new(),
        };
        value.serialize(&mut Serializer::with_formatter(&page, members))?;
        let text = String::from_utf8(page.0.into_inner());
        text.map(Self).map_err(serde::ser::Error::custom)
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What has been written; the writer and the formatter both have it in hand.
struct Page(RefCell<Vec<u8>>);

impl Page {
    fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

impl Write for &Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a member back once its value turns out to be absent.
struct Members<'a> {
    page: &'a Page,
    /// Of each member that is being written: where it begins, and where its value does.
    open: Vec<(usize, usize)>,
}

impl Formatter for Members<'_> {
    fn write_bool<W: ?Sized + Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        writer.write_all(if value { b"1" } else { b"0" })
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        _first: bool,
    ) -> io::Result<()> {
        let (begin, is_first) = {
            let bytes = self.page.0.borrow();
            (bytes.len(), bytes.last() == Some(&b'{'))
        };
        self.open.push((begin, begin));
        // The first that stays is not always the first that comes.
        if is_first {
            Ok(())
        } else {
            writer.write_all(b",")
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b":")?;
        if let Some((_, value)) = self.open.last_mut() {
            *value = self.page.len();
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        let mut bytes = self.page.0.borrow_mut();
        if let Some((begin, value)) = self.open.pop()
            && bytes.get(value..) == Some(b"null")
        {
            bytes.truncate(begin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wire(value: Value) -> String {
        Wire::of(&value).unwrap().0
    }

    #[test]
    fn absent_members_leave_no_trace() {
        let value =
            json!({"a": null, "b": {"c": null}, "d": [{"e": 1, "f": null}, null], "g": null});
        assert_eq!(wire(value), r#"{"b":{},"d":[{"e":1},null]}"#);
        assert_eq!(wire(json!({"a": null, "b": "null"})), r#"{"b":"null"}"#);
        assert_eq!(wire(Value::Null), "null");
    }

    #[test]
    fn text_that_looks_like_the_end_of_something_is_text() {
        let value = json!({"{": "{", "x{": null, "y": "{"});
        assert_eq!(wire(value), r#"{"{":"{","y":"{"}"#);
    }

    #[test]
    fn booleans_are_numbers_wherever_they_are() {
        assert_eq!(wire(json!([true, {"a": false}])), r#"[1,{"a":0}]"#);
    }

    #[test]
    fn what_is_no_number_is_absent() {
        let value = std::collections::BTreeMap::from([("a", f64::NAN), ("b", 0.5)]);
        assert_eq!(Wire::of(&value).unwrap().as_str(), r#"{"b":0.5}"#);
    }
}

//! What `lvs --reportformat json_std` and its siblings tell.
//!
//! Numbers stand there bare or as text, and a column that does not apply is `null` or empty: all of
//! these are understood, so that another version of LVM is, too.

use crate::error::{Result, StorageError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LogicalVolume {
    /// Its name.
    #[serde(rename = "lv_name")]
    pub name: String,
    /// Its size in bytes.
    #[serde(rename = "lv_size", deserialize_with = "whole")]
    pub size: u64,
    /// The pool that it lies in; empty if it lies in none.
    #[serde(rename = "pool_lv", default, deserialize_with = "text")]
    pub pool: String,
    /// How much of its data is in use, in percent; only while it is active.
    #[serde(default, deserialize_with = "number")]
    pub data_percent: Option<f64>,
    /// How much of a pool's own records is in use, in percent; only while it is active.
    #[serde(default, deserialize_with = "number")]
    pub metadata_percent: Option<f64>,
    /// When it was made, in seconds since 1970.
    #[serde(rename = "lv_time", default, deserialize_with = "whole")]
    pub made: u64,
}

impl LogicalVolume {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        part(self.size, self.data_percent)
    }
}

#[derive(Deserialize)]
struct Document<T> {
    report: Vec<Section<T>>,
}

/// A section is named after what its rows are.
#[derive(Deserialize)]
struct Section<T> {
    #[serde(default = "Vec::new", alias = "lv", alias = "vg", alias = "pv")]
    rows: Vec<T>,
}

/// The volumes in a report.
pub fn parse(json: &str) -> Result<Vec<LogicalVolume>> {
    rows("lvs", json)
}

/// The rows of the report of a tool.
pub fn rows<T: DeserializeOwned>(tool: &'static str, json: &str) -> Result<Vec<T>> {
    let document: Document<T> = serde_json::from_str(json).map_err(|error| StorageError::Tool {
        tool,
        text: format!("its report is not understood: {error}"),
    })?;
    let sections = document.report.into_iter();
    Ok(sections.flat_map(|section| section.rows).collect())
}

/// So many percent of so many bytes; none while that is not known.
pub fn part(whole: u64, percent: Option<f64>) -> u64 {
    let part = percent.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0;
    (whole as f64 * part) as u64
}

/// A number, if there is one.
pub fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<f64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| {
            serde::de::Error::custom(format_args!("'{}' is no number", text.escape_debug()))
        }),
        other => Err(serde::de::Error::custom(format_args!(
            "{other} is no number"
        ))),
    }
}

/// A number of bytes or seconds.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        // Times have their text in quotes, and maybe a suffix of their own.
        Value::String(text) => text.trim().parse().ok(),
        Value::Null => Some(0),
        _ => None,
    }
    .ok_or_else(|| serde::de::Error::custom("no whole number"))
}

/// A text; empty if there is none.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read() {
        let json = r#"{"report": [{"lv": [
            {"lv_name": "data", "lv_size": 21474836480, "pool_lv": null, "data_percent": 25.00,
             "metadata_percent": 10.50, "lv_time": "1764336000"},
            {"lv_name": "vm-100-disk-0", "lv_size": 4294967296, "pool_lv": "data",
             "data_percent": 50.00, "metadata_percent": null, "lv_time": "1764336001"}]}],
            "log": []}"#;
        let volumes = parse(json).unwrap();
        assert_eq!(volumes.len(), 2);
        assert_eq!(volumes[0].pool, "");
        assert_eq!(volumes[0].used(), 5 << 30);
        assert_eq!(volumes[0].metadata_percent, Some(10.5));
        assert_eq!(volumes[1].pool, "data");
        assert_eq!(volumes[1].used(), 2 << 30);
        assert_eq!(volumes[1].metadata_percent, None);
        assert_eq!(volumes[1].made, 1_764_336_001);
    }

    #[test]
    fn numbers_in_quotes_are_numbers() {
        let json = r#"{"report": [{"lv": [{"lv_name": "x", "lv_size": "4096", "pool_lv": "",
            "data_percent": "", "metadata_percent": "1.5"}]}]}"#;
        let volumes = parse(json).unwrap();
        assert_eq!((volumes[0].size, volumes[0].made), (4096, 0));
        assert_eq!(volumes[0].data_percent, None);
        assert_eq!(volumes[0].metadata_percent, Some(1.5));
        assert_eq!(volumes[0].used(), 0);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"report": [{"lv": [{"lv_name": "x", "lv_size": "many"}]}]}"#,
            r#"{"report": [{"lv": [{"lv_name": "x", "lv_size": -1}]}]}"#,
            r#"{"report": [{"lv": [{"lv_size": 1}]}]}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse(r#"{"report": []}"#).unwrap(), []);
    }
}

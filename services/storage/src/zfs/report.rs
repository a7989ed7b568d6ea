//! What `zfs list --json --json-int` tells.

use crate::error::{Result, StorageError};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The properties that [`parse`] understands, for `zfs list -o`.
pub const PROPERTIES: &str = "name,volsize,used,available,creation,origin,clones";

/// A dataset: a file system, a volume or a snapshot of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dataset {
    /// Its whole name: `pool/vm-100-disk-0`, `pool/vm-100-disk-0@before`.
    pub name: String,
    /// The size of a volume, in bytes.
    pub volsize: Option<u64>,
    /// What it takes on the pool with its snapshots, in bytes.
    pub used: u64,
    /// What it may still take, in bytes; nothing for a snapshot.
    pub available: Option<u64>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The snapshot that it began as, if it did.
    pub origin: Option<String>,
    /// What began as this snapshot.
    pub clones: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    datasets: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    properties: BTreeMap<String, Property>,
}

#[derive(Deserialize)]
struct Property {
    value: Value,
}

impl Entry {
    /// A number, which stands bare or in quotes; none for what does not apply (`-`).
    fn number(&self, name: &str) -> Option<u64> {
        match &self.properties.get(name)?.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.properties.get(name)?.value.as_str()?;
        (!matches!(text, "" | "-")).then_some(text)
    }
}

/// The datasets in a report, by name.
pub fn parse(json: &str) -> Result<Vec<Dataset>> {
    let document: Document = serde_json::from_str(json).map_err(|error| StorageError::Tool {
        tool: "zfs",
        text: format!("its report is not understood: {error}"),
    })?;
    let dataset = |(name, entry): (String, Entry)| Dataset {
        volsize: entry.number("volsize"),
        used: entry.number("used").unwrap_or(0),
        available: entry.number("available"),
        made: entry.number("creation").unwrap_or(0),
        origin: entry.text("origin").map(str::to_owned),
        clones: entry
            .text("clones")
            .map(|list| list.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        name,
    };
    Ok(document.datasets.into_iter().map(dataset).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_read() {
        let json = r#"{"output_version": {"command": "zfs list", "vers_major": 0, "vers_minor": 1},
            "datasets": {
              "tank/vm-100-disk-0": {"name": "tank/vm-100-disk-0", "type": "VOLUME", "pool": "tank",
                "createtxg": 10, "properties": {
                  "volsize": {"value": 1073741824, "source": {"type": "LOCAL", "data": "-"}},
                  "used": {"value": 57344, "source": {"type": "NONE", "data": "-"}},
                  "available": {"value": "100", "source": {"type": "NONE", "data": "-"}},
                  "creation": {"value": 1764336000, "source": {"type": "NONE", "data": "-"}},
                  "origin": {"value": "-", "source": {"type": "NONE", "data": "-"}}}},
              "tank/vm-100-disk-0@before": {"name": "tank/vm-100-disk-0@before", "properties": {
                  "volsize": {"value": 1073741824},
                  "clones": {"value": "tank/vm-101-disk-0,tank/vm-102-disk-0"}}}}}"#;
        let found = parse(json).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name, "tank/vm-100-disk-0");
        assert_eq!(found[0].volsize, Some(1 << 30));
        assert_eq!((found[0].used, found[0].available), (57344, Some(100)));
        assert_eq!(found[0].made, 1_764_336_000);
        assert_eq!(found[0].origin, None);
        assert_eq!(
            found[1].clones,
            ["tank/vm-101-disk-0", "tank/vm-102-disk-0"]
        );
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"datasets": {"x": {"properties": {"used": 1}}}}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse(r#"{"datasets": {}}"#).unwrap(), []);
    }
}

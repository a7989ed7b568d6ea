//! Directories of hosts under a name of their own: what may be shared with a guest, and where it lies
//! on each node.

use crate::field::FieldErrors;
use crate::propstring;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Longest name of a mapping in bytes: the tag by which a guest mounts a directory is no longer
/// (virtio 1.2, section 5.11.4).
pub const LONGEST_ID: usize = 36;
/// Longest path of a directory in bytes.
const LONGEST_PATH: usize = 1000;

/// The name of a mapping; also the tag by which the guest mounts the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingId(String);

impl MappingId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where permissions on the mapping of a directory are given.
    pub fn dir_acl_path(&self) -> String {
        format!("/mapping/dir/{}", self.0)
    }
}

impl fmt::Display for MappingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MappingId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let starts = text.starts_with(|first: char| first.is_ascii_alphabetic());
        let fits = (2..=LONGEST_ID).contains(&text.len());
        if starts && fits && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{}' is no name of a mapping: use 2 to {LONGEST_ID} letters, digits, '-' and '_', a \
             letter first",
            text.escape_debug()
        ))
    }
}

crate::text_field!(
    MappingId,
    "MappingId",
    json!({"type": "string", "format": "mapping-id", "minLength": 2, "maxLength": LONGEST_ID})
);

/// Where a mapped directory lies on one node: `node=n1,path=/srv/share`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Name of the node.
    pub node: String,
    /// Absolute path of the directory, without `.`, `..`, commas and a slash at its end.
    pub path: String,
}

impl fmt::Display for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node={},path={}", self.node, self.path)
    }
}

impl FromStr for DirEntry {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut node = None;
        let mut path = None;
        for (key, value) in propstring::split(text, None)? {
            match key.as_str() {
                "node" => node = Some(node_name(value)?),
                "path" => path = Some(directory(value)?),
                _ => return Err(format!("'{}' is none of: node, path", key.escape_debug())),
            }
        }
        let missing = |key: &str| format!("'{key}' is missing: write node=NAME,path=/DIRECTORY");
        Ok(Self {
            node: node.ok_or_else(|| missing("node"))?,
            path: path.ok_or_else(|| missing("path"))?,
        })
    }
}

fn node_name(text: String) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if (1..=63).contains(&text.len()) && ends && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(format!(
        "node: '{}' is no name of a node",
        text.escape_debug()
    ))
}

fn directory(text: String) -> Result<String, String> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let whole = text.strip_prefix('/');
    let whole = whole.is_some_and(|rest| rest.split('/').all(plain));
    if whole && text.len() <= LONGEST_PATH && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(format!(
        "path: '{}' is no directory of its own: write it whole, like /srv/share",
        text.escape_debug()
    ))
}

crate::text_field!(
    DirEntry,
    "DirEntry",
    json!({"type": "string", "x-typetext": "node=<node>,path=<directory>"})
);

/// A mapped directory, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirMapping {
    /// What people say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it lies, one entry for a node.
    pub map: Vec<DirEntry>,
}

impl DirMapping {
    /// What is wrong with the entries together.
    pub fn check(&self) -> Result<(), FieldErrors> {
        if self.map.is_empty() {
            let text = "name a directory of at least one node, node=NAME,path=/DIRECTORY";
            return Err(FieldErrors::one("map", text));
        }
        let mut nodes = BTreeSet::new();
        match self.map.iter().find(|entry| !nodes.insert(&entry.node)) {
            Some(twice) => Err(FieldErrors::one(
                "map",
                format!("node '{}' is there twice: it has one directory", twice.node),
            )),
            None => Ok(()),
        }
    }

    /// Where the directory lies on a node.
    pub fn on(&self, node: &str) -> Option<&DirEntry> {
        self.map.iter().find(|entry| entry.node == node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_tag_and_a_path_of_permissions() {
        let longest = "a".repeat(LONGEST_ID);
        for good in ["ab", "web-data_1", &longest] {
            assert_eq!(good.parse::<MappingId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a",
            "1ab",
            "-ab",
            "a/b",
            "a b",
            "a,b",
            "äb",
            &"a".repeat(37),
        ] {
            assert!(bad.parse::<MappingId>().is_err(), "{bad}");
        }
        let id: MappingId = "share".parse().unwrap();
        assert_eq!(id.dir_acl_path(), "/mapping/dir/share");
    }

    #[test]
    fn an_entry_round_trips_whatever_its_order() {
        let entry: DirEntry = "path=/srv/a b$c,node=n1".parse().unwrap();
        assert_eq!(entry.to_string(), "node=n1,path=/srv/a b$c");
        assert_eq!(entry.to_string().parse::<DirEntry>(), Ok(entry));
    }

    #[test]
    fn an_entry_that_leads_elsewhere_is_refused_by_its_field() {
        for (bad, field) in [
            ("node=n1", "path"),
            ("path=/srv/a", "node"),
            ("node=n1,path=srv", "path: "),
            ("node=n1,path=/", "path: "),
            ("node=n1,path=/srv/../etc", "path: "),
            ("node=n1,path=/srv/", "path: "),
            ("node=n1,path=/srv/a\nb", "path: "),
            ("node=../n,path=/srv/a", "node: "),
            ("node=n1,path=/srv/a,mode=rw", "mode"),
        ] {
            let error = bad.parse::<DirEntry>().unwrap_err();
            assert!(error.contains(field), "{bad}: {error}");
        }
    }

    #[test]
    fn a_node_has_one_directory() {
        let entry = |text: &str| text.parse::<DirEntry>().unwrap();
        let mut mapping = DirMapping {
            description: None,
            map: Vec::new(),
        };
        assert!(mapping.check().unwrap_err().0.contains_key("map"));
        mapping.map.push(entry("node=n1,path=/srv/a"));
        mapping.map.push(entry("node=n2,path=/srv/b"));
        assert!(mapping.check().is_ok());
        assert_eq!(mapping.on("n2").unwrap().path, "/srv/b");
        assert_eq!(mapping.on("n3"), None);
        mapping.map.push(entry("node=n1,path=/srv/c"));
        assert!(mapping.check().is_err());
    }
}

//! The unique id of a task: nine fields separated by colons.
//!
//! `UPID:node:pid:pstart:start:type:id:user:`, where the three numbers are upper-case hexadecimal
//! of at least eight digits.

use crate::userid::{Authid, is_identifier};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is no UPID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse worker upid")]
pub struct UpidError;

/// The unique id of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upid {
    /// The node that runs the task.
    pub node: String,
    /// Process that started it.
    pub pid: u32,
    /// A number that tells tasks of one process apart.
    pub pstart: u64,
    /// When it started, in seconds since 1970.
    pub starttime: u64,
    /// What kind of task it is, e.g. `qmstart`.
    pub kind: String,
    /// What it works on, e.g. a guest's number; may be empty.
    pub id: String,
    /// Who started it.
    pub user: Authid,
}

impl Upid {
    /// Last hexadecimal digit of the start time: task logs are spread over 16 folders by it.
    pub fn bucket(&self) -> char {
        char::from_digit((self.starttime & 0xf) as u32, 16)
            .unwrap_or('0')
            .to_ascii_uppercase()
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            pid,
            pstart,
            starttime,
            kind,
            id,
            user,
        } = self;
        write!(
            f,
            "UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{id}:{user}:"
        )
    }
}

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, UpidError> {
        let fields: Vec<&str> = text.split(':').collect();
        let &["UPID", node, pid, pstart, start, kind, id, user, ""] = fields.as_slice() else {
            return Err(UpidError);
        };
        // The text names a file: no field may hold a path separator or start a hidden file.
        let plain =
            |s: &str| !s.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
        if !is_identifier(kind, 64) || !plain(id) || !plain(node) || node.is_empty() {
            return Err(UpidError);
        }
        let hex = |s: &str, most: usize| {
            let digits = s
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
            if !digits || !(8..=most).contains(&s.len()) {
                return Err(UpidError);
            }
            u64::from_str_radix(s, 16).map_err(|_| UpidError)
        };
        Ok(Self {
            node: node.into(),
            pid: u32::try_from(hex(pid, 8)?).map_err(|_| UpidError)?,
            pstart: hex(pstart, 16)?,
            starttime: hex(start, 16)?,
            kind: kind.into(),
            id: id.into(),
            user: user.parse().map_err(|_| UpidError)?,
        })
    }
}

impl TryFrom<String> for Upid {
    type Error = UpidError;

    fn try_from(text: String) -> Result<Self, UpidError> {
        text.parse()
    }
}

impl From<Upid> for String {
    fn from(upid: Upid) -> String {
        upid.to_string()
    }
}

impl schemars::JsonSchema for Upid {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Upid".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The unique id of a task, UPID:node:pid:pstart:starttime:type:id:user:.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "UPID:basalt:0000ABCD:00000007:6740AF12:qmstart:100:root@pam:";

    #[test]
    fn nine_fields_parse_and_print() {
        let upid: Upid = TEXT.parse().unwrap();
        assert_eq!(
            (upid.pid, upid.pstart, upid.kind.as_str()),
            (0xabcd, 7, "qmstart")
        );
        assert_eq!(upid.to_string(), TEXT);
        assert_eq!(upid.bucket(), '2');
    }

    #[test]
    fn what_could_leave_the_log_folder_is_refused() {
        for bad in [
            "UPID:basalt:0000ABCD:00000007:6740AF12:qmstart:../../x:root@pam:",
            "UPID:basalt:0000ABCD:00000007:6740AF12:qmstart:100:root@pam",
            "UPID:basalt:ABCD:00000007:6740AF12:qmstart:100:root@pam:",
            "UPID:../a:0000ABCD:00000007:6740AF12:qmstart:100:root@pam:",
            "",
        ] {
            assert_eq!(bad.parse::<Upid>(), Err(UpidError), "{bad}");
        }
    }
}

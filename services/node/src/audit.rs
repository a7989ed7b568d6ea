//! Who changed what, and who failed to log in: in the journal, and for the API.
//!
//! Each entry is a line of JSON in `audit.log` beside the store. When that is long, it becomes
//! `audit.old` and a new one begins. The journal keeps what is older.

use basalt_model::userid::Authid;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const NAME: &str = "audit.log";
const OLD_NAME: &str = "audit.old";
/// A file that is longer than this becomes the old one.
const LONGEST_FILE: u64 = 2 << 20;
/// So many characters are kept of a text that a client chooses.
const LONGEST_TEXT: usize = 300;

/// Something that was done or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: u64,
    /// User or token.
    pub user: String,
    /// The client's address, if it came through the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// What was done, e.g. `POST /pools`.
    pub what: String,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Entry {
    /// Something that `user` did just now, or tried to.
    pub fn new(
        user: &Authid,
        from: Option<IpAddr>,
        what: &str,
        failed: Option<&basalt_api::Error>,
    ) -> Self {
        Self {
            time: crate::auth::now(),
            user: user.to_string(),
            from,
            what: cut(what),
            failed: failed.map(|error| cut(&error.one_line())),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// Keeps entries.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    file: Mutex<File>,
}

impl Audit {
    /// Opens the log in a folder; a line that a power failure cut off stays one that nobody reads.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut file = append(&folder.join(NAME))?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            folder: folder.into(),
            file: Mutex::new(file),
        })
    }

    /// Writes an entry down. Work does not stop because its entry cannot be written.
    pub fn note(&self, entry: &Entry) {
        let Entry {
            user, from, what, ..
        } = entry;
        match &entry.failed {
            None => tracing::info!(target: "audit", user, ?from, what, "done"),
            Some(why) => {
                tracing::warn!(target: "audit", user, ?from, what, why, "refused or failed")
            }
        }
        if let Err(error) = self.write(entry) {
            tracing::error!(%error, "audit log");
        }
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.metadata()?.len() > LONGEST_FILE {
            let path = self.folder.join(NAME);
            std::fs::rename(&path, self.folder.join(OLD_NAME))?;
            *file = append(&path)?;
        }
        file.write_all(line.as_bytes())
    }

    /// The last entries that `visible` takes, newest first, at most so many.
    pub fn last(&self, most: usize, visible: impl Fn(&Entry) -> bool) -> io::Result<Vec<Entry>> {
        // The files must not change their names between one and the other.
        let _held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for name in [NAME, OLD_NAME] {
            let text = match std::fs::read(self.folder.join(name)) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let entries = text.lines().rev();
            let entries = entries.filter_map(|line| serde_json::from_str::<Entry>(line).ok());
            found.extend(entries.filter(&visible).take(most - found.len()));
            if found.len() == most {
                break;
            }
        }
        Ok(found)
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            time: number,
            user: "jo@pve".into(),
            from: None,
            what: "x".repeat(LONGEST_TEXT),
            failed: None,
        }
    }

    #[test]
    fn the_newest_come_first_over_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        let many = LONGEST_FILE / LONGEST_TEXT as u64 + 10;
        for number in 0..many {
            audit.note(&entry(number));
        }
        assert!(folder.path().join(OLD_NAME).exists());
        let last = audit.last(200, |entry| entry.time % 2 == 0).unwrap();
        let times: Vec<u64> = last.iter().map(|entry| entry.time).collect();
        let newest = (many - 1) / 2 * 2;
        let expected: Vec<u64> = (0..200).map(|n| newest - 2 * n).collect();
        assert_eq!(times, expected);
        assert_eq!(audit.last(0, |_| true).unwrap(), []);
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        Audit::open(folder.path()).unwrap().note(&entry(1));
        let mut file = append(&folder.path().join(NAME)).unwrap();
        file.write_all(b"{\"time\":2,").unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        audit.note(&entry(3));
        let times: Vec<u64> = audit
            .last(9, |_| true)
            .unwrap()
            .iter()
            .map(|e| e.time)
            .collect();
        assert_eq!(times, [3, 1]);
    }
}

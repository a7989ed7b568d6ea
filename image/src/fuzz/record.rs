//! How long each target has run in all: seconds of processor, in `fuzz/ran.json`.

use super::{Target, home};
use crate::build::paths::workspace;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Seconds by target.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<String, u64>);

impl Record {
    /// What the file says; nothing when there is none.
    pub fn read() -> Result<Self> {
        Self::read_from(&file())
    }

    fn read_from(file: &Path) -> Result<Self> {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        let seconds = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no table of seconds", file.display()))?;
        Ok(Self(seconds))
    }

    /// How long a target has run in all.
    pub fn of(&self, target: &Target) -> Duration {
        Duration::from_secs(self.0.get(target.name()).copied().unwrap_or_default())
    }

    /// Adds a run to the file. Several programs may do so at a time.
    pub fn add(target: &Target, ran: Duration) -> Result<()> {
        let lock = File::create(home().join("ran.lock"))?;
        lock.lock()?;
        let mut record = Self::read()?;
        *record.0.entry(target.name().to_owned()).or_default() += ran.as_secs();
        record.write_to(&file())
    }

    fn write_to(&self, file: &Path) -> Result<()> {
        let part = file.with_extension("json.part");
        let mut text = serde_json::to_string_pretty(&self.0)?;
        text.push('\n');
        fs::write(&part, text).with_context(|| format!("cannot write {}", part.display()))?;
        fs::rename(&part, file).with_context(|| format!("cannot write {}", file.display()))
    }
}

fn file() -> PathBuf {
    workspace().join("fuzz/ran.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_kept_by_target() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ran.json");
        assert_eq!(Record::read_from(&file).unwrap(), Record::default());
        let record = Record(BTreeMap::from([("pci".to_owned(), 600)]));
        record.write_to(&file).unwrap();
        let read = Record::read_from(&file).unwrap();
        assert_eq!(read.of(&Target("pci".to_owned())), Duration::from_secs(600));
        assert_eq!(read.of(&Target("rfb".to_owned())), Duration::ZERO);
        fs::write(&file, "[]").unwrap();
        assert!(Record::read_from(&file).is_err());
    }
}

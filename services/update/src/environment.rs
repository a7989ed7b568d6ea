//! GRUB's environment block: what GRUB and the running system tell each other.
//!
//! The block is one file of 1024 bytes, which GRUB changes in place. GRUB cannot rename a kernel
//! image to count a boot, so it notes the boot here, under the file's name. The note is part of the
//! name for everybody who reads it ([`Environment::count`]); once the file has been renamed, the
//! note says nothing any more. So the file names stay the only truth about tries, whichever
//! firmware starts the machine.

use std::fs;
use std::io;
use std::path::Path;

use basalt_layout::bios::{BOOTS, COUNTED, STROKE};
use basalt_layout::{Tries, UkiName};

use crate::{Error, files};

/// Size of the block in bytes; GRUB reads no other.
const SIZE: usize = 1024;

/// First line of every block.
const SIGNATURE: &str = "# GRUB Environment Block\n";

/// The variables of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// Reads a block. One that is missing or damaged holds no variables.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let variables = text
            .strip_prefix(SIGNATURE)
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { variables }
    }

    fn render(&self) -> Option<Vec<u8>> {
        let mut text = SIGNATURE.to_owned();
        for (name, value) in &self.variables {
            text.push_str(&format!("{name}={value}\n"));
        }
        let mut block = text.into_bytes();
        (block.len() <= SIZE).then(|| {
            block.resize(SIZE, b'#');
            block
        })
    }

    /// Writes the block; it holds the old or the new variables whatever happens.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let block = self
            .render()
            .ok_or_else(|| Error::io(path, io::ErrorKind::FileTooLarge.into()))?;
        files::write_atomic(path, &block, 0o600).map_err(|e| Error::io(path, e))
    }

    /// The value of a variable; empty ones count as missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Removes a variable; says whether there was one.
    pub fn unset(&mut self, name: &str) -> bool {
        let before = self.variables.len();
        self.variables.retain(|(known, _)| known != name);
        self.variables.len() < before
    }

    /// What a kernel image's file name would be if GRUB could rename it.
    pub fn count(&self, file_name: &str, name: UkiName) -> UkiName {
        match (self.get(COUNTED), self.get(BOOTS)) {
            (Some(counted), Some(boots)) if counted == file_name => counted_name(name, boots),
            _ => name,
        }
    }
}

/// A kernel image's name after the boots that `boots` has strokes for.
pub fn counted_name(name: UkiName, boots: &str) -> UkiName {
    let strokes = boots.matches(STROKE).count();
    let strokes = u32::try_from(strokes).unwrap_or(u32::MAX);
    UkiName {
        tries: name.tries.map(|tries| Tries {
            left: tries.left.saturating_sub(strokes),
            done: tries.done.saturating_add(strokes),
        }),
        ..name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_grub_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grubenv");
        let mut environment = Environment::read(&path).unwrap();
        assert_eq!(environment, Environment::default());
        environment.set("basalt_next", "0.1.0");
        environment.set("basalt_next", "0.2.0");
        environment.set("other", "x");
        environment.write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 1024);
        assert!(bytes.starts_with(b"# GRUB Environment Block\nbasalt_next=0.2.0\nother=x\n###"));
        assert_eq!(Environment::read(&path).unwrap(), environment);
        assert!(environment.unset("other") && !environment.unset("other"));
        environment.set("large", &"x".repeat(1024));
        environment.write(&path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), bytes, "the old block stays");
    }

    #[test]
    fn a_damaged_block_holds_nothing() {
        assert_eq!(Environment::parse(&[0; 1024]), Environment::default());
        assert_eq!(Environment::parse(b"basalt_next=1"), Environment::default());
    }

    #[test]
    fn noted_boots_are_part_of_the_name() {
        let mut environment = Environment::default();
        environment.set(COUNTED, "basalt_0.2.0+3.efi");
        environment.set(BOOTS, "11");
        let count = |file: &str| environment.count(file, file.parse().unwrap()).to_string();
        assert_eq!(count("basalt_0.2.0+3.efi"), "basalt_0.2.0+1-2.efi");
        // Renamed since: the note is about a name that is no more.
        assert_eq!(count("basalt_0.2.0+1-2.efi"), "basalt_0.2.0+1-2.efi");
        assert_eq!(count("basalt_0.1.0.efi"), "basalt_0.1.0.efi");
        environment.set(BOOTS, "11111");
        let spent = environment.count("basalt_0.2.0+3.efi", "basalt_0.2.0+3.efi".parse().unwrap());
        assert!(spent.is_exhausted());
    }
}

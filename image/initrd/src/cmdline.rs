//! What the kernel command line says to us.

use crate::error::{At, Error, Result};
use basalt_layout::RootHash;

/// What the machine boots for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The installed host: state comes from the data partition.
    Host,
    /// The installer: state lives in memory, and disks stay untouched.
    Install,
}

/// The parts of the command line that concern us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cmdline {
    /// Which image to boot.
    pub root_hash: RootHash,
    /// What for.
    pub mode: Mode,
}

impl Cmdline {
    /// Reads the running kernel's command line.
    pub fn read() -> Result<Self> {
        let path = "/proc/cmdline";
        Self::parse(&std::fs::read_to_string(path).at("read", path)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let root_hash = RootHash::from_cmdline(text).ok_or(Error::NoRootHash)?;
        let install = text
            .split_ascii_whitespace()
            .any(|word| word == "basalt.mode=install");
        Ok(Self {
            root_hash,
            mode: if install { Mode::Install } else { Mode::Host },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hash_and_mode() {
        let hash = "ab".repeat(32);
        let host = Cmdline::parse(&format!("quiet roothash={hash}\n")).unwrap();
        assert_eq!(
            (host.root_hash.to_string(), host.mode),
            (hash.clone(), Mode::Host)
        );
        let install = Cmdline::parse(&format!("roothash={hash} basalt.mode=install")).unwrap();
        assert_eq!(install.mode, Mode::Install);
        assert!(matches!(Cmdline::parse("quiet"), Err(Error::NoRootHash)));
    }
}

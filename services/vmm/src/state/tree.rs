//! The tree of a machine's state: sections of `{id, kind, version, bytes}`, and how they are
//! written down.
//!
//! ```text
//! magic (8) · format version (4) · number of sections (4)
//! per section: lengths of id, kind (1 each) · version (4) · length of bytes (4) · id · kind · bytes
//! SHA-256 of all before (32)
//! ```
//!
//! Numbers are little endian. What is read is hostile: every length is bounded by what is there,
//! and nothing is believed before the checksum holds. The checksum finds damage, not forgery.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Longest tree, all told.
pub const MAX_TREE: usize = 16 * 1024 * 1024 - 8192;
const MAGIC: [u8; 8] = *b"BslTree\n";
/// Version of the frame around the sections; each kind has its own beside it.
const FORMAT: u32 = 1;
const MAX_SECTIONS: usize = 1024;
const SUM: usize = 32;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the machine is made of; compared before anything else is used.
    Machine,
    /// Interrupt controllers, interval timer and clock, which KVM keeps.
    Chips,
    /// One virtual CPU.
    Vcpu,
    /// Power management block.
    PowerManagement,
    /// Serial port.
    Serial,
    /// Host bridge and configuration ports.
    PciHost,
    /// PCI devices that come and go.
    PciSlots,
    /// Processors that come and go.
    Processors,
    /// Memory that comes and goes.
    MemoryBlocks,
    /// Virtio device on PCI.
    VirtioPci,
    /// Chip with the firmware's variables, which are in a file beside.
    Flash,
    /// What firmware was told and said.
    FirmwareConfig,
    /// Clock with battery.
    Rtc,
    /// Keyboard and mouse.
    I8042,
    /// Bridge to legacy devices.
    Lpc,
    /// Interrupts for system management.
    Smi,
    /// Trusted platform module.
    Tpm,
    /// Watchdog.
    Watchdog,
    /// What the guest said of its panic.
    Pvpanic,
    /// Output kept of, and input waiting for, a terminal line.
    Terminal,
}

impl Kind {
    /// Name in the stream.
    fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Chips => "chips",
            Self::Vcpu => "vcpu",
            Self::PowerManagement => "power-management",
            Self::Serial => "serial",
            Self::PciHost => "pci-host",
            Self::PciSlots => "pci-slots",
            Self::Processors => "processors",
            Self::MemoryBlocks => "memory-blocks",
            Self::VirtioPci => "virtio-pci",
            Self::Flash => "flash",
            Self::FirmwareConfig => "firmware-config",
            Self::Rtc => "rtc",
            Self::I8042 => "i8042",
            Self::Lpc => "lpc",
            Self::Smi => "smi",
            Self::Tpm => "tpm",
            Self::Watchdog => "watchdog",
            Self::Pvpanic => "pvpanic",
            Self::Terminal => "terminal",
        }
    }

    /// Version this monitor writes, and the only one it reads. It rises when the meaning of the
    /// section's bytes changes.
    fn version(self) -> u32 {
        1
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a tree cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a tree.
    #[error("it is no saved state")]
    NoTree,
    /// Written by another generation of monitors.
    #[error("the state's format has version {0}; this monitor reads {FORMAT}")]
    Format(u32),
    /// The checksum does not hold, or the tree ends early.
    #[error("the state is damaged")]
    Damaged,
    /// More or longer sections than any machine has.
    #[error("the state is too large")]
    TooLarge,
    /// A section this monitor reads differently.
    #[error("section '{id}' is {kind} of version {version}; this monitor reads {expected}")]
    Version {
        /// The section.
        id: String,
        /// Its kind.
        kind: String,
        /// Its version.
        version: u32,
        /// What would be understood.
        expected: String,
    },
    /// A part of the machine that the state knows nothing of.
    #[error("the machine has {kind} '{id}', the state has not")]
    Missing {
        /// The part.
        id: String,
        /// Its kind.
        kind: Kind,
    },
    /// A part that the machine lacks.
    #[error("the state has {kind} '{id}', the machine has not")]
    Surplus {
        /// The part.
        id: String,
        /// Its kind.
        kind: String,
    },
    /// The bytes of a section mean nothing.
    #[error("section '{id}' is malformed: {problem}")]
    Malformed {
        /// The section.
        id: String,
        /// What is wrong.
        problem: String,
    },
}

/// One part's state.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    id: String,
    kind: String,
    version: u32,
    bytes: Vec<u8>,
}

/// The sections of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(Vec<Section>);

impl Tree {
    /// Adds a part's state.
    pub fn put(&mut self, id: &str, kind: Kind, state: &impl Serialize) -> Result<(), Error> {
        let bytes = serde_json::to_vec(state).map_err(|e| malformed(id, e))?;
        self.0.push(Section {
            id: id.to_owned(),
            kind: kind.name().to_owned(),
            version: kind.version(),
            bytes,
        });
        Ok(())
    }

    /// Takes a part's state out.
    pub fn take<T: DeserializeOwned>(&mut self, id: &str, kind: Kind) -> Result<T, Error> {
        self.take_any(id, kind)?.ok_or_else(|| Error::Missing {
            id: id.to_owned(),
            kind,
        })
    }

    /// Takes a part's state out, if it is there: older states lack what came later.
    pub fn take_any<T: DeserializeOwned>(
        &mut self,
        id: &str,
        kind: Kind,
    ) -> Result<Option<T>, Error> {
        let found = self.0.iter().position(|s| s.id == id);
        let section = found.map(|found| self.0.swap_remove(found));
        section.map(|section| read(&section, kind)).transpose()
    }

    /// Looks at a part's state and leaves it there.
    pub fn look<T: DeserializeOwned>(&self, id: &str, kind: Kind) -> Result<T, Error> {
        let section = self.0.iter().find(|s| s.id == id);
        let section = section.ok_or_else(|| Error::Missing {
            id: id.to_owned(),
            kind,
        })?;
        read(section, kind)
    }

    /// Says that all parts were taken.
    pub fn finish(self) -> Result<(), Error> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some(Section { id, kind, .. }) => Err(Error::Surplus { id, kind }),
        }
    }

    /// The tree as bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = MAGIC.to_vec();
        out.extend(FORMAT.to_le_bytes());
        let count = u32::try_from(self.0.len()).map_err(|_| Error::TooLarge)?;
        out.extend(count.to_le_bytes());
        for section in &self.0 {
            out.push(u8::try_from(section.id.len()).map_err(|_| Error::TooLarge)?);
            out.push(u8::try_from(section.kind.len()).map_err(|_| Error::TooLarge)?);
            out.extend(section.version.to_le_bytes());
            let len = u32::try_from(section.bytes.len()).map_err(|_| Error::TooLarge)?;
            out.extend(len.to_le_bytes());
            out.extend(section.id.as_bytes());
            out.extend(section.kind.as_bytes());
            out.extend(&section.bytes);
        }
        out.extend(Sha256::digest(&out));
        if out.len() > MAX_TREE || self.0.len() > MAX_SECTIONS {
            return Err(Error::TooLarge);
        }
        Ok(out)
    }

    /// Reads a tree; `bytes` end where it ends.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_TREE {
            return Err(Error::TooLarge);
        }
        let mut head = Reader(bytes);
        if head.bytes(MAGIC.len()).map_err(|_| Error::NoTree)? != MAGIC {
            return Err(Error::NoTree);
        }
        let format = head.number()?;
        if format != FORMAT {
            return Err(Error::Format(format));
        }
        let end = bytes.len().checked_sub(SUM).ok_or(Error::Damaged)?;
        let (body, sum) = bytes.split_at(end);
        if Sha256::digest(body).as_slice() != sum {
            return Err(Error::Damaged);
        }
        let mut reader = Reader(&body[MAGIC.len() + 4..]);
        let count = reader.number()? as usize;
        if count > MAX_SECTIONS {
            return Err(Error::TooLarge);
        }
        let sections: Result<Vec<_>, _> = (0..count).map(|_| reader.section()).collect();
        let sections = sections?;
        if !reader.0.is_empty() || has_twins(&sections) {
            return Err(Error::Damaged);
        }
        Ok(Self(sections))
    }
}

fn read<T: DeserializeOwned>(section: &Section, kind: Kind) -> Result<T, Error> {
    if section.kind != kind.name() || section.version != kind.version() {
        return Err(Error::Version {
            id: section.id.clone(),
            kind: section.kind.clone(),
            version: section.version,
            expected: format!("{kind} of version {}", kind.version()),
        });
    }
    serde_json::from_slice(&section.bytes).map_err(|e| malformed(&section.id, e))
}

fn malformed(id: &str, problem: impl fmt::Display) -> Error {
    Error::Malformed {
        id: id.to_owned(),
        problem: problem.to_string(),
    }
}

fn has_twins(sections: &[Section]) -> bool {
    let mut ids: Vec<&str> = sections.iter().map(|s| s.id.as_str()).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (now, rest) = self.0.split_at_checked(len).ok_or(Error::Damaged)?;
        self.0 = rest;
        Ok(now)
    }

    fn number(&mut self) -> Result<u32, Error> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self, len: usize) -> Result<String, Error> {
        let text = std::str::from_utf8(self.bytes(len)?).map_err(|_| Error::Damaged)?;
        Ok(text.to_owned())
    }

    fn section(&mut self) -> Result<Section, Error> {
        let lens = self.bytes(2)?;
        let version = self.number()?;
        let len = self.number()? as usize;
        Ok(Section {
            id: self.text(usize::from(lens[0]))?,
            kind: self.text(usize::from(lens[1]))?,
            version,
            bytes: self.bytes(len)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.put("cpu0", Kind::Vcpu, &vec![1, 2, 3]).unwrap();
        tree.put("com1", Kind::Serial, &"state").unwrap();
        tree
    }

    /// Encoded, with a section's field changed and the checksum made good again.
    fn forged(change: impl FnOnce(&mut Section)) -> Tree {
        let mut tree = tree();
        change(&mut tree.0[0]);
        Tree::decode(&tree.encode().unwrap()).unwrap()
    }

    #[test]
    fn what_is_put_can_be_taken_once() {
        let mut back = Tree::decode(&tree().encode().unwrap()).unwrap();
        assert_eq!(
            back.take::<Vec<u32>>("cpu0", Kind::Vcpu).unwrap(),
            [1, 2, 3]
        );
        let again = back.take::<Vec<u32>>("cpu0", Kind::Vcpu).unwrap_err();
        assert_eq!(
            again.to_string(),
            "the machine has vcpu 'cpu0', the state has not"
        );
        let rest = back.clone().finish().unwrap_err();
        assert_eq!(
            rest.to_string(),
            "the state has serial 'com1', the machine has not"
        );
        back.take::<String>("com1", Kind::Serial).unwrap();
        back.finish().unwrap();
    }

    #[test]
    fn kinds_and_versions_of_others_are_refused_by_name() {
        let mut newer = forged(|s| s.version = 7);
        let error = newer.take::<Vec<u32>>("cpu0", Kind::Vcpu).unwrap_err();
        assert_eq!(
            error.to_string(),
            "section 'cpu0' is vcpu of version 7; this monitor reads vcpu of version 1"
        );
        let mut other = forged(|s| s.kind = "gpu".into());
        let error = other.take::<Vec<u32>>("cpu0", Kind::Vcpu).unwrap_err();
        assert!(error.to_string().contains("is gpu of version 1"), "{error}");
        let mut wrong = forged(|s| s.bytes = b"{".to_vec());
        let error = wrong.take::<Vec<u32>>("cpu0", Kind::Vcpu).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }));
    }

    #[test]
    fn damage_anywhere_is_found_and_nothing_panics() {
        let whole = tree().encode().unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(Tree::decode(&bytes).is_err(), "byte {at}");
            assert!(Tree::decode(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(matches!(Tree::decode(b"ELF"), Err(Error::NoTree)));
    }

    #[test]
    fn lengths_that_lie_are_refused_even_with_a_good_checksum() {
        let whole = tree().encode().unwrap();
        let body = &whole[..whole.len() - SUM];
        for at in MAGIC.len() + 4..body.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = body.to_vec();
                bytes[at] = value;
                bytes.extend(Sha256::digest(&bytes));
                // Whatever it says, it ends with an answer.
                let _ = Tree::decode(&bytes);
            }
        }
        let mut endless = body.to_vec();
        endless[MAGIC.len() + 4..MAGIC.len() + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        endless.extend(Sha256::digest(&endless));
        assert!(matches!(Tree::decode(&endless), Err(Error::TooLarge)));
    }
}

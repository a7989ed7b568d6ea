//! Devices that come to a running machine, and go. The monitor's requests for it are in
//! [`crate::machine`].

use crate::machine::{Disk, Nic};
use serde::{Deserialize, Serialize};

/// A device for a running machine. Its slots number the descriptors that come with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewDevice {
    /// A disk.
    Disk(Box<Disk>),
    /// A network card.
    Nic(Nic),
}

impl NewDevice {
    /// Its configuration key.
    pub fn id(&self) -> &str {
        match self {
            Self::Disk(disk) => &disk.id,
            Self::Nic(nic) => &nic.id,
        }
    }

    /// How many descriptors belong to it.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Disk(disk) => 1 + disk.backing.len(),
            Self::Nic(nic) => 1 + usize::from(nic.vhost.is_some()),
        }
    }
}

/// A device that the guest is asked to let go of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemoveDevice {
    /// Configuration key of a disk or network card.
    pub device: String,
    /// How long the guest may take, in milliseconds. After that it keeps the device.
    pub patience_ms: u64,
}

/// How many virtual CPUs there are to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetVcpus {
    /// Their number, 1 to the most that the machine was started with.
    pub vcpus: u8,
    /// How long the guest may take to let go of some, in milliseconds. After that it keeps them.
    pub patience_ms: u64,
}

/// How much memory there is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetMemory {
    /// MiB, as [`MemoryStatus::allows`].
    pub mib: u64,
    /// How long the guest may take, in milliseconds. After that it is asked for what it had.
    pub patience_ms: u64,
}

/// The memory of a machine to which some may come, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// What it was started with, and keeps.
    pub boot: u64,
    /// Most that it can have.
    pub most: u64,
    /// What comes and goes is a multiple of this.
    pub block: u64,
    /// What the guest is to have.
    pub wanted: u64,
    /// What it has.
    pub present: u64,
}

impl MemoryStatus {
    /// Whether the machine can have so many MiB while it runs.
    pub fn allows(&self, mib: u64) -> bool {
        let Some(bytes) = mib.checked_mul(1 << 20) else {
            return false;
        };
        let more = bytes.checked_sub(self.boot);
        bytes <= self.most && more.is_some_and(|more| more.is_multiple_of(self.block.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Backing, ImageFormat};
    use crate::machine::Slot;

    #[test]
    fn a_device_says_how_many_descriptors_it_needs() {
        let mut disk = Disk::raw("scsi1", Slot(0));
        disk.format = ImageFormat::Qcow2;
        disk.backing = vec![Backing {
            image: Slot(1),
            format: ImageFormat::Raw,
        }];
        let device = NewDevice::Disk(Box::new(disk));
        assert_eq!((device.id(), device.descriptors()), ("scsi1", 2));
        let line = serde_json::to_string(&device).unwrap();
        assert_eq!(serde_json::from_str::<NewDevice>(&line).unwrap(), device);
    }

    #[test]
    fn memory_comes_in_blocks_on_top_of_what_there_was() {
        let memory = MemoryStatus {
            boot: 513 << 20,
            most: 1025 << 20,
            block: 2 << 20,
            wanted: 513 << 20,
            present: 513 << 20,
        };
        for (mib, allowed) in [
            (513, true),
            (1025, true),
            (515, true),
            (514, false),
            (511, false),
            (1027, false),
            (u64::MAX, false),
        ] {
            assert_eq!(memory.allows(mib), allowed, "{mib}");
        }
    }
}

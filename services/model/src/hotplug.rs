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
}

//! Devices of the host for a machine, opened.

use crate::resolve::Resolved;
use basalt_model::machine::{MachineSpec, Slot};
use basalt_model::passthrough::{HostDevice, Passthrough};
use basalt_unit::Property;
use std::fs::File;
use std::os::fd::OwnedFd;

/// Locked memory beside the guest's: the monitor's own rings.
const LOCKED_OVERHEAD: u64 = 64 << 20;
/// Open files of a monitor whose devices have hundreds of interrupts, each with one.
const FILES: u64 = 16384;

/// Devices of the host, and what they are opened by.
#[derive(Debug, Default)]
pub struct HostDevices {
    /// `/dev/vfio/vfio`; without it there are no devices.
    pub container: Option<File>,
    /// Groups, each once.
    pub groups: Vec<File>,
    /// The devices, with their places in `groups`.
    pub devices: Vec<HostDevice>,
}

impl Resolved {
    /// Gives the machine devices of the host for itself.
    pub fn pass(&mut self, devices: HostDevices) {
        let Some(container) = devices.container else {
            return;
        };
        let container = self.add(container.into());
        let groups = devices.groups.into_iter();
        let groups = groups.map(|group| self.add(group.into())).collect();
        self.spec.passthrough = Some(Passthrough {
            container,
            groups,
            devices: devices.devices,
        });
    }

    fn add(&mut self, fd: OwnedFd) -> Slot {
        self.fds.push(fd);
        Slot(self.fds.len() - 1)
    }
}

/// Bytes of memory that devices of the host take beside the guest's: the tables of the IOMMU, eight bytes for
/// each page, and as much again.
pub(crate) fn overhead(spec: &MachineSpec) -> u64 {
    match spec.passthrough {
        Some(_) => (spec.memory_mib << 20) / 256,
        None => 0,
    }
}

/// What the unit of a machine with devices of the host may do beside what others may: the kernel pins all
/// of the guest's memory on its account, and signals each interrupt by a file.
pub(crate) fn limits(spec: &MachineSpec) -> Vec<Property> {
    if spec.passthrough.is_none() {
        return Vec::new();
    }
    let locked = (spec.memory_mib << 20) + LOCKED_OVERHEAD;
    vec![
        Property::new("LimitMEMLOCK", locked),
        Property::new("LimitNOFILE", FILES),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Slots;

    fn machine() -> Resolved {
        let spec = serde_json::json!({
            "protocol": 3, "name": "test", "vmid": 100, "vcpus": 1, "memory_mib": 1024,
            "kvm": 0, "control": 1, "serial": 2,
            "boot": {"kind": "firmware", "code": 3, "vars": 4},
        });
        let mut slots = Slots::default();
        for _ in 0..5 {
            slots.add(tempfile::tempfile().unwrap());
        }
        Resolved {
            spec: serde_json::from_value(spec).unwrap(),
            fds: slots.0,
            tpm: None,
            servers: Vec::new(),
            processors: Vec::new(),
            pages: None,
        }
    }

    #[test]
    fn devices_come_with_their_descriptors_and_limits() {
        let mut machine = machine();
        assert!(limits(&machine.spec).is_empty());
        machine.pass(HostDevices::default());
        assert!(machine.spec.passthrough.is_none() && machine.fds.len() == 5);
        let file = || tempfile::tempfile().unwrap();
        machine.pass(HostDevices {
            container: Some(file()),
            groups: vec![file(), file()],
            devices: Vec::new(),
        });
        let passed = machine.spec.passthrough.as_ref().unwrap();
        assert_eq!(
            (passed.container, &passed.groups[..]),
            (Slot(5), &[Slot(6), Slot(7)][..])
        );
        assert_eq!(machine.fds.len(), 8);
        assert_eq!(
            (limits(&machine.spec).len(), overhead(&machine.spec)),
            (2, 4 << 20)
        );
    }
}

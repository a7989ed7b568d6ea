//! What a machine consists of, as its state says it: compared before anything else of the state is used.

use std::collections::HashMap;
use std::fmt;

use basalt_model::numa::Numa;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::machine::board::Board;
use crate::machine::memory::Memory;
use crate::spec::Resources;
use crate::state::memory::{Region, regions};

/// What must be the same in the specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outline {
    memory: u64,
    /// Whether it has system management mode.
    #[serde(default)]
    smm: bool,
    regions: Vec<Region>,
    /// Where memory that may come lies; machines of older monitors have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<Region>,
    vcpus: u8,
    /// Sockets and nodes, if the guest was told of any; older monitors told of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<Division>,
    devices: Vec<String>,
    /// Their PCI device numbers; older monitors had them in the order of the specification and did
    /// not note them.
    #[serde(default)]
    slots: Vec<u8>,
}

/// What the guest was told of nodes; where on the host they are is not its business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Division {
    sockets: u8,
    /// Virtual CPUs and MiB of memory of each.
    nodes: Vec<(Vec<u8>, u64)>,
}

impl Division {
    fn of(numa: &Numa) -> Self {
        let nodes = numa.nodes.iter();
        Self {
            sockets: numa.sockets,
            nodes: nodes
                .map(|node| (node.vcpus.clone(), node.memory_mib))
                .collect(),
        }
    }
}

impl fmt::Display for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sockets", self.sockets)?;
        for (vcpus, mib) in &self.nodes {
            write!(f, ", {mib} MiB with processors {vcpus:?}")?;
        }
        Ok(())
    }
}

impl Outline {
    pub(super) fn of(resources: &Resources, board: &Board) -> Self {
        let devices = board.devices.iter();
        Self {
            memory: resources.memory,
            smm: resources.boot.has_smm(),
            regions: regions(board.spaces.memory()),
            room: resources.room().map(|(start, len)| Region { start, len }),
            vcpus: resources.vcpus,
            nodes: resources.numa.as_ref().map(Division::of),
            devices: devices.clone().map(|placed| placed.id.clone()).collect(),
            slots: devices.map(|placed| placed.slot).collect(),
        }
    }

    /// Puts the disks and cards of a machine that is still to be built where those of the saved
    /// one are: the guest knows them by their places.
    pub(super) fn place(&self, resources: &mut Resources) -> Result<(), Error> {
        let places: HashMap<&str, u8> = self
            .devices
            .iter()
            .map(String::as_str)
            .zip(self.slots.iter().copied())
            .collect();
        let placed = resources.place(&places);
        placed.map_err(|error| Error::Place(error.to_string()))
    }

    /// Gives a machine that is still to be built the memory that the saved one was started with, and its
    /// room for more: a specification says only how much there is in all.
    pub(super) fn adopt_memory(&self, resources: &mut Resources) -> Result<(), Error> {
        let Some(room) = self.room else {
            resources.blocks = None;
            return Ok(());
        };
        let wanted = resources.memory;
        let hotplugs = resources.blocks.is_some();
        match hotplugs && resources.adopt_memory(self.memory, (room.start, room.len)) {
            true => Ok(()),
            false => Err(Error::Differs {
                what: "memory and room for more",
                saved: format!("{} + {} MiB", self.memory >> 20, room.len >> 20),
                wanted: format!("{} MiB", wanted >> 20),
            }),
        }
    }

    /// Leaves a machine whose guest was told of no nodes without any, and refuses one that was told of others:
    /// it believes what its tables said when it booted. Where memory comes and goes, the state knows better how
    /// much each node had then.
    pub(super) fn adopt_nodes(&self, resources: &mut Resources) -> Result<(), Error> {
        let Some(saved) = &self.nodes else {
            resources.numa = None;
            return Ok(());
        };
        if let (Some(_), Some(numa)) = (self.room, &mut resources.numa)
            && saved.nodes.len() == numa.nodes.len()
        {
            for (node, (_, mib)) in numa.nodes.iter_mut().zip(&saved.nodes) {
                node.memory_mib = *mib;
            }
            resources.ground.divide(resources.numa.as_ref());
        }
        let sizes = saved.nodes.iter().map(|(_, mib)| *mib);
        if sizes.reduce(u64::saturating_add) != Some(self.memory >> 20) {
            return Err(Error::Place("the nodes are not the machine's".to_owned()));
        }
        let wanted = resources.numa.as_ref().map(Division::of);
        match wanted.as_ref() == Some(saved) {
            true => Ok(()),
            false => Err(Error::Differs {
                what: "nodes (numa)",
                saved: saved.to_string(),
                wanted: wanted.map_or_else(|| "none".to_owned(), |wanted| wanted.to_string()),
            }),
        }
    }

    /// Compares what is known before any device is made.
    pub(super) fn check_size(&self, resources: &Resources, memory: &Memory) -> Result<(), Error> {
        let wanted = resources.boot.has_smm();
        if self.smm != wanted {
            let text = |has: bool| if has { "it" } else { "none" };
            return Err(Error::Differs {
                what: "system management mode (Secure Boot)",
                saved: text(self.smm).to_owned(),
                wanted: text(wanted).to_owned(),
            });
        }
        if self.memory != resources.memory || self.regions != regions(memory) {
            return Err(memory_differs(self.memory, resources.memory));
        }
        if self.vcpus != resources.vcpus {
            return Err(Error::Differs {
                what: "virtual CPUs",
                saved: self.vcpus.to_string(),
                wanted: resources.vcpus.to_string(),
            });
        }
        Ok(())
    }

    pub(super) fn check(&self, wanted: &Self) -> Result<(), Error> {
        // What came while the machine ran is last here, and may be elsewhere in a specification.
        let sorted = |outline: &Self| {
            let mut devices = outline.devices.clone();
            devices.sort();
            devices
        };
        if sorted(self) != sorted(wanted) {
            return Err(Error::Differs {
                what: "devices",
                saved: self.devices.join(", "),
                wanted: wanted.devices.join(", "),
            });
        }
        Ok(())
    }
}

pub(super) fn memory_differs(saved: u64, wanted: u64) -> Error {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    Error::Differs {
        what: "memory",
        saved: mib(saved),
        wanted: mib(wanted),
    }
}

//! Figures over time, for charts.
//!
//! The names are those of Proxmox VE's clients: `rrddata`, after the program that keeps them there.

use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{DatastoreAllocateSpace, DatastoreAudit, SysAudit, VmAudit};
use basalt_model::storage::StorageId;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const GUEST: Permission = perm("/vms/{vmid}", &[VmAudit]);

/// How far back to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Timeframe {
    /// An hour, by minutes.
    Hour,
    /// A day, by minutes.
    Day,
    /// A week, by half hours.
    Week,
    /// Thirty days, by half hours.
    Month,
    /// A year, by quarters of a day.
    Year,
}

/// How far back to look at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeTimeframe {
    /// An hour, by minutes.
    Hour,
    /// A day, by minutes.
    Day,
    /// A week, by half hours.
    Week,
    /// Thirty days, by half hours.
    Month,
    /// A year, by quarters of a day.
    Year,
    /// Ten years, by weeks.
    Decade,
}

/// What to make of the samples in the time of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConsolidationFunction {
    /// Their average.
    #[default]
    Average,
    /// The greatest.
    Max,
}

/// Which figures of a node to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodeFiguresQuery {
    /// Name of the node.
    pub node: String,
    /// How far back.
    pub timeframe: NodeTimeframe,
    /// What to make of the samples of each row (default AVERAGE).
    pub cf: Option<ConsolidationFunction>,
}

/// Which figures of a guest to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GuestFiguresQuery {
    /// Name of the node.
    pub node: String,
    /// Number of the guest.
    pub vmid: Vmid,
    /// How far back.
    pub timeframe: Timeframe,
    /// What to make of the samples of each row (default AVERAGE).
    pub cf: Option<ConsolidationFunction>,
}

/// Which figures of a storage to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StorageFiguresQuery {
    /// Name of the node.
    pub node: String,
    /// Name of the storage.
    pub storage: StorageId,
    /// How far back.
    pub timeframe: Timeframe,
    /// What to make of the samples of each row (default AVERAGE).
    pub cf: Option<ConsolidationFunction>,
}

/// Figures of a node in one row. What was not sampled is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFigures {
    /// Begin of the row, in seconds since 1970.
    pub time: u64,
    /// Load, as a part of `maxcpu` from 0 to 1.
    pub cpu: Option<f64>,
    /// Part of the time spent waiting for disks.
    pub iowait: Option<f64>,
    /// Load average over a minute.
    pub loadavg: Option<f64>,
    /// Logical processors.
    pub maxcpu: Option<f64>,
    /// Memory in bytes.
    pub memtotal: Option<f64>,
    /// Memory in use in bytes.
    pub memused: Option<f64>,
    /// Memory that programs could still get, in bytes.
    pub memavailable: Option<f64>,
    /// Memory that ZFS uses as its cache, in bytes.
    pub arcsize: Option<f64>,
    /// Swap space in bytes.
    pub swaptotal: Option<f64>,
    /// Swap space in use in bytes.
    pub swapused: Option<f64>,
    /// Size of the data partition in bytes.
    pub roottotal: Option<f64>,
    /// Bytes in use on the data partition.
    pub rootused: Option<f64>,
    /// Bytes a second received on all network cards.
    pub netin: Option<f64>,
    /// Bytes a second sent on all network cards.
    pub netout: Option<f64>,
    /// Percent of the time in which some process waited for a processor.
    pub pressurecpusome: Option<f64>,
    /// Percent of the time in which some process waited for a disk.
    pub pressureiosome: Option<f64>,
    /// Percent of the time in which every process waited for a disk.
    pub pressureiofull: Option<f64>,
    /// Percent of the time in which some process waited for memory.
    pub pressurememorysome: Option<f64>,
    /// Percent of the time in which every process waited for memory.
    pub pressurememoryfull: Option<f64>,
}

/// Figures of a guest in one row. What was not sampled is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuestFigures {
    /// Begin of the row, in seconds since 1970.
    pub time: u64,
    /// Load, as a part of `maxcpu` from 0 to 1.
    pub cpu: Option<f64>,
    /// Processors.
    pub maxcpu: Option<f64>,
    /// Memory in use in bytes.
    pub mem: Option<f64>,
    /// Memory in bytes.
    pub maxmem: Option<f64>,
    /// Bytes in use on the first disk, as far as that is known.
    pub disk: Option<f64>,
    /// Size of the first disk in bytes.
    pub maxdisk: Option<f64>,
    /// Bytes a second received.
    pub netin: Option<f64>,
    /// Bytes a second sent.
    pub netout: Option<f64>,
    /// Bytes a second read.
    pub diskread: Option<f64>,
    /// Bytes a second written.
    pub diskwrite: Option<f64>,
}

/// Figures of a storage in one row. What was not sampled is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageFigures {
    /// Begin of the row, in seconds since 1970.
    pub time: u64,
    /// Size in bytes.
    pub total: Option<f64>,
    /// Bytes in use.
    pub used: Option<f64>,
}

endpoints! {
    /// Shows how the figures of a node went.
    NodeFiguresGet: Get "/nodes/{node}/rrddata" {
        params: NodeFiguresQuery,
        output: Vec<NodeFigures>,
        permission: perm("/nodes/{node}", &[SysAudit]),
        cli: "node figures",
    }

    /// Shows how the figures of a virtual machine went.
    VmFiguresGet: Get "/nodes/{node}/qemu/{vmid}/rrddata" {
        params: GuestFiguresQuery,
        output: Vec<GuestFigures>,
        permission: GUEST,
        cli: "vm figures",
    }

    /// Shows how the figures of a container went.
    CtFiguresGet: Get "/nodes/{node}/lxc/{vmid}/rrddata" {
        params: GuestFiguresQuery,
        output: Vec<GuestFigures>,
        permission: GUEST,
        cli: "ct figures",
    }

    /// Shows how the room of a storage went.
    StorageFiguresGet: Get "/nodes/{node}/storage/{storage}/rrddata" {
        params: StorageFiguresQuery,
        output: Vec<StorageFigures>,
        permission: perm("/storage/{storage}", &[DatastoreAudit, DatastoreAllocateSpace]),
        cli: "storage figures",
    }
}

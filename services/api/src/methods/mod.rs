//! The declarations, one module per resource.
//!
//! Each module has its parameter and result types, its `endpoints!` and nothing else; the
//! implementations are in the node's handlers of the same name.

use crate::registry::Declaration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod access;
pub mod acl;
pub mod acme;
pub mod agent;
pub mod bulk;
pub mod certificates;
pub mod clone;
pub mod cluster;
pub mod disks;
pub mod figures;
pub mod guest;
pub mod hardware;
pub mod jobs;
pub mod lxc;
pub mod mapping;
pub mod mapping_pci;
pub mod metrics;
pub mod nodes;
pub mod notifications;
pub mod openid;
pub mod pools;
pub mod qemu;
pub mod realms;
pub mod schedules;
pub mod snapshots;
pub mod storage;
pub mod system;
pub mod tasks;
pub mod tfa;
pub mod update;
pub mod users;
pub mod version;

/// The declarations of every module.
pub const ALL: &[&[Declaration]] = &[
    version::DECLARED,
    access::DECLARED,
    realms::DECLARED,
    openid::DECLARED,
    tfa::DECLARED,
    users::DECLARED,
    acl::DECLARED,
    pools::DECLARED,
    cluster::DECLARED,
    mapping::DECLARED,
    nodes::DECLARED,
    system::DECLARED,
    hardware::DECLARED,
    disks::DECLARED,
    mapping_pci::DECLARED,
    certificates::DECLARED,
    acme::DECLARED,
    tasks::DECLARED,
    update::DECLARED,
    storage::DECLARED,
    qemu::DECLARED,
    agent::DECLARED,
    lxc::DECLARED,
    clone::DECLARED,
    snapshots::DECLARED,
    bulk::DECLARED,
    jobs::DECLARED,
    schedules::DECLARED,
    figures::DECLARED,
    metrics::DECLARED,
    notifications::DECLARED,
];

/// Parameters of a method that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoParams {}

/// Parameters of a method that takes only a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePath {
    /// Name of the node.
    pub node: String,
}

//! The implementations, one module for each module of declarations.

use crate::router::Router;

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
pub mod storage_config;
pub mod system;
pub mod tasks;
pub mod tfa;
pub mod update;
pub mod users;
pub mod version;

/// Every method with its implementation.
pub fn router() -> Router {
    let mut router = Router::default();
    access::register(&mut router);
    realms::register(&mut router);
    tfa::register(&mut router);
    acl::register(&mut router);
    acme::register(&mut router);
    agent::register(&mut router);
    bulk::register(&mut router);
    certificates::register(&mut router);
    clone::register(&mut router);
    cluster::register(&mut router);
    disks::register(&mut router);
    figures::register(&mut router);
    hardware::register(&mut router);
    jobs::register(&mut router);
    lxc::register(&mut router);
    mapping::register(&mut router);
    mapping_pci::register(&mut router);
    metrics::register(&mut router);
    nodes::register(&mut router);
    notifications::register(&mut router);
    openid::register(&mut router);
    pools::register(&mut router);
    qemu::register(&mut router);
    schedules::register(&mut router);
    snapshots::register(&mut router);
    storage::register(&mut router);
    storage_config::register(&mut router);
    system::register(&mut router);
    tasks::register(&mut router);
    update::register(&mut router);
    users::register(&mut router);
    version::register(&mut router);
    crate::console::register(&mut router);
    router
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_declared_method_is_implemented() {
        assert_eq!(super::router().missing(), Vec::<&str>::new());
    }
}

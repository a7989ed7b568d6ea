//! What the node works with: what every part stands on, and the managers that do the work.

use crate::core::Core;
use crate::figures::{FirstDisks, Recent, Samples};
use crate::guests::Parsed;
use anyhow::Context;
use basalt_api::{Error, Result};
use basalt_container::Containers;
use basalt_metrics::Histories;
use basalt_model::host::{HostConfig, Pool};
use basalt_model::storage::{ContentKinds, StorageConfig, StorageDriver, StorageId, ZfsBlockSize};
use basalt_network::Network;
use basalt_notify::Notifier;
use basalt_storage::Storages;
use basalt_store::{Expect, Transaction};
use basalt_unit::Units;
use basalt_vm::Machines;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Storages are kept under their names behind this.
const STORAGES: &str = "storages/";
/// The host's configuration, beside the store.
const HOST_CONFIG: &str = "host.json";
/// Folder of the histories, beside the store.
const HISTORIES: &str = "history";

/// The node with everything it works with. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    /// Name, store, tasks and access, which are read as if they were the node's own.
    pub core: Arc<Core>,
    /// Where volumes lie.
    pub storages: Arc<Storages>,
    /// The kernel's network configuration.
    pub network: Network,
    /// The service manager.
    pub units: Units,
    /// Virtual machines that run.
    pub machines: Machines,
    /// Containers that run.
    pub containers: Containers,
    /// Figures that need two looks.
    pub samples: Arc<Samples>,
    /// Sizes of disks, for lists.
    pub first_disks: Arc<FirstDisks>,
    /// How figures went.
    pub histories: Arc<Histories>,
    /// The last figures of everything.
    pub recent: Arc<Recent>,
    /// Tells people elsewhere of what happens.
    pub notifier: Notifier,
    /// Guests as they were last read.
    pub parsed: Arc<Parsed>,
    /// Where the sockets of running virtual machines are.
    pub run_machines: PathBuf,
    /// Where the sockets of running containers are.
    pub run_containers: PathBuf,
}

impl Deref for Node {
    type Target = Core;
    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Node {
    /// Connects to the service manager and the kernel and opens the storages. Guests that run
    /// are found again by their units whenever somebody asks; nothing about them is kept here.
    pub async fn open(core: Arc<Core>) -> anyhow::Result<Self> {
        let units = Units::connect()
            .await
            .context("cannot reach the service manager")?;
        let run_machines = core.settings.run.join("vm");
        let run_containers = core.settings.run.join("ct");
        let machines = Machines::new(units.clone(), basalt_vm::EXECUTABLE, &run_machines);
        let containers = Containers::new(units.clone(), basalt_container::EXECUTABLE);
        let storages = Arc::new(open_storages(&core).await?);
        let samples = Arc::new(Samples::default());
        // The first look, so that the first question about the host's load has an answer.
        crate::host::status(&samples);
        let notifier = crate::notifications::notifier(&core);
        let histories = Arc::new(Histories::new(core.settings.state.join(HISTORIES)));
        Ok(Self {
            core,
            histories,
            recent: Arc::default(),
            notifier,
            storages,
            network: Network::connect()?,
            units,
            machines,
            containers,
            samples,
            first_disks: Arc::default(),
            parsed: Arc::default(),
            run_machines,
            run_containers,
        })
    }

    /// Refuses a call that names another node.
    pub fn check_name(&self, node: &str) -> Result<()> {
        if node == self.name || node == "localhost" {
            return Ok(());
        }
        Err(Error::not_found(format_args!("node '{node}'")))
    }
}

/// The key of a storage's configuration.
pub fn storage_key(id: &StorageId) -> String {
    format!("{STORAGES}{id}")
}

/// The storages of a host that starts for the first time: `local`, and a pool that was made at the
/// installation. Where there is one, guests' disks go there and not into the directory.
fn first_storages(core: &Core) -> anyhow::Result<Transaction> {
    let local = storage_key(&StorageId::local());
    let path = core.settings.vz.to_string_lossy().into_owned();
    let mut config = StorageConfig {
        driver: StorageDriver::Dir { path },
        ..Storages::local_config()
    };
    let mut change = Transaction::new().expect(&local, Expect::Absent);
    if let Some((id, pool)) = pool_storage(&core.settings.state.join(HOST_CONFIG)) {
        config.content = ContentKinds::files();
        change = change.put(storage_key(&id), &pool)?;
    }
    Ok(change.put(&local, &config)?)
}

/// The storage in the pool that the host's configuration names.
fn pool_storage(host_config: &Path) -> Option<(StorageId, StorageConfig)> {
    // Without one the host is reachable and says what is wrong with its configuration.
    let text = std::fs::read(host_config).ok()?;
    let host: HostConfig = serde_json::from_slice(&text).ok()?;
    let (id, driver) = match host.pool? {
        Pool::LvmThin { vgname, thinpool } => (
            StorageId::local_lvm(),
            StorageDriver::LvmThin { vgname, thinpool },
        ),
        Pool::Zfs { pool } => (
            StorageId::local_zfs(),
            StorageDriver::ZfsPool {
                pool,
                blocksize: ZfsBlockSize::default(),
                sparse: true,
            },
        ),
    };
    let config = StorageConfig {
        content: driver.can_hold(),
        driver,
        disable: false,
        nodes: Default::default(),
    };
    Some((id, config))
}

/// Opens every configured storage; one that cannot be opened is left out and said so.
async fn open_storages(core: &Core) -> anyhow::Result<Storages> {
    let local = storage_key(&StorageId::local());
    if core.store.get(&local).is_none() {
        core.store.commit(first_storages(core)?).await?;
    }
    let storages = Storages::default();
    for entry in core.store.list(STORAGES) {
        let Ok(id) = entry.key.trim_start_matches(STORAGES).parse::<StorageId>() else {
            tracing::error!(key = entry.key, "storage has no valid name");
            continue;
        };
        // A newer version may have had drivers that this one lacks: the host must start all the same.
        let config = match entry.parse::<StorageConfig>() {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, storage = %id, "storage is not understood");
                continue;
            }
        };
        if let Err(error) = storages.set(id.clone(), config) {
            tracing::error!(%error, storage = %id, "storage cannot be opened");
        }
    }
    Ok(storages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_of_the_installation_becomes_a_storage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(HOST_CONFIG);
        assert_eq!(pool_storage(&path), None);
        std::fs::write(&path, r#"{"hostname": "n1"}"#).unwrap();
        assert_eq!(pool_storage(&path), None);
        let text = r#"{"hostname": "n1",
            "pool": {"kind": "lvm-thin", "vgname": "basalt_1", "thinpool": "data"}}"#;
        std::fs::write(&path, text).unwrap();
        let (id, config) = pool_storage(&path).unwrap();
        assert_eq!(id.as_str(), "local-lvm");
        assert_eq!(config.content.to_string(), "images,rootdir");
        let name = |text: &str| text.parse().unwrap();
        let driver = StorageDriver::LvmThin {
            vgname: name("basalt_1"),
            thinpool: name("data"),
        };
        assert_eq!(config.driver, driver);
        let text = r#"{"hostname": "n1", "pool": {"kind": "zfs", "pool": "basalt_1/data"}}"#;
        std::fs::write(&path, text).unwrap();
        let (id, config) = pool_storage(&path).unwrap();
        assert_eq!(id.as_str(), "local-zfs");
        let driver = StorageDriver::ZfsPool {
            pool: "basalt_1/data".parse().unwrap(),
            blocksize: ZfsBlockSize::default(),
            sparse: true,
        };
        assert_eq!(config.driver, driver);
    }
}

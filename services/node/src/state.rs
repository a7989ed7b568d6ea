//! What the node works with: what every part stands on, and the managers that do the work.

use crate::core::Core;
use crate::figures::Samples;
use anyhow::Context;
use basalt_api::{Error, Result};
use basalt_container::Containers;
use basalt_model::storage::{StorageConfig, StorageDriver, StorageId};
use basalt_network::Network;
use basalt_storage::Storages;
use basalt_store::{Expect, Transaction};
use basalt_unit::Units;
use basalt_vm::Machines;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// Storages are kept under their names behind this.
const STORAGES: &str = "storages/";

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
        Ok(Self {
            core,
            storages,
            network: Network::connect()?,
            units,
            machines,
            containers,
            samples,
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

/// Opens every configured storage; one that cannot be opened is left out and said so.
async fn open_storages(core: &Core) -> anyhow::Result<Storages> {
    let local = storage_key(&StorageId::local());
    if core.store.get(&local).is_none() {
        let path = core.settings.vz.to_string_lossy().into_owned();
        let driver = StorageDriver::Dir { path };
        let config = StorageConfig {
            driver,
            ..Storages::local_config()
        };
        let change = Transaction::new()
            .expect(&local, Expect::Absent)
            .put(&local, &config)?;
        core.store.commit(change).await?;
    }
    let storages = Storages::default();
    for stored in core.store.read_all::<StorageConfig>(STORAGES)? {
        let Ok(id) = stored.key.trim_start_matches(STORAGES).parse::<StorageId>() else {
            tracing::error!(key = stored.key, "storage has no valid name");
            continue;
        };
        if let Err(error) = storages.set(id.clone(), stored.value) {
            tracing::error!(%error, storage = %id, "storage cannot be opened");
        }
    }
    Ok(storages)
}

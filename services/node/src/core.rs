//! What every part of the node stands on: its name, the store, tasks, access and consoles.

use crate::audit::Audit;
use crate::auth::Access;
use crate::console::Consoles;
use anyhow::{Context, Result};
use basalt_store::{SqliteStore, Store};
use basalt_tasks::TaskManager;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the node keeps its things.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Folder of the store and the keys.
    #[arg(long, default_value = "/var/lib/basalt")]
    pub state: PathBuf,
    /// Folder of sockets.
    #[arg(long, default_value = "/run/basalt")]
    pub run: PathBuf,
    /// Folder of task logs.
    #[arg(long, default_value = "/var/log/basalt/tasks")]
    pub logs: PathBuf,
    /// Folder of the storage `local`.
    #[arg(long, default_value = "/var/lib/vz")]
    pub vz: PathBuf,
    /// Port that proofs of names are shown on, where authorities see it as port 80.
    #[arg(long, default_value_t = 80)]
    pub challenge_port: u16,
    /// Name of the node (default the host's name).
    #[arg(long)]
    pub name: Option<String>,
}

/// What every part of the node stands on.
pub struct Core {
    /// Name of the node.
    pub name: String,
    /// Where things are.
    pub settings: Settings,
    /// The configuration.
    pub store: Arc<dyn Store>,
    /// Long work.
    pub tasks: TaskManager,
    /// Who may what.
    pub access: Access,
    /// Who changed what.
    pub audit: Audit,
    /// Consoles that wait for their websocket.
    pub consoles: Consoles,
}

impl Core {
    /// Opens the store, the keys and the task files.
    pub async fn open(settings: Settings) -> Result<Arc<Self>> {
        let name = match &settings.name {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        std::fs::create_dir_all(&settings.state)
            .with_context(|| format!("cannot make {}", settings.state.display()))?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(settings.state.join("store.db"))?);
        let tasks = TaskManager::open(&name, &settings.logs)?;
        let access = Access::open(Arc::clone(&store), &settings.state)?;
        let audit = Audit::open(&settings.state).context("cannot open the audit log")?;
        let consoles = Consoles::default();
        Ok(Arc::new(Self {
            name,
            settings,
            store,
            tasks,
            access,
            audit,
            consoles,
        }))
    }
}

/// The host's name up to its first dot.
fn host_name() -> Result<String> {
    let uname = rustix::system::uname();
    let name = uname
        .nodename()
        .to_str()
        .context("the host's name is not UTF-8")?;
    Ok(name.split('.').next().unwrap_or(name).to_owned())
}

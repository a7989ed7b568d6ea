//! A healthy appliance frozen once, from which any number of tests go on in a second.
//!
//! The appliance runs with its memory in a file; [`Node::freeze`] then writes only the state of
//! the devices. A thawed node maps that file privately, and puts an overlay over the frozen disk,
//! so nothing it does reaches the snapshot or another node.

use super::accel::Accel;
use super::answer::Keys;
use super::health;
use super::install::{self, Base, Keep};
use super::node::{DISK, Node, Start};
use super::qemu::{Memory, VARS};
use super::{root, run, say};
use crate::build::{Artifacts, Emulator};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Host name of every appliance under test.
pub const HOSTNAME: &str = "basalt";
const MEMORY_FILE: &str = "memory";
const DEVICES_FILE: &str = "devices";
const STATE: &str = "snapshot.json";

/// A frozen, healthy appliance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    dir: PathBuf,
    /// The installed disk below it.
    base: PathBuf,
    accel: Accel,
    /// The emulator that can read its state.
    emulator: String,
    memory_mib: u32,
    /// Root's password.
    pub password: String,
    /// Private SSH key of root.
    pub key: PathBuf,
    /// How long the frozen appliance took from power-on to healthy.
    pub boot_time: Duration,
    /// What was put onto it before it was frozen.
    prepared: String,
}

fn dir() -> PathBuf {
    root().join(".snapshot")
}

/// The installed disks that the kept snapshot needs.
pub fn bases() -> Vec<PathBuf> {
    read(&dir())
        .map(|snapshot| snapshot.base)
        .into_iter()
        .collect()
}

fn read(dir: &Path) -> Option<Snapshot> {
    serde_json::from_str(&fs::read_to_string(dir.join(STATE)).ok()?).ok()
}

impl Snapshot {
    /// The snapshot of this image: the kept one, or one made now. `prepare` puts onto the
    /// appliance what `prepared` names.
    pub fn ensure(
        built: &Artifacts,
        prepared: &str,
        prepare: impl FnOnce(&Node) -> Result<()>,
    ) -> Result<Self> {
        let keys = Keys::ensure()?;
        let accel = Accel::choose(&root(), &built.uki)?;
        let answer = keys.answer(HOSTNAME)?;
        let keep = Keep::DiskAndLog;
        let base = install::ensure(&built.iso, &answer, &keys.private, accel, keep)?;
        let emulator = Emulator::ensure()?.key()?;
        let dir = dir();
        let memory_mib = run::DEFAULT_MEMORY;
        if let Some(kept) = read(&dir)
            && (&kept.base, kept.accel) == (&base.dir, accel)
            && (kept.memory_mib, kept.prepared.as_str()) == (memory_mib, prepared)
            && kept.emulator == emulator
        {
            return Ok(kept);
        }
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        let mut node = Node::new(&dir, &keys.private, HOSTNAME)?;
        node.prepare_disk(&base.disk(), &base.vars())?;
        say("booting the appliance that every test starts from");
        node.start(&Start {
            accel,
            memory_mib,
            memory: Memory::Kept(dir.join(MEMORY_FILE)),
            port: None,
            private: None,
            detached: false,
        })?;
        let healthy = health::wait(&node, health::START_LIMIT * accel.patience())?;
        prepare(&node)?;
        settle(&node, accel)?;
        node.freeze(&dir.join(DEVICES_FILE))?;
        let snapshot = Self {
            password: answer
                .password
                .context("our own answer file has a password")?,
            key: keys.private,
            boot_time: healthy.after,
            prepared: prepared.to_owned(),
            base: base.dir,
            accel,
            emulator,
            memory_mib,
            dir,
        };
        fs::write(snapshot.dir.join(STATE), serde_json::to_string(&snapshot)?)?;
        Ok(snapshot)
    }

    /// A new node in `dir` that goes on from the frozen moment, with the clock put right.
    pub fn thaw(&self, dir: &Path) -> Result<Node> {
        self.thaw_recorded(dir, None)
    }

    /// Like [`Snapshot::thaw`]; with a `log`, everything the node does to its disk from the frozen
    /// moment on is recorded there.
    pub fn thaw_recorded(&self, dir: &Path, log: Option<&Path>) -> Result<Node> {
        let mut node = self.cold(dir)?;
        let memory = Memory::Restored {
            memory: self.dir.join(MEMORY_FILE),
            state: self.dir.join(DEVICES_FILE),
        };
        node.start_recorded(&self.start(memory), log)?;
        set_clock(&node)?;
        Ok(node)
    }

    /// A new node in `dir` with the frozen appliance's disk, not started.
    pub fn cold(&self, dir: &Path) -> Result<Node> {
        let node = Node::new(dir, &self.key, HOSTNAME)?;
        node.prepare_disk(&self.disk(), &self.vars())?;
        Ok(node)
    }

    /// The frozen disk; only ever a backing file.
    pub fn disk(&self) -> PathBuf {
        self.dir.join(DISK)
    }

    /// The installation that the frozen appliance began with.
    pub fn base(&self) -> Base {
        Base {
            dir: self.base.clone(),
        }
    }

    /// The UEFI variables of the frozen moment.
    pub fn vars(&self) -> PathBuf {
        self.dir.join(VARS)
    }

    /// How a node of this snapshot is started from its disk.
    pub fn boot(&self) -> Start {
        self.start(Memory::Plain)
    }

    /// How QEMU runs it.
    pub fn accel(&self) -> Accel {
        self.accel
    }

    fn start(&self, memory: Memory) -> Start {
        Start {
            accel: self.accel,
            memory_mib: self.memory_mib,
            memory,
            port: None,
            private: None,
            detached: false,
        }
    }
}

/// Waits until the boot's last jobs are done, and gives everything written to the disk.
fn settle(node: &Node, accel: Accel) -> Result<()> {
    let limit = health::START_LIMIT.as_secs() * u64::from(accel.patience());
    // A unit that failed is a scenario's business; here only the end of the boot counts.
    node.ssh().run(&format!(
        "timeout {limit} systemctl is-system-running --wait; sync"
    ))?;
    File::open(node.dir())?.sync_all()?;
    Ok(())
}

/// A thawed clock stands where it was frozen.
fn set_clock(node: &Node) -> Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the host's clock is before 1970")?;
    node.ssh().run(&format!(
        "date --set=@{}.{:03}",
        now.as_secs(),
        now.subsec_millis()
    ))?;
    Ok(())
}

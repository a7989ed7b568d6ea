//! Unpacking an untrusted root file system archive.
//!
//! # How it is called
//!
//! [`Containers::unpack`] runs `basalt-container extract` as a unit of its own with a socket as its
//! standard input, sends one JSON line ([`worker::Order`]) with the archive and the root attached, and
//! reads one line back. Dropping the future closes the socket, and whoever unpacks ends by that; so it
//! does when the process that asked is killed.
//!
//! # What it takes from others
//!
//! Unpacking takes all the processor time that it gets. Its unit is in [`SLICE`], whose weight in the
//! image is `idle`: guests, and whoever manages them, come first.
//!
//! # What an archive can do
//!
//! GNU tar runs as root of a user namespace in which the target is mounted shifted, so what it
//! writes is owned on disk by the ids the container sees. It has no network, no other processes
//! in sight, and besides the target only a read-only `/usr`: an archive that fools tar harms
//! nothing but the volume that was made for it. Device nodes cannot be made there; those of
//! `./dev` are left out, others are counted.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use basalt_model::container::IdMap;
use basalt_model::machine::Slot;
use basalt_unit::handover::{Handover, HandoverError};
use basalt_unit::{Property, UnitError, UnitSpec};
use serde::{Deserialize, Serialize};

use crate::manager::Containers;

mod format;
mod outcome;
mod view;
pub(crate) mod worker;

/// What came of an archive that could be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractReport {
    /// Device nodes outside `./dev` that were left out.
    pub skipped_devices: u64,
    /// Other remarks of tar, the first few.
    pub warnings: Vec<String>,
}

/// Why an archive could not be used; what was unpacked so far is left in place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ArchiveFault {
    /// Neither plain nor gzip, xz or zstd compressed tar.
    #[error("the file is no tar archive (plain, or compressed with gzip, xz or zstd)")]
    UnknownFormat,
    /// tar gave up.
    #[error("the archive cannot be unpacked: {0}")]
    Damaged(String),
    /// It unpacked, but no container can start from it.
    #[error("the archive is no root file system: it has no {missing}")]
    NotARoot {
        /// What a root file system has and this has not.
        missing: String,
    },
    /// The surroundings failed, not the archive.
    #[error("{0}")]
    Setup(String),
}

/// Why [`extract`] failed.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive, or the set-up for it.
    #[error(transparent)]
    Fault(#[from] ArchiveFault),
    /// The service manager could not run the helper.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The helper could not be run.
    #[error("cannot run the unpacking helper: {0}")]
    Helper(#[from] std::io::Error),
    /// The helper went away.
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

/// What may wait, whatever it is for.
const SLICE: &str = "background.slice";

/// What unpacking needs outside of the archive's user namespace: to make that and to mount the target
/// for it.
const CAPABILITIES: &[u64] = &[
    6,  // SETGID: write id maps
    7,  // SETUID
    21, // SYS_ADMIN: mounts and namespaces
];

impl Containers {
    /// Unpacks `archive`, read from its current position, into `root`, which is to be the root of
    /// container `vmid`: a directory, or a detached mount, which is used up by it (mount the volume
    /// again to start the container). When it returns, nobody uses either of them any more.
    pub async fn unpack(
        &self,
        vmid: u32,
        archive: OwnedFd,
        root: OwnedFd,
        id_map: IdMap,
    ) -> Result<ExtractReport, ExtractError> {
        let (ours, theirs) = Handover::pair()?;
        self.units()
            .start(unit_spec(vmid, self.executable(), theirs))
            .await?;
        let answer = order(ours, archive, root, id_map).await;
        self.units().wait_ended(&unit(vmid)).await?;
        Ok(answer??)
    }

    /// Sees that nobody unpacks for container `vmid` any more, after [`Containers::unpack`] was dropped.
    pub async fn stop_unpacking(&self, vmid: u32) -> Result<(), UnitError> {
        self.units().stop(&unit(vmid)).await
    }
}

fn unit(vmid: u32) -> String {
    format!("basalt-unpack-{vmid}.service")
}

fn unit_spec(vmid: u32, executable: &Path, stdin: OwnedFd) -> UnitSpec {
    let bounding = CAPABILITIES.iter().fold(0_u64, |set, bit| set | 1 << bit);
    UnitSpec {
        name: unit(vmid),
        description: format!("Unpacks the root of container {vmid}"),
        slice: SLICE.into(),
        executable: executable.to_owned(),
        arguments: vec!["extract".into()],
        user: None,
        stdin,
        properties: vec![
            Property::new("Type", "exec"),
            Property::new("KillMode", "control-group"),
            Property::new("CapabilityBoundingSet", bounding),
            Property::new("NoNewPrivileges", true),
            Property::new("DevicePolicy", "closed"),
            Property::new("LockPersonality", true),
            Property::new("RestrictRealtime", true),
        ],
    }
}

/// As [`Containers::unpack`], where no service manager is: `executable` becomes our child.
pub async fn extract_with(
    executable: &Path,
    archive: OwnedFd,
    root: OwnedFd,
    id_map: IdMap,
) -> Result<ExtractReport, ExtractError> {
    let (ours, theirs) = Handover::pair()?;
    let mut helper = tokio::process::Command::new(executable)
        .arg("extract")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()?;
    let answer = order(ours, archive, root, id_map).await;
    helper.wait().await?;
    Ok(answer??)
}

async fn order(
    helper: Handover,
    archive: OwnedFd,
    root: OwnedFd,
    id_map: IdMap,
) -> Result<Result<ExtractReport, ArchiveFault>, HandoverError> {
    let order = worker::Order {
        archive: Slot(0),
        root: Slot(1),
        id_map,
    };
    helper
        .exchange(&order, &[archive.as_fd(), root.as_fd()])
        .await
}

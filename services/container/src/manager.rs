//! The manager's side: containers as units of their own.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use basalt_model::container::{ContainerNic, ContainerSpec};
use basalt_model::machine::Started;
use basalt_unit::handover::{Handover, HandoverError};
use basalt_unit::{Ended, KillWho, Property, UnitError, UnitSpec, Units, Usage};

use crate::runtime::cgroup;

/// Where the appliance has the runtime.
pub const EXECUTABLE: &str = "/usr/lib/basalt/basalt-container";

const PREFIX: &str = "basalt-ct-";
const SLICE: &str = "basalt-guests.slice";
/// The runtime's cgroup below the unit's that holds the container itself.
const CONTAINER_CGROUP: &str = "container";
/// How long a runtime may take to say that its container runs.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a container may take to power off when the host stops.
const STOP_PATIENCE: Duration = Duration::from_secs(90);

/// What the runtime itself needs. The container's own capabilities come with its user namespace
/// and are worth nothing outside.
const CAPABILITIES: &[u64] = &[
    0,  // CHOWN: cgroup and console
    1,  // DAC_OVERRIDE: remove cgroups the container made
    3,  // FOWNER: the console's mode
    5,  // KILL
    6,  // SETGID: write id maps
    7,  // SETUID
    8,  // SETPCAP: drop the container's capabilities
    12, // NET_ADMIN: veth pairs
    19, // SYS_PTRACE: read the container's /proc entries
    21, // SYS_ADMIN: mounts and namespaces
];

/// Why a container could not be started, stopped or asked about.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The service manager refused.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The runtime could not be given its specification.
    #[error("container {vmid}: {source}")]
    Handover {
        /// The container.
        vmid: u32,
        /// Why.
        source: HandoverError,
    },
    /// The runtime could not start the container, and says why.
    #[error("container {vmid} does not start: {reason}")]
    Start {
        /// The container.
        vmid: u32,
        /// The runtime's reason, which names the step.
        reason: String,
    },
    /// A limit of a container that runs cannot be changed.
    #[error("container {vmid}: {file}: {source}")]
    Limit {
        /// The container.
        vmid: u32,
        /// The file of its cgroup.
        file: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime said nothing for too long.
    #[error("container {0} does not start: no answer within {patience} s", patience = START_PATIENCE.as_secs())]
    Silent(u32),
}

/// What a container may take of the host's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessorTime {
    /// Limit in hundredths of a processor; none means all.
    pub limit_percent: Option<u32>,
    /// Weight against other guests, 1–10000.
    pub weight: u32,
}

/// All containers of this host.
#[derive(Debug, Clone)]
pub struct Containers {
    units: Units,
    executable: PathBuf,
}

impl Containers {
    /// Containers as units of `units`, run by `executable` (normally [`EXECUTABLE`]).
    pub fn new(units: Units, executable: impl Into<PathBuf>) -> Self {
        Self {
            units,
            executable: executable.into(),
        }
    }

    pub(crate) fn units(&self) -> &Units {
        &self.units
    }

    pub(crate) fn executable(&self) -> &Path {
        &self.executable
    }

    /// Names of the units of containers that run.
    pub async fn up(&self) -> Result<Vec<String>, UnitError> {
        self.units.list(PREFIX).await
    }

    /// Name of a container's unit.
    pub fn unit(vmid: u32) -> String {
        format!("{PREFIX}{vmid}.service")
    }

    /// Starts a container; returns when its init runs. `fds` are what the specification's slots
    /// number. When it fails, nothing of the container is left.
    pub async fn start(
        &self,
        spec: &ContainerSpec,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ContainerError> {
        let vmid = spec.vmid;
        let handover = |source| ContainerError::Handover { vmid, source };
        let (ours, theirs) = Handover::pair().map_err(|error| handover(error.into()))?;
        self.units.start(self.unit_spec(spec, theirs)).await?;
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let exchange = ours.exchange(spec, &borrowed);
        let result = match tokio::time::timeout(START_PATIENCE, exchange).await {
            Ok(Ok(Started::Ok)) => return Ok(()),
            Ok(Ok(Started::Failed(reason))) => ContainerError::Start { vmid, reason },
            Ok(Err(source)) => handover(source),
            Err(_elapsed) => ContainerError::Silent(vmid),
        };
        self.kill(vmid).await?;
        Err(result)
    }

    /// Kills every process of a container and waits until its unit is gone. One that does not run
    /// counts as killed.
    pub async fn kill(&self, vmid: u32) -> Result<(), ContainerError> {
        let unit = Self::unit(vmid);
        match self.units.kill(&unit, KillWho::All, libc::SIGKILL).await {
            // The unit may end by itself between any two calls.
            Err(UnitError::NotFound(_)) => return Ok(()),
            Err(error) => tracing::debug!(%error, vmid, "container not signalled"),
            Ok(()) => {}
        }
        Ok(self.units.stop(&unit).await?)
    }

    /// Whether a container's unit is up.
    pub async fn is_up(&self, vmid: u32) -> Result<bool, ContainerError> {
        Ok(self.units.is_up(&Self::unit(vmid)).await?)
    }

    /// Numbers of the containers whose units are up.
    pub async fn running(&self) -> Result<Vec<u32>, ContainerError> {
        let names = self.units.list(PREFIX).await?;
        Ok(names.iter().filter_map(|name| number(name)).collect())
    }

    /// Waits until a container's unit is down.
    pub async fn wait_ended(&self, vmid: u32) -> Result<Ended, ContainerError> {
        Ok(self.units.wait_ended(&Self::unit(vmid)).await?)
    }

    /// What a container uses now; none when it does not run.
    pub async fn usage(&self, vmid: u32) -> Result<Option<Usage>, ContainerError> {
        let state = self.units.state(&Self::unit(vmid)).await?;
        Ok(state.and_then(|state| {
            Usage::of(&format!("{}/{CONTAINER_CGROUP}", state.control_group)).ok()
        }))
    }

    /// Changes what a running container may take of the host's processors. One that does not run counts
    /// as changed.
    pub async fn set_processor_time(
        &self,
        vmid: u32,
        time: ProcessorTime,
    ) -> Result<(), ContainerError> {
        let unit = Self::unit(vmid);
        let state = self.units.state(&unit).await?;
        let Some(state) = state.filter(|state| !state.control_group.is_empty()) else {
            return Ok(());
        };
        // The limit is where programs in the container look for it; the weight counts where the unit's
        // neighbours are.
        let directory = format!("/sys/fs/cgroup{}/{CONTAINER_CGROUP}", state.control_group);
        for (file, value) in [
            ("cpu.max", cgroup::quota(time.limit_percent)),
            ("cpu.weight", time.weight.to_string()),
        ] {
            let written = std::fs::write(format!("{directory}/{file}"), value);
            written.map_err(|source| ContainerError::Limit { vmid, file, source })?;
        }
        Ok(self.units.change(&unit, vec![weight(time.weight)]).await?)
    }

    fn unit_spec(&self, spec: &ContainerSpec, stdin: OwnedFd) -> UnitSpec {
        let bounding = CAPABILITIES.iter().fold(0_u64, |set, bit| set | 1 << bit);
        UnitSpec {
            name: Self::unit(spec.vmid),
            description: format!("Container {} ({})", spec.vmid, spec.hostname),
            slice: SLICE.into(),
            executable: self.executable.clone(),
            arguments: vec!["run".into()],
            user: None,
            stdin,
            properties: vec![
                Property::new("Type", "exec"),
                Property::new("Delegate", true),
                // The node shuts containers down in order when it stops with the host.
                Property::new("Before", vec!["basalt-node.service".to_owned()]),
                // The runtime asks init to power off; what is left after the patience dies.
                Property::new("KillMode", "mixed"),
                Property::duration("TimeoutStopUSec", STOP_PATIENCE),
                Property::new("CapabilityBoundingSet", bounding),
                // Holds for everything inside as well.
                Property::new("DevicePolicy", "closed"),
                Property::new("OOMPolicy", "continue"),
                weight(spec.cpu_weight),
            ],
        }
    }
}

/// The weight of a container's unit among the guests.
fn weight(weight: u32) -> Property {
    Property::new("CPUWeight", u64::from(weight))
}

fn number(unit: &str) -> Option<u32> {
    unit.strip_prefix(PREFIX)?
        .strip_suffix(".service")?
        .parse()
        .ok()
}

/// Bytes that went through a card, as the container sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NicUsage {
    /// Bytes the container received.
    pub received_bytes: u64,
    /// Bytes the container sent.
    pub sent_bytes: u64,
}

impl NicUsage {
    /// Reads the counters of a card's host end; zero when it is not there.
    pub fn of(nic: &ContainerNic) -> Self {
        let counter = |name: &str| {
            let path = format!("/sys/class/net/{}/statistics/{name}", nic.host_name);
            std::fs::read_to_string(path)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0)
        };
        // What the host's end sends is what the container receives.
        Self {
            received_bytes: counter("tx_bytes"),
            sent_bytes: counter("rx_bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_and_numbers_agree() {
        assert_eq!(number(&Containers::unit(101)), Some(101));
        assert_eq!(number("basalt-ct-x.service"), None);
        assert_eq!(number("basalt-vm-101.service"), None);
    }
}

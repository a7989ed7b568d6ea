//! Machines as units of their own.

use crate::agent::{Agent, AgentError, Farewell};
use crate::control::Control;
use crate::error::{Result, VmError, io};
use crate::hotplug::ResolvedDevice;
use crate::hugepages::Pool;
use crate::memory;
use crate::pages::Pages;
use crate::passthrough;
use crate::resolve::{Resolved, agent_socket, control_socket};
use crate::tpm;
use basalt_model::disk::ChangeMedia;
use basalt_model::machine::{MachineSpec, Progress, Request, Started, Status};
use basalt_model::vmid::Vmid;
use basalt_unit::handover::{Handover, HandoverError};
use basalt_unit::{KillWho, Property, UnitError, UnitSpec, UnitState, Units};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Where the appliance has the monitor.
pub const EXECUTABLE: &str = "/usr/lib/basalt/basalt-vmm";

const PREFIX: &str = "basalt-vm-";
pub(crate) const SLICE: &str = "basalt-guests.slice";
const USER: &str = "basalt-vm";
/// The node shuts guests down in order when it stops with the host; so it must stop before their
/// units do.
const SHUTDOWN_UNIT: &str = "basalt-node.service";
/// How long a monitor may take to say that its machine runs.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The same for one whose memory is taken, and zeroed, at once: of huge pages, or pinned for devices of the
/// host.
const PINNING_PATIENCE: Duration = Duration::from_secs(600);
/// How often a machine that is saved is asked how far it is.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a monitor may take to end when told to.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);

/// What to do with a machine that does not power off in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopPatience {
    /// Give up after so long.
    GiveUp(Duration),
    /// Stop it after so long.
    ThenStop(Duration),
}

/// All virtual machines of this host.
#[derive(Debug, Clone)]
pub struct Machines {
    pub(crate) units: Units,
    executable: PathBuf,
    pub(crate) run: PathBuf,
    /// Held while a machine gets its huge pages.
    pub(crate) pages: Arc<Mutex<Pool>>,
}

impl Machines {
    /// Machines as units of `units`, run by `executable` (normally [`EXECUTABLE`]), with their
    /// sockets below `run` (normally [`crate::RUN`]).
    pub fn new(units: Units, executable: impl Into<PathBuf>, run: impl Into<PathBuf>) -> Self {
        let run = run.into();
        Self {
            units,
            executable: executable.into(),
            pages: Arc::new(Mutex::new(Pool::new(&run))),
            run,
        }
    }

    /// Names of the units of machines that run.
    pub async fn up(&self) -> Result<Vec<String>> {
        Ok(self.units.list(PREFIX).await?)
    }

    /// Name of a machine's unit.
    pub fn unit(vmid: Vmid) -> String {
        format!("{PREFIX}{vmid}.service")
    }

    /// Starts a machine; returns when it runs. When it fails, nothing of the machine is left.
    pub async fn start(&self, vmid: Vmid, machine: Resolved) -> Result<()> {
        match machine.pages.clone() {
            Some(pages) => self.start_on_huge_pages(vmid, machine, &pages).await,
            None => {
                self.forget_pages(vmid).await?;
                self.start_one(vmid, machine).await
            }
        }
    }

    /// Starts a machine with the first kind of huge pages that the host has enough of, or can make.
    async fn start_on_huge_pages(
        &self,
        vmid: Vmid,
        mut machine: Resolved,
        pages: &Pages,
    ) -> Result<()> {
        let held = self.pages.lock().await;
        let kept = match pages.keep {
            true => self.kept_pages(vmid).await?,
            false => Vec::new(),
        };
        let (pool, wanted, memory) = (held.clone(), pages.clone(), machine.spec.memory_mib);
        // The kernel may have to move a lot out of the way.
        let mib = blocking(move || pool.prepare(vmid, &wanted, memory)).await??;
        machine.spec.hugepages_mib = Some(mib);
        let started = self.start_one(vmid, machine).await;
        // The pages that the machine has are its own now, whatever becomes of the pool.
        let (pool, runs) = (held.clone(), started.is_ok());
        blocking(move || pool.settle(vmid, runs, &kept)).await?;
        started
    }

    async fn start_one(&self, vmid: Vmid, machine: Resolved) -> Result<()> {
        let Resolved {
            spec,
            fds,
            tpm,
            servers,
            processors,
            ..
        } = machine;
        let handover = |source| VmError::Handover { vmid, source };
        let (ours, theirs) = Handover::pair().map_err(|error| handover(error.into()))?;
        let screen = spec.display.is_some();
        let charged = memory::charged(&spec);
        let limit = memory::limit(charged, screen) + passthrough::overhead(&spec);
        let mut unit = self.unit_spec(vmid, &spec, limit, theirs);
        unit.properties.extend(processors);
        if let Some(control) = tpm {
            // One of an earlier life may be about to end.
            self.units.stop(&tpm::unit(vmid)).await?;
            self.units.start(tpm::unit_spec(vmid, control)).await?;
        }
        for server in servers {
            self.units.stop(&server.unit(vmid)).await?;
            self.units.start(server.unit_spec(vmid, charged)).await?;
        }
        // An emulator whose channel is closed ends by itself, and so does a directory's server.
        self.units.start(unit).await?;
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let exchange = ours.exchange(&spec, &borrowed);
        let patience = match spec.passthrough.is_some() || spec.hugepages_mib.is_some() {
            true => PINNING_PATIENCE,
            false => START_PATIENCE,
        };
        let result = match tokio::time::timeout(patience, exchange).await {
            Ok(Ok(Started::Ok)) => {
                if spec.restore.is_some() && spec.memory_max_mib.is_some() {
                    // A state may be of a guest that had more than it was to have.
                    self.fit_limit(vmid, screen).await;
                }
                return Ok(());
            }
            Ok(Ok(Started::Failed(reason))) => VmError::Start { vmid, reason },
            Ok(Err(HandoverError::Closed)) => {
                let reason = "its monitor ended at once; see the journal of its unit".to_owned();
                VmError::Start { vmid, reason }
            }
            Ok(Err(source)) => handover(source),
            Err(_elapsed) => VmError::Silent(vmid),
        };
        self.kill(vmid).await?;
        Err(result)
    }

    /// Asks the guest to power off and waits until it did: its agent, if one answers, by the power
    /// button otherwise.
    pub async fn shutdown(&self, vmid: Vmid, patience: StopPatience) -> Result<()> {
        if !self.shutdown_by_agent(vmid).await {
            self.order(vmid, &Request::Shutdown).await?;
        }
        let (StopPatience::GiveUp(time) | StopPatience::ThenStop(time)) = patience;
        let ended = tokio::time::timeout(time, self.units.wait_ended(&Self::unit(vmid))).await;
        match (ended, patience) {
            (Ok(ended), _) => Ok(ended.map(|_| ())?),
            (Err(_), StopPatience::ThenStop(_)) => self.stop(vmid).await,
            (Err(_), StopPatience::GiveUp(_)) => Err(VmError::StillUp {
                vmid,
                seconds: time.as_secs(),
            }),
        }
    }

    /// Whether the guest's agent switches it off.
    async fn shutdown_by_agent(&self, vmid: Vmid) -> bool {
        let asked = async {
            let mut agent = self.agent(vmid).await?;
            Ok::<_, VmError>(agent.dismiss(Farewell::Shutdown).await?)
        };
        match asked.await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, %vmid, "no shutdown by the guest's agent");
                false
            }
        }
    }

    /// A conversation with the agent in a machine's guest.
    pub async fn agent(&self, vmid: Vmid) -> Result<Agent> {
        match self.status(vmid).await?.agent {
            None => Err(AgentError::Absent.into()),
            Some(false) => Err(AgentError::NotRunning.into()),
            Some(true) => Ok(Agent::connect(&agent_socket(&self.run, vmid)).await?),
        }
    }

    /// Stops a machine at once, as pulling its plug would. One that does not run counts as
    /// stopped.
    pub async fn stop(&self, vmid: Vmid) -> Result<()> {
        match self.order(vmid, &Request::Quit).await {
            Err(VmError::NotRunning(_)) => return Ok(()),
            Err(error) => tracing::warn!(%error, %vmid, "monitor does not quit by request"),
            Ok(()) => {
                let unit = Self::unit(vmid);
                let ended = self.units.wait_ended(&unit);
                if tokio::time::timeout(QUIT_PATIENCE, ended).await.is_ok() {
                    return Ok(());
                }
            }
        }
        self.kill(vmid).await
    }

    async fn kill(&self, vmid: Vmid) -> Result<()> {
        let unit = Self::unit(vmid);
        match self.units.kill(&unit, KillWho::All, libc::SIGKILL).await {
            Err(UnitError::NotFound(_)) => return Ok(()),
            // The unit may end by itself between any two calls.
            Err(error) => tracing::debug!(%error, %vmid, "machine not signalled"),
            Ok(()) => {}
        }
        Ok(self.units.stop(&unit).await?)
    }

    /// Has a request done by a machine that runs.
    pub async fn order(&self, vmid: Vmid, request: &Request) -> Result<()> {
        self.control(vmid).await?.order(request).await
    }

    /// Changes or removes the disc in a drive of a machine that runs.
    pub async fn change_media(
        &self,
        vmid: Vmid,
        drive: &str,
        disc: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        let request = Request::ChangeMedia(ChangeMedia {
            drive: drive.to_owned(),
            insert: disc.is_some(),
        });
        let mut control = self.control(vmid).await?;
        match disc {
            Some(disc) => control.order_with(&request, &[disc]).await,
            None => control.order(&request).await,
        }
    }

    /// Plugs a device into a machine that runs; the guest finds it by itself.
    pub async fn add_device(&self, vmid: Vmid, device: ResolvedDevice) -> Result<()> {
        let ResolvedDevice { device, fds } = device;
        let request = Request::AddDevice(device);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.control(vmid).await?.order_with(&request, &fds).await
    }

    /// Has the guest of a machine that runs let go of a device, or fails and leaves it there.
    pub async fn remove_device(&self, vmid: Vmid, key: &str, patience: Duration) -> Result<()> {
        let mut control = self.control(vmid).await?;
        control.remove_device(key, patience).await
    }

    /// Changes how many processors a machine that runs has, or fails and leaves them.
    pub async fn set_vcpus(&self, vmid: Vmid, vcpus: u8, patience: Duration) -> Result<()> {
        self.control(vmid).await?.set_vcpus(vcpus, patience).await
    }

    /// Has a machine stopped and its state written to `file`; `progress` is told how far it is.
    /// When it succeeds, the machine stays paused; when it fails, it goes on as before.
    pub async fn save(
        &self,
        vmid: Vmid,
        file: &File,
        mut progress: impl FnMut(Progress),
    ) -> Result<()> {
        let mut control = self.control(vmid).await?;
        let saving = control.save(file.as_fd());
        tokio::pin!(saving);
        loop {
            tokio::select! {
                done = &mut saving => return done,
                () = tokio::time::sleep(LOOK_AGAIN) => {
                    // A monitor too busy to tell is asked again.
                    if let Ok(Status { moving: Some(now), .. }) = self.status(vmid).await {
                        progress(now);
                    }
                }
            }
        }
    }

    /// What a running machine's monitor says about it.
    pub async fn status(&self, vmid: Vmid) -> Result<Status> {
        self.control(vmid).await?.status().await
    }

    /// A connection to a running machine's monitor.
    pub(crate) async fn control(&self, vmid: Vmid) -> Result<Control> {
        if !self.units.is_up(&Self::unit(vmid)).await? {
            return Err(VmError::NotRunning(vmid));
        }
        Control::connect(&control_socket(&self.run, vmid)).await
    }

    /// What the service manager knows of a machine; none when it does not run.
    pub async fn state(&self, vmid: Vmid) -> Result<Option<UnitState>> {
        let state = self.units.state(&Self::unit(vmid)).await?;
        Ok(state.filter(|state| state.active.is_up()))
    }

    /// Numbers of the machines that run.
    pub async fn running(&self) -> Result<Vec<Vmid>> {
        let names = self.units.list(PREFIX).await?;
        Ok(names.iter().filter_map(|name| number(name)).collect())
    }

    fn unit_spec(&self, vmid: Vmid, spec: &MachineSpec, limit: u64, stdin: OwnedFd) -> UnitSpec {
        let mut properties = sandbox(limit);
        properties.extend(passthrough::limits(spec));
        UnitSpec {
            name: Self::unit(vmid),
            description: format!("Virtual machine {vmid} ({})", spec.name),
            slice: SLICE.into(),
            executable: self.executable.clone(),
            arguments: Vec::new(),
            user: Some(USER.into()),
            stdin,
            properties,
        }
    }
}

/// Does work that may take long away from the others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| io("reserving huge pages")(std::io::Error::other(error)))
}

/// What a guest's process may do: compute, and use the descriptors it was given.
pub(crate) fn sandbox(limit: u64) -> Vec<Property> {
    let no_capability = 0_u64;
    let no_namespace = 0_u64;
    let mut properties = walls(limit);
    properties.extend([
        Property::new("CapabilityBoundingSet", no_capability),
        Property::new("RestrictNamespaces", no_namespace),
        Property::new("ProtectHome", "tmpfs"),
        Property::new("ProcSubset", "pid"),
        Property::new("PrivateTmp", true),
        Property::new("RestrictSUIDSGID", true),
    ]);
    properties
}

/// What no process of a guest's may do, not even one that serves files of the host.
pub(crate) fn walls(limit: u64) -> Vec<Property> {
    let on = |name: &str| Property::new(name, true);
    let word = |name: &str, word: &'static str| Property::new(name, word);
    let no_socket_family: (bool, Vec<String>) = (true, Vec::new());
    vec![
        word("Type", "exec"),
        Property::new("Before", vec![SHUTDOWN_UNIT.to_owned()]),
        Property::new(memory::LIMIT, limit),
        Property::new("LimitCORE", 0_u64),
        Property::new("RestrictAddressFamilies", no_socket_family),
        Property::new("SystemCallArchitectures", vec!["native".to_owned()]),
        word("DevicePolicy", "closed"),
        word("ProtectSystem", "strict"),
        word("ProtectProc", "invisible"),
        word("KeyringMode", "private"),
        on("NoNewPrivileges"),
        on("PrivateNetwork"),
        on("PrivateIPC"),
        on("ProtectClock"),
        on("ProtectControlGroups"),
        on("ProtectHostname"),
        on("ProtectKernelLogs"),
        on("ProtectKernelModules"),
        on("ProtectKernelTunables"),
        on("RestrictRealtime"),
        on("LockPersonality"),
        on("MemoryDenyWriteExecute"),
        Property::new("UMask", 0o077_u32),
        Property::duration("TimeoutStopUSec", QUIT_PATIENCE),
    ]
}

fn number(unit: &str) -> Option<Vmid> {
    unit.strip_prefix(PREFIX)?
        .strip_suffix(".service")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_and_numbers_agree() {
        assert_eq!(number(&Machines::unit(Vmid::MIN)), Some(Vmid::MIN));
        assert_eq!(number("basalt-vm-x.service"), None);
        assert_eq!(number("basalt-ct-100.service"), None);
    }
}

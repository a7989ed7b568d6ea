//! Starting, stopping and what lies between, for both kinds of guest.

use super::{Report, title};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_container::{Control, ControlError};
use basalt_model::guest::GuestKind;
use basalt_model::machine::Request;
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_tasks::{Filter, GuestLock, NewTask, Source};
use basalt_vm::StopPatience;
use std::time::Duration;

/// How long a guest may take to shut down, by kind, unless the caller says.
const SHUTDOWN_PATIENCE: [(GuestKind, Duration); 2] = [
    (GuestKind::Qemu, Duration::from_secs(180)),
    (GuestKind::Lxc, Duration::from_secs(60)),
];

/// How often a container is asked to shut down.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long a shutdown that is overruled may take to let go of the guest.
const OVERRULE_PATIENCE: Duration = Duration::from_secs(10);

/// What to do with a guest that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Start it.
    Start,
    /// Stop it at once.
    Stop,
    /// Ask it to shut down.
    Shutdown {
        /// How long to wait for it.
        patience: Option<Duration>,
        /// Whether to stop it then.
        force: bool,
    },
    /// Shut it down and start it again.
    Reboot {
        /// How long to wait for the shutdown.
        patience: Option<Duration>,
    },
    /// Press the reset button; virtual machines only.
    Reset,
    /// Stop its processors; virtual machines only.
    Suspend,
    /// Let them run again; virtual machines only.
    Resume,
}

impl Power {
    /// What holds the guest meanwhile.
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Shutdown { .. } => "shutdown",
            Self::Reboot { .. } => "reboot",
            Self::Reset => "reset",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    /// The kind of task, e.g. `qmstart`.
    fn task(self, kind: GuestKind) -> String {
        let prefix = match kind {
            GuestKind::Qemu => "qm",
            GuestKind::Lxc => "vz",
        };
        // The API's word for the task is the original's.
        let word = if self == Self::Suspend {
            "pause"
        } else {
            self.word()
        };
        format!("{prefix}{word}")
    }
}

/// Does it as a task.
pub async fn power(
    node: &Node,
    user: &Authid,
    kind: GuestKind,
    vmid: Vmid,
    power: Power,
) -> Result<Upid> {
    let guest = node.guest(kind, vmid)?;
    let goes_on = matches!(power, Power::Start | Power::Stop | Power::Resume);
    if guest.suspended().is_none() || !goes_on {
        guest.check_unlocked()?;
    }
    let lock = match power {
        Power::Stop => node.lock_overruling(kind, vmid).await?,
        _ => node.lock_guest(kind, vmid, power.word())?,
    };
    let name = power.task(kind);
    let task = NewTask {
        kind: &name,
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    node.tasks
        .spawn(task, |context| async move {
            let report = Report::Task(context.clone());
            let done = work.do_power(kind, vmid, power, &report);
            // Only waiting for a guest can be broken off without harm.
            match power {
                Power::Shutdown { .. } => context
                    .unless_cancelled(done)
                    .await
                    .map_err(Error::failed)?,
                _ => done.await,
            }
        })
        .map_err(Error::failed)
}

impl Node {
    async fn do_power(
        &self,
        kind: GuestKind,
        vmid: Vmid,
        power: Power,
        report: &Report,
    ) -> Result<()> {
        match power {
            Power::Start => self.start_guest(kind, vmid, report).await,
            Power::Stop => {
                self.stop_guest(kind, vmid).await?;
                self.discard_suspended(kind, vmid, report).await
            }
            Power::Shutdown { patience, force } => {
                self.shutdown_guest(kind, vmid, patience, force).await
            }
            Power::Reboot { patience } => {
                self.shutdown_guest(kind, vmid, patience, true).await?;
                self.start_guest(kind, vmid, report).await
            }
            Power::Reset => self.order(vmid, &Request::Reset).await,
            Power::Suspend => self.order(vmid, &Request::Pause).await,
            Power::Resume if self.guest(kind, vmid)?.suspended().is_some() => {
                self.start_guest(kind, vmid, report).await
            }
            Power::Resume => self.order(vmid, &Request::Resume).await,
        }
    }

    /// Has a request done by a machine that runs.
    pub async fn order(&self, vmid: Vmid, request: &Request) -> Result<()> {
        self.machines
            .order(vmid, request)
            .await
            .map_err(Error::failed)
    }

    /// Starts a guest whose lock is held.
    pub async fn start_guest(&self, kind: GuestKind, vmid: Vmid, report: &Report) -> Result<()> {
        match kind {
            GuestKind::Qemu => self.start_vm(vmid, report).await,
            GuestKind::Lxc => self.start_ct(vmid, report).await,
        }
    }

    /// Whether a guest runs.
    pub async fn is_running(&self, kind: GuestKind, vmid: Vmid) -> Result<bool> {
        match kind {
            GuestKind::Qemu => self
                .machines
                .state(vmid)
                .await
                .map(|s| s.is_some())
                .map_err(Error::failed),
            GuestKind::Lxc => self
                .containers
                .is_up(vmid.get())
                .await
                .map_err(Error::failed),
        }
    }

    /// Stops a guest at once; one that does not run is fine.
    pub async fn stop_guest(&self, kind: GuestKind, vmid: Vmid) -> Result<()> {
        match kind {
            GuestKind::Qemu => self.machines.stop(vmid).await.map_err(Error::failed),
            GuestKind::Lxc => self
                .containers
                .kill(vmid.get())
                .await
                .map_err(Error::failed),
        }
    }

    /// Asks a guest to shut down and waits for it.
    pub async fn shutdown_guest(
        &self,
        kind: GuestKind,
        vmid: Vmid,
        patience: Option<Duration>,
        force: bool,
    ) -> Result<()> {
        let usual = SHUTDOWN_PATIENCE
            .iter()
            .find(|(of, _)| *of == kind)
            .map(|(_, time)| *time);
        let time = patience.or(usual).unwrap_or_default();
        match kind {
            GuestKind::Qemu => {
                let patience = match force {
                    true => StopPatience::ThenStop(time),
                    false => StopPatience::GiveUp(time),
                };
                self.machines
                    .shutdown(vmid, patience)
                    .await
                    .map_err(Error::failed)
            }
            GuestKind::Lxc => self.shutdown_container(vmid, time, force).await,
        }
    }

    async fn shutdown_container(&self, vmid: Vmid, time: Duration, force: bool) -> Result<()> {
        let title = title(GuestKind::Lxc, vmid);
        if !self.is_running(GuestKind::Lxc, vmid).await? {
            return Err(Error::failed(format_args!("{title} not running")));
        }
        let asked = tokio::time::timeout(time, self.ask_until_ended(vmid)).await;
        match asked {
            Ok(ended) => ended,
            Err(_) if force => self.stop_guest(GuestKind::Lxc, vmid).await,
            Err(_) => Err(Error::failed(format_args!(
                "{title} did not shut down within {} s",
                time.as_secs()
            ))),
        }
    }

    /// Asks a container to shut down until it ends: a request that comes while its init is not
    /// yet listening is lost.
    async fn ask_until_ended(&self, vmid: Vmid) -> Result<()> {
        let socket = self.container_control(vmid);
        let asking = async {
            loop {
                let mut control = Control::connect(&socket).await?;
                control.shutdown().await?;
                // A guest that boots does not hear the first request: it is asked in a rhythm.
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let ended = self.containers.wait_ended(vmid.get());
        tokio::pin!(ended);
        let refused: std::result::Result<(), ControlError> = tokio::select! {
            ended = &mut ended => return ended.map(|_| ()).map_err(Error::failed),
            refused = asking => refused,
        };
        // A container on its way down no longer answers; one that is up says why it does not.
        match (refused, self.is_running(GuestKind::Lxc, vmid).await?) {
            (Err(ControlError::Refused(reason)), true) => Err(Error::failed(reason)),
            _ => ended.await.map(|_| ()).map_err(Error::failed),
        }
    }

    /// Takes the lock of a guest, ending a shutdown that waits for it.
    async fn lock_overruling(&self, kind: GuestKind, vmid: Vmid) -> Result<GuestLock> {
        let waiting = Power::Shutdown {
            patience: None,
            force: false,
        }
        .task(kind);
        let filter = Filter {
            source: Source::Running,
            id: Some(vmid.to_string()),
            kind: Some(waiting),
            ..Filter::default()
        };
        for task in self.tasks.list(&filter, 0, u64::MAX, |_| true).items {
            self.tasks.stop(&task.upid).map_err(Error::failed)?;
            let ended = self.tasks.wait(&task.upid);
            // One that does not end still holds the lock, which is said below.
            let _ = tokio::time::timeout(OVERRULE_PATIENCE, ended).await;
        }
        self.lock_guest(kind, vmid, Power::Stop.word())
    }
}

//! The process that runs one container.
//!
//! Start at [`run`]: it takes the starter's order ([`spec`]), prepares what outlives a reboot of
//! the container (the staged root of [`idmap`], the delegated [`cgroup`], the [`console`]), then
//! boots: [`namespaces`] clones the first process, which makes the [`mounts`] and [`devices`],
//! writes [`guest_files`], closes the [`seccomp`] filter and becomes [`init`]; meanwhile
//! [`network`] plugs the cards in. From then on the process serves [`control`] and waits for
//! init's end.
//!
//! It has one thread, because cloning a process that has several is not safe.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use basalt_model::container::{ContainerSpec, Request, Response, Status};
use basalt_model::machine::Started;
use basalt_unit::handover;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::step::{Step, StepError};
use crate::sys::{self, ChildProcess};
use cgroup::{ContainerCgroup, Delegated};
use console::Console;
use control::Call;
use idmap::PrivateMounts;
use init::Init;
use namespaces::Inside;
use network::Network;
use spec::Order;

pub(crate) mod cgroup;
mod console;
mod control;
pub(crate) mod devices;
mod guest_files;
pub(crate) mod idmap;
pub(crate) mod init;
pub(crate) mod mounts;
pub(crate) mod namespaces;
mod network;
pub(crate) mod seccomp;
pub(crate) mod spec;

/// Requests that may wait for the driver.
const CALL_QUEUE: usize = 16;

/// Runs the container ordered through `starter` until it is off.
pub fn run(starter: OwnedFd) -> Result<(), StepError> {
    let starter = UnixStream::from(starter);
    let result = prepare_and_drive(&starter);
    if let Err(error) = &result {
        // After the first answer the starter no longer listens, which is as well.
        let _gone = handover::send(&starter, &Started::Failed(error.to_string()), &[]);
    }
    result
}

fn prepare_and_drive(starter: &UnixStream) -> Result<(), StepError> {
    let order = Order::receive(starter)?;
    let vmid = order.spec.vmid;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .step("start the event loop")?;
    let result = runtime.block_on(LocalSet::new().run_until(drive(order, starter)));
    tracing::info!(vmid, ok = result.is_ok(), "container ended");
    result
}

/// How a container's run ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    PowerOff,
    Reboot,
    /// Otherwise than by its own will or ours.
    Broken(String),
}

async fn drive(order: Order, starter: &UnixStream) -> Result<(), StepError> {
    let mut terminate = signal(SignalKind::terminate()).step("watch for SIGTERM")?;
    let (calls, mut requests) = mpsc::channel(CALL_QUEUE);
    let container = Container::prepare(order, calls)?;
    let mut running = container.boot().await?;
    if let Err(error) = handover::send(starter, &Started::Ok, &[]) {
        // Whoever wanted the container is gone and will think that it does not run.
        container.tear_down(&running.cgroup).await?;
        return Err(StepError::new("report the start", error));
    }
    loop {
        tracing::info!(
            vmid = container.spec.vmid,
            init = running.process.pid,
            "container runs"
        );
        let end = running
            .supervise(&container, &mut requests, &mut terminate)
            .await;
        let torn_down = container.tear_down(&running.cgroup).await;
        let end = end?;
        torn_down?;
        match end {
            End::PowerOff => return Ok(()),
            End::Broken(reason) => return Err(StepError::told(reason)),
            End::Reboot => running = container.boot().await?,
        }
    }
}

/// What stays the same when a container reboots.
struct Container {
    spec: ContainerSpec,
    mounts: PrivateMounts,
    cgroups: Delegated,
    console: Rc<Console>,
    network: Network,
}

/// One run of its init.
struct Running {
    process: ChildProcess,
    init: Init,
    cgroup: ContainerCgroup,
    stopping: bool,
}

impl Container {
    fn prepare(order: Order, calls: mpsc::Sender<Call>) -> Result<Self, StepError> {
        let Order {
            spec,
            root,
            control,
            console: clients,
        } = order;
        let container = Self {
            mounts: PrivateMounts::stage(root)?,
            cgroups: Delegated::adopt()?,
            console: Console::create(spec.id_map)?,
            network: Network::open()?,
            spec,
        };
        let listen = |listener: std::os::unix::net::UnixListener| {
            listener.set_nonblocking(true)?;
            tokio::net::UnixListener::from_std(listener)
        };
        let control = listen(control).step("use the control socket")?;
        let clients = listen(clients).step("use the console socket")?;
        spawn_local(control::serve(control, calls));
        spawn_local(Rc::clone(&container.console).pump());
        spawn_local(Rc::clone(&container.console).serve(clients));
        Ok(container)
    }

    async fn boot(&self) -> Result<Running, StepError> {
        let init = init::find(self.mounts.root())
            .step("look for init")?
            .ok_or_else(|| {
                StepError::new("start init", "the root file system has none at /sbin/init")
            })?;
        let cgroup = self.cgroups.container(&self.spec)?;
        let result = self.start_init(&init, &cgroup).await;
        match result {
            Ok(process) => Ok(Running {
                process,
                init,
                cgroup,
                stopping: false,
            }),
            Err(error) => {
                if let Err(error) = self.tear_down(&cgroup).await {
                    tracing::warn!(%error, "tearing down after a failed start");
                }
                Err(error)
            }
        }
    }

    async fn start_init(
        &self,
        init: &Init,
        cgroup: &ContainerCgroup,
    ) -> Result<ChildProcess, StepError> {
        let namespace = idmap::user_namespace(self.spec.id_map)?;
        let directory = cgroup.open().step("open the container's cgroup")?;
        let cloned = namespaces::clone_into(
            directory.as_fd(),
            Inside {
                spec: &self.spec,
                root: self.mounts.shifted(namespace.as_fd())?,
                console: self.console.mount().step("clone the console's mount")?,
                init,
                nameservers: &guest_files::host_nameservers(),
            },
        )?;
        let pid = cloned.process.pid;
        idmap::write_maps(pid, self.spec.id_map).step("map user and group ids")?;
        self.network.attach(&self.spec.nics, pid).await?;
        cloned.go()
    }

    /// Removes what a run left: processes, cgroup, cards.
    async fn tear_down(&self, cgroup: &ContainerCgroup) -> Result<(), StepError> {
        let cgroup = cgroup.remove();
        let network = self.network.detach(&self.spec.nics).await;
        cgroup.and(network)
    }
}

impl Running {
    /// Serves requests until init ends.
    async fn supervise(
        &mut self,
        container: &Container,
        requests: &mut mpsc::Receiver<Call>,
        terminate: &mut Signal,
    ) -> Result<End, StepError> {
        let pidfd = self.process.pidfd.try_clone().step("watch init")?;
        let ended = sys::watch(pidfd).step("watch init")?;
        loop {
            tokio::select! {
                ready = ended.readable() => {
                    // Ended for good, so the readiness is not to be cleared.
                    ready.step("watch init")?.retain_ready();
                    return self.end();
                }
                Some(call) = requests.recv() => {
                    let response = self
                        .answer(&call.request, container)
                        .unwrap_or_else(|error| Response::Error(error.to_string()));
                    // A client that left does not want to know.
                    let _left = call.answer.send(response);
                }
                Some(()) = terminate.recv() => {
                    // systemd stops the unit, as on the host's shutdown; it kills us when its
                    // patience ends.
                    tracing::info!("asked to end, asking init to power off");
                    if let Err(error) = self.signal(self.init.kind.shutdown_signal()) {
                        tracing::warn!(%error, "init not asked");
                    }
                }
            }
        }
    }

    fn answer(&mut self, request: &Request, container: &Container) -> Result<Response, StepError> {
        match request {
            Request::Status => Ok(Response::Status(Status {
                init_pid: self.process.pid,
                cgroup: self.cgroup.path().to_string_lossy().into_owned(),
            })),
            Request::Shutdown => {
                self.signal(self.init.kind.shutdown_signal())?;
                Ok(Response::Ok)
            }
            Request::Reboot => {
                self.signal(self.init.kind.reboot_signal())?;
                Ok(Response::Ok)
            }
            Request::ConsoleResize { columns, rows } => {
                container
                    .console
                    .resize(*columns, *rows)
                    .step("resize the console")?;
                Ok(Response::Ok)
            }
            Request::Quit => {
                self.stopping = true;
                self.cgroup.kill()?;
                Ok(Response::Ok)
            }
        }
    }

    fn signal(&self, number: i32) -> Result<(), StepError> {
        sys::send_signal(self.process.pidfd.as_fd(), number).step("signal init")
    }

    /// Reaps init and tells how it ended: the kernel turns `reboot(2)` inside into a signal.
    fn end(&self) -> Result<End, StepError> {
        let status = waitid(
            WaitId::PidFd(self.process.pidfd.as_fd()),
            WaitIdOptions::EXITED,
        )
        .step("reap init")?
        .ok_or_else(|| StepError::new("reap init", "it has not ended"))?;
        Ok(match (status.exit_status(), status.terminating_signal()) {
            _ if self.stopping => End::PowerOff,
            (_, Some(libc::SIGHUP)) => End::Reboot,
            (Some(0), _) | (_, Some(libc::SIGINT)) => End::PowerOff,
            (_, Some(number)) => End::Broken(format!("init was killed by signal {number}")),
            (code, None) => End::Broken(format!(
                "init ended with status {}",
                code.unwrap_or_default()
            )),
        })
    }
}

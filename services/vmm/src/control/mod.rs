//! The main thread: requests, terminals, and the life of the machine as a whole.
//!
//! One loop waits for everything: the machine's events, output of its terminals, new
//! connections, and what connections send. Nothing here blocks on a peer. [`Server::run`] is the
//! loop, [`requests`] the protocol, [`readers`] the terminals' sockets.

mod balloon;
pub mod channel;
mod events;
pub mod hotplug;
mod link;
mod media;
mod memory;
pub mod moving;
pub mod readers;
pub mod requests;
mod status;
mod watchdog;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use basalt_model::disk::PauseReason;
use basalt_model::machine::{Event, Request, Response, RunState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::display::{Screen, server};
use crate::machine::serial::SerialLines;
use crate::machine::{self, Machine, Terminals};
use crate::spec::{Listeners, Resources};
use crate::terminal::Terminal;
use channel::ChannelSocket;
use hotplug::{Answer, Removals};
use moving::Moving;
use readers::Reader;
use requests::Connection;

/// Most connections of one kind; more are closed at once.
const MAX_CONNECTIONS: usize = 32;

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The guest switched itself off, or a request ended the process.
    Ended,
    /// The machine failed.
    Failed(String),
}

/// A terminal and where to reach it.
struct Port {
    terminal: Arc<Terminal>,
    listener: UnixListener,
    readers: Vec<Reader>,
}

/// Everything the main thread owns.
pub struct Server {
    resources: Resources,
    terminals: Terminals,
    /// Empty only while a reset builds the next one.
    machine: Option<Machine>,
    state: RunState,
    /// Why the machine paused itself.
    reason: Option<PauseReason>,
    /// The machine is being carried away, or was.
    moving: Moving,
    /// Devices that the guest was asked to let go of.
    removals: Removals,
    listener: UnixListener,
    connections: Vec<Connection>,
    /// Connections there ever were.
    accepted: u64,
    ports: Vec<Port>,
    agent: Option<ChannelSocket>,
    /// Serves viewers on its own thread.
    _display: Option<server::Server>,
}

/// What a poll entry stands for.
#[derive(Debug, Clone, Copy)]
enum Source {
    Machine,
    Mover,
    Terminal(usize),
    Listener,
    PortListener(usize),
    Connection(usize),
    Reader(usize, usize),
    Agent(channel::Source),
}

impl Server {
    /// Starts the machine.
    pub fn start(mut resources: Resources, listeners: Listeners) -> Result<Self, machine::Error> {
        let no_line = |e| machine::Error::Device("terminal".into(), e);
        let failed = |e| machine::Error::Device("display".into(), e);
        let screen = match &listeners.display {
            Some(_) => Some(Screen::new().map_err(failed)?),
            None => None,
        };
        let agent = listeners.agent.map(ChannelSocket::new).transpose();
        let agent = agent.map_err(|e| machine::Error::Device("agent".into(), e))?;
        let terminals = Terminals {
            serial: SerialLines::new(resources.more_serial).map_err(no_line)?,
            console: Terminal::new().map_err(no_line)?,
            agent: agent.as_ref().map(|agent| agent.channel().clone()),
            screen,
        };
        let (machine, state) = match resources.restore.take() {
            None => (Machine::start(&resources, &terminals)?, RunState::Running),
            Some(state) => Machine::start_from(state, &mut resources, &terminals)?,
        };
        if resources.plugged.is_some() {
            // A saved state knows better.
            resources.plugged = Some(machine.cpus());
        }
        if let (Some(levers), Some(blocks)) = (&resources.balloon, &resources.blocks) {
            // And of the memory.
            levers.set_memory(blocks.present());
        }
        let display = match (listeners.display, &terminals.screen) {
            (Some(listener), Some(screen)) => {
                let server = server::Server::start(&resources.name, listener, screen.clone());
                Some(server.map_err(failed)?)
            }
            _ => None,
        };
        let port = |terminal: &Arc<Terminal>, listener| Port {
            terminal: terminal.clone(),
            listener,
            readers: Vec::new(),
        };
        let serial = std::iter::once(listeners.serial);
        let serial = serial.chain(listeners.more_serial.into_iter().flatten());
        let mut ports: Vec<Port> = terminals
            .serial
            .iter()
            .zip(serial)
            .map(|(line, listener)| port(line, listener))
            .collect();
        ports.extend(
            listeners
                .console
                .map(|listener| port(&terminals.console, listener)),
        );
        Ok(Self {
            resources,
            machine: Some(machine),
            state,
            reason: None,
            moving: Moving::No,
            removals: Removals::default(),
            listener: listeners.control,
            connections: Vec::new(),
            accepted: 0,
            ports,
            agent,
            terminals,
            _display: display,
        })
    }

    /// Serves until the machine ends.
    pub fn run(mut self) -> Outcome {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return self.finish(Outcome::Failed(error.to_string())),
            };
            for (source, flags) in ready {
                let outcome = self.serve(source, flags);
                if let Some(outcome) = outcome {
                    return self.finish(outcome);
                }
            }
            self.give_up_removals();
            if let Some(outcome) = self.look_at_watchdog() {
                return self.finish(outcome);
            }
            self.connections.retain(|c| !c.is_closed());
            for port in &mut self.ports {
                port.readers.retain(|r| !r.is_closed());
            }
        }
    }

    fn wait(&self) -> rustix::io::Result<Vec<(Source, PollFlags)>> {
        let mut sources = Vec::new();
        if let Some(machine) = &self.machine {
            sources.push((
                Source::Machine,
                machine.events().wake().as_fd(),
                PollFlags::IN,
            ));
        }
        if let Some(wake) = self.moving.wake() {
            sources.push((Source::Mover, wake.as_fd(), PollFlags::IN));
        }
        sources.push((Source::Listener, self.listener.as_fd(), PollFlags::IN));
        for (i, port) in self.ports.iter().enumerate() {
            sources.push((
                Source::Terminal(i),
                port.terminal.wake().as_fd(),
                PollFlags::IN,
            ));
            sources.push((
                Source::PortListener(i),
                port.listener.as_fd(),
                PollFlags::IN,
            ));
            for (j, reader) in port.readers.iter().enumerate() {
                sources.push((Source::Reader(i, j), reader.as_fd(), reader.interest()));
            }
        }
        for (source, fd, interest) in self.agent.iter().flat_map(ChannelSocket::sources) {
            sources.push((Source::Agent(source), fd, interest));
        }
        for (i, connection) in self.connections.iter().enumerate() {
            sources.push((
                Source::Connection(i),
                connection.as_fd(),
                connection.interest(),
            ));
        }
        let mut fds: Vec<PollFd<'_>> = sources
            .iter()
            .map(|(_, fd, flags)| PollFd::new(fd, *flags))
            .collect();
        let patience = self.removals.next_deadline().into_iter();
        let patience = patience.chain(self.watchdog_deadline()).min();
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        poll(&mut fds, patience.as_ref())?;
        let ready = sources
            .iter()
            .zip(&fds)
            .map(|((source, ..), fd)| (*source, fd.revents()));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn serve(&mut self, source: Source, flags: PollFlags) -> Option<Outcome> {
        match source {
            Source::Machine => self.machine_event(),
            Source::Mover => {
                self.attend_mover();
                None
            }
            Source::Terminal(i) => {
                let port = &mut self.ports[i];
                port.terminal.wake().clear();
                for reader in &mut port.readers {
                    reader.serve(&port.terminal);
                }
                None
            }
            Source::Reader(i, j) => {
                let port = &mut self.ports[i];
                port.readers[j].serve(&port.terminal);
                None
            }
            Source::PortListener(i) => {
                let port = &mut self.ports[i];
                if let Some(stream) = accept(&port.listener, port.readers.len()) {
                    let mut reader = Reader::new(stream);
                    reader.serve(&port.terminal);
                    port.readers.push(reader);
                }
                None
            }
            Source::Listener => {
                if let Some(stream) = accept(&self.listener, self.connections.len()) {
                    self.accepted += 1;
                    self.connections
                        .push(Connection::new(self.accepted, stream));
                }
                None
            }
            Source::Agent(source) => {
                if let Some(agent) = &mut self.agent {
                    agent.serve(source, flags);
                }
                None
            }
            Source::Connection(i) => self.requests(i),
        }
    }

    fn requests(&mut self, index: usize) -> Option<Outcome> {
        let lines = self.connections[index].receive();
        for line in lines {
            let (response, outcome) = match line {
                Ok(Request::Events) => {
                    self.connections[index].subscribe();
                    continue;
                }
                Ok(request @ (Request::Save | Request::Migrate { .. })) => {
                    match self.carry_away(index, &request) {
                        // Answered when it is done.
                        Ok(()) => continue,
                        Err(reason) => (Response::Error(reason), None),
                    }
                }
                Ok(
                    request @ (Request::AddDevice(_)
                    | Request::RemoveDevice(_)
                    | Request::SetVcpus(_)
                    | Request::SetMemory(_)),
                ) => match self.hotplug(index, request) {
                    Ok(Answer::Now) => (Response::Ok, None),
                    Ok(Answer::WhenTheGuestLetGo) => continue,
                    Err(reason) => (Response::Error(reason), None),
                },
                Ok(Request::ChangeMedia(change)) => {
                    let medium = self.connections[index].take_descriptor();
                    (done(self.change_media(&change, medium)), None)
                }
                Ok(request) => match self.moving.forbids(&request) {
                    Some(reason) => (Response::Error(reason.into()), None),
                    None => self.request(&request),
                },
                Err(error) => (Response::Error(error), None),
            };
            self.connections[index].send(&response);
            if outcome.is_some() {
                return outcome;
            }
        }
        None
    }

    fn request(&mut self, request: &Request) -> (Response, Option<Outcome>) {
        match request {
            Request::Status => (Response::Status(Box::new(self.status())), None),
            Request::Shutdown => {
                self.with_machine(Machine::press_power_button);
                (Response::Ok, None)
            }
            Request::Reset => match self.reset() {
                None => (Response::Ok, None),
                Some(outcome) => (
                    Response::Error("the machine cannot be rebuilt".into()),
                    Some(outcome),
                ),
            },
            Request::Pause => {
                if self.state == RunState::Running {
                    self.with_machine(Machine::pause);
                    self.state = RunState::Paused;
                }
                (Response::Ok, None)
            }
            Request::Resume => {
                self.reason = None;
                self.with_machine(Machine::resume);
                self.with_machine(Machine::retry_disks);
                self.state = RunState::Running;
                (Response::Ok, None)
            }
            Request::ResizeDisk(resize) => {
                let machine = self.machine.as_mut();
                let result = machine.map(|m| m.resize_disk(&resize.disk, resize.size));
                (done(result.unwrap_or(Ok(()))), None)
            }
            Request::SetLink(link) => (done(self.set_link(link)), None),
            Request::SetBalloon { mib } => (done(self.set_balloon(*mib)), None),
            Request::Quit => (Response::Ok, Some(Outcome::Ended)),
            // Served where the connection is at hand.
            Request::Events
            | Request::Save
            | Request::Migrate { .. }
            | Request::ChangeMedia(_)
            | Request::AddDevice(_)
            | Request::RemoveDevice(_)
            | Request::SetVcpus(_)
            | Request::SetMemory(_) => (Response::Ok, None),
        }
    }

    fn with_machine(&self, act: impl FnOnce(&Machine)) {
        if let Some(machine) = &self.machine {
            act(machine);
        }
    }

    fn stop_machine(&mut self) {
        if let Some(mut machine) = self.machine.take() {
            machine.stop(&self.terminals);
        }
    }

    /// Sends a belated answer to the connection that waits for it, if it is still there.
    fn answer(&mut self, connection: u64, response: &Response) {
        let mut all = self.connections.iter_mut();
        if let Some(connection) = all.find(|c| c.id() == connection) {
            connection.send(response);
        }
    }

    fn announce(&mut self, event: &Event) {
        for connection in self.connections.iter_mut().filter(|c| c.is_subscribed()) {
            connection.send(event);
        }
    }

    /// Ends the machine and passes on what it printed last.
    fn finish(mut self, outcome: Outcome) -> Outcome {
        self.stop_machine();
        if let Outcome::Failed(reason) = &outcome {
            tracing::error!(%reason, "the machine failed");
            self.announce(&Event::Failed(reason.clone()));
        }
        for port in &mut self.ports {
            for reader in &mut port.readers {
                reader.serve(&port.terminal);
            }
        }
        outcome
    }
}

/// The answer to a request that may be refused.
fn done(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => Response::Ok,
        Err(reason) => Response::Error(reason),
    }
}

fn accept(listener: &UnixListener, count: usize) -> Option<UnixStream> {
    // A peer that went away again is no error of ours.
    let (stream, _) = listener.accept().ok()?;
    (count < MAX_CONNECTIONS && stream.set_nonblocking(true).is_ok()).then_some(stream)
}

/// A stream that may say "not now".
fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

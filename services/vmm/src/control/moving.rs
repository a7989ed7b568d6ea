//! Saving and moving the machine, as the main thread takes part in it.

use std::fs::File;
use std::time::Duration;

use basalt_model::machine::{Event, Progress, Request, Response, RunState};

use super::Server;
use crate::event::Signal;
use crate::machine::Machine;
use crate::machine::memory::DirtyLog;
use crate::spec::NOT_KEPT;
use crate::state::mover::{Job, Message, Mover};

/// Whether the machine is being carried away.
pub enum Moving {
    /// It is not.
    No,
    /// It is.
    Under(Carriage),
    /// It is another monitor's.
    Gone,
}

/// A save or move under way.
pub struct Carriage {
    mover: Mover,
    /// The connection that waits for the answer.
    asked_by: u64,
    kind: Kind,
    /// What the machine did before.
    before: RunState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Save,
    Move,
}

impl Moving {
    /// Readable when the mover has something to say.
    pub fn wake(&self) -> Option<&Signal> {
        match self {
            Self::Under(carriage) => Some(carriage.mover.wake()),
            Self::No | Self::Gone => None,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::Under(carriage) => Some(carriage.mover.progress()),
            Self::No | Self::Gone => None,
        }
    }

    /// Why a request cannot be served now.
    pub fn forbids(&self, request: &Request) -> Option<&'static str> {
        let harmless = matches!(request, Request::Status | Request::Events | Request::Quit);
        match harmless {
            true => None,
            false => self.forbids_changes(),
        }
    }

    /// Why the machine cannot be changed now.
    pub fn forbids_changes(&self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Under(_) => Some("the machine is being saved or moved"),
            Self::Gone => Some("the machine runs elsewhere now"),
        }
    }
}

impl Server {
    /// Starts to save or move the machine on behalf of connection number `index`, with the
    /// descriptor that came from there.
    pub(super) fn carry_away(&mut self, index: usize, request: &Request) -> Result<(), String> {
        let target = self.connections[index].take_descriptor();
        let target = File::from(target.ok_or("no descriptor came with the request")?);
        if let Some(reason) = self.moving.forbids(request) {
            return Err(reason.into());
        }
        if let Some(share) = self.resources.shares.first() {
            return Err(format!("{}: {NOT_KEPT}", share.id));
        }
        if let Some(id) = self.resources.passthrough.first() {
            return Err(format!(
                "{id}: a machine that has a device of the host can be neither saved nor moved"
            ));
        }
        if let Some(id) = self.removals.ids().first() {
            return Err(format!("the guest is asked to let go of '{id}': try again"));
        }
        let before = self.state;
        let (kind, started) = match request {
            Request::Migrate { downtime_ms } => {
                let limit = Duration::from_millis(*downtime_ms);
                (Kind::Move, self.start_move(target, limit))
            }
            _ => (Kind::Save, self.start_save(target)),
        };
        match started {
            Ok(mover) => {
                let asked_by = self.connections[index].id();
                self.moving = Moving::Under(Carriage {
                    mover,
                    asked_by,
                    kind,
                    before,
                });
                Ok(())
            }
            Err(reason) => {
                self.go_on(kind, before);
                Err(reason)
            }
        }
    }

    fn start_save(&mut self, file: File) -> Result<Mover, String> {
        let tree = self.stand_still()?;
        let memory = self.machine()?.memory().clone();
        let blocks = self.resources.blocks.clone();
        let job = Job::Save {
            written: self.resources.written(),
            file,
            tree,
        };
        Mover::start(job, memory, blocks).map_err(|e| e.to_string())
    }

    fn start_move(&mut self, socket: File, limit: Duration) -> Result<Mover, String> {
        let machine = self.machine()?;
        let outline = machine.outline_tree(&self.resources);
        let outline = outline.map_err(|e| e.to_string())?;
        machine
            .log_writes(DirtyLog::On)
            .map_err(|e| e.to_string())?;
        let job = Job::Move {
            socket,
            outline,
            spaces: machine.spaces().clone(),
            limit,
        };
        let blocks = self.resources.blocks.clone();
        Mover::start(job, machine.memory().clone(), blocks).map_err(|e| e.to_string())
    }

    fn machine(&self) -> Result<&Machine, String> {
        self.machine
            .as_ref()
            .ok_or_else(|| "there is no machine".into())
    }

    /// Pauses the machine and gives its tree.
    fn stand_still(&mut self) -> Result<Vec<u8>, String> {
        let machine = self.machine()?;
        machine.pause();
        let tree = machine.save(&self.resources, &self.terminals);
        let bytes = tree.and_then(|tree| Ok(tree.encode()?));
        self.state = RunState::Paused;
        bytes.map_err(|e| e.to_string())
    }

    /// The machine is as it was before it was to be carried away.
    fn go_on(&mut self, kind: Kind, before: RunState) {
        let Some(machine) = &self.machine else { return };
        if kind == Kind::Move
            && let Err(error) = machine.log_writes(DirtyLog::Off)
        {
            // Slower, but it runs.
            tracing::warn!(%error, "the dirty log stays on");
        }
        if before == RunState::Running {
            machine.resume();
            self.state = RunState::Running;
        }
    }

    /// Serves the mover.
    pub(super) fn attend_mover(&mut self) {
        if let Some(wake) = self.moving.wake() {
            wake.clear();
        }
        if let Some(progress) = self.moving.progress() {
            self.announce(&Event::Progress(progress));
        }
        while let Moving::Under(carriage) = &self.moving
            && let Some(message) = carriage.mover.message()
        {
            match message {
                Message::Stop(reply) => {
                    // A mover that went away has said why, or will.
                    let _ = reply.send(self.stand_still());
                }
                Message::Done(result) => self.carried_away(result),
            }
        }
    }

    fn carried_away(&mut self, result: Result<basalt_model::machine::Moved, String>) {
        let Moving::Under(carriage) = std::mem::replace(&mut self.moving, Moving::No) else {
            return;
        };
        let response = match (result, carriage.kind) {
            (Ok(_), Kind::Save) => Response::Ok,
            (Ok(moved), Kind::Move) => {
                tracing::info!(
                    rounds = moved.rounds,
                    bytes = moved.bytes,
                    downtime_ms = moved.downtime_ms,
                    "the machine moved"
                );
                self.with_machine(Machine::leave);
                self.moving = Moving::Gone;
                Response::Moved(moved)
            }
            (Err(reason), kind) => {
                tracing::warn!(%reason, "the machine stays here");
                self.go_on(kind, carriage.before);
                Response::Error(reason)
            }
        };
        self.answer(carriage.asked_by, &response);
    }

    /// The guest reset itself while it was moving: what was sent is worth nothing.
    pub(super) fn forget_mover(&mut self) {
        let reason = "the guest reset itself meanwhile".to_owned();
        self.carried_away(Err(reason));
    }
}

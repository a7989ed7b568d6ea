//! What the machine tells by itself, and what follows from it.

use basalt_model::disk::PauseReason;
use basalt_model::machine::{Event, RunState};

use super::{Outcome, Server};
use crate::machine::Machine;
use crate::machine::events::{Events, FullDisk, MachineEvent, News};

impl Server {
    /// Serves the machine's events.
    pub(super) fn machine_event(&mut self) -> Option<Outcome> {
        let events = self.machine.as_ref()?.events().clone();
        events.wake().clear();
        for slot in events.take_ejected() {
            self.let_go(slot);
        }
        if events.take_report(News::Processors) {
            self.cpus_let_go();
        }
        if events.take_report(News::Memory) {
            self.memory_changed();
        }
        if let Some(full) = events.take_full() {
            self.pause_for(full);
        }
        self.hear_of_panics(&events);
        match events.take()? {
            MachineEvent::PowerOff => {
                tracing::info!("the guest switched itself off");
                self.announce(&Event::PoweredOff);
                Some(Outcome::Ended)
            }
            MachineEvent::Reset => {
                self.forget_mover();
                self.reset()
            }
            MachineEvent::Failed(reason) => Some(Outcome::Failed(reason)),
        }
    }

    /// Passes on what the guest says of its panic. The machine runs on: what comes of it is its guest's.
    fn hear_of_panics(&mut self, events: &Events) {
        let vmid = self.resources.vmid;
        if events.take_report(News::CrashLoaded) {
            tracing::warn!(
                vmid,
                "the guest panicked, and a kernel of its own takes over"
            );
            self.announce(&Event::CrashLoaded);
        }
        if events.take_report(News::Panicked) {
            tracing::error!(vmid, "the guest panicked");
            self.announce(&Event::Panicked);
        }
    }

    /// The machine pauses by itself.
    pub(super) fn pause_because(&mut self, reason: PauseReason) {
        if self.state == RunState::Running {
            self.with_machine(Machine::pause);
            self.state = RunState::Paused;
        }
        self.reason = Some(reason.clone());
        self.announce(&Event::Paused(reason));
    }

    /// Pauses the machine because the host is full; the disk holds what the guest wrote.
    fn pause_for(&mut self, full: FullDisk) {
        let FullDisk { disk, error } = full;
        tracing::error!(%disk, %error, "no room on the host: the machine pauses");
        self.pause_because(PauseReason::IoError { disk, error });
    }

    /// Builds the machine anew from the same resources.
    pub(super) fn reset(&mut self) -> Option<Outcome> {
        // The old machine goes first, so that there is never memory for two.
        self.stop_machine();
        self.remove_what_was_asked_for();
        match Machine::start(&self.resources, &self.terminals) {
            Ok(machine) => {
                self.machine = Some(machine);
                self.state = RunState::Running;
                self.reason = None;
                self.memory_changed();
                tracing::info!("the machine was reset");
                self.announce(&Event::Reset);
                None
            }
            Err(error) => Some(Outcome::Failed(error.to_string())),
        }
    }
}

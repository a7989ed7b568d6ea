//! How much memory the machine has, as the main thread takes part in it.

use std::time::Instant;

use basalt_model::hotplug::SetMemory;
use basalt_model::machine::{Event, Response, RunState};

use super::Server;
use super::hotplug::{Answer, deadline};
use crate::machine::Machine;

/// Another amount of memory that the guest was asked to have.
pub struct Resizing {
    /// Bytes that were asked for before.
    before: u64,
    /// The connection that waits for the answer.
    asked_by: u64,
    deadline: Instant,
}

impl Resizing {
    /// When the guest has had its time.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Server {
    /// Changes how much memory there is on behalf of connection number `index`.
    pub(super) fn set_memory(
        &mut self,
        index: usize,
        request: &SetMemory,
    ) -> Result<Answer, String> {
        let mib = request.mib;
        let Some(blocks) = &self.resources.blocks else {
            let has = self.resources.memory >> 20;
            return Err(format!("mib: the machine was started with {has} for good"));
        };
        let status = blocks.status();
        if !status.allows(mib) {
            let (boot, most) = (status.boot >> 20, status.most >> 20);
            let step = status.block >> 20;
            return Err(format!(
                "mib: {mib} is not {boot} to {most} in steps of {step}"
            ));
        }
        if self.removals.memory.is_some() {
            return Err("mib: the guest is asked for another amount already".to_owned());
        }
        if self.state == RunState::Paused {
            return Err("mib: the machine is paused and cannot take or let go of any".to_owned());
        }
        blocks.request(mib << 20);
        if blocks.plugged() == blocks.requested() && status.wanted == mib << 20 {
            return Ok(Answer::Now);
        }
        self.removals.memory = Some(Resizing {
            before: status.wanted,
            asked_by: self.connections[index].id(),
            deadline: deadline(request.patience_ms),
        });
        self.with_machine(Machine::tell_of_memory);
        self.memory_changed();
        Ok(Answer::WhenTheGuestLetGo)
    }

    /// The guest has more or less memory than before: the balloon is measured by it, and somebody may
    /// wait for it.
    pub(super) fn memory_changed(&mut self) {
        let Some(blocks) = self.resources.blocks.clone() else {
            return;
        };
        if let Some(levers) = &self.resources.balloon {
            levers.set_memory(blocks.present());
            self.with_machine(Machine::poke_balloon);
        }
        if blocks.plugged() == blocks.requested()
            && let Some(resizing) = self.removals.memory.take()
        {
            let mib = blocks.present() >> 20;
            tracing::info!(mib, "the guest has another amount of memory");
            self.answer(resizing.asked_by, &Response::Ok);
            self.announce(&Event::MemoryChanged { mib });
        }
    }

    /// Asks a guest that has had its time for what it had.
    pub(super) fn give_up_memory(&mut self) {
        let now = Instant::now();
        let due = |resizing: &mut Resizing| resizing.deadline <= now;
        let (Some(resizing), Some(blocks)) =
            (self.removals.memory.take_if(due), &self.resources.blocks)
        else {
            return;
        };
        let (wanted, has) = (blocks.status().wanted >> 20, blocks.present() >> 20);
        blocks.request(resizing.before);
        self.with_machine(Machine::tell_of_memory);
        tracing::warn!(wanted, has, "the guest does not change its memory");
        let reason = format!(
            "the guest has {has} MiB of memory and not {wanted}: is its system up, and does it know \
             virtio-mem?"
        );
        self.answer(resizing.asked_by, &Response::Error(reason));
    }
}

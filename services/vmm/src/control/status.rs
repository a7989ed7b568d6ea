//! What the machine is asked about itself.

use std::sync::atomic::Ordering;

use basalt_model::machine::{DiskStats, NicStats, Status};

use super::Server;
use super::channel::ChannelSocket;
use crate::machine::Machine;

impl Server {
    /// What the machine is and does.
    pub(super) fn status(&self) -> Status {
        let disks = self.resources.disks.iter().map(|disk| DiskStats {
            id: disk.settings.name.clone(),
            read_bytes: disk.counters.read.load(Ordering::Relaxed),
            written_bytes: disk.counters.written.load(Ordering::Relaxed),
        });
        let nics = self.resources.nics.iter().map(|nic| NicStats {
            id: nic.id.clone(),
            rx_bytes: nic.counters.received.load(Ordering::Relaxed),
            tx_bytes: nic.counters.sent.load(Ordering::Relaxed),
        });
        Status {
            state: self.state,
            reason: self.reason.clone(),
            panicked: self.machine.as_ref().and_then(Machine::panicked),
            moving: self.moving.progress(),
            vcpus: self.machine.as_ref().map_or(0, Machine::cpus),
            agent: self.agent.as_ref().map(ChannelSocket::guest_listens),
            balloon: self.balloon(),
            memory: self.resources.blocks.as_ref().map(|b| b.status()),
            removing: self.removals.ids(),
            disks: disks.collect(),
            nics: nics.collect(),
        }
    }
}

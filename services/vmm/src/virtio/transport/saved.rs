//! What is saved of a virtio device, and a device that goes on from it.

use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueState, QueueT};

use super::VirtioPci;
use crate::virtio::interrupt;

/// What is saved of a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceState {
    kind: u16,
    /// The device's own configuration, which must be the same where it is restored: the driver has read it.
    config: Vec<u8>,
    registers: Vec<u8>,
    selects: (u32, u32),
    driver_features: u64,
    status: u8,
    queue_select: u16,
    /// Whether the worker had the queues.
    live: bool,
    queues: Vec<QueueImage>,
    /// What the worker keeps beside the queues.
    #[serde(default)]
    own: Vec<u8>,
    interrupts: interrupt::State,
}

/// One queue, at rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct QueueImage {
    max_size: u16,
    next_avail: u16,
    next_used: u16,
    event_idx: bool,
    size: u16,
    ready: bool,
    descriptors: u64,
    available: u64,
    used: u64,
}

impl From<QueueState> for QueueImage {
    fn from(state: QueueState) -> Self {
        Self {
            max_size: state.max_size,
            next_avail: state.next_avail,
            next_used: state.next_used,
            event_idx: state.event_idx_enabled,
            size: state.size,
            ready: state.ready,
            descriptors: state.desc_table,
            available: state.avail_ring,
            used: state.used_ring,
        }
    }
}

impl TryFrom<&QueueImage> for Queue {
    type Error = virtio_queue::Error;

    fn try_from(image: &QueueImage) -> Result<Self, Self::Error> {
        Self::try_from(QueueState {
            max_size: image.max_size,
            next_avail: image.next_avail,
            next_used: image.next_used,
            event_idx_enabled: image.event_idx,
            size: image.size,
            ready: image.ready,
            desc_table: image.descriptors,
            avail_ring: image.available,
            used_ring: image.used,
        })
    }
}

impl VirtioPci {
    /// What is kept of a paused device; refused while requests of the driver are nowhere but
    /// with the device.
    pub fn save(&self) -> Result<DeviceState, &'static str> {
        // Asked again, a paused worker only tells its queues.
        let rest = self.worker.pause();
        if rest.unfinished {
            return Err("it has requests that wait for the host");
        }
        let (live, kept) = (rest.queues, rest.own);
        let state = self.state();
        let own = || state.queues.iter().map(Queue::state).collect();
        Ok(DeviceState {
            kind: self.description.kind as u16,
            config: state.device.clone(),
            registers: state.config.save(),
            selects: (state.device_feature_select, state.driver_feature_select),
            driver_features: state.driver_features,
            status: state.status,
            queue_select: state.queue_select,
            live: live.is_some(),
            queues: live
                .unwrap_or_else(own)
                .into_iter()
                .map(QueueImage::from)
                .collect(),
            own: kept,
            interrupts: self.interrupts.save(),
        })
    }

    /// Has the device note what it writes to memory, or not any more.
    pub fn note_writes(&self, on: bool) {
        self.worker.note_writes(on);
    }

    /// Goes on from a saved state. The device was just made and is paused, memory is as it was.
    pub fn restore(&self, saved: DeviceState) -> Result<(), &'static str> {
        let own = &self.description;
        if saved.kind != own.kind as u16 {
            return Err("it is of another kind");
        }
        // An older monitor told less of a device: its driver has read the beginning.
        if !own.config.starts_with(&saved.config) && !own.kind.is_read_again() {
            return Err("its size, address or other fixed properties differ");
        }
        if saved.driver_features & !own.all_features() != 0 {
            return Err("the guest uses features this monitor lacks");
        }
        let mut state = self.state();
        let count = state.queues.len();
        let queues: Result<Vec<Queue>, _> = saved.queues.iter().map(Queue::try_from).collect();
        let queues = queues.ok().filter(|queues| {
            let same = |(a, b): (&Queue, &Queue)| a.max_size() == b.max_size();
            queues.len() == count && queues.iter().zip(&state.queues).all(same)
        });
        let queues = queues.ok_or("its queues differ")?;
        if !state.config.restore(&saved.registers) {
            return Err("its configuration registers differ");
        }
        if !self.interrupts.restore(saved.interrupts) {
            return Err("its interrupts differ");
        }
        (state.device_feature_select, state.driver_feature_select) = saved.selects;
        state.driver_features = saved.driver_features;
        state.status = saved.status;
        state.queue_select = saved.queue_select;
        state.queues = queues;
        self.rebind(&mut state);
        if saved.live {
            self.activate(&mut state, saved.own);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::F_VERSION_1;
    use crate::virtio::transport::tests::{Bench, bench, bench_of, description};

    #[test]
    fn a_device_goes_on_in_another_process() {
        let first = bench();
        assert!(first.negotiate(F_VERSION_1));
        first.set_queue(1, 0x10_0000);
        first.set(0x1a, 2, 2);
        first.set(0x14, 1, 15);
        assert_eq!(first.heard.recv().unwrap(), "active 1 0x100000000");
        first.device.pause();
        let json = serde_json::to_vec(&first.device.save().unwrap()).unwrap();
        let saved: DeviceState = serde_json::from_slice(&json).unwrap();

        let second = bench();
        second.device.pause();
        second.device.restore(saved.clone()).unwrap();
        assert_eq!(second.heard.recv().unwrap(), "active 1 0x100000000");
        assert_eq!(second.get(0x14, 1), 15);
        second.set(0x16, 2, 1);
        assert_eq!(second.get(0x20, 4), 0x10_0000);
        assert_eq!(second.get(0x1a, 2), 2);
        // What the driver announces while the device stands is served when it goes on.
        second.set(0x3004, 2, 1);
        assert_eq!(second.device.save().unwrap().queues.len(), 2);
        assert!(second.heard.try_recv().is_err(), "it worked while it stood");
        second.device.resume();
        let mut seen = [second.heard.recv().unwrap(), second.heard.recv().unwrap()];
        seen.sort();
        assert_eq!(seen, ["kick 0", "kick 1"]);

        let mut other = saved.clone();
        other.config[0] ^= 1;
        assert!(second.device.restore(other).is_err());
        let mut other = saved.clone();
        other.driver_features |= 1 << 40;
        assert!(second.device.restore(other).is_err());
        let mut other = saved.clone();
        other.queues[0].size = 65;
        assert_eq!(second.device.restore(other), Err("its queues differ"));
        let mut other = saved;
        other.registers[0] ^= 1;
        assert!(second.device.restore(other).is_err());
    }

    #[test]
    fn a_disk_that_grew_goes_on_with_its_new_size() {
        let grown = |bench: &Bench| bench.device.change_config(0, &[9]);
        let first = bench();
        grown(&first);
        first.device.pause();
        let saved = first.device.save().unwrap();
        let mut description = description();
        description.config[0] = 9;
        let second = bench_of(description);
        second.device.pause();
        second.device.restore(saved.clone()).unwrap();
        assert_eq!(second.device.save().unwrap().config[0], 9);
        let other = bench();
        other.device.pause();
        assert!(other.device.restore(saved).is_err(), "a smaller disk");
    }

    #[test]
    fn a_state_of_a_monitor_that_told_less_is_gone_on_from() {
        let (first, second) = (bench(), bench());
        first.device.pause();
        second.device.pause();
        let mut saved = first.device.save().unwrap();
        saved.config.truncate(3);
        second.device.restore(saved.clone()).unwrap();
        saved.config[0] ^= 1;
        assert!(bench_of(description()).device.restore(saved).is_err());
    }

    #[test]
    fn what_the_driver_reads_again_may_be_another() {
        let sockets = |context: u8| {
            let mut description = description();
            description.kind = crate::virtio::Kind::Vsock;
            description.config[0] = context;
            let bench = bench_of(description);
            bench.device.pause();
            bench
        };
        let saved = sockets(3).device.save().unwrap();
        sockets(4).device.restore(saved).unwrap();
    }
}

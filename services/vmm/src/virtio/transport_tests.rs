//! What drivers, good and bad, do to the registers.

use super::*;
use crate::machine::interrupts::testing::Recorder;
use crate::machine::interrupts::{LineHolder, SharedLine};
use crate::machine::layout::{MIB, PCI_WINDOW};
use crate::machine::memory::reserve;
use crate::pci::config::BAR0;
use crate::virtio::worker::{Backend, BrokenQueue};
use crate::virtio::{F_INDIRECT_DESC, Kind};
use std::sync::mpsc::{Receiver, Sender, channel};

const BASE: u32 = PCI_WINDOW as u32;

/// Tells what the worker was asked.
struct Spy(Sender<String>);

impl Backend for Spy {
    fn activate(&mut self, live: &mut Live) -> std::io::Result<()> {
        let ready = live.queues.iter().filter(|q| q.ready()).count();
        self.0
            .send(format!("active {ready} {:#x}", live.features))
            .map_err(std::io::Error::other)
    }
    fn kicked(&mut self, _live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        let _ = self.0.send(format!("kick {queue}"));
        Ok(())
    }
}

#[derive(Default)]
struct Bindings(Mutex<Vec<(bool, u64)>>);

impl NotifyBinder for Bindings {
    fn bind(&self, _event: &Signal, address: u64) {
        self.0.lock().unwrap().push((true, address));
    }
    fn unbind(&self, _event: &Signal, address: u64) {
        self.0.lock().unwrap().push((false, address));
    }
}

pub(super) struct Bench {
    pub(super) device: VirtioPci,
    pub(super) heard: Receiver<String>,
    bindings: Arc<Bindings>,
}

pub(super) fn description() -> Description {
    Description {
        kind: Kind::Block,
        features: 1 << 9,
        queues: vec![64, 64],
        config: vec![1, 2, 3, 4, 5],
    }
}

pub(super) fn bench() -> Bench {
    bench_of(description())
}

pub(super) fn bench_of(description: Description) -> Bench {
    let (spy, heard) = channel();
    let recorder = Arc::new(Recorder::default());
    let line = LineHolder::new(SharedLine::new(16, recorder.clone()), 4);
    let interrupts = Arc::new(Interrupts::new(2, recorder, line));
    let worker = Worker::start_unconfined("spy", 2, Box::new(Spy(spy))).unwrap();
    let bindings = Arc::new(Bindings::default());
    let memory = reserve(32 * MIB).unwrap();
    let device = VirtioPci::new(
        4,
        Some(BASE),
        description,
        memory,
        interrupts,
        worker,
        bindings.clone(),
    )
    .unwrap();
    Bench {
        device,
        heard,
        bindings,
    }
}

impl Bench {
    pub(super) fn get(&self, offset: u64, len: usize) -> u64 {
        let mut data = vec![0; len];
        self.device.window_read(0, offset, &mut data);
        number(&data)
    }

    pub(super) fn set(&self, offset: u64, len: usize, value: u64) {
        self.device
            .window_write(0, offset, &value.to_le_bytes()[..len]);
    }

    pub(super) fn negotiate(&self, features: u64) -> bool {
        self.set(0x14, 1, 3);
        for half in 0..2 {
            self.set(0x08, 4, half);
            self.set(0x0c, 4, features >> (32 * half) & 0xffff_ffff);
        }
        self.set(0x14, 1, 11);
        self.get(0x14, 1) == 11
    }

    pub(super) fn set_queue(&self, queue: u64, base: u64) {
        self.set(0x16, 2, queue);
        self.set(0x18, 2, 64);
        self.set(0x20, 4, base);
        self.set(0x28, 4, base + 0x1000);
        self.set(0x30, 4, base + 0x2000);
        self.set(0x1c, 2, 1);
    }
}

#[test]
fn a_driver_brings_the_device_up_and_down() {
    let bench = bench();
    bench.set(0, 4, 1);
    assert_eq!(bench.get(4, 4), 1, "version 1 is on offer");
    assert!(bench.negotiate(F_VERSION_1 | F_INDIRECT_DESC));
    assert_eq!(bench.get(0x12, 2), 2);
    bench.set_queue(0, 0x10_0000);
    bench.set(0x14, 1, 15);
    assert_eq!(bench.heard.recv().unwrap(), "active 1 0x110000000");
    assert_eq!(
        bench.heard.recv().unwrap(),
        "kick 0",
        "buffers may have been there before"
    );

    bench.set(0x20, 4, 0xdead_0000);
    assert_eq!(
        bench.get(0x20, 4),
        0x10_0000,
        "addresses stay while the driver is on"
    );
    bench.set(0x14, 1, 0);
    assert_eq!(bench.get(0x14, 1), 0);
    assert_eq!(bench.get(0x1c, 2), 0);
}

#[test]
fn features_not_on_offer_are_not_agreed_on() {
    let bench = bench();
    assert!(!bench.negotiate(F_VERSION_1 | 1 << 40));
    bench.set(0x14, 1, 0);
    assert!(
        !bench.negotiate(1 << 9),
        "a driver before version 1 is refused"
    );
    bench.set(0x14, 1, 0);
    assert!(bench.negotiate(F_VERSION_1));
    bench.set(0x0c, 4, 0);
    bench.set(0x08, 4, 1);
    assert_eq!(bench.get(0x0c, 4), 1, "agreed features are final");
}

#[test]
fn a_queue_outside_memory_breaks_the_device() {
    for base in [0xffff_f000, 32 * MIB - 0x1000] {
        let bench = bench();
        assert!(bench.negotiate(F_VERSION_1));
        bench.set_queue(0, base);
        bench.set(0x14, 1, 15);
        assert_eq!(bench.get(0x14, 1), u64::from(15 | NEEDS_RESET));
        bench.set(0x14, 1, 0);
        assert_eq!(bench.get(0x14, 1), 0);
    }
}

#[test]
fn driver_ok_without_features_does_nothing() {
    let bench = bench();
    bench.set_queue(0, 0x10_0000);
    bench.set(0x14, 1, 7);
    bench.set(0x14, 1, 0);
    assert!(bench.heard.try_recv().is_err());
}

#[test]
fn the_configuration_is_read_only_and_bounded() {
    let bench = bench();
    bench.set(DEVICE, 4, 0);
    assert_eq!(bench.get(DEVICE, 8), 0x05_0403_0201);
    assert_eq!(bench.get(DEVICE + 4, 2), 5);
    assert_eq!(bench.get(DEVICE + 0xff0, 8), 0);
}

#[test]
fn notifications_follow_the_window() {
    let bench = bench();
    let first = u64::from(BASE) + NOTIFY;
    assert_eq!(
        *bench.bindings.0.lock().unwrap(),
        vec![(true, first), (true, first + 4)]
    );
    bench.bindings.0.lock().unwrap().clear();
    bench
        .device
        .config_write(BAR0, &0xd000_0000u32.to_le_bytes());
    let moved = 0xd000_0000 + NOTIFY;
    assert_eq!(
        *bench.bindings.0.lock().unwrap(),
        vec![
            (false, first),
            (true, moved),
            (false, first + 4),
            (true, moved + 4)
        ]
    );
    bench.bindings.0.lock().unwrap().clear();
    bench.device.config_write(COMMAND, &[0, 0]);
    assert_eq!(
        *bench.bindings.0.lock().unwrap(),
        vec![(false, moved), (false, moved + 4)]
    );
}

#[test]
fn registers_are_reachable_through_configuration_space() {
    let bench = bench();
    let at = bench.device.state().pci_access;
    bench.device.config_write(at + 8, &0x12u32.to_le_bytes());
    bench.device.config_write(at + 12, &2u32.to_le_bytes());
    let mut data = [0; 4];
    bench.device.config_read(at + PCI_DATA, &mut data[..2]);
    assert_eq!(data[0], 2, "number of queues");
    bench.device.config_write(at + 8, &u32::MAX.to_le_bytes());
    bench.device.config_read(at + PCI_DATA, &mut data);
    bench.device.config_write(at + PCI_DATA, &[0xff; 4]);
}

#[test]
fn noise_in_every_register_is_survived() {
    let bench = bench();
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 16
    };
    for _ in 0..20_000 {
        let len = 1 << (random() % 4);
        let offset = random() % (u64::from(WINDOW_SIZE) - len);
        let offset = if random() % 2 == 0 {
            offset % 0x40
        } else {
            offset
        };
        // Not DRIVER_OK: the spy would fill its channel.
        let value = if offset == 0x14 {
            random() & 11
        } else {
            random()
        };
        bench.set(offset, len as usize, value);
        bench.get(offset, len as usize);
        let register = (random() % 252) as usize;
        bench
            .device
            .config_write(register, &(random() as u32).to_le_bytes());
        bench.device.config_read(register, &mut [0; 4]);
    }
}

#[test]
fn a_device_that_was_unplugged_stays_quiet() {
    let bench = bench();
    assert!(bench.negotiate(F_VERSION_1));
    bench.set_queue(0, 0x10_0000);
    bench.set(0x14, 1, 15);
    assert_eq!(bench.heard.recv().unwrap(), "active 1 0x100000000");
    bench.device.unplugged();
    // What the queue's start made it look for.
    bench.heard.try_iter().for_each(drop);
    let bindings = std::mem::take(&mut *bench.bindings.0.lock().unwrap());
    let notify = |queue| u64::from(BASE) + NOTIFY + queue * NOTIFY_STRIDE;
    assert_eq!(
        bindings[bindings.len() - 2..],
        [(false, notify(0)), (false, notify(1))]
    );
    // A processor that was in the middle of an access cannot wake it.
    bench.set(0x14, 1, 0);
    bench.negotiate(F_VERSION_1);
    bench.set_queue(0, 0x10_0000);
    bench.set(0x14, 1, 15);
    bench.device.config_write(COMMAND, &[0]);
    bench.device.config_write(COMMAND, &[2]);
    assert_eq!(bench.get(0x14, 1), 0);
    assert!(bench.bindings.0.lock().unwrap().is_empty());
    bench.device.end();
    assert!(bench.heard.try_recv().is_err());
}

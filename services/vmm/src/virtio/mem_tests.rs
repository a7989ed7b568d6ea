use super::*;
use crate::machine::layout::MIB;
use crate::virtio::testing::{Driver, Part};
use std::sync::atomic::{AtomicU32, Ordering};
use vm_memory::bitmap::Bitmap;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// The upper half of the driver's memory.
const ROOM: u64 = 16 * MIB;
const BLOCKS: usize = 8;
const PLUG: u16 = 0;
const UNPLUG: u16 = 1;
const UNPLUG_ALL: u16 = 2;
const STATE: u16 = 3;
const ACK: (u16, u16) = (0, 0);
const NACK: (u16, u16) = (1, 0);
const ERROR: (u16, u16) = (3, 0);

struct Bench {
    driver: Driver,
    blocks: Arc<Blocks>,
    device: Mem,
    changes: Arc<AtomicU32>,
}

impl Bench {
    fn new() -> Self {
        let blocks = Arc::new(Blocks::new(ROOM, (ROOM, BLOCKS as u64 * BLOCK)));
        let changes = Arc::new(AtomicU32::new(0));
        let counted = changes.clone();
        let on_change = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        Self {
            driver: Driver::new(1),
            device: Mem::new(blocks.clone(), Box::new(on_change)),
            blocks,
            changes,
        }
    }

    /// Asks for `count` blocks in all.
    fn want(&self, count: u64) {
        self.blocks.request(ROOM + count * BLOCK);
    }

    fn ask(&mut self, kind: u16, address: u64, count: u16) -> (u16, u16) {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.resize(8, 0);
        bytes.extend(address.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.resize(REQUEST, 0);
        self.driver.submit(&[Part::Out(bytes), Part::In(ANSWER)]);
        self.device.kicked(&mut self.driver.live, 0).unwrap();
        assert_eq!(self.driver.completed_on(0), Some(ANSWER as u32));
        let answer = self.driver.bytes_of(1, ANSWER);
        let number = |at: usize| u16::from_le_bytes([answer[at], answer[at + 1]]);
        (number(0), number(8))
    }

    fn block(number: u64) -> u64 {
        ROOM + number * BLOCK
    }

    fn byte(&self, address: u64) -> u8 {
        let memory = &self.driver.live.memory;
        memory.read_obj(GuestAddress(address)).unwrap()
    }

    fn note(&self, on: bool) {
        let region = self.driver.live.memory.iter().next().unwrap();
        region.get_mmap().bitmap().note(on);
    }

    fn is_noted(&self, address: u64) -> bool {
        let region = self.driver.live.memory.iter().next().unwrap();
        region.get_mmap().bitmap().dirty_at(address as usize)
    }
}

#[test]
fn a_guest_plugs_as_much_as_it_is_to_have_and_no_more() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(PLUG, ROOM, 1), NACK, "nobody asked");
    bench.want(3);
    assert_eq!(bench.ask(PLUG, ROOM, 2), ACK);
    assert_eq!(bench.ask(PLUG, Bench::block(4), 2), NACK);
    assert_eq!(bench.ask(PLUG, Bench::block(1), 1), ERROR, "there already");
    assert_eq!(bench.ask(PLUG, Bench::block(7), 1), ACK);
    assert_eq!(bench.blocks.plugged(), 3 * BLOCK);
    assert_eq!(bench.ask(STATE, ROOM, 2), (0, 0));
    assert_eq!(bench.ask(STATE, Bench::block(2), 5), (0, 1));
    assert_eq!(bench.ask(STATE, ROOM, BLOCKS as u16), (0, 2));
    assert_eq!(bench.changes.load(Ordering::Relaxed), 2);
}

#[test]
fn requests_that_leave_the_room_or_mean_nothing_change_nothing() {
    let mut bench = Bench::new();
    bench.want(8);
    assert_eq!(bench.ask(PLUG, Bench::block(2), 2), ACK);
    for kind in [PLUG, UNPLUG, STATE] {
        for (address, count) in [
            (ROOM, 0),
            (ROOM + 4096, 1),
            (ROOM - BLOCK, 1),
            (ROOM, BLOCKS as u16 + 1),
            (Bench::block(8), 1),
            (!(BLOCK - 1), u16::MAX),
        ] {
            let answer = bench.ask(kind, address, count);
            assert_eq!(answer, ERROR, "{kind} {address:#x} {count}");
        }
    }
    assert_eq!(bench.ask(9, ROOM, 1), ERROR);
    assert_eq!(bench.ask(UNPLUG, ROOM, 3), ERROR, "not all are there");
    assert_eq!(bench.blocks.there(), [region(2, 2)]);
}

fn region(first: u64, count: u64) -> crate::state::memory::Region {
    crate::state::memory::Region {
        start: Bench::block(first),
        len: count * BLOCK,
    }
}

#[test]
fn what_is_plugged_out_goes_back_to_the_host_and_a_copy_follows() {
    let mut bench = Bench::new();
    bench.want(4);
    assert_eq!(bench.ask(PLUG, ROOM, 4), ACK);
    let memory = bench.driver.live.memory.clone();
    for block in 0..4 {
        let at = GuestAddress(Bench::block(block) + 100);
        memory.write_obj(7u8, at).unwrap();
    }
    bench.note(true);
    bench.want(1);
    assert_eq!(bench.ask(UNPLUG, Bench::block(1), 2), ACK);
    let bytes = [0, 1, 2, 3].map(|block| bench.byte(Bench::block(block) + 100));
    assert_eq!(bytes, [7, 0, 0, 7]);
    assert!(bench.is_noted(Bench::block(1)) && !bench.is_noted(Bench::block(3)));
    assert_eq!(bench.ask(UNPLUG_ALL, 0, 0), ACK);
    assert_eq!(bench.blocks.plugged(), 0);
    assert_eq!(bench.byte(Bench::block(3) + 100), 0);
    let changes = bench.changes.load(Ordering::Relaxed);
    assert_eq!(bench.ask(UNPLUG_ALL, 0, 0), ACK);
    assert_eq!(bench.changes.load(Ordering::Relaxed), changes);

    // What comes back is sent anew, even if nobody writes to it.
    bench.note(false);
    bench.note(true);
    assert_eq!(bench.ask(PLUG, Bench::block(0), 1), ACK);
    assert!(bench.is_noted(Bench::block(0)) && bench.is_noted(Bench::block(1) - 1));
    assert!(!bench.is_noted(Bench::block(1)));
}

#[test]
fn requests_without_room_for_an_answer_break_the_device() {
    for parts in [
        vec![Part::Out(vec![0; REQUEST]), Part::In(ANSWER - 1)],
        vec![Part::Out(vec![0; REQUEST - 1]), Part::In(ANSWER)],
        vec![Part::In(REQUEST + ANSWER)],
    ] {
        let mut bench = Bench::new();
        bench.want(8);
        bench.driver.submit(&parts);
        assert!(bench.device.kicked(&mut bench.driver.live, 0).is_err());
        assert_eq!(bench.blocks.plugged(), 0);
    }
}

#[test]
fn the_driver_reads_what_is_there_and_what_is_asked_for() {
    let mut bench = Bench::new();
    bench.want(5);
    assert_eq!(bench.ask(PLUG, ROOM, 2), ACK);
    let registers = bench.device.registers().unwrap();
    registers.write(48, &[0xff; 8]);
    let field = |offset: usize| {
        let mut bytes = [0xee; 8];
        registers.read(offset, &mut bytes);
        u64::from_le_bytes(bytes)
    };
    let fields = [0, 8, 16, 24, 32, 40, 48, 56].map(field);
    let room = BLOCKS as u64 * BLOCK;
    assert_eq!(
        fields,
        [BLOCK, 0, ROOM, room, room, 2 * BLOCK, 5 * BLOCK, 0]
    );
    let mut half = [0xee; 4];
    registers.read(16, &mut half);
    assert_eq!(u32::from_le_bytes(half), ROOM as u32);
    registers.read(usize::MAX, &mut half);
    assert_eq!(half, [0; 4]);
}

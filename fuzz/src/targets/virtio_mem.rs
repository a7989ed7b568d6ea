//! The queue of the device by which memory comes and goes, and its configuration, while amounts are asked
//! for and states restored.

use std::sync::Arc;

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::machine::blocks::Blocks;
use basalt_vmm::machine::layout::BLOCK;
use basalt_vmm::machine::memory::reserve_with_room;
use basalt_vmm::virtio::Registers;
use basalt_vmm::virtio::mem::{self, Mem};

/// Where the blocks lie: low, so that inputs find them.
const ROOM: u64 = 16 * BLOCK;
const COUNT: u64 = 67;

/// Plays one input.
pub fn run(data: &[u8]) {
    let room = (ROOM, COUNT * BLOCK);
    let blocks = Arc::new(Blocks::new(machine::MEMORY, room));
    let memory = reserve_with_room(machine::MEMORY, Some(room)).expect("addresses can be had");
    let mut device = Mem::new(blocks.clone(), Box::new(|| ()));
    virtio::play(
        &mem::description(),
        &memory,
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            let place = input.below(64);
            match input.below(4) {
                0 => blocks.request(machine::MEMORY + u64::from(input.byte()) * BLOCK),
                1 => assert!(blocks.restore(&blocks.save())),
                2 => blocks.write(place, input.bytes(4)),
                _ => blocks.read(place, &mut [0; 8]),
            }
            let there: u64 = blocks.there().iter().map(|run| run.len).sum();
            let holes: u64 = blocks.holes().iter().map(|run| run.len).sum();
            assert!(there == blocks.plugged() && there + holes == COUNT * BLOCK);
        },
    );
}

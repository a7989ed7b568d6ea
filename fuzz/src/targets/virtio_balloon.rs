//! The balloon's queues and its configuration, while targets are set and figures asked for.

use std::sync::Arc;

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::virtio::Registers;
use basalt_vmm::virtio::balloon::{self, Balloon, Levers};

/// Plays one input.
pub fn run(data: &[u8]) {
    let levers = Arc::new(Levers::new(machine::MEMORY, machine::MEMORY));
    let mut device = Balloon::new(levers.clone());
    virtio::play(
        &balloon::description(),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            let place = input.below(12);
            match input.below(4) {
                0 => levers.set_target(input.qword()),
                1 => drop(levers.look()),
                2 => levers.write(place, input.bytes(4)),
                _ => levers.read(place, &mut [0; 8]),
            }
            assert!(levers.actual() <= machine::MEMORY && levers.target() <= machine::MEMORY);
        },
    );
}

//! The keyboard's and the tablet's queues and configuration, while somebody types and points.

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::display::{Buttons, Input as _, Key, Position};
use basalt_vmm::virtio::input::{self, Device, Model};
use basalt_vmm::virtio::worker::Backend;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let model = match input.byte() & 1 {
        0 => Model::Keyboard,
        _ => Model::Tablet,
    };
    let memory = machine::memory();
    let mut device = Device::new(model).expect("an eventfd can be had");
    let handle = device.handle();
    let registers = device
        .registers()
        .expect("the configuration can be written");
    virtio::play(
        &input::description(),
        &memory,
        &mut device,
        &mut input,
        &mut |input| match input.byte() % 4 {
            0 => handle.key(Key(input.word()), input.byte() & 1 != 0),
            1 => {
                let position = Position {
                    x: input.word(),
                    y: input.word(),
                };
                let mask = input.byte();
                let buttons = Buttons {
                    left: mask & 1 != 0,
                    middle: mask & 2 != 0,
                    right: mask & 4 != 0,
                };
                handle.pointer(position, buttons, input.byte() as i8);
            }
            2 => {
                let offset = usize::from(input.byte());
                registers.write(offset, input.bytes(8));
            }
            _ => registers.read(usize::from(input.byte()), &mut [0; 8]),
        },
    );
}

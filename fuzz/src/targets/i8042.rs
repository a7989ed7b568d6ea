//! The keyboard controller's ports, while somebody types and points.

use std::sync::Arc;

use crate::bus::{self, Places};
use crate::input::Input;
use crate::machine::{self, Nobody};
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::i8042::{COMMAND, CommandPort, I8042};
use basalt_vmm::display::{Buttons, Input as _, Key, Position, Screen};
use basalt_vmm::machine::layout::I8042_PORT;

const PLACES: Places<'_> = Places {
    ports: &[I8042_PORT, I8042_PORT + COMMAND],
    memory: &[],
};

/// Plays one input.
pub fn run(data: &[u8]) {
    let screen = Screen::new().expect("an eventfd can be had");
    let device = I8042::new(Arc::new(Nobody), machine::events(), Some(screen));
    let device = Arc::new(device);
    let mut bus = Bus::default();
    bus.add_ports(I8042_PORT, 1, device.clone());
    bus.add_ports(
        I8042_PORT + COMMAND,
        1,
        Arc::new(CommandPort(device.clone())),
    );
    let mut input = Input::new(data);
    while !input.is_empty() {
        match input.byte() % 8 {
            0 => device.key(Key(input.word()), input.byte() & 1 != 0),
            1 => {
                let position = Position {
                    x: input.word(),
                    y: input.word(),
                };
                let buttons = Buttons {
                    left: input.byte() & 1 != 0,
                    ..Buttons::default()
                };
                device.pointer(position, buttons, input.byte() as i8);
            }
            2 => device.restore(device.save()),
            _ => bus::access(&bus, &PLACES, &mut input),
        }
    }
}

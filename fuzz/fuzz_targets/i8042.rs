//! The keyboard controller's ports, while somebody types and points.
#![no_main]

use std::sync::Arc;

use basalt_fuzz::bus::{self, Places};
use basalt_fuzz::input::Input;
use basalt_fuzz::machine::{self, Nobody};
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::i8042::{COMMAND, CommandPort, I8042};
use basalt_vmm::display::{Buttons, Input as _, Key, Position, Screen};
use basalt_vmm::machine::layout::I8042_PORT;
use libfuzzer_sys::fuzz_target;

const PLACES: Places<'_> = Places {
    ports: &[I8042_PORT, I8042_PORT + COMMAND],
    memory: &[],
};

fuzz_target!(|data: &[u8]| {
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
});

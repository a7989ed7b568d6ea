//! The console's queues, while somebody types.

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::terminal::Terminal;
use basalt_vmm::virtio::console::{self, Console};

/// Plays one input.
pub fn run(data: &[u8]) {
    let terminal = Terminal::new().expect("an eventfd can be had");
    let mut device = Console::new(terminal.clone()).expect("an eventfd can be had");
    let mut position = 0;
    virtio::play(
        &console::description(),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            let len = input.below(64);
            terminal.type_in(input.bytes(len));
            (position, _) = terminal.follow(position, &mut [0; 512]);
        },
    );
}

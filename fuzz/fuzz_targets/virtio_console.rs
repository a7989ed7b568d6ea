//! The console's queues, while somebody types.
#![no_main]

use basalt_fuzz::input::Input;
use basalt_fuzz::{machine, virtio};
use basalt_vmm::terminal::Terminal;
use basalt_vmm::virtio::console::{self, Console};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
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
});

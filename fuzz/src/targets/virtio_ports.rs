//! The queues of the console and the guest agent's port, while programs of the host come and go.

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::channel::{Channel, LARGEST, ROOM};
use basalt_vmm::terminal::Terminal;
use basalt_vmm::virtio::ports::{self, Ports};

/// Plays one input.
pub fn run(data: &[u8]) {
    let terminal = Terminal::new().expect("an eventfd can be had");
    let channel = Channel::new().expect("an eventfd can be had");
    let device = Ports::new(Some(terminal.clone()), channel.clone());
    let mut device = device.expect("an eventfd can be had");
    virtio::play(
        &ports::description(),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            let len = input.below(64);
            match input.below(4) {
                0 => channel.set_host(len < 32),
                1 => drop(channel.write(input.bytes(len))),
                2 => assert!(channel.read(usize::MAX).len() <= ROOM + LARGEST),
                _ => drop(terminal.type_in(input.bytes(len))),
            }
        },
    );
}

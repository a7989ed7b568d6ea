//! The display's queues, while somebody looks at the picture and asks for other sizes.

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::display::capture::Capture;
use basalt_vmm::display::{Resize, Screen};
use basalt_vmm::virtio::gpu::{self, Gpu};

/// Plays one input.
pub fn run(data: &[u8]) {
    let memory = machine::memory();
    let screen = Screen::new().expect("an eventfd can be had");
    screen.attach(memory.clone(), Vec::new());
    screen.set_watched(true);
    let mut device = Gpu::new(screen.clone()).expect("an eventfd can be had");
    let wishes = device.wishes();
    let mut capture = Capture::default();
    virtio::play(
        &gpu::description(),
        &memory,
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            if input.byte() & 1 != 0 {
                wishes.resize(u32::from(input.word()), u32::from(input.word()));
            }
            capture.refresh(&screen);
            screen.cursor();
        },
    );
    capture.refresh(&screen);
}

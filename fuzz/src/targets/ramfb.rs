//! The picture that firmware sets up, as viewers' copy of it is made.

use crate::machine;
use basalt_vmm::devices::ramfb::{self, surface};
use basalt_vmm::display::capture::Capture;
use basalt_vmm::display::{MAX_PIXELS, Screen};

/// Plays one input.
pub fn run(data: &[u8]) {
    let screen = Screen::new().expect("an eventfd can be had");
    screen.attach(machine::memory(), Vec::new());
    let mut capture = Capture::default();
    for bytes in data.chunks(ramfb::LEN).take(4) {
        screen.show(surface(bytes));
        capture.refresh(&screen);
        let frame = capture.frame();
        assert!(frame.width() * frame.height() <= MAX_PIXELS);
    }
}

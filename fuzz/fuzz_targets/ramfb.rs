//! The picture that firmware sets up, as viewers' copy of it is made.
#![no_main]

use basalt_fuzz::machine;
use basalt_vmm::devices::ramfb::{self, surface};
use basalt_vmm::display::capture::Capture;
use basalt_vmm::display::{MAX_PIXELS, Screen};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let screen = Screen::new().expect("an eventfd can be had");
    screen.attach(machine::memory(), Vec::new());
    let mut capture = Capture::default();
    for bytes in data.chunks(ramfb::LEN).take(4) {
        screen.show(surface(bytes));
        capture.refresh(&screen);
        let frame = capture.frame();
        assert!(frame.width() * frame.height() <= MAX_PIXELS);
    }
});

//! A viewer's side of the RFB protocol, while the picture changes.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::input::Input;
use crate::machine::{self, Nobody};
use basalt_vmm::devices::i8042::I8042;
use basalt_vmm::display::capture::Capture;
use basalt_vmm::display::hands::Locks;
use basalt_vmm::display::rfb::viewer::Viewer;
use basalt_vmm::display::{Screen, Surface};
use vm_memory::{Bytes, GuestAddress};

/// Version, security type, shared flag.
const GREETING: &[u8] = b"RFB 003.008\n\x01\x01";
/// Most steps of one input, so that none takes long.
const STEPS: usize = 128;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = machine::memory();
    let screen = Screen::new().expect("an eventfd can be had");
    let keys = I8042::new(Arc::new(Nobody), machine::events(), Some(screen.clone()));
    screen.attach(memory.clone(), vec![Arc::new(keys)]);
    show(&screen, &mut input);
    let (ours, mut theirs) = UnixStream::pair().expect("sockets can be had");
    for end in [&ours, &theirs] {
        end.set_nonblocking(true).expect("a socket need not block");
    }
    let mut viewer = Viewer::new(OwnedFd::from(ours), "fuzz");
    let (mut capture, mut locks) = (Capture::default(), Locks::default());
    capture.refresh(&screen);
    if input.byte() & 1 == 0 {
        theirs.write_all(GREETING).expect("the socket has room");
    }
    let mut taken = vec![0; 64 << 10];
    for _ in 0..STEPS {
        if input.is_empty() || viewer.is_closed() {
            break;
        }
        match input.byte() % 8 {
            0 => show(&screen, &mut input),
            1 => {
                let place = GuestAddress(u64::from(input.word()));
                let pixels = input.bytes(64);
                memory
                    .write_slice(pixels, place)
                    .expect("it lies in memory");
            }
            2 => {
                // A client that does not read is one that must not take memory.
                while theirs.read(&mut taken).is_ok_and(|len| len > 0) {}
            }
            _ => {
                let len = input.below(128);
                // A full socket loses what was to be sent, which is as good as any other noise.
                let _ = theirs.write(input.bytes(len));
                viewer.receive(&screen, capture.frame(), &mut locks);
            }
        }
        let changes = capture.refresh(&screen);
        viewer.mark(&changes.tiles);
        viewer.update(&screen, capture.frame());
        viewer.pump(capture.frame());
    }
    viewer.let_go(&screen);
    // The keyboard knows the screen, and the screen the keyboard.
    screen.detach();
}

/// Shows a picture of another size, or none.
fn show(screen: &Screen, input: &mut Input<'_>) {
    let (width, height) = (u32::from(input.byte()), u32::from(input.byte()));
    screen.show((width > 0 && height > 0).then_some(Surface {
        address: 0,
        width,
        height,
        stride: width * 4,
    }));
}

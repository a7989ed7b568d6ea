//! The firmware configuration device: its ports, and DMA from and to memory; and the picture that
//! is set up by one of its files.

use std::sync::Arc;

use crate::bus::{self, Places};
use crate::input::Input;
use crate::machine;
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::{fwcfg, ramfb};
use basalt_vmm::display::Screen;
use basalt_vmm::display::capture::Capture;
use basalt_vmm::machine::layout::FW_CFG_PORT;
use vm_memory::{Bytes, GuestAddress};

const PLACES: Places<'_> = Places {
    ports: &[
        FW_CFG_PORT,
        FW_CFG_PORT + 1,
        FW_CFG_PORT + 4,
        FW_CFG_PORT + 8,
    ],
    memory: &[],
};
/// Files that no test of the format needs to be larger than.
const FILES: [(&str, usize); 3] = [
    ("bootorder", 40),
    ("etc/acpi/tables", 9000),
    ("etc/e820", 20),
];

/// Plays one input.
pub fn run(data: &[u8]) {
    let memory = machine::memory();
    let screen = Screen::new().expect("an eventfd can be had");
    screen.attach(memory.clone(), Vec::new());
    let mut blobs = fwcfg::Blobs::new([7; 16], machine::MEMORY, 2, 2);
    for (name, len) in FILES {
        blobs.file(name, vec![0x5a; len]);
    }
    let shown = screen.clone();
    let show = move |bytes: &[u8]| shown.show(ramfb::surface(bytes));
    blobs.register(ramfb::FILE, ramfb::LEN, Box::new(show));
    let device = Arc::new(blobs.build(memory.clone()));
    let mut bus = Bus::default();
    bus.add_ports(FW_CFG_PORT, fwcfg::LEN, device.clone());
    let mut input = Input::new(data);
    let mut capture = Capture::default();
    while !input.is_empty() {
        match input.byte() % 8 {
            0 => {
                let place = GuestAddress(u64::from(input.word()));
                let len = input.below(64);
                memory
                    .write_slice(input.bytes(len), place)
                    .expect("it lies in memory");
            }
            1 | 2 => transfer(&bus, &memory, &mut input),
            3 => device.restore(device.save()),
            4 => drop(capture.refresh(&screen)),
            _ => bus::access(&bus, &PLACES, &mut input),
        }
    }
}

/// A DMA transfer that is asked for as it should be: control, length, address, big endian.
fn transfer(bus: &Bus, memory: &basalt_vmm::machine::memory::Memory, input: &mut Input<'_>) {
    let at = u32::from(input.word());
    let key = u32::from(input.byte()) << 16;
    let control = key | u32::from(input.byte() & 0x1f);
    let (len, target) = match input.byte() % 3 {
        0 => (input.dword(), input.qword()),
        1 => (u32::from(input.byte()), u64::from(input.word())),
        _ => (28, u64::from(input.word())),
    };
    let mut request = control.to_be_bytes().to_vec();
    request.extend(len.to_be_bytes());
    request.extend(target.to_be_bytes());
    memory
        .write_slice(&request, GuestAddress(u64::from(at)))
        .expect("it lies in memory");
    bus.port_write(FW_CFG_PORT + 8, &at.to_be_bytes());
}

//! Configuration space by ports and by memory, and the windows of virtio devices behind the bridge:
//! registers, features, status, queues, vectors; with the devices' threads.

use std::sync::Arc;

use crate::bus::{self, Places};
use crate::input::Input;
use crate::machine::{self, Nobody};
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::lpc::{self, Lpc};
use basalt_vmm::devices::reset::ResetControl;
use basalt_vmm::devices::watchdog::Watchdog;
use basalt_vmm::display::Screen;
use basalt_vmm::machine::layout::{ECAM, PCI_CONFIG_PORT, PCI_WINDOW};
use basalt_vmm::machine::memory::Memory;
use basalt_vmm::pci::PciDevice;
use basalt_vmm::pci::host::PciHost;
use basalt_vmm::virtio::Description;
use basalt_vmm::virtio::gpu::{self, Gpu};
use basalt_vmm::virtio::input::{self, Device, Model};
use basalt_vmm::virtio::transport::{VirtioPci, WINDOW_SIZE};
use basalt_vmm::virtio::worker::{Backend, Worker};

const GPU: u8 = 2;
const KEYBOARD: u8 = 5;
const WATCHDOG: u8 = 7;
const WINDOW: u64 = WINDOW_SIZE as u64;
const PLACES: Places<'_> = Places {
    ports: &[
        PCI_CONFIG_PORT,
        PCI_CONFIG_PORT + 1,
        PCI_CONFIG_PORT + 4,
        PCI_CONFIG_PORT + 5,
        PCI_CONFIG_PORT + 7,
    ],
    memory: &[
        (ECAM, 0x10_0000),
        (ECAM + ((GPU as u64) << 15), 0x100),
        (ECAM + ((KEYBOARD as u64) << 15), 0x100),
        (ECAM + ((WATCHDOG as u64) << 15), 0x100),
        (PCI_WINDOW + WATCHDOG as u64 * WINDOW, 0x10),
        (PCI_WINDOW + GPU as u64 * WINDOW, 0x40),
        (PCI_WINDOW + KEYBOARD as u64 * WINDOW, 0x40),
        (PCI_WINDOW + GPU as u64 * WINDOW, WINDOW),
        (PCI_WINDOW + KEYBOARD as u64 * WINDOW, WINDOW),
    ],
};

fn device(
    slot: u8,
    description: Description,
    backend: Box<dyn Backend>,
    memory: &Arc<Memory>,
) -> Arc<VirtioPci> {
    let queues = description.queues.len();
    let worker = Worker::start_unconfined("fuzz", queues, backend);
    let device = VirtioPci::new(
        slot,
        Some(PCI_WINDOW as u32 + u32::from(slot) * WINDOW_SIZE),
        description,
        memory.clone(),
        machine::interrupts(slot, queues),
        worker.expect("a thread can be had"),
        Arc::new(Nobody),
    );
    Arc::new(device.expect("queues have good sizes"))
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let memory = machine::memory();
    let mut input = Input::new(data);
    let screen = Screen::new().expect("an eventfd can be had");
    screen.attach(memory.clone(), Vec::new());
    let display = Gpu::new(screen).expect("an eventfd can be had");
    let keyboard = Device::new(Model::Keyboard).expect("an eventfd can be had");
    let display = device(GPU, gpu::description(), Box::new(display), &memory);
    let keyboard = device(KEYBOARD, input::description(), Box::new(keyboard), &memory);
    let window = PCI_WINDOW as u32 + u32::from(WATCHDOG) * WINDOW_SIZE;
    let watchdog = Watchdog::new(Some(window), Arc::default(), machine::events());
    let watchdog = Arc::new(watchdog);
    let devices: Vec<(u8, Arc<dyn PciDevice>)> = vec![
        (GPU, display.clone()),
        (KEYBOARD, keyboard.clone()),
        (lpc::SLOT, Arc::new(Lpc::new())),
        (WATCHDOG, watchdog.clone()),
    ];
    let reset = ResetControl::new(machine::events());
    let host = Arc::new(PciHost::new(devices, reset, input.byte() & 1 != 0));
    let mut bus = Bus::default();
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    bus.add_memory(host.clone());
    while !input.is_empty() {
        match input.byte() % 16 {
            0 => bring_up(&bus, &mut input),
            1 => {
                let offset = usize::from(input.byte());
                display.change_config(offset, input.bytes(8));
            }
            3 if input.byte() == 0 => {
                // Its driver may go on, and reaches nothing.
                if let Some(device) = host.unplug(GPU) {
                    device.unplugged();
                }
            }
            2 => {
                watchdog.pause();
                let saved = watchdog.save();
                assert!(watchdog.restore(&saved), "it was saved just now");
                watchdog.resume();
                assert!(host.restore(&host.save()), "it was saved just now");
            }
            _ => bus::access(&bus, &PLACES, &mut input),
        }
        watchdog.look();
    }
    for device in [display, keyboard] {
        device.end();
    }
}

/// Brings a device up as a driver does, with queues where the input says.
fn bring_up(bus: &Bus, input: &mut Input<'_>) {
    let slot = match input.byte() & 1 {
        0 => GPU,
        _ => KEYBOARD,
    };
    let base = PCI_WINDOW + u64::from(slot) * WINDOW;
    let set = |offset: u64, len: usize, value: u64| {
        bus.memory_write(base + offset, &value.to_le_bytes()[..len]);
    };
    set(0x14, 1, 0);
    set(0x14, 1, 3);
    set(0x08, 4, 1);
    set(0x0c, 4, 1);
    set(0x14, 1, 11);
    for queue in 0..2 {
        let at = u64::from(input.word()) << 4;
        set(0x16, 2, queue);
        set(0x18, 2, 16);
        set(0x20, 8, at);
        set(0x28, 8, at + 0x1000);
        set(0x30, 8, at + 0x2000);
        set(0x1c, 2, 1);
    }
    set(0x14, 1, 15);
}

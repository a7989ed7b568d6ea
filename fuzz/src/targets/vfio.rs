//! A device of the host: its configuration space as the device has it and as a guest uses it, its windows,
//! vectors and messages. The kernel is made up: it answers what the input says, and refuses at times.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bus::{self, Places};
use crate::input::Input;
use crate::machine;
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::reset::ResetControl;
use basalt_vmm::event::Signal;
use basalt_vmm::machine::layout::{ECAM, PCI_CONFIG_PORT, PCI_PORTS, PCI_PORTS_LEN};
use basalt_vmm::machine::routes::{Message, Wiring};
use basalt_vmm::pci::config::SIZE;
use basalt_vmm::pci::host::{PciHost, PortWindows};
use basalt_vmm::vfio::device::{Connections, Settings, VfioPci};
use basalt_vmm::vfio::mapping::Mapping;
use basalt_vmm::vfio::{Area, CONFIG_REGION, Irq, Kernel, ROM_REGION, Region, Slots};

const SLOT: u8 = 5;
/// Where the input's guest may put windows, so that its accesses find them.
const MEMORY: u64 = 0xd000_0000;
const PORT: u16 = 0x6000;
const PLACES: Places<'_> = Places {
    ports: &[PCI_CONFIG_PORT, PCI_CONFIG_PORT + 4, PORT],
    memory: &[
        (ECAM + ((SLOT as u64) << 15), 0x100),
        (MEMORY, 0x100),
        (MEMORY, 0x4000),
    ],
};

/// The kernel and the guest's side.
struct Fake {
    config: Mutex<[u8; SIZE]>,
    sizes: [u64; 7],
    vectors: u32,
    refuses: bool,
}

impl Fake {
    /// Device, sizes of windows, and whether the kernel refuses, from an input.
    fn new(input: &mut Input<'_>) -> Self {
        let mut config = [0; SIZE];
        for byte in &mut config {
            *byte = input.byte();
        }
        // Most bridges would be refused at once.
        if input.byte() & 7 != 0 {
            config[0x0e] &= 0x80;
        }
        let sizes = [(); 7].map(|()| match input.byte() {
            0 => 0,
            1 => input.dword().into(),
            bits => 1 << (bits % 40),
        });
        Self {
            config: Mutex::new(config),
            // A ROM is read whole.
            sizes: sizes.map(|size: u64| size.min(1 << 40)),
            vectors: input.word().into(),
            refuses: input.byte() == 0xff,
        }
    }

    fn answer(&self) -> io::Result<()> {
        match self.refuses {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    }

    fn check(&self, region: u32, offset: u64, len: usize) {
        let end = offset + len as u64;
        assert!(end <= self.region(region).size, "beyond the region's end");
    }
}

impl Kernel for Fake {
    fn region(&self, region: u32) -> Region {
        let size = match region {
            CONFIG_REGION => SIZE as u64,
            ROM_REGION => self.sizes[6].min(1 << 16),
            _ => self.sizes.get(region as usize).copied().unwrap_or(0),
        };
        let len = size;
        Region {
            size,
            mappable: vec![Area { offset: 0, len }],
        }
    }

    fn interrupts(&self, kind: Irq) -> u32 {
        match kind {
            Irq::Line => self.vectors & 1,
            Irq::Msi => self.vectors & 63,
            Irq::MsiX => self.vectors,
        }
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.check(region, offset, data.len());
        data.fill(0x5a);
        if region == CONFIG_REGION {
            let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
            let at = offset as usize;
            data.copy_from_slice(&config[at..at + data.len()]);
        }
        Ok(())
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(region, offset, data.len());
        if region == CONFIG_REGION {
            let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
            let at = offset as usize;
            config[at..at + data.len()].copy_from_slice(data);
        }
        self.answer()
    }

    fn map(&self, region: u32, area: Area) -> io::Result<Mapping> {
        assert!(area.end() <= self.region(region).size);
        Err(io::ErrorKind::Unsupported.into())
    }

    fn trigger(&self, _kind: Irq, _bells: &[Arc<Signal>]) -> io::Result<()> {
        self.answer()
    }

    fn trigger_line(&self, _bell: &Signal) -> io::Result<()> {
        self.answer()
    }

    fn unmask_by(&self, _again: &Signal) -> io::Result<()> {
        self.answer()
    }

    fn reset(&self) -> io::Result<()> {
        self.answer()
    }
}

/// The guest's side, which takes everything.
struct Guest;

impl Slots for Guest {
    fn show(&self, _slot: u32, _address: u64, _mapping: &Mapping) -> io::Result<()> {
        Ok(())
    }
    fn hide(&self, _slot: u32) -> io::Result<()> {
        Ok(())
    }
}

impl Wiring for Guest {
    fn connect(&self, _wire: u32, _bell: &Signal, _message: Message) -> bool {
        true
    }
    fn connect_line(&self, _gsi: u32, _bell: &Signal, _again: &Signal) -> bool {
        true
    }
    fn disconnect(&self, _wire: u32, _bell: &Signal) {}
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kernel = Arc::new(Fake::new(&mut input));
    let settings = Settings {
        express: input.byte() & 1 != 0,
        rom: input.byte() & 1 != 0,
        ..Settings::default()
    };
    let connections = Connections {
        slots: Arc::new(Guest),
        first_slot: 32,
        wiring: Arc::new(Guest),
        first_wire: 4000,
        gsi: 17,
    };
    let Ok(device) = VfioPci::new(kernel, &settings, &connections) else {
        return;
    };
    let device = Arc::new(device);
    let reset = ResetControl::new(machine::events());
    let host = Arc::new(PciHost::new(vec![(SLOT, device.clone())], reset, false));
    let mut bus = Bus::default();
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    bus.add_ports(
        PCI_PORTS,
        PCI_PORTS_LEN,
        Arc::new(PortWindows(host.clone())),
    );
    bus.add_memory(host);
    while !input.is_empty() {
        match input.byte() % 16 {
            0 => place(&bus, &mut input),
            1 => device.end(),
            _ => bus::access(&bus, &PLACES, &mut input),
        }
    }
}

/// Puts a window where accesses go, and switches decoding on.
fn place(bus: &Bus, input: &mut Input<'_>) {
    let registers = ECAM + (u64::from(SLOT) << 15);
    let register = 0x10 + 4 * input.below(9) as u64;
    let start = match input.byte() & 1 {
        0 => MEMORY as u32 | 1,
        _ => PORT.into(),
    };
    bus.memory_write(registers + register, &start.to_le_bytes());
    bus.memory_write(registers + 4, &[7, 0]);
}

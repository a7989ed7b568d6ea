//! One virtual machine: built from [`Resources`], run, paused, ended; built again for a reset.
//!
//! Start at [`Machine::start`]. Where things lie is in [`layout`]; what the guest is told about
//! them is in [`acpi`] and [`boot`].

pub mod acpi;
pub mod boot;
pub mod cpuid;
pub mod events;
pub mod firmware;
pub mod interrupts;
pub mod layout;
pub mod memory;
pub mod registers;
pub mod smbios;
pub mod vcpu;

use std::sync::Arc;

use basalt_model::machine::Adapter;
use kvm_bindings::{CpuId, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::bus::Bus;
use crate::devices::pm::PowerManagement;
use crate::devices::reset::{KeyboardReset, ResetControl};
use crate::devices::serial::SerialPort;
use crate::devices::{pm, serial};
use crate::display::{Input, Screen};
use crate::pci::PciDevice;
use crate::pci::host::PciHost;
use crate::spec::{BootResource, Resources};
use crate::terminal::Terminal;
use crate::virtio::block::Block;
use crate::virtio::console::Console;
use crate::virtio::gpu::Gpu;
use crate::virtio::input::{self, Model};
use crate::virtio::interrupt::Interrupts;
use crate::virtio::net::Net;
use crate::virtio::rng::Rng;
use crate::virtio::transport::{VirtioPci, WINDOW_SIZE};
use crate::virtio::worker::{Backend, Worker};
use crate::virtio::{Description, console, gpu, net, rng};
use events::Events;
use firmware::Firmware;
use interrupts::{LineHolder, SharedLine};
use layout::{
    INTX_BASE, KEYBOARD_PORT, KVM_IDENTITY_MAP, KVM_TSS, PCI_CONFIG_PORT, PCI_WINDOW, PM_PORT,
    SERIAL_PORT, intx_line,
};
use memory::Memory;
use vcpu::Vcpus;

/// PCI device number of the entropy device.
const RNG_SLOT: u8 = 1;
/// PCI device number of the first disk.
const DISK_SLOT: u8 = 2;
/// PCI device number of the first network card; fixed, so that a guest's name for a card does
/// not change with its disks.
const NIC_SLOT: u8 = 18;
/// PCI device number of the display.
const GPU_SLOT: u8 = 27;
/// PCI device number of the keyboard.
const KEYBOARD_SLOT: u8 = 28;
/// PCI device number of the tablet.
const TABLET_SLOT: u8 = 29;
/// PCI device number of the console.
const CONSOLE_SLOT: u8 = 30;

/// Why a machine cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// KVM refuses something.
    #[error("KVM cannot {0}: {1}")]
    Kvm(&'static str, kvm_ioctls::Error),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// Kernel.
    #[error(transparent)]
    Boot(#[from] boot::Error),
    /// ACPI tables.
    #[error(transparent)]
    Acpi(#[from] acpi::Error),
    /// Firmware.
    #[error(transparent)]
    Firmware(#[from] firmware::Error),
    /// Registers.
    #[error(transparent)]
    Registers(#[from] registers::Error),
    /// A device.
    #[error("cannot make device {0}: {1}")]
    Device(String, std::io::Error),
    /// A thread.
    #[error("cannot start a virtual CPU: {0}")]
    Thread(std::io::Error),
}

/// What people sit in front of: the terminal lines of a machine and its screen; they outlive it.
pub struct Terminals {
    /// First serial port.
    pub serial: Arc<Terminal>,
    /// Virtio console.
    pub console: Arc<Terminal>,
    /// Screen, keyboard and pointer, if the machine has them.
    pub screen: Option<Arc<Screen>>,
}

/// A machine whose virtual CPUs run or pause.
pub struct Machine {
    // Dropped in this order: processors, then devices, then what both use.
    vcpus: Vcpus,
    devices: Vec<Arc<VirtioPci>>,
    firmware: Option<Firmware>,
    power: Arc<PowerManagement>,
    events: Arc<Events>,
    _bus: Arc<Bus>,
    _vm: Arc<VmFd>,
    _memory: Arc<Memory>,
}

impl Machine {
    /// Builds the machine and lets it run.
    pub fn start(resources: &Resources, terminals: &Terminals) -> Result<Self, Error> {
        let events = Arc::new(Events::new().map_err(Error::Thread)?);
        let memory = memory::reserve(resources.memory)?;
        let vm = create_vm(resources)?;
        memory::register(&vm, &memory)?;
        let offered = cpuid::supported(&resources.kvm)
            .map_err(|e| Error::Kvm("list processor features", e))?;
        let profile = acpi::Profile {
            vcpus: resources.vcpus,
            memory: resources.memory,
            address_bits: cpuid::address_bits(&offered),
            firmware: resources.boot.is_firmware(),
        };
        let entry = load_kernel(resources, &memory, profile)?;

        let mut board = Board::new(vm.clone(), memory.clone(), profile.firmware);
        board.add_devices(resources, terminals)?;
        let firmware = Firmware::new(resources, &board, profile, terminals, &events)?;
        if let Some(screen) = &terminals.screen {
            board.add_display(resources, screen)?;
            board.inputs.extend(firmware.iter().map(Firmware::input));
            screen.attach(memory.clone(), std::mem::take(&mut board.inputs));
        }
        let devices = board
            .devices
            .iter()
            .map(|(_, device)| device.clone())
            .collect();
        let power = Arc::new(PowerManagement::new(vm.clone(), events.clone()));
        let bus = make_bus(&board, firmware.as_ref(), terminals, &power, &events);
        let bus = Arc::new(bus);

        let vcpus = create_vcpus(resources, &vm, &offered)?;
        if let Some(entry) = entry {
            registers::enter(&vcpus[0], &memory, entry)?;
        }
        let vcpus = Vcpus::start(vcpus, &bus, &events).map_err(Error::Thread)?;
        Ok(Self {
            vcpus,
            devices,
            firmware,
            power,
            events,
            _bus: bus,
            _vm: vm,
            _memory: memory,
        })
    }

    /// What happened to the machine; its wake-up is readable while something has.
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Presses the power button.
    pub fn press_power_button(&self) {
        self.power.press_power_button();
    }

    /// Stops the virtual CPUs; returns when they stand.
    pub fn pause(&self) {
        self.vcpus.pause();
    }

    /// Lets them run again.
    pub fn resume(&self) {
        self.vcpus.resume();
    }

    /// Ends all threads of the machine. It cannot run again.
    pub fn stop(&mut self, terminals: &Terminals) {
        self.vcpus.end();
        terminals.serial.detach();
        terminals.console.detach();
        for device in &self.devices {
            device.end();
        }
        if let Some(screen) = &terminals.screen {
            screen.detach();
        }
    }
}

/// Loads the kernel and what it is told, unless firmware boots the machine.
fn load_kernel(
    resources: &Resources,
    memory: &Memory,
    profile: acpi::Profile,
) -> Result<Option<boot::Entry>, Error> {
    let BootResource::Kernel {
        kernel,
        initrd,
        cmdline,
    } = &resources.boot
    else {
        return Ok(None);
    };
    let kernel = boot::Kernel {
        image: kernel,
        initrd: initrd.as_ref(),
        cmdline,
    };
    let entry = boot::load(memory, resources.memory, &kernel)?;
    acpi::write(memory, profile)?;
    Ok(Some(entry))
}

fn create_vm(resources: &Resources) -> Result<Arc<VmFd>, Error> {
    let vm = resources
        .kvm
        .create_vm()
        .map_err(|e| Error::Kvm("create a virtual machine", e))?;
    vm.set_identity_map_address(KVM_IDENTITY_MAP)
        .and_then(|()| vm.set_tss_address(KVM_TSS))
        .and_then(|()| vm.create_irq_chip())
        .map_err(|e| Error::Kvm("create interrupt controllers", e))?;
    let pit = kvm_pit_config {
        flags: KVM_PIT_SPEAKER_DUMMY,
        ..Default::default()
    };
    vm.create_pit2(pit)
        .map_err(|e| Error::Kvm("create the interval timer", e))?;
    Ok(Arc::new(vm))
}

fn create_vcpus(resources: &Resources, vm: &VmFd, offered: &CpuId) -> Result<Vec<VcpuFd>, Error> {
    let deadline = cpuid::has_tsc_deadline(&resources.kvm);
    let mut all = Vec::new();
    for id in 0..resources.vcpus {
        let vcpu = vm
            .create_vcpu(u64::from(id))
            .map_err(|e| Error::Kvm("create a virtual CPU", e))?;
        let list = cpuid::for_vcpu(offered, id, resources.vcpus, deadline);
        vcpu.set_cpuid2(&list)
            .map_err(|e| Error::Kvm("set processor features", e))?;
        registers::prepare(&vcpu, resources.boot.is_firmware())?;
        all.push(vcpu);
    }
    Ok(all)
}

fn make_bus(
    board: &Board,
    firmware: Option<&Firmware>,
    terminals: &Terminals,
    power: &Arc<PowerManagement>,
    events: &Arc<Events>,
) -> Bus {
    let port = SerialPort::new(terminals.serial.clone(), board.vm.clone());
    let fed = port.clone();
    terminals.serial.on_input(Arc::new(move || fed.feed()));
    // What was typed while the machine was being rebuilt.
    port.feed();
    let mut pci: Vec<(u8, Arc<dyn PciDevice>)> = board
        .devices
        .iter()
        .map(|(slot, d)| (*slot, d.clone() as Arc<dyn PciDevice>))
        .collect();
    pci.extend(firmware.map(Firmware::bridge));
    let reset = ResetControl::new(events.clone());
    let host = Arc::new(PciHost::new(pci, reset, firmware.is_some()));
    let mut bus = Bus::default();
    bus.add_ports(PM_PORT, pm::LEN, power.clone());
    bus.add_ports(SERIAL_PORT, serial::LEN, port);
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    match firmware {
        Some(firmware) => firmware.connect(&mut bus, events),
        None => {
            let reset = Arc::new(KeyboardReset::new(events.clone()));
            bus.add_ports(KEYBOARD_PORT, 1, reset);
        }
    }
    bus.add_memory(host);
    bus
}

/// The PCI devices while they are put together.
struct Board {
    vm: Arc<VmFd>,
    memory: Arc<Memory>,
    /// Firmware places the devices' windows.
    firmware: bool,
    lines: Vec<Arc<SharedLine>>,
    devices: Vec<(u8, Arc<VirtioPci>)>,
    /// Input devices; the first that the guest listens to gets what is typed.
    inputs: Vec<Arc<dyn Input>>,
}

impl Board {
    fn new(vm: Arc<VmFd>, memory: Arc<Memory>, firmware: bool) -> Self {
        let lines = (INTX_BASE..INTX_BASE + 4).map(|gsi| SharedLine::new(gsi, vm.clone()));
        Self {
            lines: lines.collect(),
            vm,
            memory,
            firmware,
            devices: Vec::new(),
            inputs: Vec::new(),
        }
    }

    fn add_devices(&mut self, resources: &Resources, terminals: &Terminals) -> Result<(), Error> {
        let failed = |id: &str| {
            let id = id.to_owned();
            move |e| Error::Device(id, e)
        };
        if let Some(source) = &resources.rng {
            let device = Rng::new(source.clone());
            self.add(RNG_SLOT, "rng", rng::description(), Box::new(device))?;
        }
        for (slot, disk) in (DISK_SLOT..).zip(&resources.disks) {
            let counters = disk.counters.clone();
            let device = Block::new(
                &disk.id,
                disk.image.clone(),
                disk.readonly,
                &disk.serial,
                counters,
            )
            .map_err(failed(&disk.id))?;
            self.add(slot, &disk.id, device.description(), Box::new(device))?;
        }
        for (slot, nic) in (NIC_SLOT..).zip(&resources.nics) {
            let device = Net::new(nic.tap.clone(), nic.counters.clone());
            self.add(slot, &nic.id, net::description(nic.mac), Box::new(device))?;
        }
        if resources.console {
            let device = Console::new(terminals.console.clone()).map_err(failed("console"))?;
            self.add(
                CONSOLE_SLOT,
                "console",
                console::description(),
                Box::new(device),
            )?;
        }
        Ok(())
    }

    fn add_display(&mut self, resources: &Resources, screen: &Arc<Screen>) -> Result<(), Error> {
        let Some(display) = resources.display else {
            return Ok(());
        };
        let failed = |e| Error::Device("display".to_owned(), e);
        if display.adapter == Adapter::Virtio {
            let device = Gpu::new(screen.clone()).map_err(failed)?;
            screen.set_resizer(Some(device.wishes()));
            self.add(GPU_SLOT, "display", gpu::description(), Box::new(device))?;
        }
        let tablet = display
            .tablet
            .then_some((TABLET_SLOT, "tablet", Model::Tablet));
        let keyboard = (KEYBOARD_SLOT, "keyboard", Model::Keyboard);
        for (slot, id, model) in [keyboard].into_iter().chain(tablet) {
            let device = input::Device::new(model).map_err(failed)?;
            self.inputs.push(device.handle());
            self.add(slot, id, input::description(), Box::new(device))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        slot: u8,
        id: &str,
        description: Description,
        backend: Box<dyn Backend>,
    ) -> Result<(), Error> {
        let failed = |e: std::io::Error| Error::Device(id.to_owned(), e);
        let queues = description.queues.len();
        let worker = Worker::start(id, queues, backend).map_err(failed)?;
        let line = self.lines[(intx_line(slot) - INTX_BASE) as usize].clone();
        let interrupts = Arc::new(Interrupts::new(
            queues,
            self.vm.clone(),
            LineHolder::new(line, slot),
        ));
        let window = PCI_WINDOW as u32 + u32::from(slot) * WINDOW_SIZE;
        let device = VirtioPci::new(
            slot,
            (!self.firmware).then_some(window),
            description,
            self.memory.clone(),
            interrupts,
            worker,
            self.vm.clone(),
        )
        .map_err(|e| failed(std::io::Error::other(e)))?;
        self.devices.push((slot, Arc::new(device)));
        Ok(())
    }
}

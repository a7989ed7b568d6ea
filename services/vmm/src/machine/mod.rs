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
pub mod saved;
pub mod smbios;
pub mod vcpu;

use std::sync::Arc;
use std::time::Duration;

use basalt_model::machine::Adapter;
use kvm_bindings::{CpuId, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::bus::Bus;
use crate::devices::pm::PowerManagement;
use crate::devices::reset::{KeyboardReset, ResetControl};
use crate::devices::serial::SerialPort;
use crate::devices::{pm, serial};
use crate::disk::SECTOR;
use crate::display::{Input, Screen};
use crate::pci::PciDevice;
use crate::pci::host::PciHost;
use crate::spec::{BootResource, DiskResource, Resources};
use crate::terminal::Terminal;
use crate::virtio::block::{self, Block, Orders};
use crate::virtio::console::Console;
use crate::virtio::gpu::Gpu;
use crate::virtio::input::{self, Model};
use crate::virtio::interrupt::Interrupts;
use crate::virtio::net::Net;
use crate::virtio::rng::Rng;
use crate::virtio::scsi::{self, Scsi};
use crate::virtio::transport::{VirtioPci, WINDOW_SIZE};
use crate::virtio::worker::{Backend, Worker};
use crate::virtio::{Description, console, gpu, net, rng};
use events::{Events, FullDisk};
use firmware::Firmware;
use interrupts::{LineHolder, SharedLine};
use layout::{
    INTX_BASE, KEYBOARD_PORT, KVM_IDENTITY_MAP, KVM_TSS, PCI_CONFIG_PORT, PCI_WINDOW, PM_PORT,
    SERIAL_PORT, intx_line,
};
use memory::{DirtyLog, Memory};
use vcpu::Vcpus;

/// PCI device number of the entropy device.
const RNG_SLOT: u8 = 1;
/// PCI device number of the first disk.
const DISK_SLOT: u8 = 2;
/// PCI device number of the SCSI adapter.
const SCSI_SLOT: u8 = 17;
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
    /// A saved state.
    #[error(transparent)]
    Saved(#[from] saved::Error),
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
    /// What each virtual CPU was told it can do.
    features: Vec<CpuId>,
    devices: Vec<(String, Arc<VirtioPci>)>,
    disks: Vec<DiskHandle>,
    firmware: Option<Firmware>,
    fixed: Fixed,
    power: Arc<PowerManagement>,
    events: Arc<Events>,
    _bus: Arc<Bus>,
    vm: Arc<VmFd>,
    memory: Arc<Memory>,
}

/// Devices that every machine has, beside [`PowerManagement`].
struct Fixed {
    serial: Arc<SerialPort>,
    host: Arc<PciHost>,
}

/// A machine without virtual CPUs.
struct Shell {
    devices: Vec<(String, Arc<VirtioPci>)>,
    disks: Vec<DiskHandle>,
    firmware: Option<Firmware>,
    fixed: Fixed,
    power: Arc<PowerManagement>,
    events: Arc<Events>,
    bus: Arc<Bus>,
    vm: Arc<VmFd>,
    memory: Arc<Memory>,
}

impl Shell {
    fn build(
        resources: &Resources,
        terminals: &Terminals,
        memory: Arc<Memory>,
        profile: acpi::Profile,
    ) -> Result<Self, Error> {
        let events = Arc::new(Events::new().map_err(Error::Thread)?);
        let vm = create_vm(resources)?;
        memory::register(&vm, &memory, DirtyLog::Off)?;
        let mut board = Board::new(vm.clone(), memory.clone(), profile.firmware, events.clone());
        board.add_devices(resources, terminals)?;
        let firmware = Firmware::new(resources, &board, profile, terminals, &events)?;
        if let Some(screen) = &terminals.screen {
            board.add_display(resources, screen)?;
            board.inputs.extend(firmware.iter().map(Firmware::input));
            screen.attach(memory.clone(), std::mem::take(&mut board.inputs));
        }
        let power = Arc::new(PowerManagement::new(vm.clone(), events.clone()));
        let (bus, fixed) = make_bus(&board, firmware.as_ref(), terminals, &power, &events);
        let named = board.devices.into_iter().map(|(_, id, d)| (id, d));
        Ok(Self {
            devices: named.collect(),
            disks: board.disks,
            firmware,
            fixed,
            power,
            events,
            bus: Arc::new(bus),
            vm,
            memory,
        })
    }

    fn with(self, vcpus: Vcpus, features: Vec<CpuId>) -> Machine {
        Machine {
            vcpus,
            features,
            devices: self.devices,
            disks: self.disks,
            firmware: self.firmware,
            fixed: self.fixed,
            power: self.power,
            events: self.events,
            _bus: self.bus,
            vm: self.vm,
            memory: self.memory,
        }
    }
}

/// A disk as the main thread reaches it.
struct DiskHandle {
    id: String,
    orders: Orders,
    device: Arc<VirtioPci>,
    size: u64,
}

/// How long a device may take to carry out an order.
const ORDER_PATIENCE: Duration = Duration::from_secs(8);

impl Machine {
    /// Builds the machine and lets it run.
    pub fn start(resources: &Resources, terminals: &Terminals) -> Result<Self, Error> {
        let memory = memory::reserve(resources.memory)?;
        let offer = cpuid::Offer::of(&resources.kvm)?;
        let profile = profile(resources, &offer);
        let entry = load_kernel(resources, &memory, profile)?;
        let shell = Shell::build(resources, terminals, memory, profile)?;
        let (vcpus, features) = create_vcpus(resources, &shell.vm, &offer)?;
        if let Some(entry) = entry {
            registers::enter(&vcpus[0], &shell.memory, entry)?;
        }
        let vcpus = Vcpus::start(vcpus, &shell.bus, &shell.events).map_err(Error::Thread)?;
        Ok(shell.with(vcpus, features))
    }

    /// What happened to the machine; its wake-up is readable while something has.
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Presses the power button.
    pub fn press_power_button(&self) {
        self.power.press_power_button();
    }

    /// Stops the virtual CPUs, then the devices; returns when nothing changes memory any more.
    pub fn pause(&self) {
        self.vcpus.pause();
        for (_, device) in &self.devices {
            device.pause();
        }
    }

    /// Lets them run again.
    pub fn resume(&self) {
        for (_, device) in &self.devices {
            device.resume();
        }
        self.vcpus.resume();
    }

    /// Tries again what the disks hold back because the host was full.
    pub fn retry_disks(&self) {
        for disk in &self.disks {
            disk.orders.retry();
            disk.device.poke();
        }
    }

    /// Lets a disk follow its image to a larger size and tells the guest; what is wrong with the
    /// field that it names otherwise.
    pub fn resize_disk(&mut self, id: &str, size: u64) -> Result<(), String> {
        let Some(disk) = self.disks.iter_mut().find(|disk| disk.id == id) else {
            return Err(format!("disk: there is no '{id}'"));
        };
        if !size.is_multiple_of(SECTOR) {
            return Err(format!("size: {size} is not a multiple of {SECTOR}"));
        }
        if size < disk.size {
            return Err(format!("size: {size} is less than {}", disk.size));
        }
        let answer = disk.orders.grow(size);
        disk.device.poke();
        match answer.recv_timeout(ORDER_PATIENCE) {
            Ok(result) => result.map_err(|error| format!("size: {error}"))?,
            Err(_) => return Err("disk: it is too busy".to_owned()),
        }
        disk.size = size;
        disk.device.change_config(0, &block::capacity(size));
        Ok(())
    }

    /// Ends all threads of the machine. It cannot run again.
    pub fn stop(&mut self, terminals: &Terminals) {
        self.vcpus.end();
        terminals.serial.detach();
        terminals.console.detach();
        for (_, device) in &self.devices {
            device.end();
        }
        if let Some(screen) = &terminals.screen {
            screen.detach();
        }
    }
}

/// What tables tell of the machine.
fn profile(resources: &Resources, offer: &cpuid::Offer) -> acpi::Profile {
    acpi::Profile {
        vcpus: resources.vcpus,
        memory: resources.memory,
        address_bits: offer.address_bits(),
        firmware: resources.boot.is_firmware(),
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

fn create_vcpus(
    resources: &Resources,
    vm: &VmFd,
    offer: &cpuid::Offer,
) -> Result<(Vec<VcpuFd>, Vec<CpuId>), Error> {
    let (mut all, mut features) = (Vec::new(), Vec::new());
    for id in 0..resources.vcpus {
        let own = offer.for_vcpu(id, resources.vcpus);
        let vcpu = create_vcpu(vm, id, &own)?;
        registers::prepare(&vcpu, resources.boot.is_firmware())?;
        all.push(vcpu);
        features.push(own);
    }
    Ok((all, features))
}

fn create_vcpu(vm: &VmFd, id: u8, features: &CpuId) -> Result<VcpuFd, Error> {
    let vcpu = vm
        .create_vcpu(u64::from(id))
        .map_err(|e| Error::Kvm("create a virtual CPU", e))?;
    vcpu.set_cpuid2(features)
        .map_err(|e| Error::Kvm("set processor features", e))?;
    Ok(vcpu)
}

fn make_bus(
    board: &Board,
    firmware: Option<&Firmware>,
    terminals: &Terminals,
    power: &Arc<PowerManagement>,
    events: &Arc<Events>,
) -> (Bus, Fixed) {
    let port = SerialPort::new(terminals.serial.clone(), board.vm.clone());
    let fed = port.clone();
    terminals.serial.on_input(Arc::new(move || fed.feed()));
    // What was typed while the machine was being rebuilt.
    port.feed();
    let mut pci: Vec<(u8, Arc<dyn PciDevice>)> = board
        .devices
        .iter()
        .map(|(slot, _, d)| (*slot, d.clone() as Arc<dyn PciDevice>))
        .collect();
    pci.extend(firmware.map(Firmware::bridge));
    let reset = ResetControl::new(events.clone());
    let host = Arc::new(PciHost::new(pci, reset, firmware.is_some()));
    let mut bus = Bus::default();
    bus.add_ports(PM_PORT, pm::LEN, power.clone());
    bus.add_ports(SERIAL_PORT, serial::LEN, port.clone());
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    match firmware {
        Some(firmware) => firmware.connect(&mut bus, events),
        None => {
            let reset = Arc::new(KeyboardReset::new(events.clone()));
            bus.add_ports(KEYBOARD_PORT, 1, reset);
        }
    }
    bus.add_memory(host.clone());
    (bus, Fixed { serial: port, host })
}

/// The PCI devices while they are put together.
struct Board {
    vm: Arc<VmFd>,
    memory: Arc<Memory>,
    /// Firmware places the devices' windows.
    firmware: bool,
    events: Arc<Events>,
    lines: Vec<Arc<SharedLine>>,
    devices: Vec<(u8, String, Arc<VirtioPci>)>,
    disks: Vec<DiskHandle>,
    /// Input devices; the first that the guest listens to gets what is typed.
    inputs: Vec<Arc<dyn Input>>,
}

impl Board {
    fn new(vm: Arc<VmFd>, memory: Arc<Memory>, firmware: bool, events: Arc<Events>) -> Self {
        let lines = (INTX_BASE..INTX_BASE + 4).map(|gsi| SharedLine::new(gsi, vm.clone()));
        Self {
            lines: lines.collect(),
            vm,
            memory,
            firmware,
            events,
            devices: Vec::new(),
            disks: Vec::new(),
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
            self.add_disk(slot, disk)?;
        }
        if !resources.drives.is_empty() {
            let device = Scsi::new(resources.drives.clone());
            let description = scsi::description(resources.drives.len());
            self.add(SCSI_SLOT, "scsi", description, Box::new(device))?;
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

    fn add_disk(&mut self, slot: u8, disk: &DiskResource) -> Result<(), Error> {
        let id = disk.settings.name.clone();
        let failed = |e| Error::Device(id.clone(), e);
        let orders = Orders::default();
        let (events, name) = (self.events.clone(), id.clone());
        let on_full = move |error: &std::io::Error| {
            events.report_full(FullDisk {
                disk: name.clone(),
                error: error.to_string(),
            });
        };
        let device = Block::new(
            disk.image.open().map_err(failed)?,
            disk.settings.clone(),
            disk.counters.clone(),
            orders.clone(),
            Box::new(on_full),
        )
        .map_err(failed)?;
        let size = device.size();
        let description = block::description(&disk.settings, size);
        let device = self.add(slot, &id, description, Box::new(device))?;
        self.disks.push(DiskHandle {
            id,
            orders,
            device,
            size,
        });
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
    ) -> Result<Arc<VirtioPci>, Error> {
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
        let device = Arc::new(device);
        self.devices.push((slot, id.to_owned(), device.clone()));
        Ok(device)
    }
}

//! One virtual machine: built from [`Resources`], run, paused, ended; built again for a reset.
//!
//! Start at [`Machine::start`]. Where things lie is in [`layout`]; what the guest is told about
//! them is in [`acpi`] and [`boot`].

pub mod acpi;
pub mod boot;
pub mod cpuid;
pub mod events;
pub mod interrupts;
pub mod layout;
pub mod memory;
pub mod registers;
pub mod vcpu;

use std::sync::Arc;
use std::time::Duration;

use kvm_bindings::{KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::bus::Bus;
use crate::devices::pm::PowerManagement;
use crate::devices::reset::{KeyboardReset, ResetControl};
use crate::devices::serial::SerialPort;
use crate::devices::{pm, serial};
use crate::disk::SECTOR;
use crate::pci::PciDevice;
use crate::pci::host::PciHost;
use crate::spec::{DiskResource, Resources};
use crate::terminal::Terminal;
use crate::virtio::block::{self, Block, Orders};
use crate::virtio::console::Console;
use crate::virtio::interrupt::Interrupts;
use crate::virtio::net::Net;
use crate::virtio::rng::Rng;
use crate::virtio::scsi::{self, Scsi};
use crate::virtio::transport::{VirtioPci, WINDOW_SIZE};
use crate::virtio::worker::{Backend, Worker};
use crate::virtio::{Description, console, net, rng};
use events::{Events, FullDisk};
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
/// PCI device number of the SCSI adapter.
const SCSI_SLOT: u8 = 17;
/// PCI device number of the first network card; fixed, so that a guest's name for a card does
/// not change with its disks.
const NIC_SLOT: u8 = 18;
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

/// The terminal lines of a machine; they outlive it.
pub struct Terminals {
    /// First serial port.
    pub serial: Arc<Terminal>,
    /// Virtio console.
    pub console: Arc<Terminal>,
}

/// A machine whose virtual CPUs run or pause.
pub struct Machine {
    // Dropped in this order: processors, then devices, then what both use.
    vcpus: Vcpus,
    devices: Vec<Arc<VirtioPci>>,
    disks: Vec<DiskHandle>,
    power: Arc<PowerManagement>,
    events: Arc<Events>,
    _bus: Arc<Bus>,
    _vm: Arc<VmFd>,
    _memory: Arc<Memory>,
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
        let events = Arc::new(Events::new().map_err(Error::Thread)?);
        let memory = memory::reserve(resources.memory)?;
        let vm = create_vm(resources)?;
        memory::register(&vm, &memory)?;
        let kernel = boot::Kernel {
            image: &resources.kernel,
            initrd: resources.initrd.as_ref(),
            cmdline: &resources.cmdline,
        };
        let entry = boot::load(&memory, resources.memory, &kernel)?;
        acpi::write(&memory, resources.vcpus)?;

        let mut board = Board::new(vm.clone(), memory.clone(), events.clone());
        board.add_devices(resources, terminals)?;
        let devices = board
            .devices
            .iter()
            .map(|(_, device)| device.clone())
            .collect();
        let power = Arc::new(PowerManagement::new(vm.clone(), events.clone()));
        let bus = Arc::new(make_bus(&board, &vm, terminals, &power, &events));

        let vcpus = create_vcpus(resources, &vm)?;
        registers::enter(&vcpus[0], &memory, entry)?;
        let vcpus = Vcpus::start(vcpus, &bus, &events).map_err(Error::Thread)?;
        Ok(Self {
            vcpus,
            devices,
            disks: board.disks,
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
        for device in &self.devices {
            device.end();
        }
    }
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

fn create_vcpus(resources: &Resources, vm: &VmFd) -> Result<Vec<VcpuFd>, Error> {
    let kvm = &resources.kvm;
    let base = cpuid::supported(kvm).map_err(|e| Error::Kvm("list processor features", e))?;
    let deadline = cpuid::has_tsc_deadline(kvm);
    let mut all = Vec::new();
    for id in 0..resources.vcpus {
        let vcpu = vm
            .create_vcpu(u64::from(id))
            .map_err(|e| Error::Kvm("create a virtual CPU", e))?;
        let list = cpuid::for_vcpu(&base, id, resources.vcpus, deadline);
        vcpu.set_cpuid2(&list)
            .map_err(|e| Error::Kvm("set processor features", e))?;
        registers::prepare(&vcpu)?;
        all.push(vcpu);
    }
    Ok(all)
}

fn make_bus(
    board: &Board,
    vm: &Arc<VmFd>,
    terminals: &Terminals,
    power: &Arc<PowerManagement>,
    events: &Arc<Events>,
) -> Bus {
    let port = SerialPort::new(terminals.serial.clone(), vm.clone());
    let fed = port.clone();
    terminals.serial.on_input(Arc::new(move || fed.feed()));
    // What was typed while the machine was being rebuilt.
    port.feed();
    let pci: Vec<(u8, Arc<dyn PciDevice>)> = board
        .devices
        .iter()
        .map(|(slot, d)| (*slot, d.clone() as Arc<dyn PciDevice>))
        .collect();
    let host = Arc::new(PciHost::new(pci, ResetControl::new(events.clone())));
    let mut bus = Bus::default();
    bus.add_ports(PM_PORT, pm::LEN, power.clone());
    bus.add_ports(SERIAL_PORT, serial::LEN, port);
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    bus.add_ports(
        KEYBOARD_PORT,
        1,
        Arc::new(KeyboardReset::new(events.clone())),
    );
    bus.add_memory(host);
    bus
}

/// The PCI devices while they are put together.
struct Board {
    vm: Arc<VmFd>,
    memory: Arc<Memory>,
    events: Arc<Events>,
    lines: Vec<Arc<SharedLine>>,
    devices: Vec<(u8, Arc<VirtioPci>)>,
    disks: Vec<DiskHandle>,
}

impl Board {
    fn new(vm: Arc<VmFd>, memory: Arc<Memory>, events: Arc<Events>) -> Self {
        let lines = (INTX_BASE..INTX_BASE + 4).map(|gsi| SharedLine::new(gsi, vm.clone()));
        Self {
            lines: lines.collect(),
            vm,
            memory,
            events,
            devices: Vec::new(),
            disks: Vec::new(),
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
        let device = VirtioPci::new(
            slot,
            PCI_WINDOW as u32 + u32::from(slot) * WINDOW_SIZE,
            description,
            self.memory.clone(),
            interrupts,
            worker,
            self.vm.clone(),
        )
        .map_err(|e| failed(std::io::Error::other(e)))?;
        let device = Arc::new(device);
        self.devices.push((slot, device.clone()));
        Ok(device)
    }
}

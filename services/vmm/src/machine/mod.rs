//! One virtual machine: built from [`Resources`], run, paused, ended; built again for a reset.
//!
//! Start at [`Machine::start`]. Where things lie is in [`layout`]; what the guest is told about
//! them is in [`acpi`] and [`boot`].

pub mod acpi;
pub mod backing;
pub mod blocks;
mod board;
pub mod boot;
pub mod cpu_models;
pub mod cpuid;
pub mod events;
pub mod firmware;
pub mod ground;
mod hotplug;
pub mod hyperv;
pub mod interrupts;
pub mod layout;
pub mod memory;
mod passed;
pub mod reclaim;
pub mod registers;
pub mod routes;
pub mod saved;
pub mod serial;
pub mod smbios;
pub mod spaces;
pub mod topology;
pub mod vcpu;

use std::sync::Arc;
use std::time::Duration;

use kvm_bindings::{CpuId, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::bus::Bus;
use crate::channel::Channel;
use crate::devices::cpus::{self, Cpus};
use crate::devices::pm::{self, PowerManagement};
use crate::devices::pvpanic::{self, Pvpanic};
use crate::devices::reset::{KeyboardReset, ResetControl};
use crate::devices::watchdog::Watchdog;
use crate::disk::SECTOR;
use crate::display::Screen;
use crate::pci::PciDevice;
use crate::pci::host::{PciHost, PortWindows};
use crate::pci::hotplug::{self as slots, Slots};
use crate::sandbox::ThreadClass;
use crate::spec::{BootResource, Resources};
use crate::terminal::Terminal;
use crate::tpm::{self, Tpm};
use crate::virtio::block;
use board::{Board, Windows};
use events::Events;
use firmware::Firmware;
use layout::{
    CPUS_PORT, HOTPLUG_PORT, KEYBOARD_PORT, KVM_IDENTITY_MAP, KVM_TSS, PCI_CONFIG_PORT, PCI_PORTS,
    PCI_PORTS_LEN, PM_PORT, PVPANIC_PORT, WATCHDOG_SLOT,
};
use memory::Memory;
use serial::{SerialLines, SerialPorts};
use spaces::Spaces;
use vcpu::Vcpus;

/// Why a machine cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// KVM refuses something.
    #[error("KVM cannot {0}: {1}")]
    Kvm(&'static str, kvm_ioctls::Error),
    /// Processors.
    #[error("cpu: this host lacks {0}")]
    Cpu(String),
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
    /// Serial ports.
    pub serial: SerialLines,
    /// Virtio console.
    pub console: Arc<Terminal>,
    /// The guest agent's channel, if the machine has its port.
    pub agent: Option<Arc<Channel>>,
    /// Screen, keyboard and pointer, if the machine has them.
    pub screen: Option<Arc<Screen>>,
}

/// A machine whose virtual CPUs run or pause.
pub struct Machine {
    // Dropped in this order: processors, then devices, then what both use.
    vcpus: Vcpus,
    /// What each virtual CPU was told it can do.
    features: Vec<CpuId>,
    board: Board,
    firmware: Option<Firmware>,
    tpm: Option<Arc<Tpm>>,
    fixed: Fixed,
    power: Arc<PowerManagement>,
    _bus: Arc<Bus>,
}

/// Devices that every machine has, beside [`PowerManagement`].
struct Fixed {
    serial: SerialPorts,
    host: Arc<PciHost>,
    slots: Arc<Slots>,
    cpus: Arc<Cpus>,
    pvpanic: Arc<Pvpanic>,
}

/// A machine without virtual CPUs.
struct Shell {
    board: Board,
    firmware: Option<Firmware>,
    tpm: Option<Arc<Tpm>>,
    fixed: Fixed,
    power: Arc<PowerManagement>,
    bus: Arc<Bus>,
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
        let spaces = Arc::new(Spaces::new(vm.clone(), memory, resources.extent())?);
        let windows = match profile.firmware {
            true => Windows::Guest,
            false => Windows::Placed,
        };
        let mut board = Board::new(vm.clone(), spaces.clone(), windows, events.clone());
        board.add_devices(resources, terminals)?;
        board.add_passed(resources)?;
        board.add_watchdog(resources);
        let firmware = Firmware::new(resources, &board, profile, terminals, &events)?;
        if let Some(screen) = &terminals.screen {
            board.add_display(resources, screen)?;
            board.inputs.extend(firmware.iter().map(Firmware::input));
            let inputs = std::mem::take(&mut board.inputs);
            screen.attach(spaces.reachable().clone(), inputs);
        }
        let power = Arc::new(PowerManagement::new(vm, events.clone()));
        let (mut bus, fixed) = make_bus(&board, firmware.as_ref(), terminals, &power, profile);
        let tpm = resources.tpm.clone().map(Tpm::new).transpose();
        let tpm = tpm.map_err(tpm_failed)?.map(Arc::new);
        if let Some(tpm) = &tpm {
            bus.add_memory(tpm.clone());
        }
        // What comes from now on is plugged into a machine that exists.
        board.windows = Windows::Guest;
        Ok(Self {
            board,
            firmware,
            tpm,
            fixed,
            power,
            bus: Arc::new(bus),
        })
    }

    fn with(self, vcpus: Vcpus, features: Vec<CpuId>) -> Machine {
        Machine {
            vcpus,
            features,
            board: self.board,
            firmware: self.firmware,
            tpm: self.tpm,
            fixed: self.fixed,
            power: self.power,
            _bus: self.bus,
        }
    }
}

/// How long a device may take to carry out an order.
const ORDER_PATIENCE: Duration = Duration::from_secs(8);

impl Machine {
    /// Builds the machine and lets it run.
    pub fn start(resources: &Resources, terminals: &Terminals) -> Result<Self, Error> {
        let offer = cpuid::Offer::of(&resources.kvm)?.shaped(&resources.kvm, &resources.cpu)?;
        if let Some(blocks) = &resources.blocks {
            blocks.clear();
        }
        let memory = resources.reserve_memory()?;
        let profile = profile(resources, &offer);
        let entry = load_kernel(resources, &memory, profile)?;
        let shell = Shell::build(resources, terminals, memory, profile)?;
        if let Some(tpm) = &shell.tpm {
            tpm.power_on().map_err(tpm_failed)?;
        }
        let (vcpus, features) = create_vcpus(resources, &shell.board.vm, &offer)?;
        if let Some(entry) = entry {
            registers::enter(&vcpus[0], shell.board.spaces.memory(), entry)?;
        }
        let plugged = shell.fixed.cpus.present();
        let class = ThreadClass::Vcpu {
            host_devices: !shell.board.passed.is_empty(),
        };
        let vcpus = Vcpus::start(vcpus, plugged, &shell.bus, &shell.board.events, class);
        let vcpus = vcpus.map_err(Error::Thread)?;
        Ok(shell.with(vcpus, features))
    }

    /// What happened to the machine; its wake-up is readable while something has.
    pub fn events(&self) -> &Arc<Events> {
        &self.board.events
    }

    /// Presses the power button.
    pub fn press_power_button(&self) {
        self.power.press_power_button();
    }

    /// Stops the virtual CPUs, then the devices; returns when nothing changes memory any more.
    pub fn pause(&self) {
        self.vcpus.pause();
        for placed in &self.board.devices {
            placed.device.pause();
        }
        if let Some(tpm) = &self.tpm {
            tpm.pause();
        }
        if let Some(watchdog) = &self.board.watchdog {
            watchdog.pause();
        }
    }

    /// Lets them run again.
    pub fn resume(&self) {
        for placed in &self.board.devices {
            placed.device.resume();
        }
        if let Some(watchdog) = &self.board.watchdog {
            watchdog.resume();
        }
        self.vcpus.resume();
    }

    /// The watchdog, if the machine has one.
    pub fn watchdog(&self) -> Option<&Watchdog> {
        self.board.watchdog.as_deref()
    }

    /// When the guest said that it panicked, in seconds since 1970.
    pub fn panicked(&self) -> Option<u64> {
        self.fixed.pvpanic.panicked()
    }

    /// Tries again what the disks hold back because the host was full.
    pub fn retry_disks(&self) {
        for disk in &self.board.disks {
            disk.orders.retry();
            disk.device.poke();
        }
    }

    /// Lets a disk follow its image to a larger size and tells the guest; what is wrong with the
    /// field that it names otherwise.
    pub fn resize_disk(&mut self, id: &str, size: u64) -> Result<(), String> {
        let Some(disk) = self.board.disks.iter_mut().find(|disk| disk.id == id) else {
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

    /// Has the balloon look at what its levers say.
    pub fn poke_balloon(&self) {
        let mut devices = self.board.devices.iter();
        if let Some(balloon) = devices.find(|placed| placed.id == board::BALLOON) {
            balloon.device.poke();
        }
    }

    /// Has the guest look at how much memory it is to have.
    pub fn tell_of_memory(&self) {
        let mut devices = self.board.devices.iter();
        if let Some(memory) = devices.find(|placed| placed.id == board::MEMORY) {
            memory.device.config_changed();
        }
    }

    /// The machine runs elsewhere now: nothing here may touch what it takes along.
    pub fn leave(&self) {
        if let Some(tpm) = &self.tpm {
            tpm.leave();
        }
    }

    /// Ends all threads of the machine. It cannot run again.
    pub fn stop(&mut self, terminals: &Terminals) {
        self.vcpus.end();
        terminals.serial.detach();
        terminals.console.detach();
        for placed in &self.board.devices {
            placed.device.end();
        }
        self.board.passed.end();
        if let Some(tpm) = &self.tpm {
            tpm.end();
        }
        if let Some(agent) = &terminals.agent {
            agent.detach();
        }
        if let Some(screen) = &terminals.screen {
            screen.detach();
        }
    }
}

fn tpm_failed(error: std::io::Error) -> Error {
    Error::Device(tpm::NAME.to_owned(), error)
}

/// What tables tell of the machine.
fn profile(resources: &Resources, offer: &cpuid::Offer) -> acpi::Profile {
    acpi::Profile {
        topology: resources.topology(),
        plugged: resources.plugged.unwrap_or(resources.vcpus),
        cpus_come: resources.plugged.is_some(),
        memory: resources.memory,
        room: resources.room(),
        address_bits: offer.address_bits(),
        firmware: resources.boot.is_firmware(),
        tpm: resources.tpm.is_some(),
        host_devices: !resources.passthrough.devices.is_empty(),
        more_serial: resources.more_serial,
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
    let vm = resources.kvm.create_vm();
    let vm = vm.map_err(|e| Error::Kvm("create a virtual machine", e))?;
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
    let topology = resources.topology();
    for id in 0..resources.vcpus {
        let own = offer.for_vcpu(id, &topology);
        let vcpu = create_vcpu(vm, topology.apic_id(id), &own)?;
        registers::prepare(&vcpu, resources.boot.is_firmware())?;
        all.push(vcpu);
        features.push(own);
    }
    Ok((all, features))
}

/// The virtual CPU whose local APIC has the number `apic_id`.
fn create_vcpu(vm: &VmFd, apic_id: u8, features: &CpuId) -> Result<VcpuFd, Error> {
    let vcpu = vm
        .create_vcpu(u64::from(apic_id))
        .map_err(|e| Error::Kvm("create a virtual CPU", e))?;
    vcpu.set_cpuid2(features)
        .map_err(|e| Error::Kvm("set processor features", e))?;
    hyperv::enable(&vcpu, features).map_err(|e| Error::Kvm("switch on Hyper-V's interface", e))?;
    Ok(vcpu)
}

fn make_bus(
    board: &Board,
    firmware: Option<&Firmware>,
    terminals: &Terminals,
    power: &Arc<PowerManagement>,
    profile: acpi::Profile,
) -> (Bus, Fixed) {
    let events = &board.events;
    let serial = SerialPorts::new(&terminals.serial, &board.vm);
    let mut pci: Vec<(u8, Arc<dyn PciDevice>)> = board
        .devices
        .iter()
        .map(|placed| (placed.slot, placed.device.clone() as Arc<dyn PciDevice>))
        .collect();
    pci.extend(board.passed.devices());
    let watchdog = board.watchdog.clone().into_iter();
    pci.extend(watchdog.map(|device| (WATCHDOG_SLOT, device as Arc<dyn PciDevice>)));
    pci.extend(firmware.map(Firmware::bridge));
    let reset = ResetControl::new(events.clone());
    let host = Arc::new(match firmware.and_then(|firmware| firmware.smi.as_ref()) {
        Some(_) => PciHost::with_smram(pci, reset, board.spaces.clone()),
        None => PciHost::new(pci, reset, firmware.is_some()),
    });
    let registers = Arc::new(Slots::new(host.clone(), power.clone(), events.clone()));
    let present = cpus::first(profile.plugged);
    let cpus = Arc::new(Cpus::new(present, power.clone(), events.clone()));
    let mut bus = Bus::default();
    bus.add_ports(CPUS_PORT, cpus::LEN, cpus.clone());
    bus.add_ports(PM_PORT, pm::LEN, power.clone());
    serial.connect(&mut bus);
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    bus.add_ports(HOTPLUG_PORT, slots::LEN, registers.clone());
    let pvpanic = Arc::new(Pvpanic::new(events.clone()));
    bus.add_ports(PVPANIC_PORT, pvpanic::LEN, pvpanic.clone());
    match firmware {
        Some(firmware) => firmware.connect(&mut bus, events),
        None => {
            let reset = Arc::new(KeyboardReset::new(events.clone()));
            bus.add_ports(KEYBOARD_PORT, 1, reset);
        }
    }
    if !board.passed.is_empty() {
        // Last: what else has ports there goes first.
        let windows = Arc::new(PortWindows(host.clone()));
        bus.add_ports(PCI_PORTS, PCI_PORTS_LEN, windows);
    }
    bus.add_memory(host.clone());
    let fixed = Fixed {
        serial,
        host,
        slots: registers,
        cpus,
        pvpanic,
    };
    (bus, fixed)
}

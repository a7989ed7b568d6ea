//! A machine's state as a tree, and a machine that goes on from one.
//!
//! What the guest's clocks show goes on as if the machine had run while it was saved: clock,
//! time stamp counters and power management timer are set forward by the time that passed, as
//! the host's real time tells it. So the guest's date is right at once.

mod outline;

use std::fs::File;
use std::sync::Arc;

use basalt_model::machine::RunState;
use kvm_bindings::CpuId;
use kvm_ioctls::VcpuFd;
use rustix::fs::FileType;
use vm_memory::GuestMemoryBackend;

use super::blocks::{Blocks, BlocksState};
use super::board::Placed;
use super::firmware::Firmware;
use super::memory::{DirtyLog, Memory};
use super::spaces::Spaces;
use super::vcpu::Vcpus;
use super::{Machine, Shell, Terminals, cpuid, create_vcpu, hyperv, profile, reclaim};
use crate::devices::watchdog;
use crate::spec::Resources;
use crate::state::chips::ChipState;
use crate::state::transfer::{Wire, receive_go, receive_hello, receive_state};
use crate::state::tree::{self, Kind, Tree};
use crate::state::vcpu::{Abilities, VcpuState};
use crate::state::{file, vcpu};
use outline::{Outline, memory_differs};

const MACHINE: &str = "machine";
const CHIPS: &str = "chips";
const POWER: &str = "power";
const HOST: &str = "pci";
const SLOTS: &str = "pci-slots";
const CPUS: &str = "processors";
const BLOCKS: &str = "memory-blocks";
const FLASH: &str = "flash";
const FIRMWARE: &str = "firmware";
const RTC: &str = "rtc";
const I8042: &str = "i8042";
const LPC: &str = "lpc";
const SMI: &str = "smi";
const TPM: &str = "tpm";
const PVPANIC: &str = "pvpanic";
const CONSOLE_LINE: &str = "console-line";

/// Why a machine could not be saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The file around it.
    #[error(transparent)]
    File(#[from] file::Error),
    /// What KVM keeps.
    #[error(transparent)]
    Kvm(#[from] vcpu::Error),
    /// A virtual CPU is gone, so the machine is about to end or to be reset.
    #[error("the machine is ending")]
    Ending,
    /// The specification is another machine's.
    #[error("{what}: the state has {saved}, the machine {wanted}")]
    Differs {
        /// What differs.
        what: &'static str,
        /// As it was saved.
        saved: String,
        /// As it is asked for.
        wanted: String,
    },
    /// A device is not the one that was saved.
    #[error("device {0}: {1}")]
    Device(String, &'static str),
    /// The trusted platform module.
    #[error("tpmstate0: {0}")]
    Tpm(std::io::Error),
    /// A device's place is none.
    #[error("{0}")]
    Place(String),
    /// The variables' memory cannot be shown to the guest.
    #[error("cannot make flash memory: {0}")]
    Flash(std::io::Error),
    /// Moving.
    #[error("the machine did not arrive: {0}")]
    Moving(String),
}

/// Tells the source how it went.
fn tell<T, E: std::fmt::Display + From<Error>>(
    wire: &mut Wire,
    result: Result<T, E>,
) -> Result<T, E> {
    let told = match &result {
        Ok(_) => wire.answer(Ok(())),
        Err(error) => wire.answer(Err(&error.to_string())),
    };
    let value = result?;
    told.map_err(|e| Error::Moving(e.to_string()))?;
    Ok(value)
}

fn vcpu_id(index: usize) -> String {
    format!("vcpu{index}")
}

impl Machine {
    /// The tree of a paused machine.
    pub fn save(&self, resources: &Resources, terminals: &Terminals) -> Result<Tree, Error> {
        let mut tree = Tree::default();
        tree.put(MACHINE, Kind::Machine, &self.outline(resources))?;
        let abilities = Abilities::of(&resources.kvm, &self.board.vm)?;
        let mut features = self.features.iter();
        let save = |vcpu: &VcpuFd| {
            let own = features.next().ok_or(Error::Ending)?;
            Ok(VcpuState::save(vcpu, &abilities, own)?)
        };
        let vcpus = self.vcpus.inspect(save).ok_or(Error::Ending)?;
        for (index, state) in vcpus.into_iter().enumerate() {
            let state: Result<VcpuState, Error> = state;
            tree.put(&vcpu_id(index), Kind::Vcpu, &state?)?;
        }
        tree.put(CHIPS, Kind::Chips, &ChipState::save(&self.board.vm)?)?;
        tree.put(POWER, Kind::PowerManagement, &self.power.save())?;
        self.fixed.serial.save(&terminals.serial, &mut tree)?;
        tree.put(HOST, Kind::PciHost, &self.fixed.host.save())?;
        tree.put(SLOTS, Kind::PciSlots, &self.fixed.slots.save())?;
        tree.put(CPUS, Kind::Processors, &self.fixed.cpus.save())?;
        if let Some(blocks) = &resources.blocks {
            tree.put(BLOCKS, Kind::MemoryBlocks, &blocks.save())?;
        }
        for Placed { id, device, .. } in &self.board.devices {
            let state = device.save().map_err(|e| Error::Device(id.clone(), e))?;
            tree.put(&device_id(id), Kind::VirtioPci, &state)?;
        }
        if let Some(firmware) = &self.firmware {
            save_firmware(firmware, &mut tree)?;
        }
        if let Some(tpm) = &self.tpm {
            tree.put(TPM, Kind::Tpm, &tpm.save().map_err(Error::Tpm)?)?;
        }
        if let Some(watchdog) = &self.board.watchdog {
            tree.put(watchdog::NAME, Kind::Watchdog, &watchdog.save())?;
        }
        // Older monitors, which have no such port, take the state of a guest that has not panicked.
        if let Some(said) = self.fixed.pvpanic.save() {
            tree.put(PVPANIC, Kind::Pvpanic, &said)?;
        }
        tree.put(CONSOLE_LINE, Kind::Terminal, &terminals.console.save())?;
        Ok(tree)
    }

    fn outline(&self, resources: &Resources) -> Outline {
        Outline::of(resources, &self.board)
    }

    /// What another monitor must be, as a tree.
    pub fn outline_tree(&self, resources: &Resources) -> Result<Vec<u8>, Error> {
        let mut tree = Tree::default();
        tree.put(MACHINE, Kind::Machine, &self.outline(resources))?;
        Ok(tree.encode()?)
    }

    /// The guest's memory; it does not change while the machine is paused.
    pub fn memory(&self) -> &Arc<Memory> {
        self.board.spaces.memory()
    }

    /// What processors see of it, whose log tells what they wrote.
    pub fn spaces(&self) -> &Arc<Spaces> {
        &self.board.spaces
    }

    /// Starts to note which pages are written, by processors and devices, or stops.
    pub fn log_writes(&self, log: DirtyLog) -> Result<(), super::Error> {
        for region in self.memory().iter() {
            region.get_mmap().bitmap().note(log == DirtyLog::On);
        }
        self.board.spaces.log(log)?;
        // What the kernel writes for a device is in neither log: such devices go back to their own
        // ways, before the first look at memory.
        for placed in &self.board.devices {
            placed.device.note_writes(log == DirtyLog::On);
        }
        Ok(())
    }

    /// Builds a machine from what was saved in a file or on a block device, and which then
    /// stands until it is resumed, or from what comes over a socket, and which runs at once.
    pub fn start_from(
        state: File,
        resources: &mut Resources,
        terminals: &Terminals,
    ) -> Result<(Self, RunState), super::Error> {
        let kind = rustix::fs::fstat(&state).map_err(|e| file::Error::Read(e.into()));
        let kind = FileType::from_raw_mode(kind.map_err(Error::File)?.st_mode);
        if kind == FileType::Socket {
            let machine = Self::arrive(&mut Wire::new(state), resources, terminals)?;
            machine.resume();
            return Ok((machine, RunState::Running));
        }
        let machine = Self::start_saved(&state, resources, terminals)?;
        Ok((machine, RunState::Paused))
    }

    fn start_saved(
        state: &File,
        resources: &mut Resources,
        terminals: &Terminals,
    ) -> Result<Self, super::Error> {
        let (tree, saved) = file::read_tree(state).map_err(Error::File)?;
        let outline: Outline = tree.look(MACHINE, Kind::Machine).map_err(Error::Tree)?;
        outline.adopt_memory(resources)?;
        outline.adopt_nodes(resources)?;
        let blocks = resources.blocks.as_deref();
        if let Some(blocks) = blocks {
            let saved = tree.look(BLOCKS, Kind::MemoryBlocks);
            restore_blocks(blocks, &saved.map_err(Error::Tree)?)?;
        }
        let present = resources.memory + blocks.map_or(0, Blocks::plugged);
        if saved != present {
            return Err(memory_differs(saved, present).into());
        }
        let memory = file::load(state, resources.extent(), blocks, &resources.ground);
        let memory = memory.map_err(Error::File)?;
        outline.place(resources)?;
        Self::restore(resources, terminals, memory, tree)
    }

    /// Takes a machine over from another monitor.
    fn arrive(
        wire: &mut Wire,
        resources: &mut Resources,
        terminals: &Terminals,
    ) -> Result<Self, super::Error> {
        let lost = |e: std::io::Error| Error::Moving(e.to_string());
        let mut hello = receive_hello(wire).map_err(lost)?;
        let fits = hello
            .take::<Outline>(MACHINE, Kind::Machine)
            .map_err(|error| Error::Tree(error).into())
            .and_then(|outline| Self::make_room(&outline, resources));
        let memory = tell(wire, fits)?;
        let built = receive_state(wire, &memory)
            .map_err(|e| lost(e).into())
            .and_then(|tree| Self::restore(resources, terminals, memory.clone(), tree));
        let machine = tell(wire, built)?;
        receive_go(wire).map_err(lost)?;
        Ok(machine)
    }

    /// Memory for a machine that is to arrive.
    fn make_room(
        outline: &Outline,
        resources: &mut Resources,
    ) -> Result<Arc<Memory>, super::Error> {
        outline.adopt_memory(resources)?;
        outline.adopt_nodes(resources)?;
        let memory = resources.reserve_memory()?;
        outline.check_size(resources, &memory)?;
        outline.place(resources)?;
        Ok(memory)
    }

    /// Builds a machine that stands where the saved one stood; [`Machine::resume`] lets it go on.
    /// `memory` has the saved content.
    pub fn restore(
        resources: &Resources,
        terminals: &Terminals,
        memory: Arc<Memory>,
        mut tree: Tree,
    ) -> Result<Self, super::Error> {
        let offer = cpuid::Offer::of(&resources.kvm)?;
        let profile = profile(resources, &offer);
        let shell = Shell::build(resources, terminals, memory, profile)?;
        for placed in &shell.board.devices {
            placed.device.pause();
        }
        let (vcpus, features) = shell.restore(resources, terminals, &mut tree)?;
        tree.finish().map_err(Error::Tree)?;
        let plugged = shell.fixed.cpus.present();
        let vcpus = Vcpus::start_paused(vcpus, plugged, &shell.bus, &shell.board.events);
        let vcpus = vcpus.map_err(super::Error::Thread)?;
        Ok(shell.with(vcpus, features))
    }
}

fn restore_blocks(blocks: &Blocks, saved: &BlocksState) -> Result<(), Error> {
    match blocks.restore(saved) {
        true => Ok(()),
        false => Err(Error::Device(
            BLOCKS.to_owned(),
            "they are another machine's",
        )),
    }
}

/// Puts what firmware brings into the tree; its variables are in their file afterwards.
fn save_firmware(firmware: &Firmware, tree: &mut Tree) -> Result<(), Error> {
    tree.put(FLASH, Kind::Flash, &firmware.vars.save())?;
    tree.put(FIRMWARE, Kind::FirmwareConfig, &firmware.config.save())?;
    tree.put(RTC, Kind::Rtc, &firmware.rtc.save())?;
    tree.put(I8042, Kind::I8042, &firmware.i8042.save())?;
    tree.put(LPC, Kind::Lpc, &firmware.lpc.save())?;
    if let Some(smi) = &firmware.smi {
        tree.put(SMI, Kind::Smi, &smi.save())?;
    }
    Ok(())
}

fn restore_firmware(firmware: &Firmware, tree: &mut Tree) -> Result<(), Error> {
    let flash = tree.take(FLASH, Kind::Flash)?;
    firmware.vars.restore(flash).map_err(Error::Flash)?;
    firmware
        .config
        .restore(tree.take(FIRMWARE, Kind::FirmwareConfig)?);
    firmware.rtc.restore(tree.take(RTC, Kind::Rtc)?);
    firmware.i8042.restore(tree.take(I8042, Kind::I8042)?);
    firmware.lpc.restore(&tree.take(LPC, Kind::Lpc)?);
    if let Some(smi) = &firmware.smi {
        smi.restore(tree.take(SMI, Kind::Smi)?);
    }
    Ok(())
}

/// Refuses a guest that was told more of Hyper-V's interface than KVM has here.
fn check_hyperv(resources: &Resources, saved: &CpuId) -> Result<(), super::Error> {
    if !hyperv::is_told(saved) {
        return Ok(());
    }
    let supported = hyperv::supported(&resources.kvm);
    let supported = supported.map_err(|e| super::Error::Kvm("list Hyper-V's features", e))?;
    let supported = supported.unwrap_or_default();
    match hyperv::missing(saved.as_slice(), &supported) {
        Some((leaf, register, bits)) => {
            Err(Error::Kvm(vcpu::Error::Features(leaf, register, bits)).into())
        }
        None => Ok(()),
    }
}

/// Devices stand in the tree under names that no other part has.
fn device_id(id: &str) -> String {
    format!("device-{id}")
}

impl Shell {
    fn restore(
        &self,
        resources: &Resources,
        terminals: &Terminals,
        tree: &mut Tree,
    ) -> Result<(Vec<VcpuFd>, Vec<CpuId>), super::Error> {
        self.check(resources, tree)?;
        if let Some(blocks) = &resources.blocks {
            let saved = tree.take(BLOCKS, Kind::MemoryBlocks).map_err(Error::Tree)?;
            restore_blocks(blocks, &saved)?;
            // What was sent before the guest plugged it out.
            for hole in blocks.holes() {
                reclaim::give_back(self.board.spaces.memory(), hole.start, hole.len);
            }
        }
        let chips: ChipState = tree.take(CHIPS, Kind::Chips).map_err(Error::Tree)?;
        let elapsed = chips.elapsed_ns();
        let vm = &self.board.vm;
        chips.restore_clock(vm, elapsed).map_err(Error::Kvm)?;
        let vcpus = self.restore_vcpus(resources, tree, elapsed)?;
        chips.restore(vm).map_err(Error::Kvm)?;
        self.restore_devices(tree, terminals, elapsed, resources.vcpus)?;
        Ok(vcpus)
    }

    fn check(&self, resources: &Resources, tree: &mut Tree) -> Result<(), Error> {
        let saved: Outline = tree.take(MACHINE, Kind::Machine)?;
        saved.check_size(resources, self.board.spaces.memory())?;
        saved.check(&Outline::of(resources, &self.board))
    }

    fn restore_vcpus(
        &self,
        resources: &Resources,
        tree: &mut Tree,
        elapsed: u64,
    ) -> Result<(Vec<VcpuFd>, Vec<CpuId>), super::Error> {
        let offer = cpuid::Offer::of(&resources.kvm)?;
        let topology = resources.topology();
        let (mut vcpus, mut features) = (Vec::new(), Vec::new());
        let mut states = Vec::new();
        for id in 0..resources.vcpus {
            let state: VcpuState = tree
                .take(&vcpu_id(usize::from(id)), Kind::Vcpu)
                .map_err(Error::Tree)?;
            let own = offer.for_vcpu(id, &topology);
            state.check(&own).map_err(Error::Kvm)?;
            let saved = state.cpuid().map_err(Error::Kvm)?;
            check_hyperv(resources, &saved)?;
            let apic_id = topology.apic_id(id);
            vcpus.push(create_vcpu(&self.board.vm, apic_id, &saved)?);
            features.push(saved);
            states.push(state);
        }
        // All at once, so that their time stamp counters stay together.
        for (vcpu, state) in vcpus.iter().zip(&states) {
            state.restore(vcpu, elapsed).map_err(Error::Kvm)?;
        }
        Ok((vcpus, features))
    }

    /// After the chips: what holds an interrupt line up raises it anew.
    fn restore_devices(
        &self,
        tree: &mut Tree,
        terminals: &Terminals,
        elapsed: u64,
        count: u8,
    ) -> Result<(), Error> {
        let damaged = |id: &str, problem| Error::Device(id.to_owned(), problem);
        let power = tree.take(POWER, Kind::PowerManagement)?;
        self.power.restore(power, elapsed);
        self.fixed.serial.restore(&terminals.serial, tree)?;
        let line = tree.take(CONSOLE_LINE, Kind::Terminal)?;
        terminals.console.restore(&line);
        for Placed { id, device, .. } in &self.board.devices {
            let saved = tree.take(&device_id(id), Kind::VirtioPci)?;
            device.restore(saved).map_err(|e| damaged(id, e))?;
        }
        if let Some(firmware) = &self.firmware {
            restore_firmware(firmware, tree)?;
        }
        if let Some(tpm) = &self.tpm {
            tpm.restore(tree.take(TPM, Kind::Tpm)?)
                .map_err(Error::Tpm)?;
        }
        if let Some(watchdog) = &self.board.watchdog {
            let saved = tree.take(watchdog::NAME, Kind::Watchdog)?;
            if !watchdog.restore(&saved) {
                let problem = "its configuration registers differ";
                return Err(damaged(watchdog::NAME, problem));
            }
        }
        let host = tree.take(HOST, Kind::PciHost)?;
        if !self.fixed.host.restore(&host) {
            return Err(damaged(HOST, "its configuration registers differ"));
        }
        // A state of an older monitor has none.
        if let Some(slots) = tree.take_any(SLOTS, Kind::PciSlots)? {
            self.fixed.slots.restore(&slots);
        }
        if let Some(cpus) = tree.take_any(CPUS, Kind::Processors)?
            && !self.fixed.cpus.restore(&cpus, count)
        {
            return Err(damaged(CPUS, "they are another machine's"));
        }
        if let Some(said) = tree.take_any(PVPANIC, Kind::Pvpanic)? {
            self.fixed.pvpanic.restore(said);
        }
        Ok(())
    }
}

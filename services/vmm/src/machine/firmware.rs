//! What a machine has when UEFI firmware (OVMF) boots it: flash memory that ends at 4 GiB, the
//! firmware's configuration, and the legacy devices it and operating systems expect beside it.
//!
//! The first processor starts where every x86 does, sixteen bytes below 4 GiB; nothing else is set up.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use basalt_model::machine::{Adapter, SystemInfo};
use vm_memory::MmapRegion;

use super::board::{Board, SCSI_SLOT};
use super::events::Events;
use super::layout::{
    APM_PORT, FW_CFG_PORT, HIGH_MEMORY, I8042_PORT, RTC_PORT, SMI_PORT, SYSTEM_CONTROL_PORT,
    split_memory,
};
use super::memory::{READ_ONLY_SLOTS, ReadOnlySlot};
use super::{Terminals, acpi, smbios};
use crate::bus::Bus;
use crate::devices::flash::{self, ArraySlot, Flash};
use crate::devices::fwcfg::{self, Blobs, FwCfg};
use crate::devices::i8042::{self, I8042};
use crate::devices::lpc::{self, Lpc};
use crate::devices::ramfb;
use crate::devices::reset::SystemControl;
use crate::devices::rtc::{self, Rtc};
use crate::devices::smi::{self, ApmPorts, Smi};
use crate::display::{Input, Screen};
use crate::pci::PciDevice;
use crate::spec::{BootResource, Resources};

const CODE_SLOT: u32 = READ_ONLY_SLOTS;
const VARS_SLOT: u32 = READ_ONLY_SLOTS + 1;
/// Largest firmware, variables included.
const MAX_FLASH: u64 = 8 << 20;
/// Neither sleep nor hibernation: a byte for each of S0 to S5, bit 7 for "supported".
const SYSTEM_STATES: [u8; 6] = [0x80, 0, 0, 1, 2, 0x80];
const E820_RAM: u32 = 1;
/// What interrupts for system management can do: go to all processors, as they always do here.
const SMI_BROADCAST: u64 = 1 << 0;

/// Why firmware cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read the firmware's {0}: {1}")]
    Read(&'static str, std::io::Error),
    /// The code has an impossible size.
    #[error("the firmware's code has {0} bytes: whole pages up to {MAX_FLASH} are needed")]
    CodeSize(u64),
    /// The guest cannot be given the memory.
    #[error("cannot make flash memory: {0}")]
    Flash(std::io::Error),
}

/// The devices that exist for firmware's sake.
pub struct Firmware {
    _code: Arc<MmapRegion>,
    /// Keeps the firmware's variables.
    pub vars: Arc<Flash>,
    /// Tells the firmware about the machine.
    pub config: Arc<FwCfg>,
    /// Clock.
    pub rtc: Arc<Rtc>,
    /// Keyboard and mouse.
    pub i8042: Arc<I8042>,
    /// Bridge to legacy devices.
    pub lpc: Arc<Lpc>,
    /// Interrupts for system management, if the machine has that mode.
    pub smi: Option<Arc<Smi>>,
}

impl Firmware {
    /// The devices, if the machine boots firmware.
    pub(super) fn new(
        resources: &Resources,
        board: &Board,
        profile: acpi::Profile,
        terminals: &Terminals,
        events: &Arc<Events>,
    ) -> Result<Option<Self>, Error> {
        let BootResource::Firmware {
            code,
            vars,
            order,
            smm,
        } = &resources.boot
        else {
            return Ok(None);
        };
        let (code, vars) = make_flash(board, code, vars, *smm)?;
        let smi = smm.then(|| Arc::new(Smi::new(board.vm.clone())));
        let order = boot_order(resources, order);
        let drawn = resources
            .display
            .is_some_and(|d| d.adapter == Adapter::Ramfb);
        let screen = terminals.screen.clone();
        let mut blobs = blobs(
            &resources.system,
            profile,
            order,
            screen.clone().filter(|_| drawn),
        );
        if *smm {
            negotiate_smi(&mut blobs);
        }
        Ok(Some(Self {
            _code: code,
            vars: Arc::new(vars),
            config: Arc::new(blobs.build(board.spaces.reachable().clone())),
            rtc: Arc::new(Rtc::new(resources.memory)),
            i8042: Arc::new(I8042::new(board.vm.clone(), events.clone(), screen)),
            lpc: Arc::new(smi.clone().map_or_else(Lpc::new, Lpc::with_smi)),
            smi,
        }))
    }

    /// Connects all devices but the PCI bridge.
    pub(super) fn connect(&self, bus: &mut Bus, events: &Arc<Events>) {
        bus.add_ports(FW_CFG_PORT, fwcfg::LEN, self.config.clone());
        bus.add_ports(RTC_PORT, rtc::LEN, self.rtc.clone());
        bus.add_ports(I8042_PORT, 1, self.i8042.clone());
        bus.add_ports(
            I8042_PORT + i8042::COMMAND,
            1,
            Arc::new(i8042::CommandPort(self.i8042.clone())),
        );
        let control = Arc::new(SystemControl::new(events.clone()));
        bus.add_ports(SYSTEM_CONTROL_PORT, 1, control);
        bus.add_memory(self.vars.clone());
        if let Some(smi) = &self.smi {
            bus.add_ports(SMI_PORT, smi::LEN, smi.clone());
            bus.add_ports(APM_PORT, smi::APM_LEN, Arc::new(ApmPorts(smi.clone())));
        }
    }

    /// The bridge and its PCI device number.
    pub(super) fn bridge(&self) -> (u8, Arc<dyn PciDevice>) {
        (lpc::SLOT, self.lpc.clone())
    }

    /// What takes keys and pointer.
    pub(super) fn input(&self) -> Arc<dyn Input> {
        self.i8042.clone()
    }
}

/// Code that ends at 4 GiB, and below it the variables, which fill both up to a power of two.
fn make_flash(
    board: &Board,
    code: &File,
    vars: &Arc<File>,
    smm: bool,
) -> Result<(Arc<MmapRegion>, Flash), Error> {
    let read = |what| move |error| Error::Read(what, error);
    let code_len = code.metadata().map_err(read("code"))?.len();
    let whole = code_len > 0 && code_len.is_multiple_of(flash::BLOCK as u64);
    let total = code_len.checked_next_power_of_two();
    let total = total.filter(|total| whole && *total <= MAX_FLASH && *total > code_len);
    let total = total.ok_or(Error::CodeSize(code_len))?;
    let (code_base, vars_base) = (HIGH_MEMORY - code_len, HIGH_MEMORY - total);
    let vars_len = (total - code_len) as usize;

    let code = flash::load(code, code_len as usize).map_err(read("code"))?;
    let slot = |number, base, array: &Arc<MmapRegion>| {
        ReadOnlySlot::new(board.vm.clone(), number, base, array.clone(), smm)
    };
    slot(CODE_SLOT, code_base, &code)
        .show(true)
        .map_err(Error::Flash)?;
    let array = flash::load(vars, vars_len).map_err(read("variables"))?;
    let shown = Box::new(slot(VARS_SLOT, vars_base, &array));
    let vars = Flash::new(vars_base, array, vars.clone(), shown).map_err(Error::Flash)?;
    let vars = if smm { vars.guarded() } else { vars };
    Ok((code, vars))
}

/// How the firmware learns what interrupts for system management can do: it asks for a part of that, and
/// is told whether it has that (QEMU's `etc/smi` files).
fn negotiate_smi(blobs: &mut Blobs) {
    let supported = SMI_BROADCAST.to_le_bytes();
    blobs.file("etc/smi/supported-features", supported.to_vec());
    let asked = Arc::new(AtomicU64::new(0));
    let heard = asked.clone();
    let on_write = move |bytes: &[u8]| {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        heard.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
    };
    let name = "etc/smi/requested-features";
    blobs.register(name, supported.len(), Box::new(on_write));
    let answer = move || {
        vec![u8::from(
            asked.load(Ordering::Relaxed) & !SMI_BROADCAST == 0,
        )]
    };
    blobs.answer("etc/smi/features-ok", 1, Box::new(answer));
}

/// Everything the firmware is told.
fn blobs(
    system: &SystemInfo,
    profile: acpi::Profile,
    order: String,
    screen: Option<Arc<Screen>>,
) -> Blobs {
    let most = profile.topology.apic_end();
    let mut blobs = Blobs::new(system.uuid, profile.memory, profile.plugged, most);
    blobs.file("etc/e820", e820(profile.memory));
    blobs.file("etc/system-states", SYSTEM_STATES.to_vec());
    if let Some((start, len)) = profile.room {
        // Firmware puts nothing below it, and its page tables reach that far.
        blobs.file(
            "etc/reserved-memory-end",
            (start + len).to_le_bytes().to_vec(),
        );
    }
    if !order.is_empty() {
        blobs.file("bootorder", order.into_bytes());
    }
    let tables = acpi::build(profile);
    blobs.file(acpi::loader::SCRIPT, acpi::loader::script(&tables));
    blobs.file(acpi::loader::ROOT, tables.root);
    blobs.file(acpi::loader::BODY, tables.body);
    let tables = smbios::tables(system);
    blobs.file(smbios::ANCHOR, smbios::anchor(tables.len()));
    blobs.file(smbios::TABLES, tables);
    if let Some(screen) = screen {
        blobs.register(
            ramfb::FILE,
            ramfb::LEN,
            Box::new(move |bytes| screen.show(ramfb::surface(bytes))),
        );
    }
    blobs
}

/// The machine's RAM: entries of start, length and kind.
fn e820(memory: u64) -> Vec<u8> {
    let (low, high) = split_memory(memory);
    let mut map = Vec::new();
    for (start, len) in [(0, low), (HIGH_MEMORY, high)] {
        if len > 0 {
            map.extend(start.to_le_bytes());
            map.extend(len.to_le_bytes());
            map.extend(E820_RAM.to_le_bytes());
        }
    }
    map
}

/// The devices to boot from as Open Firmware paths, the way QEMU names virtio devices on PCI; keys
/// that name no device are left out.
fn boot_order(resources: &Resources, order: &[String]) -> String {
    let mut list = String::new();
    for key in order {
        let mut disks = resources.disks.iter();
        let mut nics = resources.nics.iter();
        let mut drives = resources.drives.iter();
        if let Some(disk) = disks.find(|disk| disk.settings.name == *key) {
            list += &format!("/pci@i0cf8/scsi@{:x}/disk@0,0\n", disk.slot);
        } else if let Some(target) = drives.position(|drive| drive.id() == key) {
            list += &format!("/pci@i0cf8/scsi@{SCSI_SLOT:x}/channel@0/disk@{target:x},0\n");
        } else if let Some(nic) = nics.find(|nic| nic.id == *key) {
            list += &format!("/pci@i0cf8/ethernet@{:x}/ethernet-phy@0\n", nic.slot);
        }
    }
    if !list.is_empty() {
        // The list ends with a zero byte instead of the last line's end.
        list.pop();
        list.push('\0');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;

    #[test]
    fn the_memory_map_names_all_of_ram() {
        let entry = |map: &[u8], i: usize| {
            let number =
                |at: usize| u64::from_le_bytes(map[i * 20 + at..][..8].try_into().unwrap());
            (number(0), number(8))
        };
        let map = e820(512 * MIB);
        assert_eq!((map.len(), entry(&map, 0)), (20, (0, 512 * MIB)));
        let map = e820(8192 * MIB);
        assert_eq!(map.len(), 40);
        assert_eq!(entry(&map, 1), (HIGH_MEMORY, split_memory(8192 * MIB).1));
    }
}

//! PCI slots whose devices come and go, as ACPI's tables describe them: every slot is a device with
//! its number (`_SUN`) and a method that ejects it (`_EJ0`), and the event `_E01` tells the guest which
//! slots to look at (ACPI 6.5 §5.6.6, §6.3). The registers behind it are in [`crate::pci::hotplug`].

use acpi_tables::Aml;
use acpi_tables::aml::{
    And, Arg, Device, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, If,
    Local, Method, MethodCall, Name, Notify, OpRegion, OpRegionSpace, Path, Scope, Store, ZERO,
};

use super::dsdt::bytes;
use crate::machine::layout::{HOTPLUG_PORT, hotplug_slots};
use crate::pci::hotplug::LEN;

/// A device came: look for it.
pub(super) const DEVICE_CHECK: u8 = 1;
/// A device is wanted back.
pub(super) const EJECT_REQUEST: u8 = 3;
/// Bits of a register.
const BITS: usize = 32;

fn path(name: &str) -> Path {
    Path::new(name)
}

fn slot_name(slot: u8) -> String {
    format!("S{slot:02}_")
}

/// What stands below the root bridge: registers, slots, and the method that looks at all slots.
pub(super) fn slots() -> Vec<u8> {
    let mut all = registers();
    for slot in hotplug_slots() {
        all.extend(device(slot));
    }
    all.extend(notify());
    all.extend(look());
    all
}

/// The scope of general purpose events: the one of the slots.
pub(super) fn events() -> Vec<u8> {
    let look = MethodCall::new(path("\\_SB_.PCI0.PCNT"), vec![]);
    let method = Method::new(path("_E01"), 0, false, vec![&look]);
    Scope::raw(path("\\_GPE"), bytes(&method))
}

fn registers() -> Vec<u8> {
    let (port, len) = (HOTPLUG_PORT, LEN);
    let mut all = bytes(&OpRegion::new(
        path("PCIH"),
        OpRegionSpace::SystemIO,
        &port,
        &len,
    ));
    all.extend(bytes(&Field::new(
        path("PCIH"),
        FieldAccessType::DWord,
        FieldLockRule::NoLock,
        FieldUpdateRule::WriteAsZeroes,
        vec![
            FieldEntry::Named(*b"PCIU", BITS),
            FieldEntry::Named(*b"PCID", BITS),
            FieldEntry::Named(*b"PCEJ", BITS),
        ],
    )));
    all
}

fn device(slot: u8) -> Vec<u8> {
    let (address, bit) = (u32::from(slot) << 16, 1u32 << slot);
    let register = path("PCEJ");
    let eject = Store::new(&register, &bit);
    bytes(&Device::new(
        slot_name(slot).as_str().into(),
        vec![
            &Name::new("_ADR".into(), &address),
            &Name::new("_SUN".into(), &slot),
            &Method::new("_EJ0".into(), 1, false, vec![&eject]),
        ],
    ))
}

/// `DVNT(slots, why)`: notifies the slots whose bits are set.
fn notify() -> Vec<u8> {
    let mut parts = Vec::new();
    for slot in hotplug_slots() {
        let (name, bit) = (slot_name(slot), 1u32 << slot);
        let (name, why) = (path(&name), Arg(1));
        let notify = Notify::new(&name, &why);
        let is_set = And::new(&ZERO, &Arg(0), &bit);
        parts.extend(bytes(&If::new(&is_set, vec![&notify])));
    }
    let parts = Ready(parts);
    bytes(&Method::new(path("DVNT"), 2, false, vec![&parts]))
}

/// `PCNT()`: reads what is new, says that it is known, and notifies.
fn look() -> Vec<u8> {
    let mut parts = Vec::new();
    for (register, why) in [("PCIU", DEVICE_CHECK), ("PCID", EJECT_REQUEST)] {
        let register = path(register);
        parts.extend(bytes(&Store::new(&Local(0), &register)));
        parts.extend(bytes(&Store::new(&register, &Local(0))));
        let slots = Local(0);
        parts.extend(bytes(&MethodCall::new(path("DVNT"), vec![&slots, &why])));
    }
    let parts = Ready(parts);
    bytes(&Method::new(path("PCNT"), 0, true, vec![&parts]))
}

/// Objects whose bytes are ready.
pub(super) struct Ready(pub(super) Vec<u8>);

impl Aml for Ready {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

//! Processors that come and go, as ACPI's tables describe them: each is a device that says whether it
//! is there (`_STA`), how it is reached (`_MAT`) and how it is ejected (`_EJ0`), and the event `_E02`
//! tells the guest which to look at (ACPI 6.5 §5.6.6, §8.4). The registers behind it are in
//! [`crate::devices::cpus`].

use acpi_tables::aml::{
    And, Arg, BufferData, Device, EISAName, Field, FieldAccessType, FieldEntry, FieldLockRule,
    FieldUpdateRule, If, Local, Method, MethodCall, Name, Notify, OpRegion, OpRegionSpace, Path,
    Return, Scope, Store, ZERO,
};

use super::dsdt::bytes;
use super::hotplug::{DEVICE_CHECK, EJECT_REQUEST, Ready};
use super::{PROCESSOR_ON, local_apic};
use crate::devices::cpus::LEN;
use crate::machine::layout::CPUS_PORT;
use crate::machine::topology::Topology;

/// Bits of half a register.
const BITS: usize = 32;
/// A device that is there and works.
const THERE: u8 = 0xf;
/// Names of the registers' halves.
const PRESENT: [&str; 2] = ["CPP0", "CPP1"];
const CAME: [&str; 2] = ["CPC0", "CPC1"];
const WANTED: [&str; 2] = ["CPW0", "CPW1"];
const EJECT: [&str; 2] = ["CPE0", "CPE1"];

fn path(name: &str) -> Path {
    Path::new(name)
}

fn cpu_name(cpu: u8) -> String {
    format!("C{cpu:03X}")
}

/// Half of the register that has a processor's bit, and the bit.
fn place(cpu: u8) -> (usize, u32) {
    (usize::from(cpu) / BITS, 1 << (usize::from(cpu) % BITS))
}

/// The container of the processors.
pub(super) fn container(topology: &Topology) -> Vec<u8> {
    let count = topology.vcpus();
    let mut parts = registers();
    for cpu in 0..count {
        parts.extend(device(cpu, topology.apic_id(cpu)));
    }
    parts.extend(notify(count));
    parts.extend(look());
    bytes(&Device::new(
        "CPUS".into(),
        vec![
            &Name::new("_HID".into(), &"ACPI0010"),
            &Name::new("_CID".into(), &EISAName::new("PNP0A05")),
            &Ready(parts),
        ],
    ))
}

/// The event of the processors, in the scope of general purpose events.
pub(super) fn events() -> Vec<u8> {
    let look = MethodCall::new(path("\\_SB_.CPUS.CNTL"), vec![]);
    let method = Method::new(path("_E02"), 0, false, vec![&look]);
    Scope::raw(path("\\_GPE"), bytes(&method))
}

fn registers() -> Vec<u8> {
    let (port, len) = (CPUS_PORT, LEN);
    let region = OpRegion::new(path("CPUR"), OpRegionSpace::SystemIO, &port, &len);
    let halves = [PRESENT, CAME, WANTED, EJECT].concat();
    let fields = halves.iter().map(|name| {
        let mut field = [0; 4];
        field.copy_from_slice(name.as_bytes());
        FieldEntry::Named(field, BITS)
    });
    let mut all = bytes(&region);
    all.extend(bytes(&Field::new(
        path("CPUR"),
        FieldAccessType::DWord,
        FieldLockRule::NoLock,
        FieldUpdateRule::WriteAsZeroes,
        fields.collect(),
    )));
    all
}

fn device(cpu: u8, apic_id: u8) -> Vec<u8> {
    let (half, bit) = place(cpu);
    let (present, eject) = (path(PRESENT[half]), path(EJECT[half]));
    let (there, is_set) = (Return::new(&THERE), And::new(&ZERO, &present, &bit));
    let (when_there, away) = (If::new(&is_set, vec![&there]), Return::new(&ZERO));
    let status = Method::new("_STA".into(), 0, false, vec![&when_there, &away]);
    let reached = BufferData::new(local_apic(cpu, apic_id, PROCESSOR_ON).to_vec());
    let let_go = Store::new(&eject, &bit);
    let eject = Method::new("_EJ0".into(), 1, false, vec![&let_go]);
    let hid = Name::new("_HID".into(), &"ACPI0007");
    let uid = Name::new("_UID".into(), &cpu);
    let reached = Name::new("_MAT".into(), &reached);
    let name = cpu_name(cpu);
    // The first processor is there as long as the machine is.
    match cpu {
        0 => bytes(&Device::new(
            name.as_str().into(),
            vec![&hid, &uid, &status, &reached],
        )),
        _ => bytes(&Device::new(
            name.as_str().into(),
            vec![&hid, &uid, &status, &reached, &eject],
        )),
    }
}

/// `CNT0` and `CNT1(processors, why)`: notify the processors whose bits are set in a half.
fn notify(count: u8) -> Vec<u8> {
    let mut halves = [Vec::new(), Vec::new()];
    for cpu in 0..count {
        let (half, bit) = place(cpu);
        let (name, why) = (cpu_name(cpu), Arg(1));
        let name = path(&name);
        let notify = Notify::new(&name, &why);
        let is_set = And::new(&ZERO, &Arg(0), &bit);
        halves[half].extend(bytes(&If::new(&is_set, vec![&notify])));
    }
    let [low, high] = halves.map(Ready);
    let mut all = bytes(&Method::new(path("CNT0"), 2, false, vec![&low]));
    all.extend(bytes(&Method::new(path("CNT1"), 2, false, vec![&high])));
    all
}

/// `CNTL()`: reads what is new, says that it is known, and notifies.
fn look() -> Vec<u8> {
    let mut parts = Vec::new();
    for (registers, why) in [(CAME, DEVICE_CHECK), (WANTED, EJECT_REQUEST)] {
        for (register, notify) in registers.into_iter().zip(["CNT0", "CNT1"]) {
            let register = path(register);
            parts.extend(bytes(&Store::new(&Local(0), &register)));
            parts.extend(bytes(&Store::new(&register, &Local(0))));
            let cpus = Local(0);
            parts.extend(bytes(&MethodCall::new(path(notify), vec![&cpus, &why])));
        }
    }
    let parts = Ready(parts);
    bytes(&Method::new(path("CNTL"), 0, true, vec![&parts]))
}

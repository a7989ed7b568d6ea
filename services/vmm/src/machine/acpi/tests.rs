use super::*;
use crate::machine::layout::MIB;
use basalt_model::numa::{Node, Numa};
use std::process::Command;

const BASE: u64 = 0x7f00_0000;

fn dword(area: &[u8], at: usize) -> usize {
    u32::from_le_bytes(area[at..at + 4].try_into().unwrap()) as usize
}

fn qword(area: &[u8], at: usize) -> usize {
    (u64::from_le_bytes(area[at..at + 8].try_into().unwrap()) - BASE) as usize
}

/// The table at `at`, its checksum checked.
fn table(area: &[u8], at: usize) -> &[u8] {
    let table = &area[at..at + dword(area, at + 4)];
    assert_eq!(sum(table), 0, "{:?}", &table[..4]);
    table
}

pub(super) fn profile(vcpus: u8, firmware: bool) -> Profile {
    Profile {
        topology: Topology::flat(vcpus, 512 * MIB),
        plugged: vcpus,
        cpus_come: false,
        memory: 512 * MIB,
        room: None,
        address_bits: 40,
        firmware,
        tpm: false,
        host_devices: false,
        more_serial: [false; 3],
    }
}

/// Checks that every table can be reached from the root and sums to zero.
pub(super) fn check(root: &[u8], body: &[u8], vcpus: u8) {
    check_with(root, body, vcpus, &[]);
}

fn check_with(root: &[u8], body: &[u8], vcpus: u8, more: &[&[u8]]) {
    assert_eq!(sum(&root[..20]), 0);
    assert_eq!(sum(&root[..36]), 0);
    let xsdt = table(body, qword(root, ROOT_POINTER));
    let tables: Vec<&[u8]> = (36..xsdt.len())
        .step_by(8)
        .map(|i| table(body, qword(xsdt, i)))
        .collect();
    let names: Vec<&[u8]> = tables.iter().map(|t| &t[..4]).collect();
    let usual: [&[u8]; 3] = [b"FACP", b"APIC", b"MCFG"];
    assert_eq!(names, [&usual, more].concat());
    assert_eq!(&table(body, qword(tables[0], 140))[..4], b"DSDT");
    let facs = qword(tables[0], 132);
    assert_eq!(&body[facs..facs + 4], b"FACS");
    assert!(facs.is_multiple_of(64));
    assert_eq!(tables[1].len(), 44 + usize::from(vcpus) * 8 + 12 + 10 + 6);
}

#[test]
fn every_table_is_reachable_and_sums_to_zero() {
    for vcpus in [1, 2, 64] {
        for firmware in [false, true] {
            let (root, body) = build(profile(vcpus, firmware)).located(BASE);
            assert!(root.len() + body.len() <= ACPI_TABLES_SIZE);
            check(&root, &body, vcpus);
        }
    }
}

#[test]
fn a_module_has_a_table_and_a_device() {
    let profile = Profile {
        tpm: true,
        ..profile(2, true)
    };
    let (root, body) = build(profile).located(BASE);
    check_with(&root, &body, 2, &[b"TPM2"]);
    let at = body.windows(4).position(|w| w == b"TPM2").unwrap();
    let tpm2 = table(&body, at);
    assert_eq!((tpm2.len(), tpm2[8]), (76, 4));
    assert_eq!(tpm2[40..48], 0xfed4_0040u64.to_le_bytes());
    assert_eq!(dword(tpm2, 48), 7);
    assert!(body.windows(8).any(|w| w == b"MSFT0101"));
}

/// Ports that share an interrupt say so; a machine with one port has its entry as ever.
#[test]
fn every_serial_port_has_an_entry_with_a_number_of_its_own() {
    let has = |more_serial, wanted: &[u8]| {
        let profile = Profile {
            more_serial,
            ..profile(1, false)
        };
        let body = build(profile).body;
        body.windows(wanted.len()).any(|w| w == wanted)
    };
    // I/O ports, then an interrupt: edge, exclusive or shared.
    let uses = |port: u16, flags: u8, irq: u8| {
        let [low, high] = port.to_le_bytes();
        let ports = [0x47, 1, low, high, low, high, 1, 8];
        [&ports[..], &[0x89, 6, 0, flags, 1, irq, 0, 0, 0]].concat()
    };
    for (index, (name, port, irq)) in [
        (b"COM1", 0x3f8, 4),
        (b"COM2", 0x2f8, 3),
        (b"COM3", 0x3e8, 4),
        (b"COM4", 0x2e8, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let first = index == 0;
        assert_eq!(has([false; 3], name), first);
        assert!(has([true; 3], name));
        assert!(has([true; 3], &uses(port, 0b1011, irq)), "{port:#x}");
        assert_eq!(has([false; 3], &uses(port, 0b0011, irq)), first);
        let number: &[u8] = match index {
            0 => b"_UID\0",
            1 => b"_UID\x01",
            2 => b"_UID\x0a\x02",
            _ => b"_UID\x0a\x03",
        };
        let entry = [&b"\x08_HID\x0c\x41\xd0\x05\x01\x08"[..], number].concat();
        assert!(has([true; 3], &entry), "{index}");
    }
}

/// What a guest's interpreter reads of a slot, for both kinds of boot.
#[test]
fn slots_of_disks_and_cards_can_be_ejected() {
    for firmware in [false, true] {
        let body = build(profile(1, firmware)).body;
        let has = |wanted: &[u8]| body.windows(wanted.len()).any(|w| w == wanted);
        for slot in [2u8, 16, 18, 25] {
            let name = format!("S{slot:02}_");
            let mut device = name.into_bytes();
            // Name(_ADR, DWord), Name(_SUN, Byte).
            device.extend(b"\x08_ADR\x0c");
            device.extend([0, 0, slot, 0]);
            device.extend(b"\x08_SUN\x0a");
            device.push(slot);
            assert!(has(&device), "slot {slot}");
        }
        assert!(has(b"_E01") && has(b"_EJ0"));
        for fixed in [&b"S01_"[..], b"S17_", b"S27_", b"S31_"] {
            assert!(!has(fixed));
        }
        let fadt = body.windows(4).position(|w| w == b"FACP").unwrap();
        assert_eq!(dword(&body, fadt + 80), 0x620);
        assert_eq!(body[fadt + 92], 4);
    }
}

#[test]
fn processors_that_may_come_are_there_and_off() {
    let profile = Profile {
        plugged: 2,
        cpus_come: true,
        ..profile(40, false)
    };
    let body = build(profile).body;
    let has = |wanted: &[u8]| body.windows(wanted.len()).any(|w| w == wanted);
    assert!(has(&[0, 8, 1, 1, 1, 0, 0, 0]) && has(&[0, 8, 2, 2, 2, 0, 0, 0]));
    assert!(has(b"C000") && has(b"C027") && !has(b"C028") && has(b"_E02"));
    assert!(build(profile).located(BASE).1.len() < ACPI_TABLES_SIZE);
    let without = build(self::profile(40, false)).body;
    assert!(!without.windows(8).any(|w| w == b"ACPI0007"));
}

/// Both kinds of boot have the port by which a guest says that it panicked.
#[test]
fn drivers_find_the_port_of_panics_by_its_name() {
    for firmware in [false, true] {
        let body = build(profile(1, firmware)).body;
        let has = |wanted: &[u8]| body.windows(wanted.len()).any(|w| w == wanted);
        assert!(has(b"PEVT\x08_HID\x0dQEMU0001\0\x08_STA\x0a\x0f\x08_CRS"));
        // I/O ports from 0x505 to 0x505, one of them.
        assert!(has(&[0x47, 1, 5, 5, 5, 5, 1, 1]));
    }
}

#[test]
fn only_firmware_has_the_devices_made_for_it() {
    let has = |firmware, name: &[u8]| {
        let body = build(profile(1, firmware)).body;
        body.windows(name.len()).any(|w| w == name)
    };
    for device in [&b"FWCF"[..], b"KBD_", b"MOU_", b"RTC_"] {
        assert!(has(true, device));
        assert!(!has(false, device));
    }
}

/// The interpreter of ACPICA, which is also that of most guests, loads the table and runs the methods
/// by which devices come and go.
#[test]
fn an_interpreter_runs_the_methods() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dsdt.aml");
    let commands = [
        (r"\_GPE._E01", "Evaluating"),
        (r"\_GPE._E02", "Evaluating"),
        (r"\_SB.PCI0.DVNT 4 1", "Notify on [S02_]"),
        (r"\_SB.PCI0.S25._EJ0 1", "Evaluating"),
        (r"\_SB.CPUS.CNT0 2 1", "Notify on [C001]"),
        (r"\_SB.CPUS.CNT1 128 3", "Notify on [C027]"),
        (r"\_SB.CPUS.C027._STA", "Evaluating"),
        (r"\_SB.CPUS.C027._MAT", "Evaluating"),
        (r"\_SB.CPUS.C027._EJ0 1", "Evaluating"),
    ];
    for firmware in [false, true] {
        let profile = Profile {
            plugged: 1,
            cpus_come: true,
            ..profile(40, firmware)
        };
        let (root, body) = build(profile).located(BASE);
        let xsdt = table(&body, qword(&root, ROOT_POINTER));
        let fadt = table(&body, qword(xsdt, 36));
        std::fs::write(&path, table(&body, qword(fadt, 140))).unwrap();
        for (command, wanted) in commands {
            let run = Command::new("acpiexec")
                .args(["-b", &format!("execute {command}")])
                .arg(&path)
                .output();
            let Ok(run) = run else {
                eprintln!("skipped: there is no acpiexec here");
                return;
            };
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(said.contains(wanted) && !said.contains("AE_"), "{said}");
        }
    }
}

#[test]
fn memory_that_may_come_is_told_beside_what_there_is() {
    let room = (6 << 30, 2 << 30);
    let profile = Profile {
        topology: Topology::flat(2, 5 << 30),
        memory: 5 << 30,
        room: Some(room),
        ..profile(2, true)
    };
    let (root, body) = build(profile).located(BASE);
    check_with(&root, &body, 2, &[b"SRAT"]);
    let xsdt = table(&body, qword(&root, ROOT_POINTER));
    let srat = table(&body, qword(xsdt, xsdt.len() - 8));
    let entries = &srat[48..];
    let (cpus, ranges) = entries.split_at(2 * 16);
    assert_eq!(
        (cpus[0], cpus[1], cpus[16 + 3], dword(cpus, 4)),
        (0, 16, 1, 1)
    );
    let number = |at: usize| u64::from_le_bytes(ranges[at..at + 8].try_into().unwrap());
    let range = |i: usize| {
        (
            number(i * 40 + 8),
            number(i * 40 + 16),
            dword(ranges, i * 40 + 28),
        )
    };
    assert_eq!(ranges.len(), 3 * 40);
    assert_eq!(range(0), (0, 3 << 30, 1));
    assert_eq!(range(1), (4 << 30, 2 << 30, 1));
    assert_eq!(range(2), (room.0, room.1, 3));
}

/// A node's memory goes on behind the hole, a processor that may come has its node, and both by numbers that
/// its sockets give.
#[test]
fn nodes_have_their_processors_and_memory_and_are_apart() {
    let node = |vcpus: [u8; 3], memory_mib| Node {
        vcpus: vcpus.into(),
        memory_mib,
        host: None,
    };
    let numa = Numa {
        sockets: 2,
        nodes: vec![node([0, 1, 2], 2048), node([3, 4, 5], 3072)],
    };
    let profile = Profile {
        topology: Topology::of(6, 5 << 30, Some(&numa)),
        plugged: 1,
        cpus_come: true,
        memory: 5 << 30,
        ..profile(6, false)
    };
    let (root, body) = build(profile).located(BASE);
    check_with(&root, &body, 6, &[b"SRAT", b"SLIT"]);
    let xsdt = table(&body, qword(&root, ROOT_POINTER));
    let at = |from_end: usize| table(&body, qword(xsdt, xsdt.len() - from_end));
    let (srat, slit) = (at(16), at(8));
    let (cpus, ranges) = srat[48..].split_at(6 * 16);
    let homes: Vec<(u8, u8)> = cpus.chunks(16).map(|cpu| (cpu[2], cpu[3])).collect();
    assert_eq!(homes, [(0, 0), (0, 1), (0, 2), (1, 4), (1, 5), (1, 6)]);
    let number =
        |range: &[u8], at: usize| u64::from_le_bytes(range[at..at + 8].try_into().unwrap());
    let ranges: Vec<(u8, u64, u64)> = ranges
        .chunks(40)
        .map(|range| (range[2], number(range, 8), number(range, 16)))
        .collect();
    let gib = 1 << 30;
    let wanted = [(0, 0, 2 * gib), (1, 2 * gib, gib), (1, 4 * gib, 2 * gib)];
    assert_eq!(ranges, wanted);
    assert_eq!((slit[36], &slit[44..]), (2, &[10, 20, 20, 10][..]));
    let has = |wanted: &[u8]| body.windows(wanted.len()).any(|w| w == wanted);
    // The local APIC of a processor that may come, and the I/O APIC's number behind all of theirs.
    assert!(has(&[0, 8, 3, 4, 2, 0, 0, 0]) && has(&[1, 12, 7, 0]));
}

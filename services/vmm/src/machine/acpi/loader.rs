//! The script by which firmware puts the tables into memory: QEMU's table loader interface
//! (`etc/table-loader`), entries of 128 bytes that allocate a file, add its address to a pointer,
//! or fill in a sum. Numbers are little endian.

use super::{ALIGNMENT, ROOT_POINTER, ROOT_SUMS, SDT_CHECKSUM, Tables};

/// The script's file.
pub const SCRIPT: &str = "etc/table-loader";
/// The file of the root pointer.
pub const ROOT: &str = "etc/acpi/rsdp";
/// The file of all other tables.
pub const BODY: &str = "etc/acpi/tables";

const ENTRY: usize = 128;
const NAME: usize = 56;
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;
/// Anywhere below 4 GiB.
const ZONE_HIGH: u8 = 1;
/// Where the root pointer is looked for.
const ZONE_LOW: u8 = 2;
const ROOT_ALIGNMENT: u32 = 16;
const POINTER_SIZE: u8 = 8;

/// The script for `tables`.
pub fn script(tables: &Tables) -> Vec<u8> {
    let mut script = Vec::new();
    allocate(&mut script, ROOT, ROOT_ALIGNMENT, ZONE_LOW);
    allocate(&mut script, BODY, ALIGNMENT as u32, ZONE_HIGH);
    for at in &tables.pointers {
        add_pointer(&mut script, BODY, *at);
    }
    for (start, len) in &tables.summed {
        add_checksum(&mut script, BODY, start + SDT_CHECKSUM, *start, *len);
    }
    add_pointer(&mut script, ROOT, ROOT_POINTER);
    for (at, len) in ROOT_SUMS {
        add_checksum(&mut script, ROOT, at, 0, len);
    }
    script
}

fn name(file: &str) -> [u8; NAME] {
    let mut field = [0; NAME];
    field[..file.len()].copy_from_slice(file.as_bytes());
    field
}

fn entry(script: &mut Vec<u8>, command: u32, parts: &[&[u8]]) {
    let end = script.len() + ENTRY;
    script.extend(command.to_le_bytes());
    for part in parts {
        script.extend(*part);
    }
    script.resize(end, 0);
}

fn allocate(script: &mut Vec<u8>, file: &str, alignment: u32, zone: u8) {
    entry(
        script,
        ALLOCATE,
        &[&name(file), &alignment.to_le_bytes(), &[zone]],
    );
}

/// Adds the address of the body to a pointer in `file`.
fn add_pointer(script: &mut Vec<u8>, file: &str, at: usize) {
    let at = (at as u32).to_le_bytes();
    let parts: [&[u8]; 4] = [&name(file), &name(BODY), &at, &[POINTER_SIZE]];
    entry(script, ADD_POINTER, &parts);
}

fn add_checksum(script: &mut Vec<u8>, file: &str, at: usize, start: usize, len: usize) {
    let numbers: Vec<u8> = [at, start, len]
        .into_iter()
        .flat_map(|number| (number as u32).to_le_bytes())
        .collect();
    entry(script, ADD_CHECKSUM, &[&name(file), &numbers]);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, profile};
    use super::super::{add_to_pointer, build, sum};
    use super::*;

    fn number(entry: &[u8], at: usize) -> usize {
        u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize
    }

    /// Does what firmware does.
    #[test]
    fn a_firmware_that_follows_the_script_gets_valid_tables() {
        const BASE: u64 = 0x7f00_0000;
        let tables = build(profile(3, true));
        let script = script(&tables);
        let (mut root, mut body) = (tables.root, tables.body);
        assert!(script.len().is_multiple_of(ENTRY));
        for entry in script.chunks(ENTRY) {
            let in_root = entry[4..].starts_with(b"etc/acpi/rsdp\0");
            assert!(in_root || entry[4..].starts_with(b"etc/acpi/tables\0"));
            let file = if in_root { &mut root } else { &mut body };
            match number(entry, 0) as u32 {
                ALLOCATE => assert!(number(entry, 60).is_power_of_two()),
                ADD_POINTER => {
                    assert!(entry[60..].starts_with(b"etc/acpi/tables\0"));
                    assert_eq!(entry[120], 8);
                    add_to_pointer(file, number(entry, 116), BASE);
                }
                ADD_CHECKSUM => {
                    let (at, start) = (number(entry, 60), number(entry, 64));
                    let sum = sum(&file[start..start + number(entry, 68)]);
                    file[at] = 0u8.wrapping_sub(sum);
                }
                other => panic!("command {other}"),
            }
        }
        check(&root, &body, 3);
    }
}

//! SMBIOS tables (DMTF DSP0134, version 3.0): what the machine is called and which UUID it has. Only
//! firmware hands them on.

use basalt_model::machine::SystemInfo;

/// The file of the entry point.
pub const ANCHOR: &str = "etc/smbios/smbios-anchor";
/// The file of the structures.
pub const TABLES: &str = "etc/smbios/smbios-tables";

const VERSION: [u8; 2] = [3, 0];
/// Handles are types times this.
const HANDLE: u16 = 0x100;
const BIOS: u8 = 0;
const SYSTEM: u8 = 1;
const CHASSIS: u8 = 3;
const BOOT_STATUS: u8 = 32;
const END: u8 = 127;

const UNKNOWN: u8 = 2;
const SAFE: u8 = 3;
const WAKE_BY_POWER_SWITCH: u8 = 6;
const OTHER: u8 = 1;

/// The structures of a machine.
pub fn tables(system: &SystemInfo) -> Vec<u8> {
    let or = |text: &Option<String>, default: &str| {
        let text = text.as_deref().filter(|t| !t.is_empty());
        text.unwrap_or(default).to_owned()
    };
    let mut all = Vec::new();
    let mut bios = vec![1, 2, 0, 0, 3, 0];
    // Characteristics follow in the extension: a virtual machine that boots by UEFI.
    bios.extend((1u64 << 3).to_le_bytes());
    bios.extend([0, 0b0001_1000, 0, 0, 0xff, 0xff]);
    structure(&mut all, BIOS, &bios, &["Basalt", "1", "01/01/2026"]);

    let mut body = vec![1, 2, 3, 4];
    body.extend(wire_uuid(system.uuid));
    body.extend([WAKE_BY_POWER_SWITCH, 5, 6]);
    let texts = [
        or(&system.manufacturer, "Basalt"),
        or(&system.product, "Virtual Machine"),
        or(&system.version, "1"),
        or(&system.serial, ""),
        or(&system.sku, ""),
        or(&system.family, ""),
    ];
    // A text that is empty has number zero.
    let mut present = Vec::new();
    for (at, text) in [0, 1, 2, 3, 21, 22].into_iter().zip(&texts) {
        body[at] = 0;
        if !text.is_empty() {
            present.push(text.as_str());
            body[at] = present.len() as u8;
        }
    }
    structure(&mut all, SYSTEM, &body, &present);

    let mut chassis = vec![1, OTHER, 0, 0, 0, SAFE, SAFE, SAFE, UNKNOWN];
    chassis.extend([0; 9]);
    structure(&mut all, CHASSIS, &chassis, &["Basalt"]);
    structure(&mut all, BOOT_STATUS, &[0; 7], &[]);
    structure(&mut all, END, &[], &[]);
    all
}

/// The entry point for structures of `len` bytes; firmware fills in where they are.
pub fn anchor(len: usize) -> Vec<u8> {
    const LEN: u8 = 24;
    const SUM: usize = 5;
    let mut anchor = b"_SM3_".to_vec();
    anchor.extend([0, LEN, VERSION[0], VERSION[1], 0, 1, 0]);
    anchor.extend((len as u32).to_le_bytes());
    anchor.extend([0; 8]);
    let sum = anchor.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    anchor[SUM] = 0u8.wrapping_sub(sum);
    anchor
}

/// A UUID as the structures hold it: the first three fields little endian.
fn wire_uuid(uuid: [u8; 16]) -> [u8; 16] {
    let mut wire = uuid;
    wire[..4].reverse();
    wire[4..6].reverse();
    wire[6..8].reverse();
    wire
}

fn structure(all: &mut Vec<u8>, kind: u8, body: &[u8], texts: &[&str]) {
    all.extend([kind, 4 + body.len() as u8]);
    all.extend((u16::from(kind) * HANDLE).to_le_bytes());
    all.extend(body);
    for text in texts {
        all.extend(text.bytes().filter(|byte| *byte != 0));
        all.push(0);
    }
    if texts.is_empty() {
        all.push(0);
    }
    all.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, fixed part and texts of every structure.
    fn parse(mut tables: &[u8]) -> Vec<(u8, Vec<u8>, Vec<String>)> {
        let mut all = Vec::new();
        while !tables.is_empty() {
            let (fixed, rest) = tables.split_at(usize::from(tables[1]));
            let end = rest.windows(2).position(|w| w == [0, 0]).unwrap();
            let texts = rest[..end].split(|b| *b == 0);
            let texts = texts
                .filter(|t| !t.is_empty())
                .map(|t| String::from_utf8_lossy(t).into_owned());
            all.push((fixed[0], fixed.to_vec(), texts.collect()));
            tables = &rest[end + 2..];
        }
        all
    }

    #[test]
    fn the_system_has_the_uuid_and_the_texts_of_its_configuration() {
        let system = SystemInfo {
            uuid: core::array::from_fn(|i| i as u8),
            product: Some("Router".into()),
            serial: Some("S-1".into()),
            ..Default::default()
        };
        let all = parse(&tables(&system));
        let kinds: Vec<u8> = all.iter().map(|s| s.0).collect();
        assert_eq!(kinds, [BIOS, SYSTEM, CHASSIS, BOOT_STATUS, END]);
        let (_, fixed, texts) = &all[1];
        assert_eq!(fixed.len(), 27);
        assert_eq!(fixed[8..16], [3, 2, 1, 0, 5, 4, 7, 6]);
        assert_eq!(fixed[16..24], [8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(*texts, ["Basalt", "Router", "1", "S-1"]);
        assert_eq!(fixed[4..8], [1, 2, 3, 4]);
        assert_eq!(fixed[25..], [0, 0], "no text, no number");
    }

    #[test]
    fn texts_cannot_end_a_structure_early() {
        let system = SystemInfo {
            product: Some("a\0\0b".into()),
            ..Default::default()
        };
        assert_eq!(parse(&tables(&system))[1].2[1], "ab");
    }

    #[test]
    fn the_entry_point_sums_to_zero() {
        let anchor = anchor(300);
        assert_eq!(anchor.len(), 24);
        assert_eq!(
            anchor.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)),
            0
        );
    }
}

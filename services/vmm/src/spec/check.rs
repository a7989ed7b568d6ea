//! What the values of a specification may be, whatever its descriptors are.

use basalt_model::disk::{ImageFormat, MAX_BACKING};
use basalt_model::machine::{Boot, Disk, MAX_QUEUES, MachineSpec, Nic, PROTOCOL};
use basalt_model::passthrough::Passthrough;

use super::{
    Error, MAX_DISKS, MAX_DRIVES, MAX_MEMORY_MIB, MAX_NICS, MAX_SERIAL, MAX_VCPUS,
    MIN_FIRMWARE_MEMORY_MIB, MIN_MEMORY_MIB, invalid,
};

/// Checks everything that needs no descriptor.
pub(super) fn bounds(spec: &MachineSpec) -> Result<(), Error> {
    if spec.protocol != PROTOCOL {
        return Err(invalid(
            "protocol",
            format!("{} is not {PROTOCOL}", spec.protocol),
        ));
    }
    if !(1..=MAX_VCPUS).contains(&spec.vcpus) {
        return Err(invalid(
            "vcpus",
            format!("{} is not 1 to {MAX_VCPUS}", spec.vcpus),
        ));
    }
    if let Some(plugged) = spec.plugged
        && !(1..=spec.vcpus).contains(&plugged)
    {
        return Err(invalid(
            "plugged",
            format!("{plugged} is not 1 to {}", spec.vcpus),
        ));
    }
    let least = match spec.boot {
        Boot::Kernel { .. } => MIN_MEMORY_MIB,
        Boot::Firmware { .. } => MIN_FIRMWARE_MEMORY_MIB,
    };
    if !(least..=MAX_MEMORY_MIB).contains(&spec.memory_mib) {
        let range = format!("{least} to {MAX_MEMORY_MIB}");
        return Err(invalid(
            "memory_mib",
            format!("{} is not {range}", spec.memory_mib),
        ));
    }
    if let Some(mib) = spec.balloon
        && !(1..=spec.memory_mib).contains(&mib)
    {
        let range = format!("1 to {}", spec.memory_mib);
        return Err(invalid("balloon", format!("{mib} is not {range}")));
    }
    if let Some(passthrough) = &spec.passthrough {
        host_devices(spec, passthrough)?;
    }
    if spec.disks.len() > MAX_DISKS {
        return Err(invalid("disks", format!("more than {MAX_DISKS}")));
    }
    if spec.opticals.len() > MAX_DRIVES {
        return Err(invalid("opticals", format!("more than {MAX_DRIVES}")));
    }
    if spec.nics.len() > MAX_NICS {
        return Err(invalid("nics", format!("more than {MAX_NICS}")));
    }
    spec.disks.iter().try_for_each(disk)?;
    spec.nics.iter().try_for_each(nic)
}

/// Checks what cannot be along with devices of the host.
fn host_devices(spec: &MachineSpec, passthrough: &Passthrough) -> Result<(), Error> {
    let Some(first) = passthrough.devices.first() else {
        return Err(invalid("passthrough", "there are no devices"));
    };
    if spec.balloon.is_some() {
        let text = "memory that devices of the host can reach cannot be given back";
        return Err(invalid("balloon", format!("{text}: there is {}", first.id)));
    }
    if spec.restore.is_some() {
        let text = "a device of the host has no state to go on from";
        return Err(invalid(&first.id, text));
    }
    let groups = passthrough.groups.len();
    match passthrough.devices.iter().find(|d| d.group >= groups) {
        Some(device) => {
            let text = format!("group {} of {groups}", device.group);
            Err(invalid(&device.id, text))
        }
        None => Ok(()),
    }
}

/// Checks a network card.
pub(super) fn nic(card: &Nic) -> Result<(), Error> {
    if card.mac[0] & 1 != 0 || card.mac == [0; 6] {
        return Err(invalid(&card.id, "the hardware address is not unicast"));
    }
    Ok(())
}

/// Checks what a disk's images, serial number and limits can be.
pub(super) fn disk(disk: &Disk) -> Result<(), Error> {
    let wrong = |problem: String| Err(invalid(&disk.id, problem));
    if disk.serial.len() > MAX_SERIAL {
        return wrong(format!("serial is longer than {MAX_SERIAL} bytes"));
    }
    if disk.backing.len() > MAX_BACKING {
        return wrong(format!("more than {MAX_BACKING} images below it"));
    }
    if disk.format == ImageFormat::Raw && !disk.backing.is_empty() {
        return wrong("a raw image has no image below it".to_owned());
    }
    if !(1..=MAX_QUEUES).contains(&disk.queues) {
        return wrong(format!("{} queues are not 1 to {MAX_QUEUES}", disk.queues));
    }
    let kinds = [disk.limits.requests, disk.limits.bytes];
    let mut rates = kinds
        .iter()
        .flat_map(|kind| [kind.total, kind.read, kind.write])
        .flatten();
    if rates.any(|rate| rate.average == 0 || rate.burst == Some(0) || rate.burst_seconds == 0) {
        return wrong("a limit of nothing would stop it".to_owned());
    }
    Ok(())
}

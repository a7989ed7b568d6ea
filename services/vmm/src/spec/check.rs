//! What the values of a specification may be, whatever its descriptors are.

use crate::machine::layout::{NIC_SLOTS, TSEG_MIB, VSOCK_SLOT, WATCHDOG_SLOT};
use basalt_model::disk::{ImageFormat, MAX_BACKING};
use basalt_model::machine::{Boot, Disk, MAX_QUEUES, MachineSpec, Nic, PROTOCOL, SHARE_TAG};
use basalt_model::numa::{MAX_HOST_NODES, MAX_NODES, Numa};
use basalt_model::passthrough::Passthrough;
use kvm_bindings::KVM_CAP_MULTI_ADDRESS_SPACE;
use kvm_ioctls::{Cap, Kvm};

use super::{
    Error, MAX_DISKS, MAX_DRIVES, MAX_MEMORY_MIB, MAX_NICS, MAX_SERIAL, MAX_SHARES, MAX_VCPUS,
    MIN_FIRMWARE_MEMORY_MIB, MIN_MEMORY_MIB, invalid, vsock,
};

/// Sizes of huge pages in MiB. The memory below 4 GiB ends at a multiple of either.
const HUGE_PAGES_MIB: [u64; 2] = [2, 1024];

/// Why a machine with a shared directory is neither saved nor moved: what its guest has open there is
/// known to the program that serves it alone.
pub const NOT_KEPT: &str = "a machine that shares a directory can be neither saved nor moved";

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
    if let Some(most) = spec.memory_max_mib
        && !(spec.memory_mib..=MAX_MEMORY_MIB).contains(&most)
    {
        let range = format!("{} to {MAX_MEMORY_MIB}", spec.memory_mib);
        return Err(invalid("memory_max_mib", format!("{most} is not {range}")));
    }
    if let Some(mib) = spec.balloon
        && !(1..=spec.memory_mib).contains(&mib)
    {
        let range = format!("1 to {}", spec.memory_mib);
        return Err(invalid("balloon", format!("{mib} is not {range}")));
    }
    if let Some(numa) = &spec.numa {
        nodes(spec, numa)?;
    }
    if let Some(mib) = spec.hugepages_mib {
        huge_pages(spec, mib)?;
    }
    if let Boot::Firmware { smm: true, .. } = spec.boot
        && spec.plugged.is_some()
    {
        // Who is faster than the firmware would own a processor's system management mode.
        let text = "processors cannot come and go with system management mode (Secure Boot)";
        return Err(invalid("plugged", text));
    }
    if let Some(passthrough) = &spec.passthrough {
        host_devices(spec, passthrough)?;
    }
    // The device by which memory comes has the place of one.
    let most = MAX_DISKS - usize::from(spec.memory_max_mib.is_some());
    if spec.disks.len() > most {
        return Err(invalid("disks", format!("more than {most}")));
    }
    if spec.opticals.len() > MAX_DRIVES {
        return Err(invalid("opticals", format!("more than {MAX_DRIVES}")));
    }
    if let Some(vsock) = &spec.vsock {
        vsock::check(vsock)?;
    }
    // These have the last places of them.
    let most = match (&spec.vsock, &spec.watchdog) {
        (Some(_), _) => usize::from(VSOCK_SLOT - NIC_SLOTS.start),
        (None, Some(_)) => usize::from(WATCHDOG_SLOT - NIC_SLOTS.start),
        (None, None) => MAX_NICS,
    };
    if spec.nics.len() > most {
        return Err(invalid("nics", format!("more than {most}")));
    }
    shares(spec)?;
    spec.disks.iter().try_for_each(disk)?;
    spec.nics.iter().try_for_each(nic)
}

/// Checks whether this host's processors can have system management mode.
pub(super) fn smm(kvm: &Kvm) -> Result<(), Error> {
    // One address space for that mode, and one for the others.
    let spaces = kvm.check_extension_raw(KVM_CAP_MULTI_ADDRESS_SPACE.into());
    match kvm.check_extension(Cap::X86Smm) && spaces >= 2 {
        true => Ok(()),
        false => Err(invalid(
            "smm",
            "this host's KVM has no system management mode, which Secure Boot needs: \
             say pre-enrolled-keys=0",
        )),
    }
}

/// Checks whether the memory can be made of huge pages of `mib` MiB.
fn huge_pages(spec: &MachineSpec, mib: u64) -> Result<(), Error> {
    let wrong = |problem: String| Err(invalid("hugepages_mib", problem));
    if !HUGE_PAGES_MIB.contains(&mib) {
        return wrong(format!("there are no pages of {mib} MiB"));
    }
    let mut pieces = vec![spec.memory_mib];
    if let Boot::Firmware { smm: true, .. } = spec.boot {
        pieces.push(TSEG_MIB.into());
    }
    if let Some(piece) = pieces.iter().find(|piece| !piece.is_multiple_of(mib)) {
        return wrong(format!(
            "{piece} MiB of memory are not made of pages of {mib}"
        ));
    }
    if spec.memory_max_mib.is_some() {
        return wrong("memory that is made of huge pages cannot come and go".to_owned());
    }
    Ok(())
}

/// Checks how memory and virtual CPUs are divided.
fn nodes(spec: &MachineSpec, numa: &Numa) -> Result<(), Error> {
    let wrong = |problem: String| Err(invalid("numa", problem));
    let (vcpus, sockets) = (spec.vcpus, numa.sockets);
    if sockets == 0 || !vcpus.is_multiple_of(sockets) {
        return wrong(format!("{vcpus} virtual CPUs in {sockets} sockets"));
    }
    if !(1..=MAX_NODES).contains(&numa.nodes.len()) {
        let count = numa.nodes.len();
        return wrong(format!("{count} nodes are not 1 to {MAX_NODES}"));
    }
    let mut placed: Vec<u8> = numa.nodes.iter().flat_map(|n| n.vcpus.clone()).collect();
    placed.sort_unstable();
    if !placed.iter().copied().eq(0..vcpus) {
        return wrong(format!("not each of {vcpus} virtual CPUs is in one node"));
    }
    let sizes = numa.nodes.iter().map(|node| node.memory_mib);
    if numa.nodes.iter().any(|node| node.memory_mib == 0)
        || sizes.reduce(u64::saturating_add) != Some(spec.memory_mib)
    {
        let memory = spec.memory_mib;
        return wrong(format!(
            "the nodes have not {memory} MiB of memory together"
        ));
    }
    let page = spec.hugepages_mib.unwrap_or(1);
    for (index, node) in numa.nodes.iter().enumerate() {
        let Some(host) = &node.host else { continue };
        let possible = |node: &u16| *node < MAX_HOST_NODES;
        if host.nodes.is_empty() || !host.nodes.iter().all(possible) {
            return wrong(format!("node {index} is on no node of a host"));
        }
        // Its neighbours' pages are not its own.
        let start: u64 = numa.nodes[..index].iter().map(|n| n.memory_mib).sum();
        if !start.is_multiple_of(page) || !node.memory_mib.is_multiple_of(page) {
            return wrong(format!("node {index} is not made of pages of {page} MiB"));
        }
    }
    Ok(())
}

/// Checks the shared directories, which take places that disks leave.
fn shares(spec: &MachineSpec) -> Result<(), Error> {
    // The last place of disks is no share's.
    let places = MAX_DISKS - 1;
    let room = MAX_SHARES.min(places.saturating_sub(spec.disks.len()));
    if let Some(share) = spec.shares.get(room) {
        let most = format!("more than {MAX_SHARES}, or than {places} with the disks");
        return Err(invalid(&share.id, most));
    }
    if let Some(share) = spec.shares.first().filter(|_| spec.restore.is_some()) {
        return Err(invalid(&share.id, NOT_KEPT));
    }
    let fits = |tag: &str| (1..=SHARE_TAG).contains(&tag.len()) && !tag.contains('\0');
    match spec.shares.iter().find(|share| !fits(&share.tag)) {
        Some(share) => Err(invalid(
            &share.id,
            format!("its tag is not 1 to {SHARE_TAG} bytes"),
        )),
        None => Ok(()),
    }
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
    if spec.memory_max_mib.is_some() {
        let text = "memory that devices of the host can reach cannot come and go";
        let problem = format!("{text}: there is {}", first.id);
        return Err(invalid("memory_max_mib", problem));
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

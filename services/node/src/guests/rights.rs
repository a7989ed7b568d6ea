//! Which right a setting of a guest takes. A method's own permission lets in whoever has one of
//! them; here each setting that the call names is looked at.

use crate::call::Call;
use crate::guests::change::Change;
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::entropy::{Entropy, EntropySource};
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::pool::PoolId;
use basalt_model::qemu::hostpci::{HostPci, HostPciSource};
use basalt_model::vmid::Vmid;
use serde_json::{Map, Value};

/// Refuses a new guest with settings that the caller may not set, on its number or in its pool.
pub fn may_create(
    call: &Call,
    vmid: Vmid,
    pool: Option<&PoolId>,
    kind: GuestKind,
    settings: &Map<String, Value>,
) -> Result<()> {
    let pool = pool.map(PoolId::acl_path);
    let path = format!("/vms/{vmid}");
    for (key, value) in settings {
        may_take(call, key)?;
        may_pass(call, key, value)?;
        let privilege = needed(kind, key, is_disc(value));
        let in_pool = pool
            .as_ref()
            .is_some_and(|pool| call.allows(pool, &[privilege]));
        if !in_pool && !call.allows(&path, &[privilege]) {
            return Err(refusal(&path, privilege, key));
        }
    }
    Ok(())
}

/// Refuses a change of settings that the caller may not change.
pub fn may_change(call: &Call, vmid: Vmid, change: &Change, before: &GuestConfig) -> Result<()> {
    let before = match before {
        GuestConfig::Qemu(config) => (GuestKind::Qemu, config.to_map()),
        GuestConfig::Lxc(config) => (GuestKind::Lxc, config.to_map()),
    };
    let (kind, before) = before;
    let path = format!("/vms/{vmid}");
    let check = |key: &str, value: &Value| {
        may_take(call, key)?;
        may_pass(call, key, value)?;
        let privilege = needed(kind, key, is_disc(value));
        match call.allows(&path, &[privilege]) {
            true => Ok(()),
            false => Err(refusal(&path, privilege, key)),
        }
    };
    let removed = change.delete.iter().map(String::as_str);
    for key in removed.chain(change.set.keys().map(String::as_str)) {
        // What is replaced or removed must be the caller's to change, too.
        if let Some(old) = before.get(key) {
            check(key, old)?;
        }
    }
    change
        .set
        .iter()
        .try_for_each(|(key, value)| check(key, value))
}

/// Refuses a copy of a guest with what the caller may not give to a guest: devices and directories of the
/// host.
pub fn may_copy(call: &Call, config: &GuestConfig) -> Result<()> {
    for (key, value) in config.to_map() {
        may_pass(call, &key, &value)?;
    }
    let GuestConfig::Qemu(config) = config else {
        return Ok(());
    };
    let shares = config.virtiofs.values();
    shares
        .map(|share| share.dirid.dir_acl_path())
        .try_for_each(|path| call.require(&path, &[Privilege::MappingUse]))
}

/// Refuses what takes from the host more than a guest's share, and for longer than the guest runs.
fn may_take(call: &Call, key: &str) -> Result<()> {
    match is_superusers(key) && !call.auth().is_root() {
        true => Err(Error::forbidden(format_args!("only root@pam sets '{key}'"))),
        false => Ok(()),
    }
}

fn is_superusers(key: &str) -> bool {
    matches!(key, "hugepages" | "keephugepages")
}

/// Refuses devices of the host to whoever may not use their mapping; those that are named themselves are
/// the superuser's to give.
fn may_pass(call: &Call, key: &str, value: &Value) -> Result<()> {
    let text = value.as_str().unwrap_or_default();
    if key == "rng0" && is_hardware_entropy(text) {
        return may_use(call, "/mapping/hwrng", key);
    }
    if !key.starts_with("hostpci") {
        return Ok(());
    }
    match text.parse::<HostPci>().map(|setting| setting.source) {
        Ok(HostPciSource::Mapping(id)) => may_use(call, &format!("/mapping/pci/{id}"), key),
        _ if call.auth().is_root() => Ok(()),
        _ => Err(Error::forbidden(format_args!(
            "only root@pam sets '{key}' without a mapping"
        ))),
    }
}

fn may_use(call: &Call, mapping: &str, key: &str) -> Result<()> {
    match call.allows(mapping, &[Privilege::MappingUse]) {
        true => Ok(()),
        false => Err(refusal(mapping, Privilege::MappingUse, key)),
    }
}

/// Whether random numbers are to come from the host's hardware.
fn is_hardware_entropy(setting: &str) -> bool {
    let setting = setting.parse::<Entropy>();
    setting.is_ok_and(|setting| setting.source == EntropySource::Hardware)
}

fn refusal(path: &str, privilege: Privilege, key: &str) -> Error {
    Error::forbidden(format_args!("{path}, {} for '{key}'", privilege.name()))
}

/// Whether a drive holds, or is for, a disc that guests only read.
fn is_disc(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.split(',').any(|part| part == "media=cdrom")
}

fn needed(kind: GuestKind, key: &str, is_disc: bool) -> Privilege {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    match kind {
        GuestKind::Qemu => of_machine(name, is_disc),
        GuestKind::Lxc => of_container(name),
    }
}

fn of_machine(name: &str, is_disc: bool) -> Privilege {
    match name {
        "virtio" | "scsi" | "sata" | "ide" if is_disc => Privilege::VmConfigCdrom,
        "virtio" | "scsi" | "sata" | "ide" | "efidisk" | "tpmstate" | "unused" | "boot"
        | "virtiofs" => Privilege::VmConfigDisk,
        "cores" | "sockets" | "cpu" | "numa" | "cpulimit" | "cpuunits" | "affinity" => {
            Privilege::VmConfigCpu
        }
        "memory" | "balloon" | "hugepages" | "keephugepages" => Privilege::VmConfigMemory,
        "net" => Privilege::VmConfigNetwork,
        "cicustom" | "cipassword" | "citype" | "ciupgrade" | "ciuser" | "ipconfig"
        | "nameserver" | "searchdomain" | "sshkeys" => Privilege::VmConfigCloudinit,
        "acpi" | "bios" | "cmdline" | "hostpci" | "initrd" | "kernel" | "kvm" | "machine"
        | "rng" | "scsihw" | "serial" | "smbios" | "tablet" | "vga" | "vsock" | "watchdog" => {
            Privilege::VmConfigHwType
        }
        _ => Privilege::VmConfigOptions,
    }
}

fn of_container(name: &str) -> Privilege {
    match name {
        "rootfs" | "mp" | "unused" => Privilege::VmConfigDisk,
        "cores" | "cpulimit" | "cpuunits" => Privilege::VmConfigCpu,
        "memory" | "swap" => Privilege::VmConfigMemory,
        "net" | "nameserver" | "searchdomain" | "hostname" => Privilege::VmConfigNetwork,
        // What loosens the walls around it is for who may make one.
        "features" => Privilege::VmAllocate,
        _ => Privilege::VmConfigOptions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_takes_its_own_right() {
        let of = |key: &str, value: &str| needed(GuestKind::Qemu, key, is_disc(&json!(value)));
        assert_eq!(
            of("ide2", "local:iso/a.iso,media=cdrom"),
            Privilege::VmConfigCdrom
        );
        assert_eq!(of("scsi0", "local:8"), Privilege::VmConfigDisk);
        assert_eq!(of("efidisk0", "local:1"), Privilege::VmConfigDisk);
        assert_eq!(of("virtiofs0", "data"), Privilege::VmConfigDisk);
        assert_eq!(of("net0", "virtio"), Privilege::VmConfigNetwork);
        assert_eq!(of("cpulimit", "2"), Privilege::VmConfigCpu);
        assert_eq!(of("hugepages", "2"), Privilege::VmConfigMemory);
        assert!(is_superusers("hugepages") && is_superusers("keephugepages"));
        assert!(!is_superusers("memory"));
        assert_eq!(of("smbios1", ""), Privilege::VmConfigHwType);
        assert_eq!(of("serial3", "socket"), Privilege::VmConfigHwType);
        assert_eq!(of("rng0", "/dev/urandom"), Privilege::VmConfigHwType);
        assert_eq!(of("hostpci0", "mapping=gpu"), Privilege::VmConfigHwType);
        assert_eq!(of("ipconfig0", "ip=dhcp"), Privilege::VmConfigCloudinit);
        assert_eq!(of("description", ""), Privilege::VmConfigOptions);
        let of = |key: &str| needed(GuestKind::Lxc, key, false);
        assert_eq!(of("mp0"), Privilege::VmConfigDisk);
        assert_eq!(of("features"), Privilege::VmAllocate);
    }
}

//! From a configuration to a machine described by open descriptors.

use crate::disks;
use crate::error::{Result, VmError, io};
use basalt_model::field::FieldErrors;
use basalt_model::machine::{Boot, MachineSpec, Nic, PROTOCOL, Slot};
use basalt_model::network::InterfaceName;
use basalt_model::qemu::QemuConfig;
use basalt_model::storage::VolumeId;
use basalt_model::vmid::Vmid;
use basalt_network::{Cable, Network};
use basalt_storage::{Access, Storages};
use std::fs::{DirBuilder, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Where the sockets of running machines are.
pub const RUN: &str = "/run/basalt/vm";

/// The socket on which a machine's monitor takes requests.
pub fn control_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("control.sock")
}

/// The socket of a machine's serial console.
pub fn console_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("serial.sock")
}

/// The host's end of a machine's network card.
pub fn tap_name(vmid: Vmid, index: u8) -> Option<InterfaceName> {
    format!("tap{vmid}i{index}").parse().ok()
}

/// A machine ready to be handed over.
#[derive(Debug)]
pub struct Resolved {
    /// What it is made of.
    pub spec: MachineSpec,
    /// What the slots of `spec` number.
    pub fds: Vec<OwnedFd>,
}

/// The descriptors collected so far.
#[derive(Default)]
pub(crate) struct Slots(Vec<OwnedFd>);

impl Slots {
    pub(crate) fn add(&mut self, fd: impl Into<OwnedFd>) -> Slot {
        self.0.push(fd.into());
        Slot(self.0.len() - 1)
    }
}

/// Opens everything that `config` names: volumes (and locks them), taps, devices, sockets.
/// Dropping the result gives all of it back.
pub async fn resolve(
    vmid: Vmid,
    config: &QemuConfig,
    storages: &Storages,
    network: &Network,
    run: &Path,
) -> Result<Resolved> {
    let kernel = check(config).map_err(VmError::Config)?;
    let mut slots = Slots::default();
    let kvm = slots.add(device("/dev/kvm")?);
    let control = slots.add(listen(&control_socket(run, vmid))?);
    let serial = slots.add(listen(&console_socket(run, vmid))?);
    let kernel = slots.add(volume(storages, "kernel", kernel, Access::Read).await?);
    let initrd = match &config.initrd {
        Some(initrd) => Some(slots.add(volume(storages, "initrd", initrd, Access::Read).await?)),
        None => None,
    };
    let cmdline = config
        .cmdline
        .as_ref()
        .map_or(QemuConfig::DEFAULT_CMDLINE, |line| line.as_str());
    let boot = Boot::Kernel {
        kernel,
        initrd,
        cmdline: cmdline.to_owned(),
    };
    let (disks, opticals) = disks::resolve(config, storages, &mut slots).await?;
    let nics = nics(vmid, config, network, &mut slots).await?;
    let rng = slots.add(File::open("/dev/urandom").map_err(io("opening /dev/urandom"))?);
    let spec = MachineSpec {
        protocol: PROTOCOL,
        name: config
            .name
            .as_ref()
            .map_or_else(|| format!("VM{vmid}"), ToString::to_string),
        vmid: vmid.get(),
        vcpus: u8::try_from(config.vcpus()).unwrap_or(u8::MAX),
        memory_mib: config.memory_mib(),
        kvm,
        control,
        serial,
        console: None,
        boot,
        disks,
        opticals,
        nics,
        rng: Some(rng),
    };
    Ok(Resolved { spec, fds: slots.0 })
}

/// What must hold for any machine to start; gives its kernel.
fn check(config: &QemuConfig) -> std::result::Result<&VolumeId, FieldErrors> {
    let mut errors = FieldErrors::default();
    if config.vcpus() > 64 {
        errors.add(
            "cores",
            format!("{} processors are more than 64", config.vcpus()),
        );
    }
    if config.kernel.is_none() {
        errors.add(
            "kernel",
            "not set: this version has no UEFI firmware, so a machine boots a kernel directly; \
             upload one with content 'kernel' and set kernel=STORAGE:kernel/NAME",
        );
    }
    let none = errors.clone();
    errors.or(())?;
    config.kernel.as_ref().ok_or(none)
}

async fn nics(
    vmid: Vmid,
    config: &QemuConfig,
    network: &Network,
    slots: &mut Slots,
) -> Result<Vec<Nic>> {
    let mut nics = Vec::new();
    for (index, net) in &config.net {
        let id = format!("net{index}");
        let name = tap_name(vmid, *index);
        let (Some(mac), Some(name)) = (net.mac, name) else {
            let text = "it has no hardware address: set one, e.g. virtio=BC:24:11:00:00:01";
            return Err(VmError::Config(FieldErrors::one(id, text)));
        };
        let pulled = net.link_down == Some(true);
        let cable = if pulled {
            Cable::Pulled
        } else {
            Cable::Plugged
        };
        let tap = network
            .tap(&name, net.bridge.as_ref(), mac, cable)
            .await
            .map_err(|source| VmError::Network {
                field: id.clone(),
                source,
            })?;
        nics.push(Nic {
            id,
            tap: slots.add(tap),
            mac: mac.0,
        });
    }
    Ok(nics)
}

pub(crate) async fn volume(
    storages: &Storages,
    field: &str,
    volume: &VolumeId,
    access: Access,
) -> Result<File> {
    let failed = |source| VmError::Volume {
        field: field.to_owned(),
        source,
    };
    let storage = storages.of(volume).map_err(failed)?;
    storage.open(volume, access).await.map_err(failed)
}

fn device(path: &str) -> Result<File> {
    let options = File::options().read(true).write(true).open(path);
    options.map_err(io(format!(
        "opening {path}: is virtualization switched on in the firmware?"
    )))
}

/// A listening socket at `path`, in place of what an earlier run left there.
fn listen(path: &Path) -> Result<OwnedFd> {
    let what = || format!("listening on {}", path.display());
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(io(what()))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io(what())(error));
        }
        _ => {}
    }
    Ok(UnixListener::bind(path).map_err(io(what()))?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_machine_without_a_kernel_is_told_what_to_do() {
        let error = VmError::Config(check(&config(json!({}))).unwrap_err()).to_string();
        assert!(
            error.starts_with("kernel: ") && error.contains("UEFI"),
            "{error}"
        );
    }

    #[test]
    fn more_processors_than_there_can_be_are_refused() {
        let wide = json!({"kernel": "local:kernel/vmlinuz", "cores": 64, "sockets": 2});
        assert!(check(&config(wide)).unwrap_err().0.contains_key("cores"));
        let fits = json!({"kernel": "local:kernel/vmlinuz", "cores": 4, "sockets": 2});
        assert!(check(&config(fits)).is_ok());
    }

    #[test]
    fn a_socket_replaces_what_was_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = control_socket(directory.path(), Vmid::MIN);
        drop(listen(&path).unwrap());
        let _listener = listen(&path).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn taps_are_named_after_guest_and_card() {
        assert_eq!(tap_name(Vmid::MIN, 3).unwrap().as_str(), "tap100i3");
        assert_eq!(tap_name(Vmid::MAX, 31).unwrap().as_str(), "tap999999999i31");
    }
}

//! From a configuration to a machine described by open descriptors.
//!
//! [`resolve`] is the way; the network's devices and the sockets on which a machine is reached have files of
//! their own, as disks and the rest of its parts have beside this module.

mod cards;
mod sockets;

use crate::disks;
use crate::entropy;
use crate::error::{Result, VmError, io};
use crate::firmware;
use crate::memory;
use crate::numa::check_nodes;
use crate::pages::Pages;
use crate::processors::{self, check_affinity};
use crate::shares::Server;
use crate::tpm;
use basalt_model::entropy::Entropy;
use basalt_model::field::FieldErrors;
use basalt_model::machine::{Boot, MachineSpec, PROTOCOL, Slot};
use basalt_model::qemu::serial::SerialName;
use basalt_model::qemu::{EfiDisk, QemuConfig};
use basalt_model::storage::VolumeId;
use basalt_model::vmid::Vmid;
use basalt_model::watchdog::Watchdog;
use basalt_network::Network;
use basalt_storage::{Access, Storages};
use basalt_unit::Property;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

pub use cards::tap_name;
pub(crate) use cards::{cable, nic};
pub use sockets::{RUN, agent_socket, console_socket, control_socket, screen_socket};
pub(crate) use sockets::{adapter, listen, unlink};

/// Most disks of a machine to which memory may come: it has one place for them less than others.
const DISKS_BESIDE_MEMORY: usize = 14;
/// Most network cards of a machine with a watchdog: it has one place for them less than others.
const CARDS_BESIDE_WATCHDOG: usize = 7;
/// Most network cards of a machine with sockets of its host's.
const CARDS_BESIDE_VSOCK: usize = 6;
/// A machine ready to be handed over.
#[derive(Debug)]
pub struct Resolved {
    /// What it is made of.
    pub spec: MachineSpec,
    /// What the slots of `spec` number.
    pub fds: Vec<OwnedFd>,
    /// The control channel of its trusted platform module's emulator, at the emulator's end.
    pub(crate) tpm: Option<OwnedFd>,
    /// Servers of the directories that it shares: see [`Resolved::share`].
    pub(crate) servers: Vec<Server>,
    /// What its unit may use of the host's processors.
    pub(crate) processors: Vec<Property>,
    /// Huge pages that its memory is to be made of.
    pub(crate) pages: Option<Pages>,
}

impl Resolved {
    /// Lets the machine go on from the state in `file` instead of booting.
    pub fn restore_from(&mut self, file: File) {
        self.spec.restore = Some(Slot(self.fds.len()));
        self.fds.push(file.into());
    }
}

/// The descriptors collected so far.
#[derive(Default)]
pub(crate) struct Slots(pub(crate) Vec<OwnedFd>);

impl Slots {
    pub(crate) fn add(&mut self, fd: impl Into<OwnedFd>) -> Slot {
        self.0.push(fd.into());
        Slot(self.0.len() - 1)
    }
}

/// Opens everything that `config` names but shared directories: volumes (and locks them), taps,
/// devices, sockets.
/// Dropping the result gives all of it back.
pub async fn resolve(
    vmid: Vmid,
    config: &QemuConfig,
    storages: &Storages,
    network: &Network,
    run: &Path,
) -> Result<Resolved> {
    check(config).map_err(VmError::Config)?;
    let system = firmware::system(config).map_err(VmError::Config)?;
    let wrong = |field: &'static str| move |text| VmError::Config(FieldErrors::one(field, text));
    let cpu = config.cpu_spec().map_err(wrong("cpu"))?;
    check_affinity(config).map_err(wrong("affinity"))?;
    let entropy = entropy::open(config)?;
    let pages = Pages::of(config).map_err(VmError::Config)?;
    check_nodes(config).map_err(VmError::Config)?;
    let numa = config.nodes().map_err(VmError::Config)?;
    let mut slots = Slots::default();
    let kvm = slots.add(device("/dev/kvm")?);
    let control = slots.add(listen(&control_socket(run, vmid))?);
    let serial = slots.add(listen(&console_socket(run, vmid, SerialName::Serial0))?);
    let more_serial = sockets::more_serial(vmid, config, run, &mut slots)?;
    let agent = sockets::agent(vmid, config, run, &mut slots)?;
    let boot = match &config.kernel {
        Some(kernel) => boot_kernel(config, kernel, storages, &mut slots).await?,
        None => boot_firmware(vmid, config, storages, run, &mut slots).await?,
    };
    let (disks, opticals) = disks::resolve(config, storages, &mut slots).await?;
    let nics = cards::all(vmid, config, network, &mut slots).await?;
    let (tpm, emulator) = tpm::resolve(config, storages, &mut slots).await?.unzip();
    let rng = slots.add(entropy);
    let vsock = cards::vsock(vmid, config, &mut slots)?;
    let spec = MachineSpec {
        protocol: PROTOCOL,
        name: config
            .name
            .as_ref()
            .map_or_else(|| format!("VM{vmid}"), ToString::to_string),
        vmid: vmid.get(),
        vcpus: u8::try_from(config.max_vcpus()).unwrap_or(u8::MAX),
        plugged: config.vcpus.and(u8::try_from(config.vcpus()).ok()),
        cpu,
        memory_mib: config.memory_mib(),
        memory_max_mib: memory::most_mib(config),
        // Chosen when it starts, by what the host has.
        hugepages_mib: None,
        numa,
        balloon: config.balloon_mib(),
        kvm,
        control,
        serial,
        more_serial,
        console: None,
        agent,
        boot,
        system,
        disks,
        opticals,
        nics,
        shares: Vec::new(),
        rng: Some(rng),
        rng_limit: config.rng0.as_ref().and_then(Entropy::limit),
        passthrough: None,
        tpm,
        vsock,
        watchdog: config.watchdog.as_ref().map(Watchdog::action),
        display: sockets::display(vmid, config, run, &mut slots)?,
        restore: None,
    };
    Ok(Resolved {
        spec,
        fds: slots.0,
        tpm: emulator,
        servers: Vec::new(),
        processors: processors::settings(config),
        pages,
    })
}

async fn boot_kernel(
    config: &QemuConfig,
    kernel: &VolumeId,
    storages: &Storages,
    slots: &mut Slots,
) -> Result<Boot> {
    let kernel = slots.add(volume(storages, "kernel", kernel, Access::Read).await?);
    let initrd = match &config.initrd {
        Some(initrd) => Some(slots.add(volume(storages, "initrd", initrd, Access::Read).await?)),
        None => None,
    };
    let cmdline = config
        .cmdline
        .as_ref()
        .map_or(QemuConfig::DEFAULT_CMDLINE, |line| line.as_str());
    Ok(Boot::Kernel {
        kernel,
        initrd,
        cmdline: cmdline.to_owned(),
    })
}

/// Firmware with its variables from `efidisk0`, or with fresh ones that go when the machine ends.
async fn boot_firmware(
    vmid: Vmid,
    config: &QemuConfig,
    storages: &Storages,
    run: &Path,
    slots: &mut Slots,
) -> Result<Boot> {
    let kept = config.efidisk0.as_ref();
    let smm = kept.is_some_and(EfiDisk::has_secure_boot);
    let code = match smm {
        true => firmware::SECURE_CODE,
        false => firmware::CODE,
    };
    let code = File::open(code).map_err(io(format!("opening {code}")))?;
    let vars = match kept.and_then(|disk| disk.file.volume()) {
        Some(vars) => volume(storages, "efidisk0", vars, Access::Write).await?,
        None => firmware::fresh_variables(&run.join(vmid.to_string()))?,
    };
    let order = config.boot.as_ref().map(|boot| boot.0.clone());
    Ok(Boot::Firmware {
        code: slots.add(code),
        vars: slots.add(vars),
        order: order.unwrap_or_default(),
        smm,
    })
}

/// What must hold for any machine to start.
fn check(config: &QemuConfig) -> std::result::Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if config.max_vcpus() > 64 {
        errors.add(
            "cores",
            format!("{} processors are more than 64", config.max_vcpus()),
        );
    }
    if config.kernel.is_none() && config.memory_mib() < firmware::LEAST_MEMORY_MIB {
        errors.add(
            "memory",
            format!(
                "{} MiB are too few for UEFI firmware: use at least {}",
                config.memory_mib(),
                firmware::LEAST_MEMORY_MIB
            ),
        );
    }
    let disks = config.disks().into_iter();
    let disks = disks.filter(|(_, disk)| !QemuConfig::is_optical(disk));
    if memory::most_mib(config).is_some() && disks.count() > DISKS_BESIDE_MEMORY {
        let most = DISKS_BESIDE_MEMORY;
        let text = format!("with more than {most} disks no memory can come: leave 'memory' out");
        errors.add("hotplug", text);
    }
    for (field, is_there, most) in [
        ("watchdog", config.watchdog.is_some(), CARDS_BESIDE_WATCHDOG),
        ("vsock", config.vsock == Some(true), CARDS_BESIDE_VSOCK),
    ] {
        if is_there && config.net.len() > most {
            let text = "network cards there is no place for it: remove some";
            errors.add(field, format!("with more than {most} {text}"));
        }
    }
    errors.or(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(value: serde_json::Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn firmware_needs_more_memory_than_a_kernel() {
        let small = config(json!({"memory": 64}));
        let error = VmError::Config(check(&small).unwrap_err()).to_string();
        assert!(
            error.starts_with("memory: ") && error.contains("128"),
            "{error}"
        );
        let kernel = json!({"memory": 64, "kernel": "local:kernel/vmlinuz"});
        assert!(check(&config(kernel)).is_ok());
        assert!(check(&config(json!({}))).is_ok());
    }

    #[test]
    fn more_processors_than_there_can_be_are_refused() {
        let wide = json!({"kernel": "local:kernel/vmlinuz", "cores": 64, "sockets": 2});
        assert!(check(&config(wide)).unwrap_err().0.contains_key("cores"));
        let fits = json!({"kernel": "local:kernel/vmlinuz", "cores": 4, "sockets": 2});
        assert!(check(&config(fits)).is_ok());
    }

    #[test]
    fn memory_comes_to_machines_that_have_a_place_for_its_device() {
        let machine = |disks: usize| {
            let mut value = json!({"hotplug": "memory", "ide2": "none,media=cdrom"});
            for index in 0..disks {
                value[format!("virtio{index}")] = json!(format!("local:100/{index}.raw"));
            }
            check(&config(value))
        };
        assert!(machine(14).is_ok());
        assert!(machine(15).unwrap_err().0.contains_key("hotplug"));
    }

    #[test]
    fn a_watchdog_and_sockets_have_the_places_of_network_cards() {
        let machine = |mut value: Value, cards: usize| {
            for index in 0..cards {
                value[format!("net{index}")] = json!("virtio");
            }
            check(&config(value))
        };
        let watchdog = json!({"watchdog": "i6300esb"});
        assert!(machine(watchdog.clone(), 7).is_ok());
        assert!(machine(watchdog, 8).unwrap_err().0.contains_key("watchdog"));
        let vsock = json!({"vsock": true});
        assert!(machine(vsock.clone(), 6).is_ok());
        assert!(machine(vsock, 7).unwrap_err().0.contains_key("vsock"));
        assert!(machine(json!({"vsock": false}), 8).is_ok());
    }
}

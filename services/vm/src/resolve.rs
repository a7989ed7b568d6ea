//! From a configuration to a machine described by open descriptors.

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
use basalt_model::machine::{
    Adapter, Boot, Display, MORE_SERIAL, MachineSpec, Nic, PROTOCOL, Slot, VsockSpec,
};
use basalt_model::network::InterfaceName;
use basalt_model::qemu::serial::SerialName;
use basalt_model::qemu::{EfiDisk, QemuConfig, QemuNet, Vga};
use basalt_model::storage::VolumeId;
use basalt_model::vmid::Vmid;
use basalt_model::watchdog::Watchdog;
use basalt_network::{Cable, Network};
use basalt_storage::{Access, Storages};
use basalt_unit::Property;
use std::fs::{DirBuilder, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Where the sockets of running machines are.
pub const RUN: &str = "/run/basalt/vm";

/// Most disks of a machine to which memory may come: it has one place for them less than others.
const DISKS_BESIDE_MEMORY: usize = 14;
/// Most network cards of a machine with a watchdog: it has one place for them less than others.
const CARDS_BESIDE_WATCHDOG: usize = 7;
/// Most network cards of a machine with sockets of its host's.
const CARDS_BESIDE_VSOCK: usize = 6;
/// By which the kernel works on such sockets.
const VHOST_VSOCK: &str = "/dev/vhost-vsock";
/// By which the kernel moves the packets of a network card.
const VHOST: &str = "/dev/vhost-net";

/// The socket on which a machine's monitor takes requests.
pub fn control_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("control.sock")
}

/// The socket of a machine's serial port, which is a console; a machine without that port has none.
pub fn console_socket(run: &Path, vmid: Vmid, port: SerialName) -> PathBuf {
    let name = match port {
        SerialName::Serial0 => "serial.sock".to_owned(),
        more => format!("{more}.sock"),
    };
    run.join(vmid.to_string()).join(name)
}

/// The socket of a machine's guest agent; a machine without has none.
pub fn agent_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("agent.sock")
}

/// The socket of a machine's screen; a machine without screen has none.
pub fn screen_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("vnc.sock")
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
    let more_serial = more_serial(vmid, config, run, &mut slots)?;
    let agent = agent(vmid, config, run, &mut slots)?;
    let boot = match &config.kernel {
        Some(kernel) => boot_kernel(config, kernel, storages, &mut slots).await?,
        None => boot_firmware(vmid, config, storages, run, &mut slots).await?,
    };
    let (disks, opticals) = disks::resolve(config, storages, &mut slots).await?;
    let nics = nics(vmid, config, network, &mut slots).await?;
    let (tpm, emulator) = tpm::resolve(config, storages, &mut slots).await?.unzip();
    let rng = slots.add(entropy);
    let vsock = vsock(vmid, config, &mut slots)?;
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
        display: display(vmid, config, run, &mut slots)?,
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

async fn nics(
    vmid: Vmid,
    config: &QemuConfig,
    network: &Network,
    slots: &mut Slots,
) -> Result<Vec<Nic>> {
    let mut nics = Vec::new();
    for (index, net) in &config.net {
        nics.push(nic(vmid, *index, net, network, slots).await?);
    }
    Ok(nics)
}

/// Makes the tap of a network card.
pub(crate) async fn nic(
    vmid: Vmid,
    index: u8,
    net: &QemuNet,
    network: &Network,
    slots: &mut Slots,
) -> Result<Nic> {
    let id = format!("net{index}");
    let name = tap_name(vmid, index);
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
    let vhost = match File::options().read(true).write(true).open(VHOST) {
        Ok(vhost) => Some(slots.add(vhost)),
        Err(error) => {
            tracing::warn!(%error, %vmid, nic = id, "no {VHOST}: the monitor moves packets itself");
            None
        }
    };
    Ok(Nic {
        id,
        tap: slots.add(tap),
        mac: mac.0,
        vhost,
    })
}

/// Sockets between programs of guest and host.
fn vsock(vmid: Vmid, config: &QemuConfig, slots: &mut Slots) -> Result<Option<VsockSpec>> {
    if config.vsock != Some(true) {
        return Ok(None);
    }
    let device = File::options().read(true).write(true).open(VHOST_VSOCK);
    let device = device.map_err(|error| {
        let text = format!("{VHOST_VSOCK} cannot be opened ({error}): leave it out");
        VmError::Config(FieldErrors::one("vsock", text))
    })?;
    Ok(Some(VsockSpec {
        device: slots.add(device),
        context: vmid.get(),
    }))
}

/// The sockets of the serial ports beside the first.
fn more_serial(
    vmid: Vmid,
    config: &QemuConfig,
    run: &Path,
    slots: &mut Slots,
) -> Result<[Option<Slot>; MORE_SERIAL]> {
    let mut more = [None; MORE_SERIAL];
    let names = SerialName::ALL.iter().skip(1);
    for (slot, name) in more.iter_mut().zip(names) {
        let path = console_socket(run, vmid, *name);
        match config.has_serial(*name) {
            true => *slot = Some(slots.add(listen(&path)?)),
            false => unlink(&path)?,
        }
    }
    Ok(more)
}

fn agent(vmid: Vmid, config: &QemuConfig, run: &Path, slots: &mut Slots) -> Result<Option<Slot>> {
    let path = agent_socket(run, vmid);
    if !config.has_agent() {
        unlink(&path)?;
        return Ok(None);
    }
    Ok(Some(slots.add(listen(&path)?)))
}

fn display(
    vmid: Vmid,
    config: &QemuConfig,
    run: &Path,
    slots: &mut Slots,
) -> Result<Option<Display>> {
    let path = screen_socket(run, vmid);
    let Some(adapter) = adapter(config) else {
        unlink(&path)?;
        return Ok(None);
    };
    Ok(Some(Display {
        socket: slots.add(listen(&path)?),
        adapter,
        tablet: config.tablet != Some(false),
    }))
}

/// What draws. A kernel that is entered directly finds no picture of a firmware's.
pub(crate) fn adapter(config: &QemuConfig) -> Option<Adapter> {
    match config.vga() {
        Vga::Absent => None,
        Vga::Virtio => Some(Adapter::Virtio),
        Vga::Standard if config.kernel.is_some() => Some(Adapter::Virtio),
        Vga::Standard => Some(Adapter::Ramfb),
    }
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
pub(crate) fn listen(path: &Path) -> Result<OwnedFd> {
    let what = || format!("listening on {}", path.display());
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(io(what()))?;
    }
    unlink(path)?;
    Ok(UnixListener::bind(path).map_err(io(what()))?.into())
}

/// Removes a socket that an earlier run left.
pub(crate) fn unlink(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("removing {}", path.display()))(error))
        }
        _ => Ok(()),
    }
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

    #[test]
    fn serial_ports_have_a_socket_each_and_those_that_are_gone_have_none() {
        let directory = tempfile::tempdir().unwrap();
        let (run, mut slots) = (directory.path(), Slots::default());
        let path = |name| console_socket(run, Vmid::MIN, name);
        let both = config(json!({"serial0": "socket", "serial1": "socket", "serial3": "socket"}));
        let more = more_serial(Vmid::MIN, &both, run, &mut slots).unwrap();
        assert_eq!(more, [Some(Slot(0)), None, Some(Slot(1))]);
        std::os::unix::net::UnixStream::connect(path(SerialName::Serial3)).unwrap();

        let one = config(json!({"serial1": "socket"}));
        let more = more_serial(Vmid::MIN, &one, run, &mut slots).unwrap();
        assert_eq!(more, [Some(Slot(2)), None, None]);
        assert!(path(SerialName::Serial1).exists());
        assert!(!path(SerialName::Serial3).exists());
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
    fn a_screen_is_what_vga_says() {
        let adapter = |vga: &str, kernel: bool| {
            let mut value = json!({});
            if !vga.is_empty() {
                value["vga"] = vga.into();
            }
            if kernel {
                value["kernel"] = "local:kernel/vmlinuz".into();
            }
            adapter(&config(value))
        };
        assert_eq!(adapter("", false), Some(Adapter::Ramfb));
        assert_eq!(adapter("", true), Some(Adapter::Virtio));
        assert_eq!(
            adapter("type=virtio,memory=64", false),
            Some(Adapter::Virtio)
        );
        assert_eq!(adapter("qxl", false), Some(Adapter::Ramfb));
        assert_eq!(adapter("none", false), None);
        assert_eq!(adapter("serial0", true), None);
    }

    #[test]
    fn a_screen_that_is_gone_leaves_no_socket() {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path();
        let mut slots = Slots::default();
        let screen = display(Vmid::MIN, &config(json!({})), run, &mut slots).unwrap();
        assert_eq!(screen.map(|s| (s.socket, s.tablet)), Some((Slot(0), true)));
        assert!(screen_socket(run, Vmid::MIN).exists());
        let blind = config(json!({"vga": "none"}));
        assert!(
            display(Vmid::MIN, &blind, run, &mut slots)
                .unwrap()
                .is_none()
        );
        assert!(!screen_socket(run, Vmid::MIN).exists());
    }

    #[test]
    fn a_machine_has_the_agents_socket_when_its_agent_is_on() {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path();
        let mut slots = Slots::default();
        let mut agent = |value: &str| {
            let config = config(json!({"agent": value}));
            agent(Vmid::MIN, &config, run, &mut slots).unwrap()
        };
        assert_eq!(agent("enabled=1,fstrim_cloned_disks=1"), Some(Slot(0)));
        assert!(agent_socket(run, Vmid::MIN).exists());
        assert_eq!(agent("0"), None);
        assert!(!agent_socket(run, Vmid::MIN).exists());
    }

    #[test]
    fn taps_are_named_after_guest_and_card() {
        assert_eq!(tap_name(Vmid::MIN, 3).unwrap().as_str(), "tap100i3");
        assert_eq!(tap_name(Vmid::MAX, 31).unwrap().as_str(), "tap999999999i31");
    }
}

//! The configuration of a virtual machine, with Proxmox VE's names.
//!
//! Every disk is a virtio block device, whatever bus its key names: clients that ask for `scsi0`
//! by default are served too. Optical discs (`media=cdrom`) are in SCSI drives (`/dev/sr0`).
//! How disks are cached and limited is in [`disk`]. Settings marked "no effect" are kept and shown
//! because clients set them, and mean nothing to this version. A machine with a `kernel` boots it
//! directly, any other boots UEFI firmware.

pub mod cloudinit;
pub mod disk;
pub mod firmware;
pub mod hostpci;
pub mod hotplug;
pub mod memory;
pub mod net;
pub mod numa;
pub mod serial;
pub mod virtiofs;

use crate::config;
use crate::cpu::CpuSpec;
use crate::entropy::Entropy;
use crate::field::Int;
use crate::guest::{Description, GuestName, HostShutdown, Startup, Tags};
use crate::lxc::{AddressList, NameList};
use crate::processors::{CpuLimit, CpuSet};
use crate::storage::{DiskSize, VolumeId, VolumeSource};
use crate::watchdog::Watchdog;
use crate::words;
use cloudinit::{CloudCustom, CloudInitType, CloudPassword, CloudUser, IpConfig, SshKeys};
pub use disk::DiskFormat;
use disk::{DiskCache, DiskDiscard, Mebibytes};
use firmware::Bios;
pub use firmware::{EfiDisk, Smbios, SmbiosText, SystemUuid, TpmState};
use hostpci::HostPci;
use hotplug::{Hotplug, HotplugKind};
pub use memory::HugePages;
pub use net::QemuNet;
use numa::NumaNode;
use serde_json::json;
use serial::{SerialName, SerialPort};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
pub use virtiofs::VirtioFs;

config! {
    /// A virtual machine's settings; all may be absent.
    pub struct QemuConfig {
        /// Name, a DNS name.
        name "name": GuestName,
        /// Free text shown with the guest.
        description "description": Description,
        /// Tags, separated by ';'.
        tags "tags": Tags,
        /// Memory in MiB (default 512). More can come while the machine runs, and go again, if it was started
        /// with `memory` in `hotplug` and its guest knows virtio-mem.
        memory "memory": Int<16, 4194304>,
        /// Cores per socket (default 1).
        cores "cores": Int<1, 64>,
        /// Sockets (default 1).
        sockets "sockets": Int<1, 4>,
        /// Processors that are there at the start (default: all that cores and sockets make). More of
        /// them can come while the machine runs, or some go, if `hotplug` has `cpu`.
        vcpus "vcpus": Int<1, 64>,
        /// Processors: `host` (default), or a level that is the same on other hosts, `x86-64-v2-AES`,
        /// `x86-64-v3` or `x86-64-v4`; `flags=+pcid;-aes` adds and removes features, `hidden=1` hides KVM.
        cpu "cpu": CpuType,
        /// Processor time that it may use, in processors of the host (default 0, no limit).
        cpulimit "cpulimit": CpuLimit<128>,
        /// Its share of processor time against other guests (default 100); above 10000 is as 10000.
        cpuunits "cpuunits": Int<1, 262144>,
        /// Processors of the host that it runs on, e.g. `0,5,8-11` (default all).
        affinity "affinity": CpuSet,
        /// Start with the host.
        onboot "onboot": bool,
        /// Order and delays of the start with the host.
        startup "startup": Startup,
        /// What happens to it when the host goes down (default: as the node says).
        on_host_shutdown "on-host-shutdown": HostShutdown,
        /// Refuse to remove the guest or its disks.
        protection "protection": bool,
        /// Whether it is a template: it never runs, and clones share its disks. A machine becomes one by
        /// a method of its own.
        template "template": bool,
        /// What changes at once while the machine runs, e.g. `network,disk` (default
        /// `network,disk,usb`); `0` leaves all to the next start.
        hotplug "hotplug": Hotplug,
        /// Firmware. A machine without `kernel` boots UEFI (OVMF), whatever is set here: `seabios`, which
        /// clients send by default, is taken and means the same.
        bios "bios": Bios,
        /// Where the firmware keeps its variables: `STORAGE:1` for a new volume (its size does not
        /// matter), or a volume. Without it they are lost when the machine is switched off.
        efidisk0 "efidisk0": EfiDisk,
        /// A trusted platform module (TPM 2.0), and where it keeps its state: `STORAGE:1` for a new volume
        /// (its size does not matter), or a volume.
        tpmstate0 "tpmstate0": TpmState,
        /// What the machine says it is: `uuid=…[,manufacturer=…][,product=…]…`; a UUID is made up for a
        /// machine that is created without.
        smbios1 "smbios1": Smbios,
        /// Identity that says whether the machine was rolled back; no effect.
        vmgenid "vmgenid": Word,
        /// Kernel to boot: a volume of content kind `kernel`.
        kernel "kernel": VolumeId,
        /// Initial RAM disk for the kernel: a volume of content kind `kernel`.
        initrd "initrd": VolumeId,
        /// Command line of the kernel (default `console=ttyS0 root=/dev/vda rw`).
        cmdline "cmdline": CommandLine,
        /// Boot order, e.g. `order=virtio0;net0`: the first disk named becomes /dev/vda, and firmware
        /// tries the devices in this order.
        boot "boot": BootOrder,
        /// Kind of guest system, e.g. `l26`. Windows (`wvista`, `w2k8`, `win7`, `win8`, `win10`, `win11`) finds
        /// the interface of Hyper-V; the others have no effect.
        ostype "ostype": Word,
        /// Disk controller; no effect: disks are virtio block devices.
        scsihw "scsihw": Word,
        /// Guest agent: with `1` the guest has its port, and shutdowns go through an agent that answers.
        agent "agent": QemuAgent,
        /// Memory in MiB that the guest is asked to make do with, through its balloon (default: all of
        /// `memory`); `0` for no balloon. With `hugepages` the guest keeps all of its memory, and the balloon
        /// only tells how it uses it.
        balloon "balloon": Int<0, 4194304>,
        /// Size in MiB of the host's huge pages that the memory is made of: `2`, `1024`, or `any` for 1024 where
        /// processor, `memory` and free pages allow it, and 2 otherwise. `memory` is a multiple of it. All
        /// of the memory is taken from the host at the start, and does not change while the machine runs;
        /// 1024 does not go with Secure Boot.
        hugepages "hugepages": HugePages,
        /// Keep huge pages that were made for the machine after it ended, so that it, or another, finds them
        /// at its next start (default off).
        keephugepages "keephugepages": bool,
        /// Whether the guest sees nodes of memory and processors (default off): those that `numa[n]` name, or one
        /// for every socket, with equal parts of both.
        numa "numa": bool,
        /// Pointer that knows its place on the screen (default on).
        tablet "tablet": bool,
        /// Watchdog that the guest winds up, and what happens when it does not: `i6300esb` (the only model),
        /// with `action=reset` (default), `shutdown`, `poweroff`, `pause`, or `debug` and `none`, which only
        /// tell of it in the log.
        watchdog "watchdog": Watchdog,
        /// Sockets between programs of the host and of the guest (`AF_VSOCK`), without a network (default off):
        /// the guest's context id is the machine's number, so that `ssh vsock/100` on the host reaches machine
        /// 100, if its guest's SSH server listens there. They wait while a snapshot takes the memory, and
        /// are closed when the machine goes back to one.
        vsock "vsock": bool,
        /// Source of random numbers: `/dev/urandom`, `/dev/random` or `/dev/hwrng`, the generator of the
        /// host, of which the guest gets `max_bytes` (default 1024; 0 for no limit) in a `period` (default
        /// 1000 ms). A machine without it has the same device with `/dev/urandom` and no limit, so that no
        /// guest waits for random numbers when it boots.
        rng0 "rng0": Entropy,
        /// Screen: `std`, `virtio`, or none: `none`, and `serial0` to `serial3`, which is then the console.
        /// Default `std`.
        vga "vga": Word,
        /// Machine type; no effect: there is one.
        machine "machine": Word,
        /// Power button events; always on.
        acpi "acpi": AlwaysOn,
        /// Hardware virtualization; always on.
        kvm "kvm": AlwaysOn,
        /// cloud-init: the user that it makes (default: the one of the guest's image).
        ciuser "ciuser": CloudUser,
        /// cloud-init: that user's password, or its hash; only the hash is kept, and never shown.
        cipassword "cipassword": CloudPassword,
        /// cloud-init: that user's public keys of OpenSSH, percent-encoded.
        sshkeys "sshkeys": SshKeys,
        /// cloud-init: bring the guest's packages up to date at its first boot (default on).
        ciupgrade "ciupgrade": bool,
        /// cloud-init: documents of one's own in the place of those that are made of the other
        /// settings: `user=VOLUME,network=VOLUME,meta=VOLUME,vendor=VOLUME`, each a snippet.
        cicustom "cicustom": CloudCustom,
        /// cloud-init: how it is told; only `nocloud`.
        citype "citype": CloudInitType,
        /// cloud-init: name servers, separated by blanks; default those of the host.
        nameserver "nameserver": AddressList,
        /// cloud-init: DNS search domain; default that of the host.
        searchdomain "searchdomain": NameList,
    }
    numbered {
        /// Disk: `STORAGE:GIB` for a new one, or a volume; `import-from=` copies one.
        virtio "virtio" ..= 15: QemuDisk,
        /// Disk, served as a virtio block device.
        scsi "scsi" ..= 30: QemuDisk,
        /// Disk, served as a virtio block device.
        sata "sata" ..= 5: QemuDisk,
        /// Disk, served as a virtio block device; `none,media=cdrom` is an empty drive, and
        /// `STORAGE:cloudinit` one with the settings of cloud-init.
        ide "ide" ..= 3: QemuDisk,
        /// Network card: `virtio[=MAC],bridge=vmbr0`.
        net "net" ..= 31: QemuNet,
        /// Devices of the host that are the guest's alone: `01:00.0`, `01:00` for all functions, several
        /// with ';', or `mapping=NAME`; `pcie=1` shows them as PCI Express. Such a machine has no
        /// balloon, its memory does not change while it runs, and it can be neither suspended to disk nor
        /// moved.
        hostpci "hostpci" ..= 15: HostPci,
        /// Node of memory and processors, with `numa`: `cpus=0-3;8,memory=MIB`. All of them together have all of
        /// `memory` and every processor once. `hostnodes=0;1,policy=bind` takes the memory from nodes of the
        /// host (`bind`: no others, `preferred`: others when they have none, `interleave`: in turn).
        numa_nodes "numa" ..= 7: NumaNode,
        /// cloud-init: addresses of the network card of the same number (default `ip=dhcp`).
        ipconfig "ipconfig" ..= 31: IpConfig,
        /// Serial port: `socket`, a console of its own. The first is always there, set or not.
        serial "serial" ..= 3: SerialPort,
        /// Volume of the machine that no disk uses.
        unused "unused" ..= 255: VolumeId,
        /// Directory of the host that the guest mounts by the name of its mapping: `MAPPING[,cache=…]`.
        virtiofs "virtiofs" ..= 9: VirtioFs,
    }
}

/// The screen that `vga` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vga {
    /// What shows most guests from their first moment on.
    Standard,
    /// The paravirtual one.
    Virtio,
    /// None: `none`, or a serial console in its place.
    Absent,
}

impl QemuConfig {
    /// The command line of a kernel that is given none.
    pub const DEFAULT_CMDLINE: &'static str = "console=ttyS0 root=/dev/vda rw";

    fn vga_type(&self) -> &str {
        let text = self.vga.as_ref().map_or("std", |word| word.as_str());
        let first = text.split(',').next().unwrap_or_default();
        first.strip_prefix("type=").unwrap_or(first)
    }

    /// The screen. Cards that exist elsewhere only (`qxl`, `vmware`, …) are the standard one.
    pub fn vga(&self) -> Vga {
        match self.vga_type() {
            "none" => Vga::Absent,
            serial if serial.starts_with("serial") => Vga::Absent,
            "virtio" | "virtio-gl" => Vga::Virtio,
            _ => Vga::Standard,
        }
    }

    /// The serial port that is the console in the place of a screen, if `vga` names one.
    pub fn vga_serial(&self) -> Option<SerialName> {
        self.vga_type().parse().ok()
    }

    /// Whether the machine has a serial port.
    pub fn has_serial(&self, name: SerialName) -> bool {
        name == SerialName::Serial0 || self.serial.contains_key(&name.index())
    }

    /// What the processors can do, or what is wrong with `cpu`.
    pub fn cpu_spec(&self) -> Result<CpuSpec, String> {
        let spec = match &self.cpu {
            Some(cpu) => CpuSpec::parse(cpu.as_str())?,
            None => CpuSpec::default(),
        };
        Ok(CpuSpec {
            hyper_v: self.is_windows(),
            ..spec
        })
    }

    /// Whether the guest system is a Windows that knows Hyper-V's interface: Vista and what came after.
    pub fn is_windows(&self) -> bool {
        let kind = self.ostype.as_ref().map_or("", Word::as_str);
        matches!(kind, "wvista" | "w2k8") || kind.starts_with("win")
    }

    /// Whether the guest has the agent's port.
    pub fn has_agent(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.enabled)
    }

    /// Sockets.
    pub fn sockets(&self) -> u64 {
        self.sockets.map_or(1, Int::get)
    }

    /// Most virtual CPUs: what cores and sockets make.
    pub fn max_vcpus(&self) -> u64 {
        self.cores.map_or(1, Int::get) * self.sockets()
    }

    /// Virtual CPUs that are there.
    pub fn vcpus(&self) -> u64 {
        let most = self.max_vcpus();
        self.vcpus.map_or(most, |vcpus| vcpus.get().min(most))
    }

    /// Whether devices of a kind come to the running machine, and go, when the configuration
    /// changes.
    pub fn hotplugs(&self, kind: HotplugKind) -> bool {
        match &self.hotplug {
            Some(hotplug) => hotplug.has(kind),
            None => Hotplug::default().has(kind),
        }
    }

    /// Every disk by its key: those that `boot` names first, then virtio, scsi, sata, ide.
    pub fn disks(&self) -> Vec<(String, &QemuDisk)> {
        let buses: [(&str, &BTreeMap<u8, QemuDisk>); 4] = [
            ("virtio", &self.virtio),
            ("scsi", &self.scsi),
            ("sata", &self.sata),
            ("ide", &self.ide),
        ];
        let all = buses.iter().flat_map(|(bus, disks)| {
            disks
                .iter()
                .map(move |(index, disk)| (format!("{bus}{index}"), disk))
        });
        let mut disks: Vec<_> = all.collect();
        let order = self
            .boot
            .as_ref()
            .map(|boot| boot.0.as_slice())
            .unwrap_or_default();
        let rank = |key: &String| order.iter().position(|named| named == key);
        disks.sort_by_key(|(key, _)| rank(key).unwrap_or(usize::MAX));
        disks
    }

    /// Whether a disk is in a drive for optical discs.
    pub fn is_optical(disk: &QemuDisk) -> bool {
        disk.media == Some(Media::Cdrom)
    }

    /// Every disk by its key, to change.
    pub fn disks_mut(&mut self) -> Vec<(String, &mut QemuDisk)> {
        let buses = [
            ("virtio", &mut self.virtio),
            ("scsi", &mut self.scsi),
            ("sata", &mut self.sata),
            ("ide", &mut self.ide),
        ];
        let all = buses.into_iter().flat_map(|(bus, disks)| {
            disks
                .iter_mut()
                .map(move |(index, disk)| (format!("{bus}{index}"), disk))
        });
        all.collect()
    }

    /// Whether `key` names a disk.
    pub fn is_disk_key(key: &str) -> bool {
        ["virtio", "scsi", "sata", "ide"]
            .iter()
            .any(|bus| crate::field::index_of(bus, key).is_some() && Self::knows(key))
    }
}

crate::propstring! {
    /// The guest's agent.
    pub struct QemuAgent {
        /// Whether the guest has the agent's port.
        default enabled "enabled": bool,
        /// Freeze file systems while a backup begins; no effect.
        freeze_on_backup "freeze-fs-on-backup": bool,
        /// Trim the disks of a clone; no effect.
        trim_clones "fstrim_cloned_disks": bool,
        /// Kind of port; only `virtio`.
        port "type": AgentPort,
    }
}

words! {
    /// Kind of the agent's port.
    pub enum AgentPort {
        /// On virtio-serial.
        Virtio = "virtio",
    }
}

crate::propstring! {
    /// A disk of a virtual machine.
    pub struct QemuDisk {
        /// What it holds.
        default file "file": VolumeSource,
        /// How its file is accessed; no effect: by io_uring where the kernel has it.
        aio "aio": Word,
        /// Whether backups include it.
        backup "backup": bool,
        /// Seconds that a burst of bytes lasts (default 1).
        bps_max_length "bps_max_length": Int<1, 86400>,
        /// Seconds that a burst of bytes read lasts (default 1).
        bps_rd_max_length "bps_rd_max_length": Int<1, 86400>,
        /// Seconds that a burst of bytes written lasts (default 1).
        bps_wr_max_length "bps_wr_max_length": Int<1, 86400>,
        /// Host caching (default none).
        cache "cache": DiskCache,
        /// Whether the guest may give blocks back (default ignore).
        discard "discard": DiskDiscard,
        /// Image format of a new volume: `raw` (default) or `qcow2`.
        format "format": DiskFormat,
        /// Volume whose contents a new disk starts with.
        import_from "import-from": VolumeId,
        /// Requests a second.
        iops "iops": Int<0, 1000000000>,
        /// Requests a second during a burst.
        iops_max "iops_max": Int<0, 1000000000>,
        /// Seconds that a burst lasts (default 1).
        iops_max_length "iops_max_length": Int<1, 86400>,
        /// Reads a second.
        iops_rd "iops_rd": Int<0, 1000000000>,
        /// Reads a second during a burst.
        iops_rd_max "iops_rd_max": Int<0, 1000000000>,
        /// Seconds that a burst of reads lasts (default 1).
        iops_rd_max_length "iops_rd_max_length": Int<1, 86400>,
        /// Writes a second.
        iops_wr "iops_wr": Int<0, 1000000000>,
        /// Writes a second during a burst.
        iops_wr_max "iops_wr_max": Int<0, 1000000000>,
        /// Seconds that a burst of writes lasts (default 1).
        iops_wr_max_length "iops_wr_max_length": Int<1, 86400>,
        /// A thread of its own; no effect: every disk has one.
        iothread "iothread": bool,
        /// MiB a second.
        mbps "mbps": Mebibytes,
        /// MiB a second during a burst.
        mbps_max "mbps_max": Mebibytes,
        /// MiB read a second.
        mbps_rd "mbps_rd": Mebibytes,
        /// MiB read a second during a burst.
        mbps_rd_max "mbps_rd_max": Mebibytes,
        /// MiB written a second.
        mbps_wr "mbps_wr": Mebibytes,
        /// MiB written a second during a burst.
        mbps_wr_max "mbps_wr_max": Mebibytes,
        /// Whether replication includes it; no effect.
        replicate "replicate": bool,
        /// Refuse writes.
        ro "ro": bool,
        /// Serial number that the guest reads.
        serial "serial": DiskSerial,
        /// Size of the volume.
        size "size": DiskSize,
        /// Present it as solid-state; no effect: a virtio disk tells no guest that it turns.
        ssd "ssd": bool,
        // Last, for that is how clients tell a drive for optical discs: what ends with `media=cdrom`.
        /// Disk or optical disc.
        media "media": Media,
    }
}

words! {
    /// Disk or optical disc.
    pub enum Media {
        /// A disk.
        Disk = "disk",
        /// An optical disc: never written.
        Cdrom = "cdrom",
    }
}

words! {
    /// A setting that cannot be switched off.
    pub enum AlwaysOn {
        /// On.
        On = "1",
    }
}

words! {
    /// Model of a network card.
    pub enum NetModel {
        /// A virtio card, the only one.
        Virtio = "virtio",
    }
}

/// Declares a newtype of `String` whose text is checked by one function.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $check:expr, $help:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(format!("'{text}' is wrong here: {}", $help))
            }
        }
        crate::text_field!($name, stringify!($name), json!({"type": "string"}));
    };
}

use checked_text;

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=,+".contains(&byte);
    (1..=200).contains(&text.len()) && text.bytes().all(plain)
}

checked_text!(
    /// A word, or a list of `key=value`, that is kept and shown.
    Word,
    is_word,
    "use letters, digits and '-_.=,+'"
);
checked_text!(
    /// A CPU type with its flags.
    CpuType,
    |text| is_word(text.replace(';', "").as_str()),
    "name a CPU type, e.g. host"
);
checked_text!(
    /// The command line of a kernel.
    CommandLine,
    |text| text.len() <= 2047 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
    "use at most 2047 printable ASCII characters"
);
checked_text!(
    /// The serial number of a disk.
    DiskSerial,
    |text| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    "use at most 20 letters, digits, '-' and '_'"
);

/// Devices in boot order, `order=virtio0;net0`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootOrder(pub Vec<String>);

impl fmt::Display for BootOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order={}", self.0.join(";"))
    }
}

impl FromStr for BootOrder {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // The old form, letters such as `cdn`, names no device and so orders none.
        if !text.is_empty() && text.bytes().all(|byte| b"acdn".contains(&byte)) {
            return Ok(Self::default());
        }
        let Some(list) = text.strip_prefix("order=") else {
            return Err(format!("'{text}' should be like order=virtio0;net0"));
        };
        let devices: Vec<String> = list
            .split([';', ','])
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let is_net = |name: &str| crate::field::index_of("net", name).is_some();
        match devices
            .iter()
            .find(|name| !QemuConfig::is_disk_key(name) && !is_net(name))
        {
            Some(name) => Err(format!("'{name}' is no disk or network card")),
            None => Ok(Self(devices)),
        }
    }
}

crate::text_field!(BootOrder, "BootOrder", json!({"type": "string"}));

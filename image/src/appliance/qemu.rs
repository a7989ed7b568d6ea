//! The command line of one appliance in QEMU. Pure: it only builds arguments.
//!
//! Paths of sockets and logs are relative to the node's folder, in which QEMU is started.

use super::accel::Accel;
use crate::build::Emulator;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// QEMU's control socket inside a node's folder.
pub const QMP_SOCKET: &str = "qmp.sock";
/// The appliance's serial console, for `cargo image console`.
pub const SERIAL_SOCKET: &str = "serial.sock";
/// Everything the appliance ever wrote to its serial console.
pub const SERIAL_LOG: &str = "serial.log";
/// UEFI variables of the node.
pub const VARS: &str = "vars.fd";
/// Firmware code in the emulator, shared and read-only.
pub const FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// The same with its variables in memory that only it can reach.
const SECURE_FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// Empty UEFI variables in the emulator, copied for each node.
pub const FIRMWARE_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Where the TPM's process listens.
pub const TPM_SOCKET: &str = "tpm.sock";

/// What starts the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// UEFI; the system could write its variables behind its back, so Secure Boot would prove nothing
    #[default]
    Uefi,
    /// UEFI as on a real machine, which takes our keys at the first start and then checks all it starts
    Secure,
    /// Legacy BIOS
    Bios,
}

/// Image format of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain bytes.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl Format {
    /// QEMU's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Where the disk is that the appliance can give to a guest.
pub const GIVEN_ADDRESS: &str = "00:10.0";
/// Its serial number, and its name for QEMU.
pub const GIVEN: &str = "given";

/// A virtio disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its image.
    pub file: PathBuf,
    /// How the image is stored.
    pub format: Format,
    /// Refuse writes.
    pub readonly: bool,
    /// Serial number the appliance sees under `/dev/disk/by-id/virtio-…`.
    pub serial: &'static str,
    /// Where every write and flush is recorded, in the format of `dm-log-writes`.
    pub log: Option<PathBuf>,
}

impl Disk {
    /// The value of `-drive`.
    fn drive(&self, index: usize) -> OsString {
        let format = self.format.name();
        let readonly = if self.readonly { "on" } else { "off" };
        let common = format!("if=none,id=disk{index},readonly={readonly},cache=writeback");
        match &self.log {
            None => with_path(
                &format!("{common},format={format},discard=unmap,file="),
                &self.file,
            ),
            Some(log) => with_path(
                &format!(
                    "{common},{},image.file.driver={format},image.file.file.driver=file,\
                     image.file.file.discard=unmap,image.file.file.filename=",
                    recorder(log)
                ),
                &self.file,
            ),
        }
    }
}

/// Block device options that record what is done to the image below, whose own options must follow
/// with the prefix `image.file.`; `log` is a file that exists.
///
/// QEMU before 9.0 damages the log when it records a "write zeroes" beside another write. An error
/// injected above the recorder makes any QEMU write plain zeros instead, and the guest sees no
/// difference.
pub fn recorder(log: &Path) -> String {
    let not_supported = nix::errno::Errno::EOPNOTSUPP as i32;
    let log = log.to_string_lossy().replace(',', ",,");
    format!(
        "driver=blkdebug,discard=unmap,inject-error.0.event=none,\
         inject-error.0.iotype=write-zeroes,inject-error.0.errno={not_supported},\
         image.driver=blklogwrites,image.discard=unmap,image.log-sector-size=512,\
         image.log.driver=file,image.log.filename={log},image.file.discard=unmap"
    )
}

/// A TCP port of the build host's loopback that leads to one of the appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Port on 127.0.0.1.
    pub host: u16,
    /// Port of the appliance.
    pub guest: u16,
}

/// A card on a network that only the nodes of one instance share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateNet {
    /// UDP port of the multicast group on the loopback that carries the frames.
    pub port: u16,
    /// Which node this is, counted from 1; the last byte of its hardware address.
    pub index: u8,
}

impl PrivateNet {
    /// Hardware address of the node's card on it.
    pub fn mac(self) -> String {
        format!("52:54:00:ba:5a:{:02x}", self.index)
    }
}

/// Where the machine's memory lives, and how it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Anonymous memory, cold boot.
    Plain,
    /// A file that keeps the memory, so that a snapshot need not copy it; cold boot.
    Kept(PathBuf),
    /// A private view of a kept memory file, going on from a device state.
    Restored {
        /// The kept memory, never written.
        memory: PathBuf,
        /// The state of the devices.
        state: PathBuf,
    },
}

/// Everything that decides the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Whose firmware it has.
    pub emulator: Emulator,
    /// Shown in the process title.
    pub name: String,
    /// Hardware virtualisation or emulation.
    pub accel: Accel,
    /// Number of virtual CPUs.
    pub cpus: u8,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Kind of memory.
    pub memory: Memory,
    /// What starts it.
    pub firmware: Firmware,
    /// Whether there is a TPM 2.0, whose process listens on [`TPM_SOCKET`].
    pub tpm: bool,
    /// Disks in boot order.
    pub disks: Vec<Disk>,
    /// A raw image as a disk with NVMe behind an IOMMU, at [`GIVEN_ADDRESS`]: a device that the
    /// appliance can give to a guest.
    pub given: Option<PathBuf>,
    /// An optical drive with this ISO, tried before the disks.
    pub cdrom: Option<PathBuf>,
    /// A USB stick with this ISO, tried before the disks: to a BIOS it is a disk too, and of all
    /// disks it tries only the first.
    pub stick: Option<PathBuf>,
    /// Words that the kernel image adds to its command line, where the firmware trusts all of it.
    pub kernel_arguments: Option<String>,
    /// Where the network card's own iPXE finds its script, tried before the disks.
    pub ipxe_script: Option<String>,
    /// Ports forwarded through the user network; none at all means no network card.
    pub forwards: Option<Vec<Forward>>,
    /// The private network, if any.
    pub private: Option<PrivateNet>,
    /// End QEMU when the guest reboots.
    pub exit_on_reboot: bool,
}

impl Machine {
    /// The arguments after `qemu-system-x86_64`.
    pub fn args(&self) -> Vec<OsString> {
        let mut args = Args::default();
        self.base(&mut args);
        self.memory(&mut args);
        self.firmware(&mut args);
        self.disks(&mut args);
        self.network(&mut args);
        channels(&mut args);
        args.0
    }

    fn base(&self, args: &mut Args) {
        args.pair(
            "-name",
            format!("basalt-{},process=basalt-{}", self.name, self.name),
        );
        args.flag("-no-user-config").flag("-nodefaults");
        args.pair("-accel", self.accel.qemu_accel());
        args.pair("-cpu", self.accel.qemu_cpu());
        args.pair("-smp", self.cpus.to_string());
        args.pair("-rtc", "base=utc,clock=host");
        if self.given.is_some() {
            // Before all devices that are to be behind it.
            args.pair("-device", "intel-iommu,intremap=on");
        }
        args.pair("-display", "none").pair("-device", "VGA");
        args.pair("-device", "virtio-rng-pci");
        if self.exit_on_reboot {
            args.flag("-no-reboot");
        }
        if let Some(words) = &self.kernel_arguments {
            let escaped = words.replace(',', ",,");
            args.pair(
                "-smbios",
                format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={escaped}"),
            );
        }
    }

    fn memory(&self, args: &mut Args) {
        args.pair("-m", format!("{}M", self.memory_mib));
        let mut kind = match self.firmware {
            Firmware::Uefi | Firmware::Bios => "q35".to_owned(),
            Firmware::Secure => "q35,smm=on".to_owned(),
        };
        if self.given.is_some() && self.accel == Accel::Kvm {
            // Without it there is no remapping of interrupts.
            kind.push_str(",kernel-irqchip=split");
        }
        let (file, share) = match &self.memory {
            Memory::Plain => {
                args.pair("-machine", kind);
                return;
            }
            Memory::Kept(file) => (file, "on"),
            Memory::Restored { memory, .. } => (memory, "off"),
        };
        args.pair("-machine", format!("{kind},memory-backend=ram"));
        let size = self.memory_mib;
        args.pair(
            "-object",
            with_path(
                &format!("memory-backend-file,id=ram,size={size}M,share={share},mem-path="),
                file,
            ),
        );
        if matches!(self.memory, Memory::Restored { .. }) {
            // The state is sent through QMP once the capability for kept memory is set.
            args.pair("-incoming", "defer");
        }
    }

    fn firmware(&self, args: &mut Args) {
        match self.firmware {
            Firmware::Bios => {}
            Firmware::Uefi => self.uefi(FIRMWARE_CODE, args),
            Firmware::Secure => {
                self.uefi(SECURE_FIRMWARE_CODE, args);
                args.pair("-global", "driver=cfi.pflash01,property=secure,value=on");
            }
        }
        if self.tpm {
            args.pair("-chardev", format!("socket,id=tpm,path={TPM_SOCKET}"));
            args.pair("-tpmdev", "emulator,id=tpm,chardev=tpm");
            args.pair("-device", "tpm-crb,tpmdev=tpm");
        }
    }

    fn uefi(&self, code: &str, args: &mut Args) {
        args.pair(
            "-drive",
            with_path(
                "if=pflash,unit=0,format=raw,readonly=on,file=",
                &self.emulator.file(code),
            ),
        );
        args.pair("-drive", format!("if=pflash,unit=1,format=raw,file={VARS}"));
    }

    fn disks(&self, args: &mut Args) {
        for (index, disk) in self.disks.iter().enumerate() {
            args.pair("-drive", disk.drive(index));
            let order = index + 1;
            let serial = disk.serial;
            // The recorder adds two pieces to each write: one put together from as many as the
            // build machine takes at once would fail.
            let merging = if disk.log.is_some() {
                ",request-merging=off"
            } else {
                ""
            };
            args.pair(
                "-device",
                format!(
                    "virtio-blk-pci,drive=disk{index},serial={serial},bootindex={order}{merging}"
                ),
            );
        }
        if let Some(image) = &self.given {
            args.pair(
                "-drive",
                with_path("if=none,id=given,format=raw,file=", image),
            );
            let address = GIVEN_ADDRESS.trim_start_matches("00:");
            args.pair(
                "-device",
                format!("nvme,id={GIVEN},drive=given,serial={GIVEN},addr={address}"),
            );
        }
        if let Some(iso) = &self.cdrom {
            args.pair(
                "-drive",
                with_path(
                    "if=none,id=cd,format=raw,media=cdrom,readonly=on,file=",
                    iso,
                ),
            );
            args.pair("-device", "ide-cd,drive=cd,bootindex=0");
        }
        if let Some(iso) = &self.stick {
            let before = "if=none,id=stick,format=raw,readonly=on,file=";
            args.pair("-drive", with_path(before, iso));
            args.pair("-device", "qemu-xhci")
                .pair("-device", "usb-storage,drive=stick,bootindex=0");
        }
    }

    fn network(&self, args: &mut Args) {
        if let Some(forwards) = &self.forwards {
            let mut net = String::from("user,id=net0");
            for Forward { host, guest } in forwards {
                net.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
            }
            let mut card = "virtio-net-pci,netdev=net0,mac=52:54:00:ba:5a:00".to_owned();
            if let Some(script) = &self.ipxe_script {
                net.push_str(&format!(",bootfile={}", script.replace(',', ",,")));
                card.push_str(",bootindex=0");
            } else {
                card.push_str(",romfile=");
            }
            args.pair("-netdev", net);
            args.pair("-device", card);
        }
        if let Some(private) = self.private {
            let port = private.port;
            args.pair(
                "-netdev",
                format!("socket,id=net1,mcast=230.0.0.1:{port},localaddr=127.0.0.1"),
            );
            let mac = private.mac();
            args.pair(
                "-device",
                format!("virtio-net-pci,netdev=net1,mac={mac},romfile="),
            );
        }
    }
}

fn channels(args: &mut Args) {
    args.pair(
        "-chardev",
        format!("socket,id=serial,path={SERIAL_SOCKET},server=on,wait=off,logfile={SERIAL_LOG},logappend=on"),
    );
    args.pair("-serial", "chardev:serial");
    args.pair(
        "-chardev",
        format!("socket,id=qmp,path={QMP_SOCKET},server=on,wait=off"),
    );
    args.pair("-mon", "chardev=qmp,mode=control");
}

/// An option value that ends in a path, in which QEMU takes a doubled comma for one comma.
fn with_path(before: &str, path: &Path) -> OsString {
    let escaped = path.to_string_lossy().replace(',', ",,");
    format!("{before}{escaped}").into()
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.into());
        self
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) -> &mut Self {
        self.flag(flag);
        self.0.push(value.into());
        self
    }
}

#[cfg(test)]
mod tests;

//! What one virtual machine is made of when it runs, and the protocol its monitor speaks.
//!
//! A [`MachineSpec`] is resolved: every file, tap and device is already open and named by its
//! place in the descriptor list that travels with the specification. The monitor opens no path.
//!
//! # How a monitor starts
//!
//! `basalt-vmm` has a connected Unix stream socket as file descriptor 0. The starter sends one
//! message of newline-terminated JSON ([`MachineSpec`]) with every descriptor of the
//! specification attached (`SCM_RIGHTS`). The monitor answers with one line of [`Started`] and
//! from then on serves [`Request`] lines on the control listener it was given.

mod status;

use crate::cpu::CpuSpec;
use crate::disk::{
    Backing, CacheMode, ChangeMedia, ImageFormat, Limits, Optical, PauseReason, ResizeDisk,
};
use crate::entropy::EntropyLimit;
use crate::hotplug::{NewDevice, RemoveDevice, SetMemory, SetVcpus};
use crate::numa::Numa;
use crate::passthrough::Passthrough;
use crate::watchdog::WatchdogAction;
use serde::{Deserialize, Serialize};
pub use status::{DiskStats, NicStats, Progress, RunState, Status};

/// Version of the control protocol and of [`MachineSpec`]; the monitor refuses any other.
pub const PROTOCOL: u32 = 3;

/// Index into the descriptors sent along with the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub usize);

/// One virtual machine, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Shown in logs.
    pub name: String,
    /// The guest's number, a tracing field.
    pub vmid: u32,
    /// Most virtual CPUs, 1–64.
    pub vcpus: u8,
    /// How many of them are there from the start, if some may come or go while the machine runs;
    /// otherwise all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugged: Option<u8>,
    /// What the virtual CPUs can do. One that goes on from a saved state keeps what it could.
    #[serde(default)]
    pub cpu: CpuSpec,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Most memory in MiB, if more may come while the machine runs. One that goes on from a saved state
    /// keeps the room that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max_mib: Option<u64>,
    /// Size in MiB of the huge pages that the memory is made of, 2 or 1024, when they are not usual ones. The
    /// memory is a multiple of it and for good; the balloon, if there is one, takes none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugepages_mib: Option<u64>,
    /// Sockets and nodes of memory and virtual CPUs, when the guest sees more than one of each. One that goes
    /// on from a saved state was told of the same, or of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa: Option<Numa>,
    /// MiB that the guest is to use at first and give the others back, when it has a balloon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balloon: Option<u64>,
    /// `/dev/kvm`, open for reading and writing.
    pub kvm: Slot,
    /// Listening Unix stream socket for [`Request`] lines.
    pub control: Slot,
    /// Listening Unix stream socket of the first serial port (raw bytes both ways; the last
    /// 64 KiB of output are replayed to a new connection).
    pub serial: Slot,
    /// The same of the second to the fourth serial port, those of them that the guest has.
    #[serde(default, skip_serializing_if = "has_one_serial")]
    pub more_serial: [Option<Slot>; MORE_SERIAL],
    /// Listening Unix stream socket of the virtio console (`hvc0` in a Linux guest), with the
    /// same rules as `serial`; without it the guest has no such device.
    #[serde(default)]
    pub console: Option<Slot>,
    /// Listening Unix stream socket of the guest agent's port (`org.qemu.guest_agent.0`): raw bytes
    /// both ways with one connection at a time, the next waits; without it the guest has no such port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Slot>,
    /// What the machine runs first.
    pub boot: Boot,
    /// What the machine says it is; firmware hands it to the guest.
    #[serde(default)]
    pub system: SystemInfo,
    /// Disks in order; the guest sees them as `vda`, `vdb`, ….
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Drives for optical discs in order; the guest sees them as `sr0`, `sr1`, ….
    #[serde(default)]
    pub opticals: Vec<Optical>,
    /// Network cards in order.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// Directories shared with the guest, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// Source of random numbers for virtio-rng, when the guest has one: a character device such as
    /// `/dev/urandom`, open for reading and, if it may keep readers waiting, non-blocking.
    #[serde(default)]
    pub rng: Option<Slot>,
    /// How much of it the guest may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rng_limit: Option<EntropyLimit>,
    /// Devices of the host, when the guest has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<Passthrough>,
    /// A trusted platform module, when the guest has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<Tpm>,
    /// Sockets between programs of the guest and of the host, when the guest has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsock: Option<VsockSpec>,
    /// What a watchdog does whose guest does not wind it up, when the guest has one (Intel 6300ESB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<WatchdogAction>,
    /// Screen, keyboard and pointer, when the guest has them.
    #[serde(default)]
    pub display: Option<Display>,
    /// Go on from a saved state instead of booting: a file or block device that
    /// [`Request::Save`] wrote, or a connected stream socket to a monitor that is told
    /// [`Request::Migrate`]. The rest of the specification must describe the same machine. From
    /// a file it stands until [`Request::Resume`]: its starter can note that the state is used
    /// up before the first instruction runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Slot>,
}

/// Most serial ports beside the first.
pub const MORE_SERIAL: usize = 3;

fn has_one_serial(more: &[Option<Slot>; MORE_SERIAL]) -> bool {
    more.iter().all(Option::is_none)
}

/// A TPM 2.0 with the command response buffer interface, which the program `swtpm` emulates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tpm {
    /// Connected Unix stream socket: the emulator's control channel. The starter has already sent
    /// `CMD_SET_DATAFD` with the other end of [`Self::data`]; the answer is still to be read.
    pub control: Slot,
    /// Connected Unix stream socket on which the emulator takes commands.
    pub data: Slot,
    /// Volume with the emulator's state, open for reading and writing, [`TPM_STATE_SIZE`] or larger.
    /// One of zeros is that of a module that was never started.
    pub state: Slot,
}

/// Least size of a volume that keeps a TPM's state, in bytes.
pub const TPM_STATE_SIZE: u64 = 4 << 20;

/// A screen, a keyboard and a pointer, for viewers that speak RFB 3.8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// Listening Unix stream socket for viewers, who are asked for no password: whoever reaches
    /// the socket is let in.
    pub socket: Slot,
    /// What draws.
    pub adapter: Adapter,
    /// Whether there is a pointer that knows its place on the screen.
    pub tablet: bool,
}

/// What draws on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    /// Firmware, in the guest's memory.
    Ramfb,
    /// The guest's driver, with a virtio GPU.
    Virtio,
}

/// What the machine runs first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Boot {
    /// A kernel entered directly: a bzImage by the 64-bit Linux boot protocol, or an ELF file by
    /// its PVH note.
    Kernel {
        /// The kernel image.
        kernel: Slot,
        /// The initial RAM disk, if any.
        #[serde(default)]
        initrd: Option<Slot>,
        /// The kernel command line.
        cmdline: String,
    },
    /// UEFI firmware (OVMF) from flash memory, which finds something to boot by itself.
    Firmware {
        /// The firmware: whole pages that end at 4 GiB in the guest.
        code: Slot,
        /// Its variables, open for reading and writing. As many bytes as fill `code` up to a power of
        /// two are used; they lie below it.
        vars: Slot,
        /// Keys of disks and network cards in the order in which to boot from them; firmware may go on
        /// with others.
        #[serde(default)]
        order: Vec<String>,
        /// Whether the machine has system management mode, which firmware with Secure Boot keeps its
        /// variables by: only in that mode they can be changed. Needs a KVM that has it, and all
        /// virtual CPUs from the start.
        #[serde(default)]
        smm: bool,
    },
}

/// What a machine says it is, in SMBIOS's words; texts that are not given have defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SystemInfo {
    /// UUID, in the order of its digits.
    pub uuid: [u8; 16],
    /// Manufacturer.
    pub manufacturer: Option<String>,
    /// Product.
    pub product: Option<String>,
    /// Version of the product.
    pub version: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Stock keeping unit.
    pub sku: Option<String>,
    /// Product family.
    pub family: Option<String>,
}

/// A virtio block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Configuration key, e.g. `virtio0`; reported in statistics and errors.
    pub id: String,
    /// Image or block device.
    pub image: Slot,
    /// What the image's bytes mean.
    #[serde(default)]
    pub format: ImageFormat,
    /// The images below it, nearest first; a raw image has none.
    #[serde(default)]
    pub backing: Vec<Backing>,
    /// Refuse writes.
    #[serde(default)]
    pub readonly: bool,
    /// Serial number the guest reads (at most 20 bytes).
    #[serde(default)]
    pub serial: String,
    /// How the host keeps its data.
    #[serde(default)]
    pub cache: CacheMode,
    /// Whether the guest may give blocks back.
    #[serde(default)]
    pub discard: bool,
    /// How fast the guest may use it.
    #[serde(default)]
    pub limits: Limits,
    /// Number of request queues, 1 to [`MAX_QUEUES`].
    #[serde(default = "one_queue")]
    pub queues: u16,
}

/// Most request queues of one disk.
pub const MAX_QUEUES: u16 = 4;

fn one_queue() -> u16 {
    1
}

impl Disk {
    /// A disk with a raw image and nothing out of the ordinary.
    pub fn raw(id: impl Into<String>, image: Slot) -> Self {
        Self {
            id: id.into(),
            image,
            format: ImageFormat::default(),
            backing: Vec::new(),
            readonly: false,
            serial: String::new(),
            cache: CacheMode::default(),
            discard: true,
            limits: Limits::default(),
            queues: one_queue(),
        }
    }
}

/// A virtio network card on a tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Configuration key, e.g. `net0`.
    pub id: String,
    /// `/dev/net/tun`, attached to its tap with `IFF_VNET_HDR`.
    pub tap: Slot,
    /// Hardware address.
    pub mac: [u8; 6],
    /// `/dev/vhost-net`, by which the kernel moves the packets; without it, or when it cannot, the
    /// monitor does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<Slot>,
    /// Its cable is pulled, as the guest sees it; the tap's end is not the monitor's business.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub link_down: bool,
}

/// Sockets between programs of the guest and of the host (`AF_VSOCK`), on a virtio socket device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockSpec {
    /// `/dev/vhost-vsock`.
    pub device: Slot,
    /// The guest's context id, which no other guest of the host has: its address.
    pub context: u32,
}

/// A directory of the host on a virtio file system device, which a program outside of the monitor
/// serves. A machine that has one can be neither saved nor moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Configuration key, e.g. `virtiofs0`.
    pub id: String,
    /// Name by which the guest mounts it, at most [`SHARE_TAG`] bytes.
    pub tag: String,
    /// Connected Unix stream socket to the program, which is a vhost-user back-end.
    pub socket: Slot,
}

/// Longest [`Share::tag`] in bytes.
pub const SHARE_TAG: usize = 36;

/// First line the monitor writes to descriptor 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// The machine runs and the sandbox is closed.
    Ok,
    /// Why it does not; the process ends.
    Failed(String),
}

/// One line on the control socket, answered by one [`Response`] line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// State and statistics.
    Status,
    /// Press the ACPI power button.
    Shutdown,
    /// Reset the machine as its reset button would.
    Reset,
    /// Stop the virtual CPUs.
    Pause,
    /// Let them run again, and try again the writes that the host had no room for.
    Resume,
    /// Tell the guest that a disk has grown.
    ResizeDisk(ResizeDisk),
    /// Change or remove the disc in a drive.
    ChangeMedia(ChangeMedia),
    /// Plug a device into the running machine; its descriptors come with this line
    /// (`SCM_RIGHTS`), in the order of its slots. Answered when the guest can find it.
    AddDevice(NewDevice),
    /// Ask the guest to let go of a device. Answered when it is gone and its files are closed;
    /// when the guest does not let go in time, nothing has changed. Meanwhile other connections
    /// are served.
    RemoveDevice(RemoveDevice),
    /// Change how many virtual CPUs there are. More are there at once, for the guest to find; fewer
    /// are asked of the guest, answered when it has let go, and when it does not in time, nothing
    /// has changed.
    SetVcpus(SetVcpus),
    /// Change how much memory there is: more is offered to the guest, which takes it when it can, or it
    /// is asked to let go of some. Answered when it has as much; when it has not in time, it is
    /// asked for what it had.
    SetMemory(SetMemory),
    /// Ask the guest to make do with so much memory, through its balloon, or let it have it again.
    SetBalloon {
        /// MiB that it may use.
        mib: u64,
    },
    /// Tell the guest that the cable of a network card is plugged in, or pulled.
    SetLink(SetLink),
    /// End the process at once.
    Quit,
    /// Turn this connection into a stream of [`Event`] lines.
    Events,
    /// Stop the machine and write its state to the file or block device whose descriptor comes
    /// with this line (`SCM_RIGHTS`), at least [`STATE_ROOM`] larger than the memory. Answered
    /// when the state is whole and on the medium, with the machine still paused; when that
    /// fails, the machine goes on as before. Meanwhile other connections are served.
    Save,
    /// Hand the running machine over to the monitor at the other end of the connected stream
    /// socket that comes with this line, which was started with [`MachineSpec::restore`].
    /// Answered with [`Response::Moved`] when the machine is the other monitor's; all that is
    /// left for this one is [`Request::Quit`]. When it fails, the machine goes on here.
    Migrate {
        /// How long the machine may stand, in milliseconds. Raised by itself for a guest that
        /// writes faster than the connection carries.
        downtime_ms: u64,
    },
}

/// Whether a network card's cable is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetLink {
    /// Configuration key of the card.
    pub nic: String,
    /// Whether it is.
    pub up: bool,
}

/// Bytes a saved state needs beside the machine's memory.
pub const STATE_ROOM: u64 = 16 << 20;

/// Answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// Done.
    Ok,
    /// Answer to [`Request::Status`].
    Status(Box<Status>),
    /// Answer to [`Request::Migrate`].
    Moved(Moved),
    /// Not done, and why.
    Error(String),
}

/// What moving a machine took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Passes over the memory.
    pub rounds: u32,
    /// Bytes sent.
    pub bytes: u64,
    /// How long the machine stood, in milliseconds.
    pub downtime_ms: u64,
}

/// Something that happened to the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The guest powered itself off; the process ends with status 0.
    PoweredOff,
    /// The guest or a request reset the machine; it runs again.
    Reset,
    /// The machine paused itself.
    Paused(PauseReason),
    /// The guest did not wind its watchdog up in time; what that does follows.
    Watchdog(WatchdogAction),
    /// The guest says that it panicked. The machine runs on.
    Panicked,
    /// The guest says that it panicked, and that another kernel of its own takes over.
    CrashLoaded,
    /// A [`Request::Save`] or [`Request::Migrate`] went on.
    Progress(Progress),
    /// The guest let go of a device, as [`Request::RemoveDevice`] asked it to.
    DeviceRemoved {
        /// Configuration key.
        device: String,
    },
    /// The guest has as much memory as [`Request::SetMemory`] asked for.
    MemoryChanged {
        /// MiB.
        mib: u64,
    },
    /// A virtual CPU or device failed beyond repair; the process ends with status 1.
    Failed(String),
}

//! Taking delivery: one line of JSON and the descriptors it speaks of, checked before use.
//!
//! [`receive`] reads them from the starter's socket; [`Resources::check`] turns them into open
//! files with a meaning. Nothing after that looks at a [`MachineSpec`] again. What comes while the
//! machine runs takes the same way, one device at a time: [`plug`].

mod boot;
mod check;
mod delivery;
mod disk;
mod nic;
mod passthrough;
pub mod plug;
mod rng;
mod serial;
mod vsock;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use basalt_model::cpu::CpuSpec;
use basalt_model::disk::Optical;
use basalt_model::machine::{self, Adapter, MORE_SERIAL, MachineSpec, Share, SystemInfo};
use basalt_model::numa::Numa;
use basalt_model::watchdog::WatchdogAction;

use crate::disk::ring::Rings;
use crate::machine::backing::Backing;
use crate::machine::blocks::Blocks;
use crate::machine::cpuid::Offer;
use crate::machine::ground::Ground;
use crate::machine::layout::{
    DISK_SLOTS, MEMORY_SLOT, NIC_SLOTS, SHARE_SLOTS, Span, VSOCK_SLOT, WATCHDOG_SLOT,
    room_for_blocks,
};
use crate::machine::memory::{self, Extent, Memory};
use crate::machine::serial::MorePorts;
use crate::machine::topology::Topology;
use crate::tpm::emulator::Emulator;
use crate::tpm::store::Store;
use crate::tpm::{self, Module};
use crate::virtio::balloon::Levers;
use crate::virtio::fs;
use crate::virtio::scsi::drive::{Drive, Medium};
use crate::virtio::vhost_user::BackEnd;
use crate::virtio::vsock::Kernel;
pub use boot::BootResource;
pub use check::NOT_KEPT;
use delivery::Delivery;
pub use delivery::{receive, send};
pub use disk::DiskResource;
pub use nic::NicResource;
pub use passthrough::{PassedResource, PassthroughResource};
pub use rng::RngResource;

/// Longest specification.
const MAX_SPEC: usize = 1 << 20;
/// Most descriptors one message can carry.
const MAX_DESCRIPTORS: usize = 253;
/// Least memory a kernel can start in.
pub const MIN_MEMORY_MIB: u64 = 32;
/// Least memory firmware can start in.
pub const MIN_FIRMWARE_MEMORY_MIB: u64 = 128;
/// Most memory of one machine: 8 TiB.
pub const MAX_MEMORY_MIB: u64 = 8 << 20;
/// Most virtual CPUs.
pub const MAX_VCPUS: u8 = 64;
/// Most disks.
pub const MAX_DISKS: usize = (DISK_SLOTS.end - DISK_SLOTS.start) as usize;
/// Most drives for optical discs.
pub const MAX_DRIVES: usize = 8;
/// Most network cards.
pub const MAX_NICS: usize = (NIC_SLOTS.end - NIC_SLOTS.start) as usize;
/// Most shared directories.
pub const MAX_SHARES: usize = (SHARE_SLOTS.end - SHARE_SLOTS.start) as usize;
const MAX_SERIAL: usize = 20;

/// Why a specification is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading from the starter failed.
    #[error("cannot read the specification: {0}")]
    Read(io::Error),
    /// The starter went away before the line ended.
    #[error("the specification ends early")]
    Truncated,
    /// More than a mebibyte.
    #[error("the specification is longer than {MAX_SPEC} bytes")]
    TooLong,
    /// No valid JSON of a machine.
    #[error("the specification is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Memory cannot be had.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// A value is out of bounds or contradicts another.
    #[error("{field}: {problem}")]
    Invalid {
        /// Name of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Invalid {
        field: field.into(),
        problem: problem.into(),
    }
}

/// A shared directory's part of [`Resources`].
pub struct ShareResource {
    /// PCI device number.
    pub slot: u8,
    /// Configuration key.
    pub id: String,
    /// Name by which the guest mounts it.
    pub tag: String,
    /// The program that serves it.
    pub server: Arc<BackEnd>,
}

/// A watchdog's part of [`Resources`].
pub struct WatchdogResource {
    /// What it does.
    pub action: WatchdogAction,
    /// Whether it has run down, which the guest may ask after the reset that followed.
    pub timed_out: Arc<AtomicBool>,
}

/// A machine's parts, open and checked. They stay the same when the machine is reset.
pub struct Resources {
    /// Shown in logs.
    pub name: String,
    /// The guest's number.
    pub vmid: u32,
    /// Most virtual CPUs.
    pub vcpus: u8,
    /// Virtual CPUs that are there, if some may come or go.
    pub plugged: Option<u8>,
    /// What they can do.
    pub cpu: CpuSpec,
    /// Bytes of memory that are always there.
    pub memory: u64,
    /// Memory that may come.
    pub blocks: Option<Arc<Blocks>>,
    /// `/dev/kvm`.
    pub kvm: kvm_ioctls::Kvm,
    /// What it runs first.
    pub boot: BootResource,
    /// What it says it is.
    pub system: SystemInfo,
    /// Devices of the host.
    pub passthrough: PassthroughResource,
    /// Disks in order.
    pub disks: Vec<DiskResource>,
    /// Drives for optical discs in order.
    pub drives: Vec<Arc<Drive>>,
    /// Network cards in order.
    pub nics: Vec<NicResource>,
    /// Shared directories in order.
    pub shares: Vec<ShareResource>,
    /// What memory is made of, and where.
    pub ground: Ground,
    /// Sockets and nodes.
    pub numa: Option<Numa>,
    /// Rings for the disks that may come.
    pub rings: Rings,
    /// The balloon.
    pub balloon: Option<Arc<Levers>>,
    /// Random numbers.
    pub rng: Option<RngResource>,
    /// The trusted platform module.
    pub tpm: Option<Arc<Mutex<Module>>>,
    /// Sockets between guest and host.
    pub vsock: Option<Arc<Kernel>>,
    /// The watchdog.
    pub watchdog: Option<WatchdogResource>,
    /// Which serial ports there are beside the first.
    pub more_serial: MorePorts,
    /// Whether there is a virtio console.
    pub console: bool,
    /// Screen, keyboard and pointer.
    pub display: Option<DisplayResource>,
    /// State to go on from; taken when the machine is first built.
    pub restore: Option<File>,
}

/// A display's part of [`Resources`].
#[derive(Debug, Clone, Copy)]
pub struct DisplayResource {
    /// What draws.
    pub adapter: Adapter,
    /// Whether there is a virtio tablet.
    pub tablet: bool,
}

/// The sockets the main thread listens on.
pub struct Listeners {
    /// Requests.
    pub control: UnixListener,
    /// First serial port.
    pub serial: UnixListener,
    /// The serial ports beside it.
    pub more_serial: [Option<UnixListener>; MORE_SERIAL],
    /// Virtio console.
    pub console: Option<UnixListener>,
    /// Programs that talk to the guest's agent, one at a time.
    pub agent: Option<UnixListener>,
    /// Viewers of the screen.
    pub display: Option<UnixListener>,
}

impl Resources {
    /// Checks a specification against what came with it.
    pub fn check(spec: MachineSpec, descriptors: Vec<OwnedFd>) -> Result<(Self, Listeners), Error> {
        check::bounds(&spec)?;
        let mut delivery = Delivery::new(descriptors);
        let listeners = Listeners {
            control: delivery.listener("control", spec.control)?,
            serial: delivery.listener("serial", spec.serial)?,
            more_serial: serial::listeners(spec.more_serial, &mut delivery)?,
            console: spec
                .console
                .map(|slot| delivery.listener("console", slot))
                .transpose()?,
            agent: spec
                .agent
                .map(|slot| delivery.listener("agent", slot))
                .transpose()?,
            display: spec
                .display
                .as_ref()
                .map(|display| delivery.listener("display", display.socket))
                .transpose()?,
        };
        let boot = BootResource::check(spec.boot, &mut delivery)?;
        let mut rings = Rings::prepare(MAX_DISKS);
        let mut disks = Vec::new();
        for (slot, disk) in DISK_SLOTS.zip(spec.disks) {
            let disk = DiskResource::take(disk, slot, &mut delivery, &mut rings)?;
            disks.push(disk);
        }
        let mut drives = Vec::new();
        for optical in spec.opticals {
            drives.push(Arc::new(drive(&optical, &mut delivery)?));
        }
        let mut nics = Vec::new();
        for (slot, nic) in NIC_SLOTS.zip(spec.nics) {
            nics.push(NicResource::take(nic, slot, &mut delivery)?);
        }
        let rng = spec
            .rng
            .map(|slot| RngResource::check(delivery.file("rng", slot)?, spec.rng_limit))
            .transpose()?;
        let vsock = spec
            .vsock
            .map(|vsock| self::vsock::take(vsock, &mut delivery));
        let vsock = vsock.transpose()?;
        let tpm = spec.tpm.map(|tpm| module(tpm, &mut delivery)).transpose()?;
        let mut shares = Vec::new();
        for (slot, share) in SHARE_SLOTS.rev().zip(spec.shares) {
            shares.push(share_resource(share, slot, &mut delivery)?);
        }
        let passthrough = match spec.passthrough {
            Some(passthrough) => {
                let disks = disks.iter().map(|disk| disk.slot);
                let nics = nics.iter().map(|nic| nic.slot);
                let memory = spec.memory_max_mib.map(|_| MEMORY_SLOT);
                let watchdog = spec.watchdog.map(|_| WATCHDOG_SLOT);
                let vsock = spec.vsock.map(|_| VSOCK_SLOT);
                let taken = disks.chain(nics).chain(memory).chain(watchdog).chain(vsock);
                let taken = taken.chain(shares.iter().map(|share| share.slot));
                passthrough::take(passthrough, &taken.collect::<Vec<_>>(), &mut delivery)?
            }
            None => PassthroughResource::default(),
        };
        let memory = spec.memory_mib << 20;
        let huge = spec.hugepages_mib.is_some();
        let balloon = spec.balloon.map(|mib| match huge {
            true => Arc::new(Levers::fixed(memory)),
            false => Arc::new(Levers::new(memory, mib << 20)),
        });
        let restore = spec
            .restore
            .map(|slot| delivery.file("restore", slot))
            .transpose()?;
        let kvm = open_kvm(delivery.take("kvm", spec.kvm)?)?;
        if boot.has_smm() {
            check::smm(&kvm)?;
        }
        let most = spec.memory_max_mib.map(|mib| mib << 20);
        let blocks = most.map(|most| blocks(memory, most - memory, &kvm));
        let blocks = blocks.transpose()?.flatten();
        let room = blocks.as_ref().map(|blocks| blocks.room());
        let backing = match spec.hugepages_mib {
            Some(mib) => {
                let backing = Backing::huge(memory, mib);
                Some(backing.map_err(|e| invalid("hugepages_mib", e.to_string()))?)
            }
            None if shares.is_empty() => None,
            None => {
                let backing = Backing::shared(memory, room);
                Some(backing.map_err(|e| invalid("memory_mib", e.to_string()))?)
            }
        };
        let extent = Extent {
            bytes: memory,
            tseg: boot.has_smm(),
        };
        let ground = Ground::new(backing, extent, spec.numa.as_ref())?;
        delivery.finish()?;
        let resources = Self {
            name: spec.name,
            vmid: spec.vmid,
            vcpus: spec.vcpus,
            plugged: spec.plugged,
            cpu: spec.cpu,
            memory,
            blocks,
            kvm,
            boot,
            system: spec.system,
            passthrough,
            disks,
            drives,
            nics,
            shares,
            ground,
            numa: spec.numa,
            rings,
            balloon,
            rng,
            tpm,
            vsock,
            watchdog: spec.watchdog.map(|action| WatchdogResource {
                action,
                timed_out: Arc::default(),
            }),
            more_serial: listeners.more_serial.each_ref().map(Option::is_some),
            console: listeners.console.is_some(),
            display: spec.display.map(|display| DisplayResource {
                adapter: display.adapter,
                tablet: display.tablet,
            }),
            restore,
        };
        Ok((resources, listeners))
    }

    /// How much memory there always is, and how it is divided.
    pub fn extent(&self) -> Extent {
        Extent {
            bytes: self.memory,
            tseg: self.boot.has_smm(),
        }
    }

    /// How the virtual CPUs are divided.
    pub fn topology(&self) -> Topology {
        Topology::of(self.vcpus, self.memory, self.numa.as_ref())
    }

    /// Where memory that may come lies.
    pub fn room(&self) -> Option<Span> {
        self.blocks.as_ref().map(|blocks| blocks.room())
    }

    /// Fresh memory, which is zero.
    pub fn reserve_memory(&self) -> Result<Arc<Memory>, memory::Error> {
        self.ground.reserve(self.extent(), self.room())
    }

    /// Takes over how much memory a saved machine had at its start, and its room for more, which
    /// the state knows better than a specification. `false` when such a machine cannot be here.
    pub fn adopt_memory(&mut self, memory: u64, room: Span) -> bool {
        let range = MIN_MEMORY_MIB << 20..=MAX_MEMORY_MIB << 20;
        let offer = Offer::of(&self.kvm);
        let fits = offer.is_ok_and(|offer| {
            range.contains(&memory)
                && range.end() - memory >= room.1
                && room_for_blocks(memory, room.1, offer.address_bits()) == Some(room)
        });
        if fits {
            self.memory = memory;
            self.blocks = Some(Arc::new(Blocks::new(memory, room)));
        }
        fits
    }

    /// The files that hold what the guest writes, by configuration key.
    pub fn written(&self) -> Vec<(String, Arc<File>)> {
        let disks = self.disks.iter().filter(|disk| !disk.settings.readonly);
        let disks = disks.map(|disk| (disk.settings.name.clone(), disk.image.written()));
        let vars = match &self.boot {
            BootResource::Firmware { vars, .. } => Some(("efidisk0".to_owned(), vars.clone())),
            BootResource::Kernel { .. } => None,
        };
        disks.chain(vars).collect()
    }

    /// Every descriptor that must stay open.
    pub fn descriptors(&self, listeners: &Listeners) -> Vec<RawFd> {
        let mut all = vec![
            self.kvm.as_raw_fd(),
            listeners.control.as_raw_fd(),
            listeners.serial.as_raw_fd(),
        ];
        all.extend(self.boot.descriptors());
        all.extend(self.disks.iter().flat_map(|d| d.image.descriptors()));
        all.extend(self.drives.iter().filter_map(|drive| drive.descriptor()));
        all.extend(self.nics.iter().map(|n| n.tap.as_raw_fd()));
        let workers = self.nics.iter().filter_map(|n| n.vhost.as_ref());
        all.extend(workers.flat_map(|worker| worker.descriptors()));
        all.extend(self.vsock.iter().flat_map(|vsock| vsock.descriptors()));
        all.extend(self.shares.iter().flat_map(|s| s.server.descriptors()));
        all.extend(self.ground.descriptor());
        all.extend(self.rings.descriptors());
        all.extend(self.passthrough.descriptors());
        all.extend(self.rng.iter().map(|rng| rng.source.as_raw_fd()));
        all.extend(self.tpm.iter().flat_map(|tpm| {
            let module = tpm.lock().unwrap_or_else(PoisonError::into_inner);
            module.descriptors()
        }));
        all.extend(self.restore.iter().map(AsRawFd::as_raw_fd));
        let more_serial = listeners.more_serial.iter().flatten();
        all.extend(more_serial.map(AsRawFd::as_raw_fd));
        all.extend(listeners.console.iter().map(AsRawFd::as_raw_fd));
        all.extend(listeners.agent.iter().map(AsRawFd::as_raw_fd));
        all.extend(listeners.display.iter().map(AsRawFd::as_raw_fd));
        all
    }
}

fn drive(optical: &Optical, delivery: &mut Delivery) -> Result<Drive, Error> {
    let id = &optical.id;
    let medium = match optical.medium {
        None => None,
        Some(slot) => {
            let medium = Medium::new(delivery.file(id, slot)?);
            Some(medium.map_err(|e| invalid(id, e.to_string()))?)
        }
    };
    Ok(Drive::new(id, medium))
}

fn module(tpm: machine::Tpm, delivery: &mut Delivery) -> Result<Arc<Mutex<Module>>, Error> {
    let mut socket = |slot| delivery.take(tpm::NAME, slot).map(UnixStream::from);
    let (control, data) = (socket(tpm.control)?, socket(tpm.data)?);
    let emulator = Emulator::new(control, data);
    let emulator = emulator.map_err(|e| invalid(tpm::NAME, e.to_string()))?;
    let store = Store::open(delivery.file(tpm::NAME, tpm.state)?);
    let store = store.map_err(|e| invalid(tpm::NAME, e.to_string()))?;
    Ok(Arc::new(Mutex::new(Module::new(emulator, store))))
}

fn share_resource(share: Share, slot: u8, delivery: &mut Delivery) -> Result<ShareResource, Error> {
    let socket = UnixStream::from(delivery.take(&share.id, share.socket)?);
    let server = BackEnd::connect(socket, fs::QUEUES);
    Ok(ShareResource {
        slot,
        server: Arc::new(server.map_err(|e| invalid(&share.id, e.to_string()))?),
        id: share.id,
        tag: share.tag,
    })
}

/// Room for `most` bytes that may come to a machine of `memory` bytes, as far as its processors can
/// address them.
fn blocks(memory: u64, most: u64, kvm: &kvm_ioctls::Kvm) -> Result<Option<Arc<Blocks>>, Error> {
    let offer = Offer::of(kvm).map_err(|e| invalid("kvm", e.to_string()))?;
    let room = room_for_blocks(memory, most, offer.address_bits());
    Ok(room.map(|room| Arc::new(Blocks::new(memory, room))))
}

fn open_kvm(fd: OwnedFd) -> Result<kvm_ioctls::Kvm, Error> {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: the descriptor is ours and goes over to `Kvm`, which closes it.
    let kvm = unsafe { kvm_ioctls::Kvm::from_raw_fd(fd.into_raw_fd()) };
    let version = kvm.get_api_version();
    if version != kvm_bindings::KVM_API_VERSION as i32 {
        return Err(invalid("kvm", "it is not /dev/kvm"));
    }
    Ok(kvm)
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;

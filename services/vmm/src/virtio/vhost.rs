//! The kernel's own workers (`linux/vhost.h`): for a network card (`/dev/vhost-net`) it moves packets between
//! the guest's queues and a tap, for the socket device ([`super::vsock`]) between them and the host's sockets.
//! This process has only to pass its signals on to the driver.
//!
//! The kernel takes descriptors' addresses as the guest's and looks them up in a table of its memory. The
//! rings themselves it takes as addresses of this process: [`Ring`] makes sure that they lie in the
//! guest's memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use virtio_queue::{Queue, QueueT};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::delegated::{Calls, Delegate, Ring};
use super::worker::Live;
use super::{F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1, vsock};
use crate::event::Signal;
use crate::machine::memory::Memory;

/// Queues that it works on.
pub const QUEUES: usize = 2;
const F_MRG_RXBUF: u64 = 1 << 15;
/// Features that are the rings'; beside them a card has the headers', and all others are the tap's.
const RING_FEATURES: u64 = F_VERSION_1 | F_INDIRECT_DESC | F_EVENT_IDX;

pub(super) const fn ioc(direction: u64, number: u64, size: u64) -> u64 {
    const VHOST: u64 = 0xaf;
    direction << 30 | size << 16 | VHOST << 8 | number
}

const READ: u64 = 2;
pub(super) const WRITE: u64 = 1;
const GET_FEATURES: u64 = ioc(READ, 0x00, 8);
const SET_FEATURES: u64 = ioc(WRITE, 0x00, 8);
const SET_OWNER: u64 = ioc(0, 0x01, 0);
const SET_MEM_TABLE: u64 = ioc(WRITE, 0x03, 8);
const SET_VRING_NUM: u64 = ioc(WRITE, 0x10, 8);
const SET_VRING_ADDR: u64 = ioc(WRITE, 0x11, 40);
const SET_VRING_BASE: u64 = ioc(WRITE, 0x12, 8);
const GET_VRING_BASE: u64 = ioc(READ | WRITE, 0x12, 8);
const SET_VRING_KICK: u64 = ioc(WRITE, 0x20, 8);
const SET_VRING_CALL: u64 = ioc(WRITE, 0x21, 8);
const NET_SET_BACKEND: u64 = ioc(WRITE, 0x30, 8);

/// What making a worker asks for.
pub const MAIN_IOCTLS: &[u64] = &[GET_FEATURES, SET_OWNER, vsock::SET_GUEST_CID];
/// What starting and stopping ask for.
pub const WORKER_IOCTLS: &[u64] = &[
    SET_FEATURES,
    SET_MEM_TABLE,
    SET_VRING_NUM,
    SET_VRING_ADDR,
    SET_VRING_BASE,
    GET_VRING_BASE,
    SET_VRING_KICK,
    SET_VRING_CALL,
    NET_SET_BACKEND,
    vsock::SET_RUNNING,
];

/// `struct vhost_vring_state`, and `struct vhost_vring_file` with a descriptor as its number.
#[repr(C)]
struct Numbered {
    index: u32,
    number: i32,
}

/// `struct vhost_vring_addr`.
#[repr(C)]
struct Addresses {
    index: u32,
    flags: u32,
    descriptors: u64,
    used: u64,
    available: u64,
    log: u64,
}

/// `struct vhost_memory_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    guest: u64,
    len: u64,
    process: u64,
    reserved: u64,
}

/// Regions that a guest's memory can have.
const REGIONS: usize = 4;

/// `struct vhost_memory`.
#[repr(C)]
struct Table {
    count: u32,
    reserved: u32,
    regions: [Region; REGIONS],
}

/// An open device of the kernel's, for one of the guest.
pub(super) struct Vhost {
    device: File,
    supported: u64,
    calls: Calls,
}

impl Vhost {
    /// Makes an open device this process's, which must know these features of its kind.
    ///
    /// # Errors
    /// When it does not, or is no such device.
    pub fn new(device: File, features: u64) -> io::Result<Self> {
        let mut supported = 0u64;
        // SAFETY: the kernel writes eight bytes.
        unsafe { order(&device, GET_FEATURES, &raw mut supported) }?;
        let least = F_VERSION_1 | features;
        if supported & least != least {
            return Err(io::Error::other("it knows no modern devices"));
        }
        // SAFETY: no memory is involved.
        unsafe { order::<u8>(&device, SET_OWNER, std::ptr::null_mut()) }?;
        Ok(Self {
            device,
            supported,
            calls: Calls::new(QUEUES)?,
        })
    }

    /// What else the kernel knows of such a device.
    pub fn supports(&self, features: u64) -> u64 {
        self.supported & features
    }

    /// The device.
    pub fn device(&self) -> &File {
        &self.device
    }

    /// Every descriptor it has.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let mut all = self.calls.descriptors();
        all.push(self.device.as_raw_fd());
        all
    }

    /// How the kernel says that a queue has used buffers.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Tells the kernel where `queues` are, and that the driver uses these features, if it does.
    pub fn lend(
        &self,
        live: &Live,
        features: u64,
        queues: &[usize],
        kicks: &[Signal],
    ) -> io::Result<()> {
        let mut features = live.features & (RING_FEATURES | features);
        if features & !self.supported != 0 {
            return Err(io::Error::other("the driver uses what the kernel lacks"));
        }
        // SAFETY: the kernel reads eight bytes.
        unsafe { order(&self.device, SET_FEATURES, &raw mut features) }?;
        self.set_memory(&live.memory)?;
        for queue in queues {
            let ring = live.queues.get(*queue);
            let ring = ring.ok_or(io::ErrorKind::InvalidInput)?;
            let kick = kicks.get(*queue).ok_or(io::ErrorKind::InvalidInput)?;
            self.set_ring(*queue, ring, &live.memory, kick)?;
        }
        Ok(())
    }

    /// The number of buffers taken from a queue that the kernel does not work on.
    pub fn taken(&self, queue: usize) -> io::Result<u16> {
        let state = self.numbered(GET_VRING_BASE, queue, 0)?;
        u16::try_from(state).map_err(io::Error::other)
    }

    fn set_memory(&self, memory: &Memory) -> io::Result<()> {
        let mut table = Table {
            count: 0,
            reserved: 0,
            regions: [Region::default(); REGIONS],
        };
        for region in memory.iter() {
            let place = table.regions.get_mut(table.count as usize);
            *place.ok_or(io::ErrorKind::InvalidInput)? = Region {
                guest: region.start_addr().raw_value(),
                len: region.len(),
                process: region.as_ptr() as u64,
                reserved: 0,
            };
            table.count += 1;
        }
        // SAFETY: the kernel reads as many regions as the table says, which are there. It reaches them
        // by the rights of this process, whose mappings stay as long as a queue is live.
        unsafe { order(&self.device, SET_MEM_TABLE, &raw mut table) }
    }

    fn set_ring(
        &self,
        index: usize,
        queue: &Queue,
        memory: &Memory,
        kick: &Signal,
    ) -> io::Result<()> {
        let outside = || io::Error::other("a queue lies outside of memory");
        let ring = Ring::of(queue, memory).ok_or_else(outside)?;
        self.numbered(SET_VRING_NUM, index, queue.size().into())?;
        self.numbered(SET_VRING_BASE, index, queue.next_avail().into())?;
        let mut addresses = Addresses {
            index: index as u32,
            flags: 0,
            descriptors: ring.descriptors,
            used: ring.used,
            available: ring.available,
            log: 0,
        };
        // SAFETY: the kernel reads the structure; the addresses are those of guest memory, as long as
        // the ring.
        unsafe { order(&self.device, SET_VRING_ADDR, &raw mut addresses) }?;
        self.numbered(SET_VRING_KICK, index, kick.as_fd().as_raw_fd())?;
        let call = self.calls.bells().get(index);
        let call = call.ok_or(io::ErrorKind::InvalidInput)?.as_fd().as_raw_fd();
        self.numbered(SET_VRING_CALL, index, call)?;
        Ok(())
    }

    /// An order about a queue with a number or a descriptor; gives what the kernel made of the number.
    fn numbered(&self, code: u64, queue: usize, number: i32) -> io::Result<i32> {
        let mut argument = Numbered {
            index: queue as u32,
            number,
        };
        // SAFETY: the kernel reads the structure, and may write its number.
        unsafe { order(&self.device, code, &raw mut argument) }?;
        Ok(argument.number)
    }
}

/// The kernel's worker for a network card.
pub struct Card {
    vhost: Vhost,
    tap: Arc<File>,
}

impl Card {
    /// Makes the open `/dev/vhost-net` this process's, for packets from and to `tap`.
    ///
    /// # Errors
    /// When it is another device, or the kernel lacks what every card has.
    pub fn new(device: File, tap: Arc<File>) -> io::Result<Self> {
        let vhost = Vhost::new(device, F_MRG_RXBUF)?;
        Ok(Self { vhost, tap })
    }

    /// Every descriptor it has.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.vhost.descriptors()
    }

    fn try_start(&self, live: &Live, queues: &[usize], kicks: &[Signal]) -> io::Result<()> {
        self.vhost.lend(live, F_MRG_RXBUF, queues, kicks)?;
        let mut queues = queues.iter();
        queues.try_for_each(|queue| self.attach(*queue, Some(&self.tap)))
    }

    fn attach(&self, queue: usize, tap: Option<&File>) -> io::Result<()> {
        const NONE: RawFd = -1;
        let fd = tap.map_or(NONE, AsRawFd::as_raw_fd);
        let attached = self.vhost.numbered(NET_SET_BACKEND, queue, fd);
        attached.map(drop)
    }
}

impl Delegate for Card {
    fn start(&self, live: &Live, queues: &[usize], kicks: &[Signal]) -> io::Result<()> {
        let started = self.try_start(live, queues, kicks);
        if started.is_err() {
            for queue in queues {
                // It may never have had a tap.
                let _ = self.attach(*queue, None);
            }
        }
        started
    }

    fn stop(&self, queues: &[usize]) -> io::Result<Vec<u16>> {
        let stop = |queue: &usize| {
            self.attach(*queue, None)?;
            self.vhost.taken(*queue)
        };
        // Each, whatever becomes of those before it.
        let stopped: Vec<_> = queues.iter().map(stop).collect();
        stopped.into_iter().collect()
    }

    fn calls(&self) -> &Calls {
        self.vhost.calls()
    }
}

/// # Safety
/// `argument` must be what the order takes, and lead to nothing that may not be touched.
pub(super) unsafe fn order<T>(device: &File, code: u64, argument: *mut T) -> io::Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { libc::ioctl(device.as_raw_fd(), code, argument) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_device_is_taken() {
        let nothing = || File::open("/dev/null").unwrap();
        assert!(Card::new(nothing(), Arc::new(nothing())).is_err());
    }

    #[test]
    fn orders_are_numbered_as_the_kernel_does() {
        assert_eq!(GET_FEATURES, 0x8008_af00);
        assert_eq!(SET_OWNER, 0xaf01);
        assert_eq!(SET_VRING_ADDR, 0x4028_af11);
        assert_eq!(GET_VRING_BASE, 0xc008_af12);
        assert_eq!(NET_SET_BACKEND, 0x4008_af30);
        assert_eq!(size_of::<Addresses>(), 40);
        assert_eq!(size_of::<Table>(), 8 + 32 * REGIONS);
    }
}

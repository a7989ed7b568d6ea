//! Virtio 1.2 devices on PCI.
//!
//! A device has two halves. [`transport::VirtioPci`] is what the guest's processors touch:
//! configuration registers, features, status, queue addresses. [`worker`] is a thread that owns
//! the queues while the driver is on, and a [`worker::Backend`] (block, net, rng, balloon, mem, console,
//! input, gpu, file system, sockets) that does the work. [`Description`] is all the first half knows about the
//! second.
//!
//! Everything in a queue is hostile: [`chain`] turns descriptors into checked spans of memory.

pub mod balloon;
pub mod block;
pub mod budget;
pub mod chain;
pub mod console;
pub mod delegated;
pub mod fs;
pub mod gpu;
pub mod input;
pub mod interrupt;
pub mod mem;
pub mod net;
pub mod ports;
pub mod rng;
pub mod scsi;
#[cfg(test)]
pub(crate) mod testing;
pub mod transport;
pub mod vhost;
pub mod vhost_user;
pub mod vsock;
mod wake;
pub mod worker;

/// Feature bit every modern device has.
pub const F_VERSION_1: u64 = 1 << 32;
/// Descriptors may point to tables.
pub const F_INDIRECT_DESC: u64 = 1 << 28;
/// Interrupts and notifications by index.
pub const F_EVENT_IDX: u64 = 1 << 29;

/// Kind of device, by its virtio number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Network card.
    Net = 1,
    /// Disk.
    Block = 2,
    /// Console.
    Console = 3,
    /// Entropy source.
    Rng = 4,
    /// Memory balloon.
    Balloon = 5,
    /// SCSI host adapter.
    Scsi = 8,
    /// Display.
    Gpu = 16,
    /// Keyboard or pointer.
    Input = 18,
    /// Sockets.
    Vsock = 19,
    /// Memory that comes and goes.
    Memory = 24,
    /// File system.
    FileSystem = 26,
}

impl Kind {
    /// Whether the driver reads the device's own configuration again when it goes on from a saved state, so
    /// that it may be another there: a guest may have another context id (section 5.10.6.7).
    fn is_read_again(self) -> bool {
        self == Self::Vsock
    }

    /// PCI class, subclass and interface.
    fn class(self) -> [u8; 3] {
        match self {
            Self::Net => [0x02, 0x00, 0x00],
            Self::Block => [0x01, 0x80, 0x00],
            Self::Console => [0x07, 0x80, 0x00],
            Self::Rng => [0x10, 0x00, 0x00],
            Self::Balloon | Self::Memory => [0xff, 0x00, 0x00],
            Self::Scsi => [0x01, 0x00, 0x00],
            Self::Gpu => [0x03, 0x80, 0x00],
            Self::Input => [0x09, 0x80, 0x00],
            Self::FileSystem => [0x01, 0x80, 0x00],
            Self::Vsock => [0x07, 0x80, 0x00],
        }
    }
}

/// What the transport must know of a device.
#[derive(Debug, Clone)]
pub struct Description {
    /// Kind of device.
    pub kind: Kind,
    /// Features beyond the transport's own.
    pub features: u64,
    /// Largest size of each queue, powers of two.
    pub queues: Vec<u16>,
    /// The device's own configuration; read-only, unless the backend has [`Registers`] in its
    /// place, and then only the length counts.
    pub config: Vec<u8>,
}

/// A configuration that changes or that the driver writes (section 2.5). Called on virtual CPUs'
/// threads; must not wait.
pub trait Registers: Send + Sync {
    /// Fills `data` from `offset` on, zeros beyond the end.
    fn read(&self, offset: usize, data: &mut [u8]);
    /// The driver writes.
    fn write(&self, offset: usize, data: &[u8]);
}

impl Description {
    /// All features on offer.
    pub fn all_features(&self) -> u64 {
        self.features | F_VERSION_1 | F_INDIRECT_DESC | F_EVENT_IDX
    }
}

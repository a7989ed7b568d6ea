//! The network card: packets between the guest and a tap device.
//!
//! Each packet carries a virtio header in both directions (`IFF_VNET_HDR`), so checksums and
//! segmentation are left to whoever handles the packet last.
//!
//! Where the kernel can ([`super::vhost`]), it moves the packets; we do when it cannot, and while writes to
//! memory are noted, which it would not do.
//!
//! The guest is told whether the cable is plugged in (virtio 1.2 section 5.1.4); where it ends is the tap's
//! business.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use virtio_queue::QueueT;

use super::chain::Chain;
use super::delegated::{Delegate, Lease};
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};
use crate::event::Signal;

const TO_GUEST: usize = 0;
const FROM_GUEST: usize = 1;
const QUEUE_SIZE: u16 = 256;

const F_CSUM: u64 = 1 << 0;
const F_GUEST_CSUM: u64 = 1 << 1;
const F_MAC: u64 = 1 << 5;
const F_GUEST_TSO4: u64 = 1 << 7;
const F_GUEST_TSO6: u64 = 1 << 8;
const F_HOST_TSO4: u64 = 1 << 11;
const F_HOST_TSO6: u64 = 1 << 12;
const F_MRG_RXBUF: u64 = 1 << 15;
const F_STATUS: u64 = 1 << 16;

/// Where the configuration says whether the cable is plugged in: behind the hardware address.
pub const STATUS: usize = 6;
const LINK_UP: u16 = 1;

/// Length of the header before each packet.
pub const HEADER: usize = 12;
/// Where the header says how many chains a packet fills.
const CHAIN_COUNT: usize = 10;
/// Largest packet a tap gives, header included.
const MOST: usize = HEADER + 65550;
/// Packets per round in one direction, so that the other gets its turn.
const ROUND: usize = 256;

const TUNGETIFF: u64 = 0x8004_54d2;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const TUNSETVNETHDRSZ: u64 = 0x4004_54d8;
const TUN_F_CSUM: u64 = 1;
const TUN_F_TSO4: u64 = 2;
const TUN_F_TSO6: u64 = 4;
const IFF_TAP: i16 = 0x0002;
const IFF_VNET_HDR: i16 = 0x4000;

/// Bytes moved since the process started, without headers.
#[derive(Debug, Default)]
pub struct Counters {
    /// Towards the guest.
    pub received: AtomicU64,
    /// From the guest.
    pub sent: AtomicU64,
}

/// The status of a card whose cable is plugged in, or is not.
pub fn status(up: bool) -> [u8; 2] {
    if up { LINK_UP } else { 0 }.to_le_bytes()
}

/// What the transport needs to know of a card whose cable is plugged in, or is not.
pub fn description(mac: [u8; 6], up: bool) -> Description {
    let offloads = F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_HOST_TSO4 | F_HOST_TSO6;
    Description {
        kind: Kind::Net,
        features: F_MAC | F_STATUS | F_MRG_RXBUF | offloads,
        queues: vec![QUEUE_SIZE, QUEUE_SIZE],
        config: [&mac[..], &status(up)].concat(),
    }
}

/// Checks that a descriptor is an attached tap with headers, and makes it ready for use.
pub fn prepare_tap(tap: &File) -> io::Result<()> {
    let mut request = [0u8; 40];
    // SAFETY: the kernel fills an `ifreq` of 40 bytes.
    check(unsafe { libc::ioctl(tap.as_raw_fd(), TUNGETIFF, request.as_mut_ptr()) })?;
    let flags = i16::from_le_bytes([request[16], request[17]]);
    if flags & (IFF_TAP | IFF_VNET_HDR) != IFF_TAP | IFF_VNET_HDR {
        return Err(io::Error::other("it is no tap device with IFF_VNET_HDR"));
    }
    let size = HEADER as libc::c_int;
    // SAFETY: the kernel reads an int.
    check(unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETVNETHDRSZ, &raw const size) })?;
    // SAFETY: no memory is involved.
    let flags = check(unsafe { libc::fcntl(tap.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::fcntl(tap.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The device.
pub struct Net {
    tap: Arc<File>,
    counters: Arc<Counters>,
    buffer: Vec<u8>,
    /// Length of a packet in `buffer` that found no room in the guest.
    waiting: Option<usize>,
    /// How the kernel gets the queues, if it can move the packets.
    kernel: Option<Lease>,
}

/// What became of a packet for the guest.
enum Placed {
    Done,
    NoRoom,
}

impl Net {
    /// A card on `tap`, which [`prepare_tap`] has seen.
    pub fn new(tap: Arc<File>, counters: Arc<Counters>) -> Self {
        Self {
            tap,
            counters,
            // Takes no memory before the first packet: its pages come zeroed from the host.
            buffer: vec![0; MOST],
            waiting: None,
            kernel: None,
        }
    }

    /// The same card, whose packets the kernel moves, or whoever stands for it. `id` is the card's name
    /// in logs.
    pub fn by_kernel(self, id: &str, kernel: Arc<dyn Delegate>) -> Self {
        Self {
            kernel: Some(Lease::new(id, kernel)),
            ..self
        }
    }

    /// How the kernel has the queues, while it has them.
    fn lease(&self) -> Option<&Lease> {
        self.kernel.as_ref().filter(|kernel| kernel.is_lent())
    }

    fn take_back(&mut self, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        let kernel = self.kernel.as_mut();
        kernel.map_or(Ok(()), |kernel| kernel.take_back(live))
    }

    fn receive(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(TO_GUEST, |live| {
            for _ in 0..ROUND {
                let len = match self.waiting.take() {
                    Some(len) => len,
                    None => match (&*self.tap).read(&mut self.buffer) {
                        Ok(len) => len,
                        // Nothing more, or the tap is down: the next packet tells.
                        Err(_) => return Ok(Stopped::Early),
                    },
                };
                if len < HEADER {
                    continue;
                }
                match self.place(live, len)? {
                    Placed::Done => {}
                    Placed::NoRoom => {
                        self.waiting = Some(len);
                        return Ok(Stopped::Starved);
                    }
                }
            }
            Ok(Stopped::Early)
        })
    }

    /// Writes the packet in the buffer into as many chains as it needs.
    fn place(&mut self, live: &mut Live, len: usize) -> Result<Placed, BrokenQueue> {
        let start = live.queues[TO_GUEST].next_avail();
        let merge = live.has(F_MRG_RXBUF);
        let mut chains: Vec<Chain> = Vec::new();
        let mut room = 0;
        while room < len {
            match live.pop(TO_GUEST)? {
                Some(chain) => {
                    room += chain.writable.len();
                    chains.push(chain);
                }
                None => {
                    live.queues[TO_GUEST].set_next_avail(start);
                    return Ok(Placed::NoRoom);
                }
            }
            if !merge {
                break;
            }
        }
        let count = u16::try_from(chains.len()).map_err(|_| BrokenQueue)?;
        self.buffer[CHAIN_COUNT..HEADER].copy_from_slice(&count.to_le_bytes());
        let mut rest = &self.buffer[..len];
        for chain in chains {
            let written = chain.writable.write(&live.memory, rest);
            rest = &rest[written..];
            live.push(TO_GUEST, chain.head, written)?;
        }
        // What is left over belonged to a driver that offered too small a buffer.
        let delivered = len.saturating_sub(HEADER + rest.len());
        self.counters
            .received
            .fetch_add(delivered as u64, Ordering::Relaxed);
        Ok(Placed::Done)
    }

    fn send(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(FROM_GUEST, |live| {
            while let Some(chain) = live.pop(FROM_GUEST)? {
                let len = chain.readable.len();
                if (HEADER..=MOST).contains(&len) {
                    // A packet the tap does not take is a packet lost, as on any wire.
                    if chain.readable.send(&live.memory, self.tap.as_fd()).is_ok() {
                        self.counters
                            .sent
                            .fetch_add((len - HEADER) as u64, Ordering::Relaxed);
                    }
                }
                live.push(FROM_GUEST, chain.head, 0)?;
            }
            Ok(Stopped::Empty)
        })
    }
}

impl Backend for Net {
    fn activate(&mut self, live: &mut Live) -> io::Result<()> {
        let mut offloads = 0;
        for (feature, offload) in [
            (F_GUEST_CSUM, TUN_F_CSUM),
            (F_GUEST_TSO4, TUN_F_TSO4),
            (F_GUEST_TSO6, TUN_F_TSO6),
        ] {
            // Segmentation without checksums is nothing the kernel accepts.
            if live.has(feature) && live.has(F_GUEST_CSUM) {
                offloads |= offload;
            }
        }
        self.waiting = None;
        // SAFETY: the argument is a number.
        check(unsafe { libc::ioctl(self.tap.as_raw_fd(), TUNSETOFFLOAD, offloads) })?;
        Ok(())
    }

    fn connect(&mut self, kicks: &Arc<[Signal]>) {
        if let Some(kernel) = &mut self.kernel {
            kernel.connect(kicks);
        }
    }

    fn run(&mut self, live: &mut Live) {
        // Firmware's driver may do with less than the kernel.
        let ready = live.queues.iter().all(|queue| queue.ready());
        let Some(kernel) = self.kernel.as_mut().filter(|_| ready) else {
            return;
        };
        match kernel.give(live, vec![TO_GUEST, FROM_GUEST]) {
            Ok(()) if kernel.is_lent() => self.waiting = None,
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the kernel does not move a card's packets: the monitor does");
                self.kernel = None;
            }
        }
    }

    fn is_notified_elsewhere(&self) -> bool {
        self.lease().is_some()
    }

    fn note_writes(&mut self, on: bool, mut live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        if let Some(kernel) = &mut self.kernel {
            kernel.note_writes(on, live.as_deref_mut())?;
        }
        if let Some(live) = live {
            self.run(live);
        }
        Ok(())
    }

    fn quiesce(&mut self, live: &mut Live) -> Result<bool, BrokenQueue> {
        self.take_back(Some(live))?;
        Ok(true)
    }

    fn deactivated(&mut self) {
        // Without queues there is nothing to be wrong with.
        let _ = self.take_back(None);
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        match queue {
            _ if self.is_notified_elsewhere() => Ok(()),
            FROM_GUEST => self.send(live),
            _ => self.receive(live),
        }
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        if let Some(lease) = self.lease() {
            return lease.source();
        }
        // While a packet waits for room there is no use in watching for more.
        self.waiting.is_none().then(|| self.tap.as_fd())
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        match self.lease() {
            Some(lease) => lease.ready(live),
            None => self.receive(live),
        }
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;

//! The socket device (virtio 1.2 section 5.10): connections between programs of the guest and of the host
//! (`AF_VSOCK`), without a network.
//!
//! The host's kernel has the other ends of all connections (`/dev/vhost-vsock`, `linux/vhost.h`) and works on
//! the two queues for packets by itself. This process passes its signals on, and has the third queue, by
//! which the driver is told that all connections are gone: those of a saved state are.
//!
//! The kernel does not say what it writes to memory. While that is to be known, it stops, and connections
//! wait.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use super::delegated::{Calls, Delegate, Lease};
use super::vhost::{self, Vhost};
use super::worker::{Backend, BrokenQueue, Live};
use super::{Description, Kind};
use crate::event::Signal;

/// By which the kernel is told the guest's context id.
pub const SET_GUEST_CID: u64 = vhost::ioc(vhost::WRITE, 0x60, 8);
/// By which it begins to work, and stops.
pub const SET_RUNNING: u64 = vhost::ioc(vhost::WRITE, 0x61, 4);

/// Context ids that a guest can have (section 5.10.4): those below are the host's own, the last is everybody's.
pub const CONTEXTS: std::ops::Range<u32> = 3..u32::MAX;

/// Messages keep their bounds, where programs ask for that.
const F_SEQPACKET: u64 = 1 << 1;
/// The queue by which the driver is told of events; the first two are the kernel's.
const EVENTS: usize = vhost::QUEUES;
const PACKETS_SIZE: u16 = 128;
const EVENTS_SIZE: u16 = 16;
/// `VIRTIO_VSOCK_EVENT_TRANSPORT_RESET` (section 5.10.6.7): all connections are gone.
const TRANSPORT_RESET: u32 = 0;
/// Kept of a device whose driver is on: no more than that it was.
const WAS_ON: u8 = 1;

/// The kernel's part.
pub struct Kernel {
    vhost: Vhost,
    context: u32,
}

impl Kernel {
    /// Makes the open `/dev/vhost-vsock` the one of a guest.
    ///
    /// # Errors
    /// When it is another device, or another guest has that context id.
    pub fn new(device: File, context: u32) -> io::Result<Self> {
        let vhost = Vhost::new(device, 0)?;
        let mut wide = u64::from(context);
        // SAFETY: the kernel reads eight bytes.
        unsafe { vhost::order(vhost.device(), SET_GUEST_CID, &raw mut wide) }?;
        Ok(Self { vhost, context })
    }

    /// Every descriptor it has.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.vhost.descriptors()
    }

    /// What the transport needs to know.
    pub fn description(&self) -> Description {
        description(self.context, self.vhost.supports(F_SEQPACKET))
    }

    fn run(&self, on: bool) -> io::Result<()> {
        let mut on = i32::from(on);
        // SAFETY: the kernel reads an int.
        unsafe { vhost::order(self.vhost.device(), SET_RUNNING, &raw mut on) }
    }
}

impl Delegate for Kernel {
    fn start(&self, live: &Live, queues: &[usize], kicks: &[Signal]) -> io::Result<()> {
        self.vhost.lend(live, F_SEQPACKET, queues, kicks)?;
        self.run(true)
    }

    fn stop(&self, queues: &[usize]) -> io::Result<Vec<u16>> {
        self.run(false)?;
        let taken = queues.iter().map(|queue| self.vhost.taken(*queue));
        taken.collect()
    }

    fn calls(&self) -> &Calls {
        self.vhost.calls()
    }
}

/// What the transport needs to know of a device with this context id and these features of its kind.
pub fn description(context: u32, features: u64) -> Description {
    Description {
        kind: Kind::Vsock,
        features,
        queues: vec![PACKETS_SIZE, PACKETS_SIZE, EVENTS_SIZE],
        config: u64::from(context).to_le_bytes().to_vec(),
    }
}

/// The device.
pub struct Vsock {
    packets: Lease,
    events: Events,
}

impl Vsock {
    /// A device whose packets the kernel moves, or whoever stands for it.
    pub fn new(kernel: Arc<dyn Delegate>) -> Self {
        Self {
            packets: Lease::new("vsock", kernel),
            events: Events::default(),
        }
    }
}

impl Backend for Vsock {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        self.events = Events::default();
        Ok(())
    }

    fn connect(&mut self, kicks: &Arc<[Signal]>) {
        self.packets.connect(kicks);
    }

    fn run(&mut self, live: &mut Live) {
        // A driver that breaks its ring finds out when it offers something: see `kicked`.
        let _ = self.events.tell(live);
        if let Err(error) = self.packets.give(live, (0..vhost::QUEUES).collect()) {
            self.packets.lost(&error);
        }
    }

    fn is_notified_elsewhere(&self) -> bool {
        self.packets.is_lent()
    }

    fn note_writes(&mut self, on: bool, mut live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        self.packets.note_writes(on, live.as_deref_mut())?;
        if let Some(live) = live {
            self.run(live);
        }
        Ok(())
    }

    fn quiesce(&mut self, live: &mut Live) -> Result<bool, BrokenQueue> {
        self.packets.take_back(Some(live))?;
        Ok(true)
    }

    fn deactivated(&mut self) {
        // Without queues there is nothing to be wrong with.
        let _ = self.packets.take_back(None);
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        match queue {
            EVENTS => self.events.tell(live),
            _ => self.packets.kicked(live, queue),
        }
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.packets.source()
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.packets.ready(live)
    }

    fn save(&self) -> Vec<u8> {
        vec![WAS_ON]
    }

    /// The host's ends of the connections are not here.
    fn restore(&mut self, _saved: &[u8], live: &mut Live) {
        self.events.reset = true;
        let _ = self.events.tell(live);
    }
}

/// What the driver is to be told.
#[derive(Debug, Default)]
struct Events {
    /// All connections are gone.
    reset: bool,
}

impl Events {
    /// Tells the driver, if it has left room for that.
    fn tell(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        if !self.reset {
            return Ok(());
        }
        let Some(chain) = live.pop(EVENTS)? else {
            return Ok(());
        };
        let event = TRANSPORT_RESET.to_le_bytes();
        let written = chain.writable.write(&live.memory, &event);
        live.push(EVENTS, chain.head, written)?;
        live.interrupts.queue(EVENTS);
        self.reset = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::{Clerk, Driver, Part};

    #[test]
    fn orders_are_numbered_as_the_kernel_does() {
        assert_eq!(SET_GUEST_CID, 0x4008_af60);
        assert_eq!(SET_RUNNING, 0x4004_af61);
        assert!(Kernel::new(File::open("/dev/null").unwrap(), 100).is_err());
    }

    #[test]
    fn the_driver_reads_its_context() {
        let description = description(0x1234, F_SEQPACKET);
        assert_eq!(description.config, [0x34, 0x12, 0, 0, 0, 0, 0, 0]);
        assert_eq!(description.queues.len(), 3);
    }

    #[test]
    fn connections_of_a_saved_state_are_gone_and_told_so_once() {
        let mut driver = Driver::new(3);
        let mut events = Events { reset: true };
        // Without room it waits.
        events.tell(&mut driver.live).unwrap();
        assert!(events.reset);
        driver.submit_to(EVENTS, &[Part::In(8)]);
        events.tell(&mut driver.live).unwrap();
        assert_eq!(driver.completed_on(EVENTS), Some(4));
        driver.submit_to(EVENTS, &[Part::In(8)]);
        events.tell(&mut driver.live).unwrap();
        assert_eq!(driver.completed_on(EVENTS), None);
    }

    #[test]
    fn the_kernel_has_the_packets_but_while_writes_are_noted() {
        let kernel = Arc::new(Clerk::new(vhost::QUEUES));
        let mut device = Vsock::new(kernel.clone());
        let mut driver = Driver::new(3);
        let live = &mut driver.live;
        device.run(live);
        assert_eq!(kernel.has(), [0, 1]);
        device.note_writes(true, Some(live)).unwrap();
        assert!(kernel.has().is_empty());
        device.kicked(live, 0).unwrap();
        device.note_writes(false, Some(live)).unwrap();
        assert_eq!(kernel.has(), [0, 1]);
        device.quiesce(live).unwrap();
        assert!(device.kicked(live, 1).is_err(), "nobody takes packets");
        device.kicked(live, EVENTS).unwrap();
    }
}

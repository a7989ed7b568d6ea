//! How devices raise interrupts: message-signalled ones, and lines of the interrupt controller.
//!
//! Messages go to KVM one call each (`KVM_SIGNAL_MSI`). For devices that live in this process an
//! eventfd bound to a route would cost the same system call and add a table to keep in step with
//! the guest's every change of affinity. Those whose work the kernel does have such eventfds:
//! [`super::routes`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::kvm_msi;
use kvm_ioctls::VmFd;

/// Where interrupts go: KVM, or a recorder in tests.
pub trait InterruptSink: Send + Sync {
    /// Sends one message.
    fn message(&self, address: u64, data: u32);
    /// Sets the level of a line.
    fn line(&self, gsi: u32, high: bool);
}

impl InterruptSink for VmFd {
    fn message(&self, address: u64, data: u32) {
        let msi = kvm_msi {
            address_lo: address as u32,
            address_hi: (address >> 32) as u32,
            data,
            ..Default::default()
        };
        // The guest chose address and data; what KVM cannot deliver is the guest's loss alone.
        let _undeliverable = self.signal_msi(msi);
    }

    fn line(&self, gsi: u32, high: bool) {
        // Fails for lines beyond the controller only, and those are never handed out.
        let _ = self.set_irq_line(gsi, high);
    }
}

/// A level-triggered line several devices may hold up.
pub struct SharedLine {
    gsi: u32,
    sink: Arc<dyn InterruptSink>,
    holders: Mutex<u32>,
}

impl SharedLine {
    /// A line nobody holds.
    pub fn new(gsi: u32, sink: Arc<dyn InterruptSink>) -> Arc<Self> {
        Arc::new(Self {
            gsi,
            sink,
            holders: Mutex::new(0),
        })
    }

    fn set(&self, holder: u8, high: bool) {
        // The lock is held across the call so that two devices cannot cross.
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let bit = 1u32 << (holder & 31);
        let next = if high {
            *holders | bit
        } else {
            *holders & !bit
        };
        if (next != 0) != (*holders != 0) {
            self.sink.line(self.gsi, next != 0);
        }
        *holders = next;
    }
}

/// A line whose edges are interrupts, as on an ISA bus; several devices may raise them.
pub struct EdgeLine {
    gsi: u32,
    sink: Arc<dyn InterruptSink>,
    /// Held from one edge to the other: a device that raises the line while another has it up makes no
    /// edge, and its interrupt would be lost.
    pulse: Mutex<()>,
}

impl EdgeLine {
    /// A line that is down.
    pub fn new(gsi: u32, sink: Arc<dyn InterruptSink>) -> Arc<Self> {
        Arc::new(Self {
            gsi,
            sink,
            pulse: Mutex::new(()),
        })
    }

    /// Raises the line and lets it fall.
    pub fn pulse(&self) {
        let _whole = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        self.sink.line(self.gsi, true);
        self.sink.line(self.gsi, false);
    }
}

/// One device's part in a [`SharedLine`].
pub struct LineHolder {
    line: Arc<SharedLine>,
    holder: u8,
    level: AtomicU32,
}

impl LineHolder {
    /// The part of PCI device number `holder`.
    pub fn new(line: Arc<SharedLine>, holder: u8) -> Self {
        Self {
            line,
            holder,
            level: AtomicU32::new(0),
        }
    }

    /// Holds the line up or lets go.
    pub fn set(&self, high: bool) {
        if self.level.swap(u32::from(high), Ordering::AcqRel) != u32::from(high) {
            self.line.set(self.holder, high);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What a [`Recorder`] saw.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Raised {
        Message(u64, u32),
        Line(u32, bool),
    }

    /// Remembers every interrupt.
    #[derive(Default)]
    pub struct Recorder(pub Mutex<Vec<Raised>>);

    impl Recorder {
        /// Everything since the last call.
        pub fn take(&self) -> Vec<Raised> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl InterruptSink for Recorder {
        fn message(&self, address: u64, data: u32) {
            self.0.lock().unwrap().push(Raised::Message(address, data));
        }
        fn line(&self, gsi: u32, high: bool) {
            self.0.lock().unwrap().push(Raised::Line(gsi, high));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Raised, Recorder};
    use super::*;

    #[test]
    fn every_device_on_a_line_makes_an_edge_of_its_own() {
        const EACH: usize = 2000;
        let recorder = Arc::new(Recorder::default());
        let line = EdgeLine::new(4, recorder.clone());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..EACH).for_each(|_| line.pulse()));
            }
        });
        let pulse = [Raised::Line(4, true), Raised::Line(4, false)];
        assert_eq!(recorder.take(), pulse.repeat(2 * EACH));
    }

    #[test]
    fn a_shared_line_falls_when_the_last_holder_lets_go() {
        let recorder = Arc::new(Recorder::default());
        let line = SharedLine::new(17, recorder.clone());
        let one = LineHolder::new(line.clone(), 1);
        let two = LineHolder::new(line, 5);
        one.set(true);
        two.set(true);
        one.set(true);
        one.set(false);
        two.set(false);
        assert_eq!(
            recorder.take(),
            vec![Raised::Line(17, true), Raised::Line(17, false)]
        );
    }
}

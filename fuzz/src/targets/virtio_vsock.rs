//! The socket device's queues, of which the kernel has those for packets.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::event::Signal;
use basalt_vmm::virtio::delegated::{Calls, Delegate, Ring};
use basalt_vmm::virtio::vsock::{self, Vsock};
use basalt_vmm::virtio::worker::Live;
use virtio_queue::QueueT;

/// Stands for the kernel. How far its work is depends on rings that are the guest's to write, so it may be
/// anywhere.
struct Kernel {
    calls: Calls,
    taken: AtomicU16,
}

impl Delegate for Kernel {
    fn start(&self, live: &Live, queues: &[usize], _kicks: &[Signal]) -> io::Result<()> {
        for queue in queues {
            let queue = &live.queues[*queue];
            assert!(queue.ready(), "a queue is lent that the driver left out");
            Ring::of(queue, &live.memory).ok_or(io::ErrorKind::InvalidInput)?;
        }
        Ok(())
    }

    fn stop(&self, queues: &[usize]) -> io::Result<Vec<u16>> {
        Ok(vec![self.taken.load(Ordering::Relaxed); queues.len()])
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let description = vsock::description(3, u64::MAX);
    let kernel = Arc::new(Kernel {
        calls: Calls::new(description.queues.len()).expect("eventfds can be had"),
        taken: AtomicU16::new(0),
    });
    let mut device = Vsock::new(kernel.clone());
    virtio::play(
        &description,
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            kernel.taken.store(input.word(), Ordering::Relaxed);
            let bells = kernel.calls.bells();
            bells[input.below(bells.len())].raise();
        },
    );
}

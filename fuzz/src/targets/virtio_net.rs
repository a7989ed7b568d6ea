//! The network card's queues, with a pair of sockets for the tap.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use crate::input::Input;
use crate::{machine, virtio};
use basalt_vmm::virtio::net::{self, Net};

/// Longest packet that comes from outside, header included.
const LONGEST: usize = 4096;

/// Plays one input.
pub fn run(data: &[u8]) {
    let (tap, wire) = UnixDatagram::pair().expect("sockets can be had");
    for end in [&tap, &wire] {
        end.set_nonblocking(true).expect("a socket need not block");
    }
    let mut device = Net::new(Arc::new(File::from(OwnedFd::from(tap))), Arc::default());
    virtio::play(
        &net::description([2, 0, 0, 0, 0, 1], true),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            let mut packet = vec![0; usize::from(input.word()) % LONGEST];
            let bytes = input.bytes(packet.len().min(64));
            packet[..bytes.len()].copy_from_slice(bytes);
            // A full wire loses packets.
            let _ = wire.send(&packet);
            while wire.recv(&mut [0; 16]).is_ok() {}
        },
    );
}

//! Packets both ways, with a pair of datagram sockets in place of the tap.

use super::*;
use crate::virtio::testing::{Clerk, Driver, Part};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

fn card() -> (Net, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let tap = Arc::new(File::from(OwnedFd::from(ours)));
    (Net::new(tap, Arc::default()), theirs)
}

#[test]
fn a_packet_is_sent_with_its_header() {
    let (mut net, wire) = card();
    let mut driver = Driver::new(2);
    driver.submit_to(
        FROM_GUEST,
        &[Part::Out(vec![0; HEADER]), Part::Out(b"frame".to_vec())],
    );
    net.kicked(&mut driver.live, FROM_GUEST).unwrap();
    let mut packet = [1; 64];
    assert_eq!(wire.recv(&mut packet).unwrap(), HEADER + 5);
    assert_eq!(&packet[HEADER..HEADER + 5], b"frame");
    assert_eq!(net.counters.sent.load(Ordering::Relaxed), 5);
}

#[test]
fn packets_too_short_or_too_long_are_dropped() {
    let (mut net, wire) = card();
    let mut driver = Driver::new(2);
    let long = vec![Part::Out(vec![0; 40_000]), Part::Out(vec![0; 40_000])];
    for parts in [vec![Part::Out(vec![0; HEADER - 1])], long] {
        driver.submit_to(FROM_GUEST, &parts);
        net.kicked(&mut driver.live, FROM_GUEST).unwrap();
        assert_eq!(driver.completed_on(FROM_GUEST), Some(0));
    }
    assert!(wire.recv(&mut [0; 64]).is_err());
}

#[test]
fn a_large_packet_fills_several_chains() {
    let (mut net, wire) = card();
    let mut driver = Driver::new(2);
    driver.live.features = F_MRG_RXBUF;
    let mut packet = vec![0; HEADER];
    packet.extend((0..100).collect::<Vec<u8>>());
    wire.send(&packet).unwrap();
    net.ready(&mut driver.live).unwrap();
    assert_eq!(net.waiting, Some(packet.len()), "no room yet");
    assert!(net.source().is_none());

    driver.submit_to(TO_GUEST, &[Part::In(64)]);
    net.kicked(&mut driver.live, TO_GUEST).unwrap();
    assert_eq!(
        driver.completed_on(TO_GUEST),
        None,
        "one chain is not enough"
    );
    driver.submit_to(TO_GUEST, &[Part::In(64)]);
    net.kicked(&mut driver.live, TO_GUEST).unwrap();
    assert_eq!(driver.completed_on(TO_GUEST), Some(64));
    assert_eq!(driver.completed_on(TO_GUEST), Some(48));
    // Both chains name the same buffer, so the second part is what is left to see.
    assert_eq!(driver.bytes_of(0, 48), (52..100).collect::<Vec<u8>>());
    assert_eq!(net.counters.received.load(Ordering::Relaxed), 100);
    assert!(net.source().is_some());
}

#[test]
fn without_merging_a_packet_is_cut_to_its_chain() {
    let (mut net, wire) = card();
    let mut driver = Driver::new(2);
    driver.submit_to(TO_GUEST, &[Part::In(32)]);
    wire.send(&[5; 112]).unwrap();
    net.ready(&mut driver.live).unwrap();
    assert_eq!(driver.completed_on(TO_GUEST), Some(32));
    assert_eq!(driver.bytes_of(0, 32)[CHAIN_COUNT..HEADER], [1, 0]);
}

#[test]
fn noise_is_survived() {
    let mut seed = 88_172_645_463_325_252u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..500 {
        let (mut net, wire) = card();
        let mut driver = Driver::new(2);
        driver.live.features = F_MRG_RXBUF;
        driver.scramble(&mut random);
        wire.send(&[0; 1500]).unwrap();
        let _ = net.ready(&mut driver.live);
    }
}

#[test]
fn only_a_tap_is_a_tap() {
    assert!(prepare_tap(&File::open("/dev/null").unwrap()).is_err());
}

#[test]
fn the_kernel_moves_packets_while_it_has_the_queues() {
    let kernel = Arc::new(Clerk::new(2));
    let (net, wire) = card();
    let mut net = net.by_kernel("net0", kernel.clone());
    let mut driver = Driver::new(2);
    driver.live.queues[TO_GUEST].set_ready(false);
    net.run(&mut driver.live);
    assert!(kernel.has().is_empty(), "a driver that only sends");
    driver.live.queues[TO_GUEST].set_ready(true);
    net.run(&mut driver.live);
    assert_eq!(kernel.has(), [TO_GUEST, FROM_GUEST]);

    driver.submit_to(FROM_GUEST, &[Part::Out(vec![0; HEADER + 5])]);
    net.kicked(&mut driver.live, FROM_GUEST).unwrap();
    assert!(wire.recv(&mut [0; 64]).is_err(), "it is the kernel's");
    net.note_writes(true, Some(&mut driver.live)).unwrap();
    assert!(kernel.has().is_empty());
    net.kicked(&mut driver.live, FROM_GUEST).unwrap();
    assert_eq!(wire.recv(&mut [0; 64]).unwrap(), HEADER + 5);
    net.note_writes(false, Some(&mut driver.live)).unwrap();
    assert_eq!(kernel.has(), [TO_GUEST, FROM_GUEST]);

    // One that cannot go on is done without.
    net.quiesce(&mut driver.live).unwrap();
    kernel.end();
    net.run(&mut driver.live);
    driver.submit_to(FROM_GUEST, &[Part::Out(vec![0; HEADER + 5])]);
    net.kicked(&mut driver.live, FROM_GUEST).unwrap();
    assert_eq!(wire.recv(&mut [0; 64]).unwrap(), HEADER + 5);
}

#[test]
fn the_configuration_is_address_and_cable() {
    let config = |up| description([2, 0, 0, 0, 0, 9], up).config;
    assert_eq!(config(true), [2, 0, 0, 0, 0, 9, 1, 0]);
    assert_eq!(config(false)[STATUS..], status(false));
    assert_eq!(status(false), [0, 0]);
}

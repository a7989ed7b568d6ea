use super::*;
use crate::virtio::testing::{Driver, Part};

fn driver() -> Driver {
    let mut driver = Driver::new(6);
    driver.live.features = F_MULTIPORT;
    driver
}

fn device(channel: &Arc<Channel>) -> Ports {
    Ports::new(None, channel.clone()).unwrap()
}

fn say(driver: &mut Driver, ports: &mut Ports, port: u32, event: u16, value: u16) {
    let mut message = port.to_le_bytes().to_vec();
    message.extend(event.to_le_bytes());
    message.extend(value.to_le_bytes());
    driver.submit_to(CONTROL_FROM_GUEST, &[Part::Out(message)]);
    ports.kicked(&mut driver.live, CONTROL_FROM_GUEST).unwrap();
    assert_eq!(driver.completed_on(CONTROL_FROM_GUEST), Some(0));
}

/// The next control message: port, event, value, and what follows.
fn hear(driver: &mut Driver, ports: &mut Ports) -> Option<(u32, u16, u16, Vec<u8>)> {
    driver.submit_to(CONTROL_TO_GUEST, &[Part::In(64)]);
    ports.kicked(&mut driver.live, CONTROL_TO_GUEST).unwrap();
    let len = driver.completed_on(CONTROL_TO_GUEST)? as usize;
    let bytes = driver.bytes_of(0, len);
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let port = u32::from(half(0)) | u32::from(half(2)) << 16;
    Some((port, half(4), half(6), bytes[8..].to_vec()))
}

/// A driver that knows the agent's port, with its program listening.
fn connected(channel: &Arc<Channel>) -> (Driver, Ports) {
    let (mut driver, mut ports) = (driver(), device(channel));
    say(&mut driver, &mut ports, u32::MAX, event::DEVICE_READY, 1);
    assert_eq!(
        hear(&mut driver, &mut ports),
        Some((AGENT_PORT, event::DEVICE_ADD, 1, vec![]))
    );
    say(&mut driver, &mut ports, AGENT_PORT, event::PORT_READY, 1);
    let name = AGENT_NAME.as_bytes().to_vec();
    assert_eq!(
        hear(&mut driver, &mut ports),
        Some((AGENT_PORT, event::PORT_NAME, 1, name))
    );
    assert!(!channel.guest_listens());
    say(&mut driver, &mut ports, AGENT_PORT, event::PORT_OPEN, 1);
    assert!(channel.guest_listens());
    (driver, ports)
}

#[test]
fn the_driver_learns_of_the_port_and_of_who_is_there() {
    let channel = Channel::new().unwrap();
    let (mut driver, mut ports) = connected(&channel);
    assert_eq!(hear(&mut driver, &mut ports), None);
    channel.set_host(true);
    ports.ready(&mut driver.live).unwrap();
    assert_eq!(driver.completed_on(CONTROL_TO_GUEST), Some(8));
    channel.set_host(false);
    assert_eq!(
        hear(&mut driver, &mut ports),
        Some((AGENT_PORT, event::PORT_OPEN, 0, vec![]))
    );
    ports.deactivated();
    assert!(!channel.guest_listens());
}

#[test]
fn bytes_go_both_ways_and_to_nobody_else() {
    let channel = Channel::new().unwrap();
    let (mut driver, mut ports) = connected(&channel);
    channel.set_host(true);
    channel.write(b"{}\n");
    driver.submit_to(AGENT_TO_GUEST, &[Part::In(16)]);
    ports.kicked(&mut driver.live, AGENT_TO_GUEST).unwrap();
    assert_eq!(driver.completed_on(AGENT_TO_GUEST), Some(3));
    assert_eq!(driver.bytes_of(0, 3), b"{}\n");
    let answer = b"{\"return\": {}}\n".to_vec();
    driver.submit_to(AGENT_FROM_GUEST, &[Part::Out(answer.clone())]);
    ports.kicked(&mut driver.live, AGENT_FROM_GUEST).unwrap();
    assert_eq!(driver.completed_on(AGENT_FROM_GUEST), Some(0));
    assert_eq!(channel.read(64), answer);
}

#[test]
fn a_guest_that_floods_waits_until_somebody_reads() {
    let channel = Channel::new().unwrap();
    let (mut driver, mut ports) = connected(&channel);
    channel.set_host(true);
    let mut taken = 0;
    for _ in 0..8 {
        let flood = vec![b'x'; 32 * 1024];
        driver.submit_to(AGENT_FROM_GUEST, &[Part::Out(flood)]);
        ports.kicked(&mut driver.live, AGENT_FROM_GUEST).unwrap();
        taken += u32::from(driver.completed_on(AGENT_FROM_GUEST).is_some());
    }
    assert_eq!(taken, 2, "no more than there is room for");
    assert_eq!(channel.read(usize::MAX).len(), crate::channel::ROOM);
    ports.ready(&mut driver.live).unwrap();
    assert!(driver.completed_on(AGENT_FROM_GUEST).is_some());
}

#[test]
fn messages_of_the_driver_wait_when_it_takes_no_answers() {
    let channel = Channel::new().unwrap();
    let (mut driver, mut ports) = (driver(), device(&channel));
    let mut ready = u32::MAX.to_le_bytes().to_vec();
    ready.extend([0, 0, 1, 0]);
    for _ in 0..64 {
        driver.submit_to(CONTROL_FROM_GUEST, &[Part::Out(ready.clone())]);
    }
    ports.kicked(&mut driver.live, CONTROL_FROM_GUEST).unwrap();
    assert_eq!(ports.messages.len(), MOST_MESSAGES);
    let served = |driver: &mut Driver| {
        let done = std::iter::from_fn(|| driver.completed_on(CONTROL_FROM_GUEST));
        done.count()
    };
    assert_eq!(served(&mut driver), MOST_MESSAGES);
    assert!(hear(&mut driver, &mut ports).is_some());
    assert_eq!(served(&mut driver), 64 - MOST_MESSAGES, "the others came");
}

#[test]
fn a_saved_port_goes_on_without_its_host() {
    let channel = Channel::new().unwrap();
    let (mut driver, mut ports) = connected(&channel);
    channel.set_host(true);
    assert_eq!(
        hear(&mut driver, &mut ports),
        Some((AGENT_PORT, event::PORT_OPEN, 1, vec![]))
    );
    let saved = ports.save();
    let elsewhere = Channel::new().unwrap();
    let mut ports = device(&elsewhere);
    ports.activate(&mut driver.live).unwrap();
    ports.restore(&saved, &mut driver.live);
    assert!(elsewhere.guest_listens());
    assert_eq!(
        hear(&mut driver, &mut ports),
        Some((AGENT_PORT, event::PORT_OPEN, 0, vec![]))
    );
    for len in 0..8 {
        ports.restore(&vec![0xff; len], &mut driver.live);
    }
}

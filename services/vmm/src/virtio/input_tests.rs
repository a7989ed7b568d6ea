use super::*;
use crate::virtio::testing::{Driver, Part};

fn device(model: Model) -> (Device, Arc<Handle>, Driver) {
    let mut device = Device::new(model).unwrap();
    let mut driver = Driver::new(2);
    device.activate(&mut driver.live).unwrap();
    let handle = device.handle();
    (device, handle, driver)
}

/// Gives the device buffers until it has no more events.
fn fetch(device: &mut Device, driver: &mut Driver) -> Vec<(u16, u16, u32)> {
    let mut all = Vec::new();
    loop {
        driver.submit_to(EVENTS, &[Part::In(8)]);
        device.ready(&mut driver.live).unwrap();
        let Some(len) = driver.completed_on(EVENTS) else {
            return all;
        };
        assert_eq!(len, 8);
        let bytes = driver.bytes_of(0, 8);
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let value = u32::from(short(4)) | u32::from(short(6)) << 16;
        all.push((short(0), short(2), value));
    }
}

#[test]
fn keys_arrive_in_reports_once_the_driver_listens() {
    let mut deaf = Device::new(Model::Keyboard).unwrap();
    deaf.handle().key(Key(30), true);
    assert!(!deaf.handle().takes_keys());
    let mut driver = Driver::new(2);
    deaf.activate(&mut driver.live).unwrap();
    assert!(deaf.handle().takes_keys() && !deaf.handle().takes_pointer());
    let handle = deaf.handle();
    handle.key(Key(30), true);
    handle.key(Key(30), true);
    handle.key(Key(31), false);
    handle.key(Key(30), false);
    let expected = [(1, 30, 1), (0, 0, 0), (1, 30, 0), (0, 0, 0)];
    assert_eq!(fetch(&mut deaf, &mut driver), expected);
    deaf.deactivated();
    assert!(!handle.takes_keys());
}

#[test]
fn the_tablet_reports_what_changed() {
    let (mut device, handle, mut driver) = device(Model::Tablet);
    let left = Buttons {
        left: true,
        ..Buttons::default()
    };
    handle.pointer(Position { x: 5, y: 6 }, left, 0);
    handle.pointer(Position { x: 5, y: 7 }, Buttons::default(), -1);
    handle.pointer(Position { x: 5, y: 7 }, Buttons::default(), 0);
    let expected = [
        (EV_ABS, 0, 5),
        (EV_ABS, 1, 6),
        (EV_KEY, BTN_LEFT, 1),
        (0, 0, 0),
        (EV_ABS, 1, 7),
        (EV_REL, REL_WHEEL, u32::MAX),
        (EV_KEY, BTN_LEFT, 0),
        (0, 0, 0),
    ];
    assert_eq!(fetch(&mut device, &mut driver), expected);
}

#[test]
fn a_guest_that_fetches_nothing_costs_little_and_no_key_sticks() {
    let (mut device, handle, mut driver) = device(Model::Keyboard);
    for round in 0..10_000u16 {
        handle.key(Key(30 + round % 50), true);
    }
    for key in 30..80 {
        handle.key(Key(key), false);
    }
    assert!(handle.state().waiting.len() < 2 * MAX_WAITING);
    let events = fetch(&mut device, &mut driver);
    let count = |value| {
        events
            .iter()
            .filter(|(k, _, v)| *k == 1 && *v == value)
            .count()
    };
    assert_eq!((count(1), count(0)), (50, 50));

    let (_device, handle, _driver) = self::device(Model::Tablet);
    for place in 0..10_000 {
        handle.pointer(Position { x: place, y: place }, Buttons::default(), 1);
    }
    assert!(handle.state().waiting.len() < MAX_WAITING + 8);
}

#[test]
fn keys_that_were_held_are_let_go_after_a_restore() {
    let (device, handle, _driver) = device(Model::Keyboard);
    handle.key(Key(29), true);
    handle.key(Key(46), true);
    let saved = device.save();
    let (mut other, _handle, mut driver) = self::device(Model::Keyboard);
    other.restore(&saved, &mut driver.live);
    let expected = [(1, 29, 0), (1, 46, 0), (0, 0, 0)];
    assert_eq!(fetch(&mut other, &mut driver), expected);
}

#[test]
fn the_driver_reads_what_it_selects() {
    let ask = |model, select, subselect| {
        let device = Device::new(model).unwrap();
        let registers = device.registers().unwrap();
        registers.write(0, &[select]);
        registers.write(1, &[subselect]);
        let mut all = [0; CONFIG + 8];
        registers.read(0, &mut all);
        all[8..8 + usize::from(all[2])].to_vec()
    };
    assert_eq!(ask(Model::Keyboard, CFG_NAME, 0), b"Basalt keyboard");
    let keys = ask(Model::Keyboard, CFG_BITS, 1);
    assert_eq!(keys[3] & 1 << 6, 1 << 6, "key A");
    assert_eq!(ask(Model::Tablet, CFG_BITS, 3), [3]);
    assert_eq!(ask(Model::Tablet, CFG_ABS, 1)[4..8], [0xff, 0x7f, 0, 0]);
    assert!(ask(Model::Keyboard, CFG_ABS, 0).is_empty());
    assert!(ask(Model::Keyboard, 77, 77).is_empty());
}

#[test]
fn buffers_too_small_and_noise_are_survived() {
    let (mut device, handle, mut driver) = device(Model::Keyboard);
    handle.key(Key(30), true);
    driver.submit_to(EVENTS, &[Part::In(3)]);
    device.ready(&mut driver.live).unwrap();
    assert_eq!(driver.completed_on(EVENTS), Some(3));
    let mut state = 7u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..200 {
        let (mut device, handle, mut driver) = self::device(Model::Keyboard);
        driver.scramble(&mut random);
        handle.key(Key(30), true);
        let _ = device.ready(&mut driver.live);
        let _ = device.kicked(&mut driver.live, STATUS);
    }
}

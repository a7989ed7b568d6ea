use super::*;
use crate::machine::layout::MIB;
use crate::virtio::testing::{Driver, Part};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

const PLACE: GuestAddress = GuestAddress(0x80_0000);

fn bench(features: u64) -> (Driver, Arc<Levers>, Balloon) {
    let mut driver = Driver::new(5);
    driver.live.features = features;
    let levers = Arc::new(Levers::new(32 * MIB, 32 * MIB));
    let balloon = Balloon::new(levers.clone());
    (driver, levers, balloon)
}

fn list(pages: &[u32]) -> Part {
    Part::Out(pages.iter().flat_map(|page| page.to_le_bytes()).collect())
}

fn byte(driver: &Driver, address: u64) -> u8 {
    driver.live.memory.read_obj(GuestAddress(address)).unwrap()
}

#[test]
fn pages_in_the_balloon_go_back_to_the_host_and_are_noted() {
    let (mut driver, _, mut balloon) = bench(0);
    let full = vec![7u8; 4 * PAGE as usize];
    driver.live.memory.write_slice(&full, PLACE).unwrap();
    let region = driver.live.memory.find_region(PLACE).unwrap();
    region.get_mmap().bitmap().note(true);
    let first = (PLACE.0 / PAGE) as u32;
    // Backwards, twice, and two that are nowhere.
    driver.submit_to(
        INFLATE,
        &[list(&[first + 1, first, first, u32::MAX, 0x10_0000])],
    );
    balloon.kicked(&mut driver.live, INFLATE).unwrap();
    assert_eq!(driver.completed_on(INFLATE), Some(0));
    assert_eq!(
        (byte(&driver, PLACE.0), byte(&driver, PLACE.0 + PAGE)),
        (0, 0)
    );
    assert_eq!(byte(&driver, PLACE.0 + 2 * PAGE), 7);
    let region = driver.live.memory.find_region(PLACE).unwrap();
    let noted = region.get_mmap().bitmap().take();
    let word = noted[first as usize / 64] >> (first % 64);
    assert_eq!(word & 0b111, 0b011);

    driver.submit_to(DEFLATE, &[list(&[first])]);
    balloon.kicked(&mut driver.live, DEFLATE).unwrap();
    assert_eq!(driver.completed_on(DEFLATE), Some(0));
}

#[test]
fn only_whole_pages_of_a_report_go_back() {
    for (features, queue) in [
        (F_REPORTING, 2),
        (F_REPORTING | F_STATS, 3),
        (F_REPORTING | F_STATS, 4),
    ] {
        let (mut driver, _, mut balloon) = bench(features);
        // Filled with 0xee by the driver; it begins on a page's boundary.
        driver.submit_to(queue, &[Part::In(2 * PAGE as usize + 100)]);
        let buffer = driver.spans(0, 1).iter().next().unwrap().start.0;
        balloon.kicked(&mut driver.live, queue).unwrap();
        assert_eq!(driver.completed_on(queue), Some(0));
        assert_eq!(byte(&driver, buffer + PAGE), 0);
        assert_eq!(byte(&driver, buffer + 2 * PAGE), 0xee);
    }
}

#[test]
fn more_pages_than_any_driver_sends_break_the_device() {
    let (mut driver, _, mut balloon) = bench(0);
    let part = Part::Out(vec![0; 0x1_0000]);
    driver.submit_to(INFLATE, &vec![part; 5]);
    assert!(balloon.kicked(&mut driver.live, INFLATE).is_err());
}

#[test]
fn targets_are_shown_to_the_driver_which_says_what_it_gave() {
    let (mut driver, levers, mut balloon) = bench(0);
    levers.set_target(24 * MIB);
    balloon.poked(Some(&mut driver.live)).unwrap();
    assert!(!levers.changed.load(Ordering::Acquire));
    let registers = balloon.registers().unwrap();
    let mut config = [0xee; 12];
    registers.read(0, &mut config);
    assert_eq!(config, [0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    registers.write(4, &1024u32.to_le_bytes());
    assert_eq!((levers.target(), levers.actual()), (24 * MIB, 28 * MIB));
    registers.write(4, &u32::MAX.to_le_bytes());
    assert_eq!(levers.actual(), 0, "no more than there is");
    registers.write(2, &[0xff; 64]);
    levers.set_target(u64::MAX);
    assert_eq!(levers.target(), 32 * MIB);
}

#[test]
fn a_target_stays_when_memory_comes_and_goes() {
    let levers = Levers::new(32 * MIB, 32 * MIB);
    levers.set_memory(64 * MIB);
    assert_eq!((levers.target(), levers.actual()), (64 * MIB, 64 * MIB));
    levers.set_target(24 * MIB);
    levers.set_memory(128 * MIB);
    assert_eq!(levers.target(), 24 * MIB);
    levers.set_memory(32 * MIB);
    assert_eq!(levers.target(), 24 * MIB);
    levers.set_memory(16 * MIB);
    assert_eq!(levers.target(), 16 * MIB);
    levers.set_memory(64 * MIB);
    assert_eq!(levers.target(), 24 * MIB);
}

#[test]
fn statistics_are_asked_for_and_kept_over_a_save() {
    let (mut driver, levers, mut balloon) = bench(F_STATS);
    let statistic = |tag: u16, value: u64| {
        let mut bytes = tag.to_le_bytes().to_vec();
        bytes.extend(value.to_le_bytes());
        bytes
    };
    let mut bytes = statistic(4, 5 * MIB);
    bytes.extend(statistic(5, 30 * MIB));
    bytes.extend(statistic(999, 1));
    bytes.push(1);
    driver.submit_to(STATS, &[Part::Out(bytes)]);
    balloon.kicked(&mut driver.live, STATS).unwrap();
    assert_eq!(
        driver.completed_on(STATS),
        None,
        "kept until it is asked for"
    );
    let saved = balloon.save();
    let figures = levers.look();
    assert_eq!(
        (figures.free, figures.total),
        (Some(5 * MIB), Some(30 * MIB))
    );
    assert_eq!(figures.caches, None);
    balloon.poked(Some(&mut driver.live)).unwrap();
    assert_eq!(driver.completed_on(STATS), Some(0));

    let mut restored = Balloon::new(levers.clone());
    restored.activate(&mut driver.live).unwrap();
    restored.restore(&saved, &mut driver.live);
    assert_eq!(restored.statistics, Some(0));
    restored.restore(&[0, 0, 0, 0, 0xff, 0xff], &mut driver.live);
    assert_eq!(restored.statistics, None, "a chain that cannot be");
    for len in 0..8 {
        restored.restore(&vec![1; len], &mut driver.live);
    }
}

#[test]
fn where_nothing_comes_back_no_guest_looks_for_it() {
    let has = |levers: Levers| levers.description().features & F_REPORTING != 0;
    assert!(has(Levers::new(1 << 30, 1 << 29)));
    assert!(!has(Levers::fixed(1 << 30)));
    assert_eq!(Levers::fixed(1 << 30).target(), 1 << 30);
}

//! What drivers, good and bad, ask of the display.

use super::*;
use crate::display::Picture;
use crate::virtio::testing::{Driver, Part};
use vm_memory::{Bytes, GuestAddress};

const PIXELS: u64 = 0x40_0000;

struct Bench {
    screen: Arc<Screen>,
    gpu: Gpu,
    driver: Driver,
}

impl Bench {
    fn new() -> Self {
        let screen = Screen::new().unwrap();
        let gpu = Gpu::new(screen.clone()).unwrap();
        let driver = Driver::new(2);
        Self {
            screen,
            gpu,
            driver,
        }
    }

    /// A request's answer: its kind and the rest.
    fn ask(&mut self, kind: u32, body: &[u32]) -> (u32, Vec<u8>) {
        let mut bytes = vec![0; HEAD];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        // With a fence.
        bytes[4] = 1;
        bytes[8] = 77;
        bytes.extend(body.iter().flat_map(|word| word.to_le_bytes()));
        let room = 24 + 8 + 1024;
        self.driver.submit(&[Part::Out(bytes), Part::In(room)]);
        self.gpu.kicked(&mut self.driver.live, 0).unwrap();
        let len = self.driver.completed_on(0).unwrap() as usize;
        let answer = self.driver.bytes_of(1, len);
        assert_eq!((answer[4], answer[8]), (1, 77), "the fence comes back");
        let kind = u32::from_le_bytes(*answer.first_chunk().unwrap());
        (kind, answer[HEAD..].to_vec())
    }

    fn order(&mut self, kind: u32, body: &[u32]) -> u32 {
        self.ask(kind, body).0
    }

    /// A picture of 100×60 whose memory is in two pieces.
    fn picture(&mut self, resource: u32, format: u32) {
        assert_eq!(self.order(0x101, &[resource, format, 100, 60]), 0x1100);
        let far = PIXELS as u32 + 0x10_0000;
        let entries = [
            resource,
            2,
            PIXELS as u32,
            0,
            1000,
            0,
            far,
            0,
            100 * 60 * 4 - 1000,
            0,
        ];
        assert_eq!(self.order(0x106, &entries), 0x1100);
    }

    fn draw(&self) -> Vec<u8> {
        let bytes: Vec<u8> = (0..100 * 60 * 4).map(|i: u32| (i * 7 / 4) as u8).collect();
        let memory = &self.driver.live.memory;
        memory
            .write_slice(&bytes[..1000], GuestAddress(PIXELS))
            .unwrap();
        memory
            .write_slice(&bytes[1000..], GuestAddress(PIXELS + 0x10_0000))
            .unwrap();
        bytes
    }

    fn shown(&self) -> Option<(Vec<u8>, Area)> {
        match self.screen.picture()? {
            Picture::Drawn(canvas, area) => Some((canvas.pixels().clone(), area)),
            Picture::Guest(..) => panic!("guest memory"),
        }
    }
}

#[test]
fn a_picture_is_copied_shown_and_taken_away() {
    let mut bench = Bench::new();
    bench.picture(5, 2);
    let bytes = bench.draw();
    assert_eq!(bench.order(0x103, &[0, 0, 100, 60, 0, 5]), 0x1100);
    assert_eq!(bench.order(0x105, &[0, 0, 100, 60, 0, 0, 5, 0]), 0x1100);
    let before = bench.screen.version();
    assert_eq!(bench.order(0x104, &[0, 0, 100, 60, 5, 0]), 0x1100);
    assert!(bench.screen.version() > before);
    let (pixels, area) = bench.shown().unwrap();
    assert!(pixels == bytes);
    assert_eq!((area.width, area.height), (100, 60));
    assert_eq!(bench.order(0x102, &[5, 0]), 0x1100);
    assert!(bench.shown().is_none());
}

#[test]
fn a_part_is_copied_to_its_place_only() {
    let mut bench = Bench::new();
    bench.picture(1, 1);
    let bytes = bench.draw();
    assert_eq!(bench.order(0x103, &[10, 20, 50, 30, 0, 1]), 0x1100);
    let offset = (20 * 100 + 10) * 4;
    assert_eq!(bench.order(0x105, &[10, 20, 3, 2, offset, 0, 1, 0]), 0x1100);
    let (pixels, _) = bench.shown().unwrap();
    for (i, (pixel, source)) in pixels.chunks(4).zip(bytes.chunks(4)).enumerate() {
        let (x, y) = (i % 100, i / 100);
        let copied = (10..13).contains(&x) && (20..22).contains(&y);
        assert_eq!(pixel, if copied { source } else { &[0; 4] }, "{x},{y}");
    }
}

#[test]
fn colours_end_up_in_our_order() {
    for (format, first) in [
        (2, [1, 2, 3, 4]),
        (4, [4, 3, 2, 1]),
        (134, [3, 2, 1, 4]),
        (68, [2, 3, 4, 1]),
    ] {
        let mut bench = Bench::new();
        bench.picture(1, format);
        let memory = bench.driver.live.memory.clone();
        memory
            .write_slice(&[1, 2, 3, 4], GuestAddress(PIXELS))
            .unwrap();
        assert_eq!(bench.order(0x103, &[0, 0, 1, 1, 0, 1]), 0x1100);
        assert_eq!(bench.order(0x105, &[0, 0, 1, 1, 0, 0, 1, 0]), 0x1100);
        assert_eq!(bench.shown().unwrap().0[..4], first, "format {format}");
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let mut bench = Bench::new();
    bench.picture(1, 2);
    let cases: &[(u32, &[u32], u32)] = &[
        (0x999, &[], 0x1200),
        (0x101, &[2, 2], 0x1200),
        (0x101, &[0, 2, 10, 10], 0x1203),
        (0x101, &[1, 2, 10, 10], 0x1203),
        (0x101, &[2, 99, 10, 10], 0x1205),
        (0x101, &[2, 2, 0, 10], 0x1205),
        (0x101, &[2, 2, 10, u32::MAX], 0x1205),
        (0x101, &[2, 2, 8192, 8192], 0x1201),
        (0x102, &[9, 0], 0x1203),
        (0x103, &[0, 0, 100, 60, 1, 1], 0x1202),
        (0x103, &[0, 0, 0, 60, 0, 1], 0x1205),
        (0x103, &[u32::MAX, 0, 100, 60, 0, 1], 0x1205),
        (0x104, &[0, 0, 100, 61, 1, 0], 0x1205),
        (0x105, &[0, 0, 100, 60, 4, 0, 1, 0], 0x1205),
        (0x105, &[0, 0, 100, 60, u32::MAX, u32::MAX, 1, 0], 0x1205),
        (0x106, &[1, 1, 0, 0, 0, 0], 0x1200),
        (0x106, &[1, 9, 0, 0, 0, 0], 0x1205),
        (0x106, &[1, u32::MAX], 0x1201),
        (0x10a, &[1, 0], 0x1202),
    ];
    for (kind, body, expected) in cases {
        assert_eq!(bench.order(*kind, body), *expected, "{kind:#x} {body:?}");
    }
    assert_eq!(bench.order(0x107, &[1, 0]), 0x1100);
    assert_eq!(
        bench.order(0x106, &[1, 1, 0xffff_f000, 0xffff_ffff, 4096, 0]),
        0x1100
    );
    assert_eq!(bench.order(0x105, &[0, 0, 10, 1, 0, 0, 1, 0]), 0x1200);
}

#[test]
fn pictures_take_a_bounded_part_of_the_host() {
    let mut bench = Bench::new();
    let mut made = 0;
    for id in 1..1000 {
        made += usize::from(bench.order(0x101, &[id, 2, 1024, 1024]) == 0x1100);
    }
    assert_eq!(made, resources::MAX_BYTES >> 22);
    assert_eq!(bench.order(0x102, &[1, 0]), 0x1100);
    assert_eq!(bench.order(0x101, &[1, 2, 1024, 1024]), 0x1100);
}

#[test]
fn the_screen_wants_what_viewers_want_and_says_so() {
    let mut bench = Bench::new();
    let size = |bench: &mut Bench| {
        let (kind, body) = bench.ask(0x100, &[]);
        assert_eq!((kind, body.len(), body[16]), (0x1101, 384, 1));
        let word = |at: usize| u32::from_le_bytes(*body[at..].first_chunk().unwrap());
        (word(8), word(12))
    };
    assert_eq!(size(&mut bench), DEFAULT_SIZE);
    let registers = bench.gpu.registers().unwrap();
    let events = || {
        let mut bytes = [0; 4];
        registers.read(0, &mut bytes);
        u32::from_le_bytes(bytes)
    };
    assert_eq!(events(), 0);
    bench.gpu.wishes().resize(1023, 9999);
    bench.gpu.ready(&mut bench.driver.live).unwrap();
    assert_eq!(events(), EVENT_DISPLAY);
    registers.write(4, &EVENT_DISPLAY.to_le_bytes());
    assert_eq!(events(), 0);
    assert_eq!(size(&mut bench), (1016, edid::MAX_SIDE));
    let (kind, body) = bench.ask(0x10a, &[0, 0]);
    assert_eq!((kind, body[0], body.len()), (0x1104, 128, 1032));
    assert_eq!(body[8..136], edid::block(1016, edid::MAX_SIDE));
}

#[test]
fn the_pointer_has_the_guests_shape() {
    let mut bench = Bench::new();
    assert_eq!(bench.order(0x101, &[3, 1, 64, 64]), 0x1100);
    assert_eq!(bench.order(0x101, &[4, 1, 32, 64]), 0x1100);
    assert_eq!(
        bench.order(0x106, &[3, 1, PIXELS as u32, 0, 64 * 64 * 4, 0]),
        0x1100
    );
    let memory = bench.driver.live.memory.clone();
    memory
        .write_slice(&[9; 64 * 64 * 4], GuestAddress(PIXELS))
        .unwrap();
    assert_eq!(bench.order(0x105, &[0, 0, 64, 64, 0, 0, 3, 0]), 0x1100);
    assert_eq!(bench.order(0x300, &[0, 5, 5, 0, 3, 7, 8, 0]), 0x1100);
    let cursor = bench.screen.cursor().0.unwrap();
    assert_eq!((cursor.hot_x, cursor.hot_y, cursor.pixels[0]), (7, 8, 9));
    assert_eq!(bench.order(0x300, &[0, 5, 5, 0, 4, 7, 8, 0]), 0x1205);
    assert_eq!(bench.order(0x300, &[0, 5, 5, 0, 3, 64, 8, 0]), 0x1205);
    assert_eq!(bench.order(0x301, &[0, 5, 5, 0, 0, 0, 0, 0]), 0x1100);
    assert_eq!(bench.order(0x300, &[0, 0, 0, 0, 0, 0, 0, 0]), 0x1100);
    assert!(bench.screen.cursor().0.is_none());
}

#[test]
fn a_reset_leaves_nothing() {
    let mut bench = Bench::new();
    bench.picture(1, 2);
    assert_eq!(bench.order(0x103, &[0, 0, 100, 60, 0, 1]), 0x1100);
    bench.gpu.deactivated();
    assert!(bench.shown().is_none());
    assert_eq!(bench.order(0x102, &[1, 0]), 0x1203);
}

#[test]
fn a_saved_display_shows_the_same_picture() {
    let mut bench = Bench::new();
    bench.picture(5, 2);
    let bytes = bench.draw();
    assert_eq!(bench.order(0x103, &[10, 0, 90, 60, 0, 5]), 0x1100);
    assert_eq!(bench.order(0x101, &[3, 1, 64, 64]), 0x1100);
    assert_eq!(bench.order(0x300, &[0, 0, 0, 0, 3, 1, 2, 0]), 0x1100);
    let saved = bench.gpu.save();
    let mut other = Bench::new();
    other.driver = bench.driver;
    other.gpu.restore(&saved, &mut other.driver.live);
    let (pixels, area) = other.shown().unwrap();
    assert!(pixels == bytes);
    assert_eq!((area.x, area.width), (10, 90));
    assert_eq!(other.screen.cursor().0.unwrap().hot_y, 2);
    assert_eq!(other.order(0x104, &[0, 0, 100, 60, 5, 0]), 0x1100);
    assert_eq!(other.gpu.save(), saved);
    for nonsense in [&b"{"[..], b"[]", &saved[..saved.len() - 3]] {
        let mut other = Bench::new();
        other.gpu.restore(nonsense, &mut other.driver.live);
        assert!(other.shown().is_none());
    }
}

#[test]
fn noise_is_survived() {
    let mut state = 99u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut bench = Bench::new();
        bench.driver.scramble(&mut random);
        let _ = bench.gpu.kicked(&mut bench.driver.live, 0);
        let mut bench = Bench::new();
        bench.picture(1, 2);
        for _ in 0..20 {
            let kinds = [0x102, 0x103, 0x104, 0x105, 0x106, 0x107, 0x300];
            let kind = kinds[random() as usize % kinds.len()];
            let word = |n: u64| {
                if n & 8 == 0 {
                    n as u32 >> 8 & 0x7f
                } else {
                    (n >> 16) as u32
                }
            };
            let body: Vec<u32> = (0..10).map(|_| word(random())).collect();
            bench.order(kind, &body);
        }
    }
}

//! The server as a client sees it, over sockets.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vm_memory::{Bytes, GuestAddress};

use super::canvas::{Canvas, Cursor};
use super::rfb::pixels::{Converter, tests::format};
use super::rfb::{VERSION, encoding};
use super::server::{MAX_VIEWERS, Server};
use super::testing::{Done, Recorder, recorded};
use super::testing_client::{Client, Part, read};
use super::{Area, Key, Picture, Resize, Screen, Surface};

const SURFACE: Surface = Surface {
    address: 0x10_0000,
    width: 200,
    height: 150,
    stride: 1024,
};

struct Rig {
    screen: Arc<Screen>,
    recorder: Arc<Recorder>,
    _server: Server,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("vnc.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (screen, recorder) = recorded();
        let server = Server::start_unconfined("test", listener, screen.clone()).unwrap();
        Self {
            screen,
            recorder,
            _server: server,
            directory,
        }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("vnc.sock")).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    fn client(&self, encodings: &[i32]) -> Client {
        let mut client = Client::greet(self.connect());
        client.encodings(encodings);
        client
    }

    /// Draws something with few colours here and many there.
    fn draw(&self, surface: Surface, seed: u32) -> Vec<u32> {
        let Some(Picture::Guest(memory, _)) = self.shown(surface) else {
            panic!("no memory");
        };
        let mut all = Vec::new();
        for y in 0..surface.height {
            let pixel = |x: u32| match (x / 64, y / 64) {
                (0, 0) => 0x33_6699,
                (1, _) => [0xff_0000, 0xffff, 0x80][((x / 5 + y + seed) % 3) as usize],
                (2, 0) => (x / 16 + seed) << 8 | y,
                (2, _) => ((y * 50 + x / 3) % 90) << 9,
                _ => (x * 7919 + y * 104_729 + seed).wrapping_mul(2_654_435_761) >> 8,
            };
            let row: Vec<u32> = (0..surface.width).map(pixel).collect();
            let bytes: Vec<u8> = row
                .iter()
                .flat_map(|p| (p | 0xab00_0000).to_le_bytes())
                .collect();
            let at = surface.address + u64::from(y) * u64::from(surface.stride);
            memory.write_slice(&bytes, GuestAddress(at)).unwrap();
            all.extend(row.iter().map(|p| p & 0xff_ffff));
        }
        all
    }

    fn shown(&self, surface: Surface) -> Option<Picture> {
        if self.screen.surface() != Some(surface) {
            self.screen.show(Some(surface));
        }
        self.screen.picture()
    }
}

#[test]
fn both_encodings_show_the_picture_and_its_changes() {
    let rig = Rig::new();
    let first = rig.draw(SURFACE, 0);
    let mut raw = rig.client(&[encoding::RAW]);
    let mut zrle = rig.client(&[encoding::ZRLE, encoding::RAW]);
    for client in [&mut raw, &mut zrle] {
        assert_eq!(client.size, (200, 150));
        client.request(false);
        client.update();
        assert_eq!(client.picture, first);
    }
    let second = rig.draw(SURFACE, 1);
    raw.until(&second);
    zrle.until(&second);
}

#[test]
fn pixels_come_in_the_format_the_client_wants() {
    let rig = Rig::new();
    let picture = rig.draw(SURFACE, 3);
    for (bits, depth, big_endian, max, shift) in [
        (8, 8, false, [7, 7, 3], [0, 3, 6]),
        (16, 16, false, [31, 63, 31], [11, 5, 0]),
        (16, 15, true, [31, 31, 31], [10, 5, 0]),
        (32, 24, true, [255; 3], [16, 8, 0]),
        (32, 32, false, [255; 3], [0, 8, 16]),
    ] {
        let wanted = format(bits, depth, big_endian, max, shift);
        let converter = Converter::new(&wanted);
        let expected: Vec<u32> = picture.iter().map(|p| converter.convert(*p)).collect();
        for encoding in [encoding::RAW, encoding::ZRLE] {
            let mut client = rig.client(&[encoding]);
            client.set_format(wanted);
            client.request(false);
            client.update();
            assert_eq!(client.picture, expected, "{wanted:?}, encoding {encoding}");
        }
    }
}

#[test]
fn an_incremental_request_waits_for_a_change_and_brings_only_that() {
    let rig = Rig::new();
    let mut picture = rig.draw(SURFACE, 0);
    let mut client = rig.client(&[encoding::RAW]);
    client.request(false);
    client.update();
    client.request(true);
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let silent = client.stream.read(&mut [0]).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::WouldBlock);
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();

    let Some(Picture::Guest(memory, _)) = rig.screen.picture() else {
        panic!()
    };
    let at = SURFACE.address + 100 * u64::from(SURFACE.stride) + 70 * 4;
    memory.write_obj(0x12_3456_u32, GuestAddress(at)).unwrap();
    picture[100 * 200 + 70] = 0x12_3456;
    // A rectangle of one tile: 64 by 64 pixels.
    let update: [u8; 16] = read(&mut client.stream);
    assert_eq!(update, [0, 0, 0, 1, 0, 64, 0, 64, 0, 64, 0, 64, 0, 0, 0, 0]);
    let pixels: [u8; 64 * 64 * 4] = read(&mut client.stream);
    let changed = (36 * 64 + 6) * 4;
    assert_eq!(pixels[changed..changed + 4], [0x56, 0x34, 0x12, 0]);
}

#[test]
fn a_new_size_is_told_to_those_who_understand() {
    let rig = Rig::new();
    rig.draw(SURFACE, 0);
    let mut plain = rig.client(&[encoding::RAW]);
    let mut simple = rig.client(&[encoding::ZRLE, encoding::DESKTOP_SIZE]);
    let mut modern = rig.client(&[encoding::RAW, encoding::EXTENDED_DESKTOP_SIZE]);
    modern.request(false);
    let hello = modern.update();
    assert!(matches!(
        hello[..],
        [Part::ExtendedSize {
            by: 0,
            status: 0,
            size: (200, 150)
        }]
    ));
    let larger = Surface {
        width: 250,
        height: 100,
        ..SURFACE
    };
    let picture = rig.draw(larger, 5);
    for client in [&mut simple, &mut modern] {
        client.request(true);
        let parts = client.update();
        assert!(matches!(
            parts[..],
            [Part::Size(250, 100)
                | Part::ExtendedSize {
                    by: 0,
                    status: 0,
                    size: (250, 100)
                }]
        ));
        client.until(&picture);
    }
    // Who cannot be told sees what fits into the old size.
    plain.request(false);
    plain.update();
    for (y, row) in plain.picture.chunks(200).enumerate() {
        let expected = match y {
            ..100 => &picture[y * 250..y * 250 + 200],
            _ => &[0; 200][..],
        };
        assert_eq!(row, expected, "row {y}");
    }
}

#[test]
fn a_wish_for_another_size_is_passed_on_and_answered() {
    struct Asked(std::sync::Mutex<Option<(u32, u32)>>);
    impl Resize for Asked {
        fn resize(&self, width: u32, height: u32) {
            *self.0.lock().unwrap() = Some((width, height));
        }
    }
    let rig = Rig::new();
    let wish = |width: u16, height: u16| {
        let mut message = vec![251, 0];
        message.extend(width.to_be_bytes());
        message.extend(height.to_be_bytes());
        message.extend([1, 0]);
        message.extend([0; 16]);
        message
    };
    let mut client = rig.client(&[encoding::EXTENDED_DESKTOP_SIZE]);
    client.request(false);
    client.update();
    let asked = Arc::new(Asked(std::sync::Mutex::new(None)));
    for (resizer, size, expected) in [
        (false, (800, 600), 1),
        (true, (800, 600), 4),
        (true, (0, 600), 3),
    ] {
        rig.screen
            .set_resizer(resizer.then(|| asked.clone() as Arc<dyn Resize>));
        client.stream.write_all(&wish(size.0, size.1)).unwrap();
        let parts = client.update();
        let [Part::ExtendedSize { by: 1, status, .. }] = parts[..] else {
            panic!("{parts:?}")
        };
        assert_eq!(status, expected);
    }
    assert_eq!(*asked.0.lock().unwrap(), Some((800, 600)));
}

#[test]
fn a_picture_outside_memory_is_dark() {
    let rig = Rig::new();
    rig.draw(SURFACE, 0);
    let mut client = rig.client(&[encoding::RAW]);
    client.request(false);
    client.update();
    for address in [u64::MAX - 100, 64 << 20, (64 << 20) - 1024 * 150 + 512] {
        rig.screen.show(Some(Surface { address, ..SURFACE }));
        client.until(&[0; 200 * 150]);
        let picture = rig.draw(SURFACE, 7);
        client.until(&picture);
    }
    rig.screen.show(Some(Surface {
        width: 8192,
        height: 8192,
        ..SURFACE
    }));
    client.until(&[0; 200 * 150]);
}

#[test]
fn what_a_device_draws_is_shown_when_it_says_so() {
    let rig = Rig::new();
    let canvas = Arc::new(Canvas::new(300, 200));
    let area = Area {
        x: 100,
        y: 50,
        width: 128,
        height: 100,
    };
    rig.screen.show_canvas(canvas.clone(), area);
    let mut client = rig.client(&[encoding::ZRLE, encoding::CURSOR]);
    assert_eq!(client.size, (128, 100));
    client.request(false);
    let parts = client.update();
    assert!(matches!(
        parts[0],
        Part::Cursor {
            hot: (2, 2),
            size: (5, 5),
            ..
        }
    ));
    canvas
        .pixels()
        .chunks_exact_mut(4)
        .enumerate()
        .for_each(|(i, pixel)| {
            pixel.copy_from_slice(&(i as u32).to_le_bytes());
        });
    rig.screen.redrawn();
    let expected: Vec<u32> = (50..150)
        .flat_map(|y| (100..228).map(move |x| y * 300 + x))
        .collect();
    client.until(&expected);

    let pixels = [[9, 8, 7, 255], [0, 0, 0, 0]].concat();
    let cursor = Cursor {
        width: 2,
        height: 1,
        hot_x: 1,
        hot_y: 0,
        pixels,
    };
    rig.screen.set_cursor(Some(cursor));
    client.request(true);
    let parts = client.update();
    let [
        Part::Cursor {
            hot: (1, 0),
            size: (2, 1),
            pixels,
            mask,
        },
    ] = &parts[..]
    else {
        panic!("{parts:?}");
    };
    assert_eq!(pixels[..], [9, 8, 7, 0, 0, 0, 0, 0]);
    assert_eq!(mask[..], [0x80]);
}

#[test]
fn keys_and_pointer_reach_the_devices_and_are_let_go() {
    let rig = Rig::new();
    let mut client = rig.client(&[encoding::RAW, encoding::QEMU_KEYS]);
    client.request(false);
    assert!(
        client
            .update()
            .iter()
            .any(|part| matches!(part, Part::Keys))
    );
    let stream = &mut client.stream;
    stream
        .write_all(&[255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e])
        .unwrap();
    stream.write_all(&[5, 1, 0x02, 0x7f, 0x01, 0xdf]).unwrap();
    stream.write_all(&[4, 1, 0, 0, 0, 0, 0xff, 0x0d]).unwrap();
    drop(client);
    let begin = Instant::now();
    let mut done = Vec::new();
    while done.len() < 6 {
        assert!(begin.elapsed() < Duration::from_secs(20), "{done:?}");
        done.extend(rig.recorder.take());
        std::thread::yield_now();
    }
    let key = |number, down| Done::Key(Key(number), down);
    assert_eq!(done[0], key(30, true));
    let Done::Pointer(position, buttons, 0) = done[1] else {
        panic!("{done:?}")
    };
    assert_eq!((position.x, position.y, buttons.left), (32767, 32767, true));
    assert_eq!(done[2], key(28, true));
    assert!(done[3..].contains(&key(30, false)) && done[3..].contains(&key(28, false)));
    assert!(matches!(done[5], Done::Pointer(_, buttons, 0) if !buttons.left));
}

#[test]
fn hostile_clients_are_cut_off_and_others_are_served() {
    let rig = Rig::new();
    let picture = rig.draw(SURFACE, 0);
    let mut good = rig.client(&[encoding::ZRLE]);
    for nonsense in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"RFB 003.008\n\x02",
        b"RFB 003.008\n\x01\x01\x4d",
        b"RFB 003.008\n\x01\x01\x00\x00\x00\x00\x18\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"RFB 003.008\n\x01\x01\xff\x01\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut stream = rig.connect();
        stream.write_all(nonsense).unwrap();
        // The server closes; with bytes left unread that may look like a reset.
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
    let mut crowd: Vec<UnixStream> = (0..MAX_VIEWERS - 1).map(|_| rig.connect()).collect();
    crowd
        .iter_mut()
        .for_each(|stream| assert_eq!(read::<12>(stream), *VERSION));
    let mut late = rig.connect();
    assert_eq!(late.read(&mut [0; 12]).unwrap(), 0, "one too many");
    good.until(&picture);
}

#[test]
fn a_slow_viewer_costs_bounded_memory_and_sees_the_latest_picture() {
    use super::capture::Capture;
    use super::hands::Locks;
    use super::rfb::viewer::Viewer;
    let rig = Rig::new();
    let surface = Surface {
        width: 2000,
        height: 1000,
        stride: 8000,
        ..SURFACE
    };
    rig.draw(surface, 0);
    let mut capture = Capture::default();
    capture.refresh(&rig.screen);
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut viewer = Viewer::new(ours.into(), "test");
    let mut message = VERSION.to_vec();
    message.extend([1, 1, 2, 0, 0, 1, 0, 0, 0, 0]);
    (&theirs).write_all(&message).unwrap();
    let mut locks = Locks::default();
    for seed in 0..20 {
        (&theirs)
            .write_all(&[3, 0, 0, 0, 0, 0, 0x07, 0xd0, 0x03, 0xe8])
            .unwrap();
        rig.draw(surface, seed);
        viewer.receive(&rig.screen, capture.frame(), &mut locks);
        viewer.mark(&capture.refresh(&rig.screen).tiles);
        viewer.update(&rig.screen, capture.frame());
        viewer.pump(capture.frame());
        assert!(viewer.backlog() < 2 << 20, "{} bytes", viewer.backlog());
        assert!(!viewer.is_closed());
    }
    assert!(!viewer.is_waiting(), "nothing was sent");
    let picture = rig.draw(surface, 99);
    viewer.mark(&capture.refresh(&rig.screen).tiles);
    let reader = std::thread::spawn(move || {
        let mut client = Client::greeted(theirs);
        client.update();
        client.update();
        client.picture
    });
    while !reader.is_finished() {
        viewer.update(&rig.screen, capture.frame());
        viewer.pump(capture.frame());
    }
    assert_eq!(reader.join().unwrap(), picture);
}

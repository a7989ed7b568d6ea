//! A viewer in tests: reads what a server says and keeps the picture.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use flate2::{Decompress, FlushDecompress};

use super::rfb::pixels::{Converter, PixelFormat};
use super::rfb::{VERSION, encoding};

/// A rectangle of an update.
#[derive(Debug)]
pub enum Part {
    Pixels,
    Size(u16, u16),
    ExtendedSize {
        by: u16,
        status: u16,
        size: (u16, u16),
    },
    Cursor {
        hot: (u16, u16),
        size: (u16, u16),
        pixels: Vec<u8>,
        mask: Vec<u8>,
    },
    Keys,
}

/// The client.
pub struct Client {
    /// The connection.
    pub stream: UnixStream,
    /// The picture's size as the server told it.
    pub size: (u16, u16),
    /// The client's picture, in its own format.
    pub picture: Vec<u32>,
    format: PixelFormat,
    inflate: Decompress,
}

impl Client {
    /// Says hello on a new connection.
    pub fn greet(mut stream: UnixStream) -> Self {
        stream.write_all(VERSION).unwrap();
        stream.write_all(&[1, 1]).unwrap();
        Self::greeted(stream)
    }

    /// Reads what a client reads that has said everything up to its first message.
    pub fn greeted(mut stream: UnixStream) -> Self {
        assert_eq!(read::<12>(&mut stream), *VERSION);
        assert_eq!(read(&mut stream), [1, 1]);
        assert_eq!(read(&mut stream), [0; 4]);
        let size = (short(&mut stream), short(&mut stream));
        assert_eq!(
            PixelFormat::from_bytes(read(&mut stream)),
            Ok(PixelFormat::NATIVE)
        );
        let mut name = vec![0; u32::from_be_bytes(read(&mut stream)) as usize];
        stream.read_exact(&mut name).unwrap();
        assert_eq!(name, b"test");
        Self {
            stream,
            size,
            picture: vec![0; usize::from(size.0) * usize::from(size.1)],
            format: PixelFormat::NATIVE,
            inflate: Decompress::new(true),
        }
    }

    /// Says what the client understands, best first.
    pub fn encodings(&mut self, numbers: &[i32]) {
        let mut message = vec![2, 0];
        message.extend((numbers.len() as u16).to_be_bytes());
        message.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
        self.stream.write_all(&message).unwrap();
    }

    /// Says how pixels shall look.
    pub fn set_format(&mut self, format: PixelFormat) {
        self.format = format;
        self.stream.write_all(&[0, 0, 0, 0]).unwrap();
        self.stream.write_all(&format.to_bytes()).unwrap();
    }

    /// Asks for all of the picture.
    pub fn request(&mut self, incremental: bool) {
        let mut message = vec![3, u8::from(incremental), 0, 0, 0, 0];
        message.extend(self.size.0.to_be_bytes());
        message.extend(self.size.1.to_be_bytes());
        self.stream.write_all(&message).unwrap();
    }

    /// Reads a whole update and draws it.
    pub fn update(&mut self) -> Vec<Part> {
        assert_eq!(read(&mut self.stream), [0, 0]);
        let count = short(&mut self.stream);
        (0..count).map(|_| self.part()).collect()
    }

    fn part(&mut self) -> Part {
        let stream = &mut self.stream;
        let [x, y, width, height] = std::array::from_fn(|_| short(stream));
        match i32::from_be_bytes(read(stream)) {
            encoding::RAW => {
                let len = Converter::new(&self.format).pixel_len();
                let mut bytes = vec![0; usize::from(width) * usize::from(height) * len];
                self.stream.read_exact(&mut bytes).unwrap();
                let format = self.format;
                let mut pixels = bytes.chunks(len).map(|b| number(b, &format));
                self.paint((x, y, width, height), || pixels.next().unwrap());
                Part::Pixels
            }
            encoding::ZRLE => {
                self.zrle((x, y, width, height));
                Part::Pixels
            }
            encoding::DESKTOP_SIZE => {
                self.resize(width, height);
                Part::Size(width, height)
            }
            encoding::EXTENDED_DESKTOP_SIZE => {
                let [screens, ..] = read::<4>(stream);
                assert_eq!(screens, 1);
                read::<16>(stream);
                self.resize(width, height);
                Part::ExtendedSize {
                    by: x,
                    status: y,
                    size: (width, height),
                }
            }
            encoding::CURSOR => {
                let len = Converter::new(&self.format).pixel_len();
                let mut pixels = vec![0; usize::from(width) * usize::from(height) * len];
                stream.read_exact(&mut pixels).unwrap();
                let mut mask = vec![0; usize::from(width).div_ceil(8) * usize::from(height)];
                stream.read_exact(&mut mask).unwrap();
                Part::Cursor {
                    hot: (x, y),
                    size: (width, height),
                    pixels,
                    mask,
                }
            }
            encoding::QEMU_KEYS => Part::Keys,
            other => panic!("encoding {other}"),
        }
    }

    fn resize(&mut self, width: u16, height: u16) {
        if self.size != (width, height) {
            self.size = (width, height);
            self.picture = vec![0; usize::from(width) * usize::from(height)];
        }
    }

    fn paint(&mut self, area: (u16, u16, u16, u16), mut next: impl FnMut() -> u32) {
        let (x, y, width, height) = area;
        for row in y..y + height {
            for column in x..x + width {
                let at = usize::from(row) * usize::from(self.size.0) + usize::from(column);
                self.picture[at] = next();
            }
        }
    }

    /// Decodes as RFC 6143, section 7.7.6 says, with nothing of the encoder's.
    fn zrle(&mut self, (x, y, width, height): (u16, u16, u16, u16)) {
        let len = u32::from_be_bytes(read(&mut self.stream)) as usize;
        let mut deflated = vec![0; len];
        self.stream.read_exact(&mut deflated).unwrap();
        let mut plain = Vec::with_capacity(usize::from(width) * usize::from(height) * 5 + 4096);
        let before = self.inflate.total_in();
        self.inflate
            .decompress_vec(&deflated, &mut plain, FlushDecompress::Sync)
            .unwrap();
        assert_eq!(self.inflate.total_in() - before, len as u64);
        let mut from = plain.as_slice();
        let compact = Converter::new(&self.format).compact_len();
        let format = self.format;
        for top in (0..height).step_by(64) {
            for left in (0..width).step_by(64) {
                let (w, h) = (64.min(width - left), 64.min(height - top));
                let tile = decode_tile(&mut from, usize::from(w), usize::from(h), |b| {
                    let (pixel, rest) = b.split_at(compact);
                    *b = rest;
                    number(pixel, &format)
                });
                let mut pixels = tile.into_iter();
                self.paint((x + left, y + top, w, h), || pixels.next().unwrap());
            }
        }
        assert!(from.is_empty(), "{} bytes too many", from.len());
    }

    /// Asks for updates until the picture is what it should be.
    pub fn until(&mut self, expected: &[u32]) {
        let begin = Instant::now();
        while self.picture != expected {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "the picture differs"
            );
            self.request(true);
            self.update();
        }
    }
}

fn decode_tile(
    from: &mut &[u8],
    width: usize,
    height: usize,
    pixel: impl Fn(&mut &[u8]) -> u32,
) -> Vec<u32> {
    let byte = |from: &mut &[u8]| {
        let (first, rest) = from.split_first().unwrap();
        *from = rest;
        *first
    };
    let run = |from: &mut &[u8]| {
        let mut len = 1;
        loop {
            let part = byte(from);
            len += usize::from(part);
            if part != 255 {
                return len;
            }
        }
    };
    let count = width * height;
    let kind = byte(from);
    let colours = kind & 127;
    let palette: Vec<u32> = match kind {
        0 | 128 => Vec::new(),
        _ => (0..colours).map(|_| pixel(from)).collect(),
    };
    let mut tile = Vec::new();
    match kind {
        0 => tile.extend((0..count).map(|_| pixel(from))),
        1 => tile.resize(count, palette[0]),
        2..=16 => {
            let bits = match colours {
                2 => 1,
                3 | 4 => 2,
                _ => 4,
            };
            for _ in 0..height {
                let bytes: Vec<u8> = (0..(width * bits).div_ceil(8))
                    .map(|_| byte(from))
                    .collect();
                for i in 0..width {
                    let at = i * bits;
                    let shift = 8 - bits - at % 8;
                    let index = bytes[at / 8] >> shift & ((1 << bits) - 1);
                    tile.push(palette[usize::from(index)]);
                }
            }
        }
        128 => {
            while tile.len() < count {
                let colour = pixel(from);
                let len = run(from);
                tile.resize(tile.len() + len, colour);
            }
        }
        130.. => {
            while tile.len() < count {
                let index = byte(from);
                let len = if index & 128 != 0 { run(from) } else { 1 };
                tile.resize(tile.len() + len, palette[usize::from(index & 127)]);
            }
        }
        _ => panic!("tile of kind {kind}"),
    }
    assert_eq!(tile.len(), count);
    tile
}

fn number(bytes: &[u8], format: &PixelFormat) -> u32 {
    let big_endian = format.to_bytes()[2] != 0;
    let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
    if big_endian {
        bytes.iter().fold(0, fold)
    } else {
        bytes.iter().rev().fold(0, fold)
    }
}

/// Reads so many bytes.
pub fn read<const N: usize>(stream: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn short(stream: &mut UnixStream) -> u16 {
    u16::from_be_bytes(read(stream))
}

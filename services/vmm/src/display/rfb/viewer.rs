//! One client's connection.
//!
//! A client is sent nothing it did not ask for, and nothing new before it has taken what it was
//! sent: so a slow one costs a buffer of fixed size and sees fewer pictures. An update's
//! rectangles are encoded one at a time as the socket takes them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::dirty::Dirty;
use super::messages::{self, Message, Parser};
use super::pixels::{Converter, PixelFormat};
use super::zrle::Encoder;
use super::{Rect, SECURITY_NONE, VERSION, encoding};
use crate::display::canvas::Cursor;
use crate::display::capture::{Frame, Tile};
use crate::display::hands::{Hands, Locks};
use crate::display::{MAX_SIDE, Screen};

/// Rectangles encoded before others get their turn.
const TURN: usize = 16;

/// Why a size is announced (`rfbproto`, ExtendedDesktopSize).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Server,
    Client(Answer),
}

/// What becomes of a client's wish for another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Answer {
    Prohibited = 1,
    Invalid = 3,
    Forwarded = 4,
}

/// What a client can do beyond raw pixels.
#[derive(Debug, Default)]
struct Abilities {
    /// Its favourite of those we speak.
    pixels: Option<i32>,
    desktop_size: bool,
    extended_size: bool,
    cursor: bool,
}

/// The connection.
pub struct Viewer {
    stream: OwnedFd,
    name: String,
    parser: Parser,
    hands: Hands,
    converter: Converter,
    zrle: Option<Encoder>,
    abilities: Abilities,
    /// The size the client knows; none until it was told the first.
    told: Option<(u32, u32)>,
    announce: Option<Reason>,
    cursor_seen: Option<u64>,
    keys_announced: bool,
    keys_known: bool,
    dirty: Dirty,
    request: Option<Rect>,
    rects: VecDeque<Rect>,
    unsent: Vec<u8>,
    sent: usize,
    closed: bool,
}

impl Viewer {
    /// A connection on a non-blocking stream to a machine of this name.
    pub fn new(stream: OwnedFd, name: &str) -> Self {
        Self {
            stream,
            name: name.to_owned(),
            parser: Parser::new(),
            hands: Hands::default(),
            converter: Converter::new(&PixelFormat::NATIVE),
            zrle: None,
            abilities: Abilities::default(),
            told: None,
            announce: None,
            cursor_seen: None,
            keys_announced: false,
            keys_known: false,
            dirty: Dirty::all(0, 0),
            request: None,
            rects: VecDeque::new(),
            unsent: VERSION.to_vec(),
            sent: 0,
            closed: false,
        }
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFlags {
        if self.is_idle() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// Whether it can be forgotten.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the client has taken everything and waits for the picture to change.
    pub fn is_waiting(&self) -> bool {
        self.request.is_some() && self.is_idle()
    }

    /// Whether the client asked for another size and can be answered.
    pub fn owes_an_answer(&self) -> bool {
        self.is_idle() && matches!(self.announce, Some(Reason::Client(_)))
    }

    /// Whether there is something for the client beside changes to come.
    pub fn has_news(&self, screen: &Screen, frame: &Frame) -> bool {
        let (_, cursor) = screen.cursor();
        self.announce.is_some()
            || self.must_learn(frame)
            || self.keys_known && !self.keys_announced
            || self.abilities.cursor && self.cursor_seen != Some(cursor)
            || self.request.is_some_and(|area| self.dirty.touches(area))
    }

    /// Whether the client can be told that the picture's size is another than it knows.
    fn must_learn(&self, frame: &Frame) -> bool {
        let able = self.abilities.desktop_size || self.abilities.extended_size;
        able && self.told != Some((frame.width(), frame.height()))
    }

    /// Bytes kept for what waits for the client.
    #[cfg(test)]
    pub fn backlog(&self) -> usize {
        self.unsent.capacity()
    }

    fn is_idle(&self) -> bool {
        self.sent == self.unsent.len() && self.rects.is_empty()
    }

    /// Lets go of keys and buttons.
    pub fn let_go(&mut self, screen: &Screen) {
        self.hands.let_go(screen);
    }

    /// Reads what arrived, at most one buffer full, and acts on it.
    pub fn receive(&mut self, screen: &Screen, frame: &Frame, locks: &mut Locks) {
        let mut buffer = [0; messages::BUFFER];
        let room = self.parser.room();
        match recv(&self.stream, &mut buffer[..room], RecvFlags::empty()) {
            Ok((_, 0)) => self.closed = true,
            Ok((_, len)) => self.parser.feed(&buffer[..len.min(room)]),
            Err(error) if is_temporary(error) => {}
            Err(_) => self.closed = true,
        }
        loop {
            match self.parser.next_message() {
                Ok(Some(message)) => self.obey(message, screen, frame, locks),
                Ok(None) => return,
                Err(error) => {
                    tracing::info!(%error, "a viewer is sent away");
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn obey(&mut self, message: Message, screen: &Screen, frame: &Frame, locks: &mut Locks) {
        match message {
            Message::Version => self.unsent.extend([1, SECURITY_NONE]),
            Message::Security => self.unsent.extend(0u32.to_be_bytes()),
            Message::Init => self.initialise(frame),
            Message::PixelFormat(format) => self.converter = Converter::new(&format),
            Message::Encodings => {
                self.abilities = Abilities::default();
                self.keys_known = false;
            }
            Message::Encoding(number) => self.learn(number),
            Message::Update { incremental, area } => {
                if !incremental {
                    self.dirty.mark_area(area);
                }
                self.request = Some(area);
            }
            Message::Key { down, keysym } => self.hands.keysym(screen, locks, keysym, down),
            Message::ScanCode { down, keysym, code } => match code {
                0 => self.hands.keysym(screen, locks, keysym, down),
                _ => self.hands.scan_code(screen, locks, code, down),
            },
            Message::Pointer { mask, x, y } => {
                let size = self.told.unwrap_or_default();
                self.hands.pointer(screen, mask, (x, y), size);
            }
            Message::SetSize { width, height } => {
                let (width, height) = (u32::from(width), u32::from(height));
                let sides = 1..=MAX_SIDE;
                let answer = if !sides.contains(&width) || !sides.contains(&height) {
                    Answer::Invalid
                } else if screen.request_size(width, height) {
                    Answer::Forwarded
                } else {
                    Answer::Prohibited
                };
                self.announce = Some(Reason::Client(answer));
            }
        }
    }

    /// Tells size, format and name (RFC 6143, section 7.3.2).
    fn initialise(&mut self, frame: &Frame) {
        let (width, height) = (frame.width(), frame.height());
        self.told = Some((width, height));
        self.dirty = Dirty::all(width, height);
        self.unsent.extend((width as u16).to_be_bytes());
        self.unsent.extend((height as u16).to_be_bytes());
        self.unsent.extend(PixelFormat::NATIVE.to_bytes());
        self.unsent.extend((self.name.len() as u32).to_be_bytes());
        self.unsent.extend(self.name.as_bytes());
    }

    fn learn(&mut self, number: i32) {
        let abilities = &mut self.abilities;
        match number {
            encoding::RAW | encoding::ZRLE => {
                abilities.pixels.get_or_insert(number);
            }
            encoding::DESKTOP_SIZE => abilities.desktop_size = true,
            encoding::EXTENDED_DESKTOP_SIZE => {
                abilities.extended_size = true;
                // Clients wait for the first one to know that they may ask.
                self.announce.get_or_insert(Reason::Server);
            }
            encoding::CURSOR => abilities.cursor = true,
            encoding::QEMU_KEYS => self.keys_known = true,
            _ => {}
        }
    }

    /// The frame has changed.
    pub fn mark(&mut self, tiles: &[Tile]) {
        tiles.iter().for_each(|tile| self.dirty.mark(*tile));
    }

    /// Begins an update if the client waits for one and there is something new.
    pub fn update(&mut self, screen: &Screen, frame: &Frame) {
        let Some((width, height)) = self.told.filter(|_| self.is_idle()) else {
            return;
        };
        // A client's own wish is answered at once, all else when it asks for the picture.
        let answer = matches!(self.announce, Some(Reason::Client(_)));
        let news = self.must_learn(frame) || self.announce.is_some();
        if answer || self.request.is_some() && news {
            self.announce_size(frame);
            return;
        }
        let Some(area) = self.request else {
            return;
        };
        let (cursor, version) = screen.cursor();
        let tell_cursor = self.abilities.cursor && self.cursor_seen != Some(version);
        let tell_keys = self.keys_known && !self.keys_announced;
        let rects = self.dirty.take(area, width, height);
        let count = rects.len() + usize::from(tell_cursor) + usize::from(tell_keys);
        if count == 0 {
            return;
        }
        self.request = None;
        self.begin(count as u16);
        if tell_keys {
            Rect::default().head(encoding::QEMU_KEYS, &mut self.unsent);
            self.keys_announced = true;
        }
        if tell_cursor {
            self.send_cursor(cursor.as_deref());
            self.cursor_seen = Some(version);
        }
        self.rects = rects;
    }

    /// The head of an update (RFC 6143, section 7.6.1).
    fn begin(&mut self, rects: u16) {
        self.unsent.extend([0, 0]);
        self.unsent.extend(rects.to_be_bytes());
    }

    fn announce_size(&mut self, frame: &Frame) {
        let reason = self.announce.take().unwrap_or(Reason::Server);
        let (width, height) = (frame.width(), frame.height());
        let size = Rect {
            x: 0,
            y: 0,
            width: width as u16,
            height: height as u16,
        };
        if self.abilities.extended_size {
            let (by, status) = match reason {
                Reason::Server => (0, 0),
                Reason::Client(answer) => (1, answer as u16),
            };
            let head = Rect {
                x: by,
                y: status,
                ..size
            };
            self.begin(1);
            head.head(encoding::EXTENDED_DESKTOP_SIZE, &mut self.unsent);
            // One screen, number 0, without flags, over all of it.
            self.unsent.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            self.unsent.extend(size.width.to_be_bytes());
            self.unsent.extend(size.height.to_be_bytes());
            self.unsent.extend([0; 4]);
        } else if self.abilities.desktop_size {
            self.begin(1);
            size.head(encoding::DESKTOP_SIZE, &mut self.unsent);
        } else {
            return;
        }
        if reason == Reason::Server {
            self.request = None;
        }
        if self.told != Some((width, height)) {
            self.told = Some((width, height));
            self.dirty = Dirty::all(width, height);
        }
    }

    /// The pointer's shape (RFC 6143, section 7.8.1): pixels, then a bit for each that counts.
    fn send_cursor(&mut self, cursor: Option<&Cursor>) {
        let dot = Cursor::dot();
        let cursor = cursor.unwrap_or(&dot);
        let rect = Rect {
            x: cursor.hot_x,
            y: cursor.hot_y,
            width: cursor.width,
            height: cursor.height,
        };
        rect.head(encoding::CURSOR, &mut self.unsent);
        let pixels = cursor.pixels.as_chunks::<4>().0;
        for [blue, green, red, _] in pixels {
            let pixel = u32::from_be_bytes([0, *red, *green, *blue]);
            self.converter
                .put(self.converter.convert(pixel), &mut self.unsent);
        }
        for row in pixels.chunks(usize::from(cursor.width.max(1))) {
            for pixels in row.chunks(8) {
                let bit = |(i, p): (usize, &[u8; 4])| u8::from(p[3] >= 128) << (7 - i);
                let byte = pixels.iter().enumerate().map(bit).fold(0, |a, b| a | b);
                self.unsent.push(byte);
            }
        }
    }

    /// Sends what the socket takes.
    pub fn pump(&mut self, frame: &Frame) {
        for _ in 0..TURN {
            self.flush();
            if self.closed || self.sent < self.unsent.len() {
                return;
            }
            self.unsent.clear();
            self.sent = 0;
            let Some(rect) = self.rects.pop_front() else {
                return;
            };
            self.encode(frame, rect);
        }
    }

    fn encode(&mut self, frame: &Frame, rect: Rect) {
        if self.abilities.pixels == Some(encoding::ZRLE) {
            rect.head(encoding::ZRLE, &mut self.unsent);
            let zrle = self.zrle.get_or_insert_default();
            zrle.rect(frame, rect, &self.converter, &mut self.unsent);
            return;
        }
        rect.head(encoding::RAW, &mut self.unsent);
        for row in 0..u32::from(rect.height) {
            let (x, y) = (u32::from(rect.x), u32::from(rect.y) + row);
            for pixel in frame.row(x, y, u32::from(rect.width)) {
                self.converter
                    .put(self.converter.convert(pixel), &mut self.unsent);
            }
        }
    }

    fn flush(&mut self) {
        while self.sent < self.unsent.len() {
            match send(&self.stream, &self.unsent[self.sent..], SendFlags::NOSIGNAL) {
                Ok(len) => self.sent += len,
                Err(error) if is_temporary(error) => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

impl AsFd for Viewer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_temporary(error: rustix::io::Errno) -> bool {
    let kind = io::Error::from(error).kind();
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

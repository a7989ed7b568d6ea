//! What clients send (RFC 6143, section 7.5), taken apart with a buffer of fixed size: lists are
//! handed out entry by entry, text is skipped, so that no length a client chooses costs memory.

use super::Rect;
use super::pixels::{FormatError, PixelFormat};

/// Bytes kept of what was not taken apart yet.
pub const BUFFER: usize = 4096;

/// Why a client is sent away.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Not the version we said.
    #[error("the client speaks another version")]
    Version,
    /// A security type that was not offered.
    #[error("the client chose security type {0}")]
    Security(u8),
    /// No message we know.
    #[error("message {0} is unknown")]
    Unknown(u8),
    /// Pixels nobody can serve.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// A message, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The version line is right.
    Version,
    /// Security type none was chosen.
    Security,
    /// The client is ready for the picture's size.
    Init,
    /// How pixels shall look.
    PixelFormat(PixelFormat),
    /// A new list of encodings begins.
    Encodings,
    /// An entry of the list, best first.
    Encoding(i32),
    /// The client wants to see an area.
    Update {
        /// Only what changed since it last saw it.
        incremental: bool,
        /// The area.
        area: Rect,
    },
    /// A key by its keysym.
    Key {
        /// Down or up.
        down: bool,
        /// X11's number.
        keysym: u32,
    },
    /// A key by its scan code.
    ScanCode {
        /// Down or up.
        down: bool,
        /// X11's number, for keys without code.
        keysym: u32,
        /// Set 1, the prefix as eighth bit; 0 if unknown.
        code: u32,
    },
    /// Buttons that are down, and a place.
    Pointer {
        /// A bit for each button, the first is the left one.
        mask: u8,
        /// Pixels from the left.
        x: u16,
        /// Pixels from the top.
        y: u16,
    },
    /// The client would like another size.
    SetSize {
        /// Pixels in a row.
        width: u16,
        /// Rows.
        height: u16,
    },
}

enum Stage {
    Version,
    Security,
    Init,
    Message,
    Encodings(u16),
    Skip(u32),
}

/// The client's side of the conversation.
pub struct Parser {
    stage: Stage,
    buffer: Vec<u8>,
}

impl Parser {
    /// At the beginning, where the client answers the version.
    pub fn new() -> Self {
        Self {
            stage: Stage::Version,
            buffer: Vec::new(),
        }
    }

    /// How many bytes [`Self::feed`] takes now.
    pub fn room(&self) -> usize {
        BUFFER - self.buffer.len()
    }

    /// Adds what arrived, at most [`Self::room`].
    pub fn feed(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.room());
        self.buffer.extend_from_slice(&bytes[..len]);
    }

    /// Takes `N` bytes off the front, if they are there.
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = *self.buffer.first_chunk::<N>()?;
        self.buffer.drain(..N);
        Some(bytes)
    }

    /// The next message; none until more bytes arrive. All of them are shorter than the buffer.
    pub fn next_message(&mut self) -> Result<Option<Message>, Error> {
        loop {
            match self.stage {
                Stage::Version => return self.version(),
                Stage::Security => return self.security(),
                Stage::Init => {
                    // Whether others may look too is not the client's to say.
                    return Ok(self.take::<1>().map(|_shared| {
                        self.stage = Stage::Message;
                        Message::Init
                    }));
                }
                Stage::Encodings(0) | Stage::Skip(0) => self.stage = Stage::Message,
                Stage::Encodings(left) => {
                    return Ok(self.take().map(|number| {
                        self.stage = Stage::Encodings(left - 1);
                        Message::Encoding(i32::from_be_bytes(number))
                    }));
                }
                Stage::Skip(left) => {
                    let len = self.buffer.len().min(left as usize);
                    if len == 0 {
                        return Ok(None);
                    }
                    self.buffer.drain(..len);
                    self.stage = Stage::Skip(left - len as u32);
                }
                Stage::Message => match self.message()? {
                    Next::Message(message) => return Ok(Some(message)),
                    Next::Wait => return Ok(None),
                    Next::Again => {}
                },
            }
        }
    }

    fn version(&mut self) -> Result<Option<Message>, Error> {
        match self.take() {
            None => Ok(None),
            Some(line) if line == *super::VERSION => {
                self.stage = Stage::Security;
                Ok(Some(Message::Version))
            }
            Some(_) => Err(Error::Version),
        }
    }

    fn security(&mut self) -> Result<Option<Message>, Error> {
        match self.take() {
            None => Ok(None),
            Some([super::SECURITY_NONE]) => {
                self.stage = Stage::Init;
                Ok(Some(Message::Security))
            }
            Some([other]) => Err(Error::Security(other)),
        }
    }

    fn message(&mut self) -> Result<Next, Error> {
        let Some(kind) = self.buffer.first().copied() else {
            return Ok(Next::Wait);
        };
        let found = match kind {
            0 => match self.take::<20>() {
                Some(bytes) => {
                    let mut format = [0; 16];
                    format.copy_from_slice(&bytes[4..]);
                    let format = PixelFormat::from_bytes(format)?;
                    Some(Next::Message(Message::PixelFormat(format)))
                }
                None => None,
            },
            2 => self.take().map(|[_, _, high, low]| {
                self.stage = Stage::Encodings(u16::from_be_bytes([high, low]));
                Next::Message(Message::Encodings)
            }),
            3 => self.take::<10>().map(|b| {
                Next::Message(Message::Update {
                    incremental: b[1] != 0,
                    area: Rect {
                        x: short(&b, 2),
                        y: short(&b, 4),
                        width: short(&b, 6),
                        height: short(&b, 8),
                    },
                })
            }),
            4 => self.take::<8>().map(|b| {
                let (down, keysym) = (b[1] != 0, long(&b, 4));
                Next::Message(Message::Key { down, keysym })
            }),
            5 => self.take::<6>().map(|b| {
                let (mask, x, y) = (b[1], short(&b, 2), short(&b, 4));
                Next::Message(Message::Pointer { mask, x, y })
            }),
            6 => self.take::<8>().map(|b| {
                self.stage = Stage::Skip(long(&b, 4));
                Next::Again
            }),
            251 => self.take::<8>().map(|b| {
                // The screens' places follow; the sum of them is all we can show.
                self.stage = Stage::Skip(u32::from(b[6]) * 16);
                let (width, height) = (short(&b, 2), short(&b, 4));
                Next::Message(Message::SetSize { width, height })
            }),
            255 => match self.take::<12>() {
                Some(b) if b[1] == 0 => Some(Next::Message(Message::ScanCode {
                    down: short(&b, 2) != 0,
                    keysym: long(&b, 4),
                    code: long(&b, 8),
                })),
                Some(_) => return Err(Error::Unknown(kind)),
                None => None,
            },
            _ => return Err(Error::Unknown(kind)),
        };
        Ok(found.unwrap_or(Next::Wait))
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

/// What taking a message apart led to.
enum Next {
    Message(Message),
    Wait,
    Again,
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) << 16 | u32::from(short(bytes, at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything a client's bytes mean, fed in pieces of a size.
    fn messages(bytes: &[u8], piece: usize) -> Result<Vec<Message>, Error> {
        let mut parser = Parser::new();
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            parser.feed(piece);
            while let Some(message) = parser.next_message()? {
                all.push(message);
            }
        }
        Ok(all)
    }

    fn client(rest: &[u8]) -> Vec<u8> {
        let mut bytes = super::super::VERSION.to_vec();
        bytes.extend([1, 1]);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn pieces_of_any_size_say_the_same() {
        let mut rest = vec![2, 0, 0, 2, 0, 0, 0, 16, 0xff, 0xff, 0xff, 0x21];
        rest.extend([6, 0, 0, 0, 0, 0, 0, 5]);
        rest.extend(b"hello");
        rest.extend([4, 1, 0, 0, 0, 0, 0xff, 0x0d]);
        rest.extend([251, 0, 4, 0, 3, 0, 1, 0]);
        rest.extend([0; 16]);
        rest.extend([255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e]);
        rest.extend([5, 1, 0, 7, 0, 8]);
        rest.extend([3, 1, 0, 1, 0, 2, 0, 3, 0, 4]);
        let bytes = client(&rest);
        let expected = [
            Message::Version,
            Message::Security,
            Message::Init,
            Message::Encodings,
            Message::Encoding(16),
            Message::Encoding(-223),
            Message::Key {
                down: true,
                keysym: 0xff0d,
            },
            Message::SetSize {
                width: 1024,
                height: 768,
            },
            Message::ScanCode {
                down: true,
                keysym: 0x61,
                code: 0x1e,
            },
            Message::Pointer {
                mask: 1,
                x: 7,
                y: 8,
            },
            Message::Update {
                incremental: true,
                area: Rect {
                    x: 1,
                    y: 2,
                    width: 3,
                    height: 4,
                },
            },
        ];
        for piece in [1, 2, 3, 7, 64, BUFFER] {
            assert_eq!(messages(&bytes, piece).unwrap(), expected);
        }
    }

    #[test]
    fn lengths_cost_nothing() {
        let mut parser = Parser::new();
        parser.feed(&client(&[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
        for _ in 0..100 {
            while parser.next_message().unwrap().is_some() {}
            assert_eq!(parser.room(), BUFFER);
            parser.feed(&[0; BUFFER]);
        }
        assert!(parser.buffer.capacity() <= 2 * BUFFER);
    }

    #[test]
    fn nonsense_ends_the_conversation() {
        assert_eq!(messages(b"RFB 003.003\n", 99), Err(Error::Version));
        let mut choice = super::super::VERSION.to_vec();
        choice.push(2);
        assert_eq!(messages(&choice, 99), Err(Error::Security(2)));
        assert_eq!(messages(&client(&[77]), 99), Err(Error::Unknown(77)));
        let mut map = vec![0, 0, 0, 0, 8, 8, 0, 0];
        map.extend([0; 12]);
        assert!(matches!(messages(&client(&map), 99), Err(Error::Format(_))));
    }

    #[test]
    fn noise_is_survived() {
        let mut state = 1u64;
        for _ in 0..200 {
            let noise: Vec<u8> = (0..2000)
                .map(|_| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    let byte = (state >> 33) as u8;
                    if state >> 60 == 0 { byte } else { byte % 7 }
                })
                .collect();
            let _ = messages(&client(&noise), 37);
        }
    }
}

//! The numbers and structures of the control queue (virtio 1.2, section 5.7.6.7).

use crate::display::Area;

/// Bytes of the head that all requests and answers have.
pub const HEAD: usize = 24;
/// Bytes of the longest request, its list of memory entries aside.
pub const LONGEST: usize = HEAD + 32;
/// Bytes of an entry of a list of memory.
pub const ENTRY: usize = 16;
/// The answer carries the request's fence.
const FLAG_FENCE: u32 = 1;
/// Screens the answer about displays has room for.
const SCANOUTS: usize = 16;
const EDID_ROOM: usize = 1024;

/// What the driver asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Sizes of the screens.
    DisplayInfo,
    /// What a screen says about itself.
    Edid {
        /// The screen.
        scanout: u32,
    },
    /// A new picture.
    Create {
        /// The driver's number for it.
        resource: u32,
        /// Order of colours.
        format: u32,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The picture is needed no more.
    Unref {
        /// The picture.
        resource: u32,
    },
    /// Show a part of a picture.
    SetScanout {
        /// The part.
        area: Area,
        /// The screen.
        scanout: u32,
        /// The picture; 0 for none.
        resource: u32,
    },
    /// A part of a picture is complete.
    Flush {
        /// The part.
        area: Area,
        /// The picture.
        resource: u32,
    },
    /// Copy a part of a picture from guest memory.
    Transfer {
        /// The part.
        area: Area,
        /// Where its first pixel lies in the picture's memory.
        offset: u64,
        /// The picture.
        resource: u32,
    },
    /// The picture's memory; entries follow.
    Attach {
        /// The picture.
        resource: u32,
        /// Their number.
        entries: u32,
    },
    /// The picture has no memory any more.
    Detach {
        /// The picture.
        resource: u32,
    },
    /// The pointer's shape and place.
    UpdateCursor {
        /// The shape; 0 for none.
        resource: u32,
        /// The pixel that points, from the left and from the top.
        hot: (u32, u32),
    },
    /// The pointer's place, which we know: it came from us.
    MoveCursor,
}

/// How a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// The one screen's size.
    Display {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// What the screen says about itself.
    Edid(Box<[u8; 128]>),
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Failure {
    /// Unknown requests, and memory that cannot be read.
    Unspecified = 0x1200,
    /// Pictures would take too much of the host.
    OutOfMemory = 0x1201,
    /// There is one screen, number 0.
    Scanout = 0x1202,
    /// No such picture, or one of that number is there already.
    Resource = 0x1203,
    /// A value is out of range.
    Parameter = 0x1205,
}

/// A request taken apart; none if it is cut short or unknown.
pub fn parse(bytes: &[u8]) -> Option<Request> {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let body = |index: usize| word(HEAD + 4 * index);
    let area = || {
        Some(Area {
            x: body(0)?,
            y: body(1)?,
            width: body(2)?,
            height: body(3)?,
        })
    };
    Some(match word(0)? {
        0x100 => Request::DisplayInfo,
        0x101 => Request::Create {
            resource: body(0)?,
            format: body(1)?,
            width: body(2)?,
            height: body(3)?,
        },
        0x102 => Request::Unref { resource: body(0)? },
        0x103 => Request::SetScanout {
            area: area()?,
            scanout: body(4)?,
            resource: body(5)?,
        },
        0x104 => Request::Flush {
            area: area()?,
            resource: body(4)?,
        },
        0x105 => Request::Transfer {
            area: area()?,
            offset: u64::from(body(4)?) | u64::from(body(5)?) << 32,
            resource: body(6)?,
        },
        0x106 => Request::Attach {
            resource: body(0)?,
            entries: body(1)?,
        },
        0x107 => Request::Detach { resource: body(0)? },
        0x10a => Request::Edid { scanout: body(0)? },
        0x300 => Request::UpdateCursor {
            resource: body(4)?,
            hot: (body(5)?, body(6)?),
        },
        0x301 => Request::MoveCursor,
        _ => return None,
    })
}

/// An answer put together for the request with this head.
pub fn answer(head: &[u8], answer: &Result<Answer, Failure>) -> Vec<u8> {
    let (kind, body) = match answer {
        Ok(Answer::Done) => (0x1100, Vec::new()),
        Ok(Answer::Display { width, height }) => {
            let mut body = vec![0; SCANOUTS * 24];
            body[8..12].copy_from_slice(&width.to_le_bytes());
            body[12..16].copy_from_slice(&height.to_le_bytes());
            body[16] = 1;
            (0x1101, body)
        }
        Ok(Answer::Edid(block)) => {
            let mut body = vec![0; 8 + EDID_ROOM];
            body[0] = block.len() as u8;
            body[8..8 + block.len()].copy_from_slice(&**block);
            (0x1104, body)
        }
        Err(failure) => (*failure as u32, Vec::new()),
    };
    let mut bytes = vec![0; HEAD];
    bytes[..4].copy_from_slice(&u32::to_le_bytes(kind));
    let fenced = head
        .get(4)
        .is_some_and(|flags| u32::from(*flags) & FLAG_FENCE != 0);
    if let Some(fence) = head.get(8..20).filter(|_| fenced) {
        bytes[4] = FLAG_FENCE as u8;
        bytes[8..20].copy_from_slice(fence);
    }
    bytes.extend(body);
    bytes
}

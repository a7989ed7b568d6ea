//! The remote framebuffer protocol, version 3.8 (RFC 6143), as a server speaks it.
//!
//! [`messages`] takes apart what clients send, byte by byte and without trusting any of it;
//! [`pixels`] and [`zrle`] turn pixels into what a client asked for; [`viewer`] is one client's
//! connection, and [`dirty`] what it has not seen yet. Beyond the RFC: desktop sizes from either
//! side and QEMU's key events, as the community's `rfbproto` describes them.

pub mod dirty;
pub mod messages;
pub mod pixels;
pub mod viewer;
pub mod zrle;

/// What a server says first, and the only answer it takes.
pub const VERSION: &[u8; 12] = b"RFB 003.008\n";
/// Security type: none. The socket's owner decides who connects.
pub const SECURITY_NONE: u8 = 1;

/// Encodings and pseudo-encodings by number (RFC 6143, section 7.7, and `rfbproto`).
pub mod encoding {
    /// Pixels as they are.
    pub const RAW: i32 = 0;
    /// Tiles with palettes and runs, deflated.
    pub const ZRLE: i32 = 16;
    /// The client knows that the picture's size may change.
    pub const DESKTOP_SIZE: i32 = -223;
    /// The pointer's shape.
    pub const CURSOR: i32 = -239;
    /// Keys by scan code.
    pub const QEMU_KEYS: i32 = -258;
    /// Sizes with screens, which the client may ask for too.
    pub const EXTENDED_DESKTOP_SIZE: i32 = -308;
}

/// A part of the picture as RFB counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rect {
    /// Pixels from the left.
    pub x: u16,
    /// Pixels from the top.
    pub y: u16,
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl Rect {
    /// The head of a rectangle in an update (RFC 6143, section 7.6.1).
    pub fn head(self, encoding: i32, out: &mut Vec<u8>) {
        for number in [self.x, self.y, self.width, self.height] {
            out.extend(number.to_be_bytes());
        }
        out.extend(encoding.to_be_bytes());
    }
}

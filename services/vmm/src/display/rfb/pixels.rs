//! Pixels as clients want them (RFC 6143, section 7.4).

/// How a client's pixels look: true colour of 8, 16 or 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelFormat {
    bits: u8,
    depth: u8,
    big_endian: bool,
    /// Red, green, blue.
    channels: [Channel; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Channel {
    max: u16,
    shift: u8,
}

/// Why a format cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Colours out of a table.
    #[error("colour maps are not served; ask for true colour")]
    ColourMap,
    /// Pixels of an odd size.
    #[error("pixels of {0} bits are not served; ask for 8, 16 or 32")]
    Bits(u8),
    /// A channel without values or outside its pixel.
    #[error("a colour does not fit into its pixel")]
    Channel,
}

impl PixelFormat {
    /// What the server offers: the surface's own.
    pub const NATIVE: Self = Self {
        bits: 32,
        depth: 24,
        big_endian: false,
        channels: [
            Channel {
                max: 255,
                shift: 16,
            },
            Channel { max: 255, shift: 8 },
            Channel { max: 255, shift: 0 },
        ],
    };

    /// Takes a format apart.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, FormatError> {
        let [bits, depth, big_endian, true_colour, ..] = bytes;
        if true_colour == 0 {
            return Err(FormatError::ColourMap);
        }
        if ![8, 16, 32].contains(&bits) {
            return Err(FormatError::Bits(bits));
        }
        let channel = |i: usize| {
            let max = u16::from_be_bytes([bytes[4 + 2 * i], bytes[5 + 2 * i]]);
            let shift = bytes[10 + i];
            let fits = shift < bits && u64::from(max) << shift < 1 << bits;
            (max > 0 && fits)
                .then_some(Channel { max, shift })
                .ok_or(FormatError::Channel)
        };
        Ok(Self {
            bits,
            depth,
            big_endian: big_endian != 0,
            channels: [channel(0)?, channel(1)?, channel(2)?],
        })
    }

    /// Puts it together for the wire.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[self.bits, self.depth, u8::from(self.big_endian), 1]);
        for (i, channel) in self.channels.iter().enumerate() {
            bytes[4 + 2 * i..6 + 2 * i].copy_from_slice(&channel.max.to_be_bytes());
            bytes[10 + i] = channel.shift;
        }
        bytes
    }
}

/// Which bytes of a pixel ZRLE sends (RFC 6143, section 7.7.5, `CPIXEL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compact {
    All,
    LowThree,
    HighThree,
}

/// Turns the surface's pixels into a client's.
pub struct Converter {
    tables: [[u32; 256]; 3],
    len: usize,
    big_endian: bool,
    compact: Compact,
}

impl Converter {
    /// For a format.
    pub fn new(format: &PixelFormat) -> Self {
        let table = |channel: Channel| {
            let max = u32::from(channel.max);
            std::array::from_fn(|value| ((value as u32 * max + 127) / 255) << channel.shift)
        };
        let used = format
            .channels
            .iter()
            .fold(0, |bits, c| bits | u32::from(c.max) << c.shift);
        let compact = match (format.bits, format.depth) {
            (32, ..=24) if used >> 24 == 0 => Compact::LowThree,
            (32, ..=24) if used & 0xff == 0 => Compact::HighThree,
            _ => Compact::All,
        };
        Self {
            tables: format.channels.map(table),
            len: usize::from(format.bits / 8),
            big_endian: format.big_endian,
            compact,
        }
    }

    /// A pixel `0x..RRGGBB` in the client's format.
    pub fn convert(&self, pixel: u32) -> u32 {
        let [_, red, green, blue] = pixel.to_be_bytes().map(usize::from);
        self.tables[0][red] | self.tables[1][green] | self.tables[2][blue]
    }

    /// Bytes of a pixel.
    pub fn pixel_len(&self) -> usize {
        self.len
    }

    /// Bytes of a pixel within ZRLE.
    pub fn compact_len(&self) -> usize {
        match self.compact {
            Compact::All => self.len,
            Compact::LowThree | Compact::HighThree => 3,
        }
    }

    /// Appends a converted pixel.
    pub fn put(&self, converted: u32, out: &mut Vec<u8>) {
        put(converted, self.len, self.big_endian, out);
    }

    /// Appends a converted pixel as ZRLE wants it.
    pub fn put_compact(&self, converted: u32, out: &mut Vec<u8>) {
        let value = match self.compact {
            Compact::HighThree => converted >> 8,
            Compact::All | Compact::LowThree => converted,
        };
        put(value, self.compact_len(), self.big_endian, out);
    }
}

/// Appends the low `len` bytes of a value.
fn put(value: u32, len: usize, big_endian: bool, out: &mut Vec<u8>) {
    if big_endian {
        out.extend_from_slice(&value.to_be_bytes()[4 - len..]);
    } else {
        out.extend_from_slice(&value.to_le_bytes()[..len]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Formats by name: bits, depth, big endian, maxima, shifts.
    pub(crate) fn format(
        bits: u8,
        depth: u8,
        big_endian: bool,
        max: [u16; 3],
        shift: [u8; 3],
    ) -> PixelFormat {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[bits, depth, u8::from(big_endian), 1]);
        for i in 0..3 {
            bytes[4 + 2 * i..6 + 2 * i].copy_from_slice(&max[i].to_be_bytes());
            bytes[10 + i] = shift[i];
        }
        PixelFormat::from_bytes(bytes).unwrap()
    }

    fn put(format: &PixelFormat, pixel: u32, compact: bool) -> Vec<u8> {
        let converter = Converter::new(format);
        let mut out = Vec::new();
        let converted = converter.convert(pixel);
        if compact {
            converter.put_compact(converted, &mut out);
        } else {
            converter.put(converted, &mut out);
        }
        out
    }

    #[test]
    fn colours_are_scaled_shifted_and_ordered() {
        let native = PixelFormat::NATIVE;
        assert_eq!(put(&native, 0x123456, false), [0x56, 0x34, 0x12, 0]);
        assert_eq!(put(&native, 0x123456, true), [0x56, 0x34, 0x12]);
        let high = format(32, 24, true, [255; 3], [24, 16, 8]);
        assert_eq!(put(&high, 0x123456, false), [0x12, 0x34, 0x56, 0]);
        assert_eq!(put(&high, 0x123456, true), [0x12, 0x34, 0x56]);
        let rgb565 = format(16, 16, false, [31, 63, 31], [11, 5, 0]);
        assert_eq!(put(&rgb565, 0xff0000, false), [0x00, 0xf8]);
        assert_eq!(put(&rgb565, 0x00ff00, true), [0xe0, 0x07]);
        let bgr233 = format(8, 8, false, [7, 7, 3], [0, 3, 6]);
        assert_eq!(put(&bgr233, 0xffffff, false), [0xff]);
        assert_eq!(put(&bgr233, 0x0000ff, false), [0xc0]);
    }

    #[test]
    fn formats_survive_the_wire_and_nonsense_does_not() {
        let native = PixelFormat::NATIVE;
        assert_eq!(PixelFormat::from_bytes(native.to_bytes()), Ok(native));
        let broken = |at: usize, value: u8| {
            let mut bytes = native.to_bytes();
            bytes[at] = value;
            PixelFormat::from_bytes(bytes).unwrap_err()
        };
        assert_eq!(broken(0, 24), FormatError::Bits(24));
        assert_eq!(broken(3, 0), FormatError::ColourMap);
        assert_eq!(broken(10, 200), FormatError::Channel);
        assert_eq!(broken(10, 25), FormatError::Channel);
        assert_eq!(broken(5, 0), FormatError::Channel);
    }
}

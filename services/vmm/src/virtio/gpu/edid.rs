//! What the screen says about itself (VESA E-EDID 1.4): one timing, the size it wants.

/// Largest side the timing can express, a multiple of eight.
pub const MAX_SIDE: u32 = 4088;
/// Blank pixels after each row and rows after each picture.
const BLANK: (u32, u32) = (160, 40);
/// Dots per centimetre, about 96 per inch.
const DOTS: u32 = 38;

/// A block for a screen of this size, each side at most [`MAX_SIDE`].
pub fn block(width: u32, height: u32) -> [u8; 128] {
    let mut edid = [0; 128];
    edid[1..7].fill(0xff);
    // The letters BSL, five bits each.
    edid[8..10].copy_from_slice(&(2u16 << 10 | 19 << 5 | 12).to_be_bytes());
    // Product 1, made in 2026, version 1.4.
    edid[10] = 1;
    edid[17..20].copy_from_slice(&[(2026 - 1990) as u8, 1, 4]);
    // Digital, 8 bits a colour; size in centimetres; gamma 2.2; the first timing is preferred.
    let centimetres = |side: u32| (side / DOTS).clamp(1, 255) as u8;
    edid[20] = 0xa0;
    (edid[21], edid[22]) = (centimetres(width), centimetres(height));
    (edid[23], edid[24]) = (120, 0x06);
    // The colours of sRGB.
    edid[25..35].copy_from_slice(&[0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]);
    // No other timings.
    edid[38..54].fill(1);
    edid[54..72].copy_from_slice(&timing(width, height));
    edid[72..90].copy_from_slice(&text(0xfc, b"Basalt"));
    for unused in [90, 108] {
        edid[unused + 3] = 0x10;
    }
    let sum = edid.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    edid[127] = sum.wrapping_neg();
    edid
}

/// A detailed timing of 60 pictures a second, fewer where the clock's field ends.
fn timing(width: u32, height: u32) -> [u8; 18] {
    let clock = (width + BLANK.0) * (height + BLANK.1) * 60 / 10_000;
    let [low, high] = (clock.min(0xffff) as u16).to_le_bytes();
    let parts = |active: u32, blank: u32| {
        let upper = (active >> 8 & 0xf) << 4 | blank >> 8 & 0xf;
        [active as u8, blank as u8, upper as u8]
    };
    let [x, x_blank, x_upper] = parts(width, BLANK.0);
    let [y, y_blank, y_upper] = parts(height, BLANK.1);
    let (wide, high_mm) = (width * 10 / DOTS, height * 10 / DOTS);
    let [mm_x, mm_y, mm_upper] = parts(wide, high_mm);
    [
        low, high, x, x_blank, x_upper, y, y_blank, y_upper,
        // Front porch and pulse: 48 and 32 pixels, 3 and 6 rows.
        48, 32, 0x36, 0, mm_x, mm_y, mm_upper, 0, 0, // Digital separate synchronisation.
        0x1e,
    ]
}

/// A descriptor with a text of at most 13 bytes.
fn text(kind: u8, text: &[u8]) -> [u8; 18] {
    let mut descriptor = [0x20; 18];
    descriptor[..5].copy_from_slice(&[0, 0, 0, kind, 0]);
    descriptor[5..5 + text.len()].copy_from_slice(text);
    descriptor[5 + text.len()] = b'\n';
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_adds_up_and_tells_the_size() {
        for (width, height) in [(1280, 800), (3840, 2160), (MAX_SIDE, MAX_SIDE), (8, 8)] {
            let edid = block(width, height);
            let sum = edid.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            assert_eq!(sum, 0);
            let told_width = u32::from(edid[56]) | u32::from(edid[58] >> 4) << 8;
            let told_height = u32::from(edid[59]) | u32::from(edid[61] >> 4) << 8;
            assert_eq!((told_width, told_height), (width, height));
        }
    }
}

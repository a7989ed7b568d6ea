//! A picture of a machine's screen: kept as PNG, and the text on it, read by its letters' shapes.
//!
//! Text consoles draw every letter the same way, in cells of 8 by 16 pixels. A [`Font`] knows the shapes: from
//! the file that the program which draws has them from, or because somebody wrote what is known.

use anyhow::{Context, Result, ensure};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

const WIDTH: usize = 8;
const HEIGHT: usize = 16;

/// Which pixels of a cell are not background: a byte for every row, its highest bit on the left.
type Shape = [u8; HEIGHT];

/// Rows of pixels of three bytes: red, green, blue.
pub struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// From pixels as RFB has them: blue, green, red, nothing.
    pub fn from_rfb(width: usize, pixels: &[u8]) -> Self {
        let pixels = pixels.chunks_exact(4);
        let pixels = pixels.flat_map(|p| [p[2], p[1], p[0]]).collect();
        Self { width, pixels }
    }

    fn height(&self) -> usize {
        self.pixels.len() / (self.width * 3).max(1)
    }

    fn pixel(&self, x: usize, y: usize) -> &[u8] {
        &self.pixels[(y * self.width + x) * 3..][..3]
    }

    /// The shape in the cell whose upper left corner is there. What most of its pixels are is its background.
    fn shape(&self, x: usize, y: usize) -> Shape {
        let cell = || (0..HEIGHT).flat_map(move |row| (0..WIDTH).map(move |column| (column, row)));
        let first = self.pixel(x, y);
        let same = cell().filter(|(column, row)| self.pixel(x + column, y + row) == first);
        let background = if same.count() * 2 >= WIDTH * HEIGHT {
            Some(first)
        } else {
            cell()
                .map(|(column, row)| self.pixel(x + column, y + row))
                .find(|pixel| *pixel != first)
        };
        let mut shape = [0; HEIGHT];
        for (column, row) in cell() {
            if Some(self.pixel(x + column, y + row)) != background {
                shape[row] |= 0x80 >> column;
            }
        }
        shape
    }

    /// The text on it, line by line, in the letters of `font`; other cells are blanks.
    pub fn text(&self, font: &Font) -> String {
        let rows = (0..self.height() / HEIGHT).map(|row| {
            let cells = (0..self.width / WIDTH).map(|column| {
                let shape = self.shape(column * WIDTH, row * HEIGHT);
                font.letters.get(&shape).copied().unwrap_or(' ')
            });
            cells.collect::<String>()
        });
        let lines: Vec<String> = rows.map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }

    /// Writes it to a file.
    pub fn save_png(&self, file: &Path) -> Result<()> {
        let mut rows = ZlibEncoder::new(Vec::new(), Compression::fast());
        for row in self.pixels.chunks_exact(self.width * 3) {
            // No filter.
            rows.write_all(&[0])?;
            rows.write_all(row)?;
        }
        let mut head = Vec::new();
        head.extend((self.width as u32).to_be_bytes());
        head.extend((self.height() as u32).to_be_bytes());
        head.extend([8, 2, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in [
            (b"IHDR", head),
            (b"IDAT", rows.finish()?),
            (b"IEND", vec![]),
        ] {
            png.extend((content.len() as u32).to_be_bytes());
            let mut sum = Crc::new();
            for part in [&kind[..], &content] {
                sum.update(part);
                png.extend(part);
            }
            png.extend(sum.sum().to_be_bytes());
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, png).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Letters by their shapes.
pub struct Font {
    letters: HashMap<Shape, char>,
}

impl Font {
    /// The letters of ASCII that can be seen, in their order: what [`Font::learn`] looks for.
    pub fn table() -> String {
        ('!'..='~').collect()
    }

    /// From a screen on whose first line [`Font::table`] was written; none unless every letter has a shape of
    /// its own there.
    pub fn learn(picture: &Picture) -> Option<Self> {
        let table = Self::table();
        if picture.width < table.len() * WIDTH || picture.height() < HEIGHT {
            return None;
        }
        let shapes = table.chars().enumerate();
        let letters: HashMap<Shape, char> = shapes
            .map(|(column, letter)| (picture.shape(column * WIDTH, 0), letter))
            .collect();
        let whole = letters.len() == table.len() && !letters.contains_key(&[0; HEIGHT]);
        whole.then_some(Self { letters })
    }

    /// From a file of bogl, the library that draws the text of Debian's installer: a structure of C with
    /// its pointers written as places in the file.
    ///
    /// ```text
    /// 0 "BGF1"  4 name  12 height  16 mask  20 offsets  28 index  36 content
    /// ```
    ///
    /// `offsets[letter & mask]` is where a letter's hash bucket begins in the index, whose entries are the
    /// letter's other bits with its width in the place of those of the mask, and a place in the content: a row
    /// is 32 bits, the highest one on the left. A zero ends a bucket.
    pub fn of_bogl(file: &[u8]) -> Result<Self> {
        let word = |at: usize| {
            let bytes = file.get(at..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map(|bytes| u32::from_le_bytes(*bytes) as usize)
        };
        ensure!(file.starts_with(b"BGF1"), "it is no font of bogl");
        let head = || Some((word(12)?, word(16)?, word(20)?, word(28)?, word(36)?));
        let (height, mask, offsets, index, content) = head().context("its head is cut short")?;
        ensure!(height == HEIGHT, "letters are {height} pixels high");
        let shape = |letter: usize| {
            let mut entry = word(offsets + (letter & mask) * 4)?;
            loop {
                let bits = word(index + entry * 4)?;
                if bits == 0 {
                    return None;
                }
                if bits & !mask == letter & !mask {
                    break;
                }
                entry += 2;
            }
            let at = content + word(index + (entry + 1) * 4)? * 4;
            let mut shape = [0; HEIGHT];
            for (row, byte) in shape.iter_mut().enumerate() {
                *byte = (word(at + row * 4)? >> 24) as u8;
            }
            Some(shape)
        };
        let mut letters = HashMap::new();
        for letter in '!'..='~' {
            let shape = shape(letter as usize);
            let shape = shape.with_context(|| format!("the font has no {letter:?}"))?;
            letters.insert(shape, letter);
        }
        Ok(Self { letters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DARK: [u8; 4] = [170, 0, 0, 0];
    const BRIGHT: [u8; 4] = [255, 255, 255, 0];

    /// A screen with a different shape for every letter of the table, on its first line, and below it the
    /// shapes of some letters the other way round.
    fn screen() -> Picture {
        let width = 100 * WIDTH;
        let mut pixels = DARK.repeat(width * HEIGHT * 2);
        let mut set = |x: usize, y: usize, colour: [u8; 4]| {
            pixels[(y * width + x) * 4..][..4].copy_from_slice(&colour);
        };
        for column in 0..Font::table().len() {
            for bit in 0..WIDTH {
                if (column + 1) >> bit & 1 == 1 {
                    set(column * WIDTH + bit, 5, BRIGHT);
                }
            }
        }
        for (column, letter) in "hi".bytes().enumerate() {
            for row in 0..HEIGHT {
                for bit in 0..WIDTH {
                    let drawn = row == 5 && usize::from(letter - b'!' + 1) >> bit & 1 == 1;
                    let colour = if drawn { DARK } else { BRIGHT };
                    set((column + 2) * WIDTH + bit, HEIGHT + row, colour);
                }
            }
        }
        Picture::from_rfb(width, &pixels)
    }

    #[test]
    fn letters_are_learned_and_read_in_any_colour() {
        let picture = screen();
        let font = Font::learn(&picture).unwrap();
        assert_eq!(picture.text(&font), format!("{}\n  hi", Font::table()));
        let empty = Picture::from_rfb(800, &DARK.repeat(800 * HEIGHT));
        assert!(Font::learn(&empty).is_none());
    }

    #[test]
    fn a_font_of_bogl_is_read() {
        let mask = 0xffusize;
        let (offsets, index) = (44, 44 + 256 * 4);
        let content = index + 4 + 94 * 12;
        let mut file = vec![0; content + 94 * HEIGHT * 4];
        let mut put = |at: usize, word: usize| {
            file[at..at + 4].copy_from_slice(&(word as u32).to_le_bytes());
        };
        put(0, u32::from_le_bytes(*b"BGF1") as usize);
        for (at, word) in [
            (12, HEIGHT),
            (16, mask),
            (20, offsets),
            (28, index),
            (36, content),
        ] {
            put(at, word);
        }
        for (number, letter) in ('!'..='~').enumerate() {
            // The first word of the index ends the empty buckets.
            let entry = 1 + number * 3;
            put(offsets + letter as usize * 4, entry);
            // Letters of ASCII have no bits beside the mask's; eight is the width.
            put(index + entry * 4, 8);
            put(index + (entry + 1) * 4, number * HEIGHT);
            put(content + (number * HEIGHT + 3) * 4, (number + 1) << 24);
        }
        let font = Font::of_bogl(&file).unwrap();
        assert_eq!(font.letters.len(), 94);
        let mut a = [0; HEIGHT];
        a[3] = b'a' - b'!' + 1;
        assert_eq!(font.letters.get(&a), Some(&'a'));
        assert!(Font::of_bogl(&file[..60]).is_err() && Font::of_bogl(b"BGF2").is_err());
    }
}

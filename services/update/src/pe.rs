//! The sections of a unified kernel image, which is a PE file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Error;

/// Headers of a kernel image lie well within this many bytes.
const HEADERS: u64 = 64 << 10;

/// The entry for signatures among the data directories of a 64-bit program, in its optional header.
pub const SIGNATURES: usize = 112 + 4 * 8;

/// Where a section's content lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// First byte.
    pub offset: u64,
    /// Size in bytes, without the padding at its end.
    pub size: u64,
}

/// Finds the section `name`, for example `.linux`, by the headers at the beginning of a file. Of
/// several, the first is the one that is booted by default.
pub fn find(headers: &[u8], name: &str) -> Option<Section> {
    let header = word(headers, 0x3c)? as usize;
    if headers.get(header..header.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let count = usize::from(half(headers, header + 6)?);
    let table = header + 24 + usize::from(half(headers, header + 20)?);
    let entries = headers.get(table..)?.chunks_exact(40).take(count);
    entries
        .filter(|entry| entry[..8].split(|byte| *byte == 0).next() == Some(name.as_bytes()))
        .find_map(|entry| {
            // The size in the file is padded, the one in memory may be rounded up to a page.
            let size = word(entry, 8)?.min(word(entry, 16)?);
            Some(Section {
                offset: u64::from(word(entry, 20)?),
                size: u64::from(size),
            })
        })
}

/// Whether a file of `length` bytes that begins with these headers has all they speak of: every
/// section, and the signature at its end.
pub fn is_whole(headers: &[u8], length: u64) -> bool {
    end(headers).is_some_and(|end| end <= length)
}

/// Where the last thing that the headers speak of ends.
fn end(headers: &[u8]) -> Option<u64> {
    let header = word(headers, 0x3c)? as usize;
    if headers.get(header..header.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let count = usize::from(half(headers, header + 6)?);
    let optional = header + 24;
    let table = optional + usize::from(half(headers, header + 20)?);
    let entries = headers.get(table..table.checked_add(40 * count)?)?;
    let last = entries
        .chunks_exact(40)
        .filter_map(|entry| Some(u64::from(word(entry, 16)?) + u64::from(word(entry, 20)?)))
        .max()?;
    // Of the directories only that of signatures holds a position in the file.
    let signatures = optional + SIGNATURES;
    let signed = if signatures + 8 <= table {
        u64::from(word(headers, signatures)?) + u64::from(word(headers, signatures + 4)?)
    } else {
        0
    };
    Some(last.max(signed))
}

/// The content of the section `name` of a whole file.
pub fn content<'a>(image: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let section = find(image, name)?;
    let start = usize::try_from(section.offset).ok()?;
    let end = start.checked_add(usize::try_from(section.size).ok()?)?;
    image.get(start..end)
}

/// Reads the headers of a file.
pub fn headers(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADERS).read_to_end(&mut bytes))
        .map_err(|e| Error::io(path, e))?;
    Ok(bytes)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file with these sections, each at a multiple of 512 bytes.
    pub(crate) fn image(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut image = vec![0; 512];
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x46] = sections.len() as u8;
        for (index, (name, content)) in sections.iter().enumerate() {
            let start = image.len();
            image.extend_from_slice(content);
            image.resize(image.len().next_multiple_of(512), 0);
            let padded = image.len() - start;
            let entry = &mut image[0x58 + 40 * index..][..40];
            entry[..name.len()].copy_from_slice(name.as_bytes());
            entry[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
            entry[16..20].copy_from_slice(&(padded as u32).to_le_bytes());
            entry[20..24].copy_from_slice(&(start as u32).to_le_bytes());
        }
        image
    }

    #[test]
    fn sections_are_found_without_their_padding() {
        let image = image(&[(".cmdline", b"quiet"), (".linux", b"abc"), (".linux", b"x")]);
        let found = find(&image, ".linux").unwrap();
        assert_eq!((found.offset, found.size), (1024, 3));
        assert_eq!(content(&image, ".cmdline"), Some(&b"quiet"[..]));
        assert_eq!(find(&image, ".initrd"), None);
    }

    #[test]
    fn a_file_that_ends_early_is_not_whole() {
        let mut image = image(&[(".cmdline", b"quiet"), (".linux", &[7; 3000])]);
        let length = image.len() as u64;
        assert!(is_whole(&image, length));
        assert!(!is_whole(&image, length - 1));
        assert!(!is_whole(&image[..0x60], length));
        assert!(!is_whole(b"", 0));
        // With an optional header, in which a signature behind the last section is named.
        let size = SIGNATURES + 8;
        let sections = image.split_off(0x58);
        image[0x54] = size as u8;
        image.resize(0x58 + size, 0);
        image[0x58 + SIGNATURES..][..4].copy_from_slice(&(length as u32).to_le_bytes());
        image[0x58 + SIGNATURES + 4] = 100;
        image.extend(sections);
        assert!(is_whole(&image, length + 100));
        assert!(!is_whole(&image, length + 99));
    }

    #[test]
    fn what_is_no_image_has_no_sections() {
        let whole = image(&[(".linux", b"abc")]);
        for bytes in [&b"short"[..], &whole[..0x60], &[0xff; 512]] {
            assert_eq!(find(bytes, ".linux"), None);
        }
    }
}

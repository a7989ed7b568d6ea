//! Telling archive formats by their first bytes.

use std::io;
use std::os::fd::BorrowedFd;

/// A format that tar can be told to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Not compressed.
    Plain,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
}

/// Offset and text that every tar header of the last decades carries.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

impl Format {
    /// Looks at an archive without moving its position.
    pub fn detect(archive: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let position = rustix::fs::tell(archive)?;
        let mut start = [0; 512];
        let mut filled = 0;
        while filled < start.len() {
            match rustix::io::pread(archive, &mut start[filled..], position + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(Self::of_start(&start[..filled]))
    }

    fn of_start(start: &[u8]) -> Option<Self> {
        let (offset, magic) = TAR_MAGIC;
        if start.starts_with(&[0x1f, 0x8b]) {
            Some(Self::Gzip)
        } else if start.starts_with(b"\xfd7zXZ\0") {
            Some(Self::Xz)
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Some(Self::Zstd)
        } else if start
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
        {
            Some(Self::Plain)
        } else {
            None
        }
    }

    /// tar's option for it.
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("--gzip"),
            Self::Xz => Some("--xz"),
            Self::Zstd => Some("--zstd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::fd::AsFd;

    #[test]
    fn tells_formats_apart() {
        assert_eq!(Format::of_start(&[0x1f, 0x8b, 8]), Some(Format::Gzip));
        assert_eq!(Format::of_start(b"\xfd7zXZ\0\0"), Some(Format::Xz));
        assert_eq!(
            Format::of_start(&[0x28, 0xb5, 0x2f, 0xfd]),
            Some(Format::Zstd)
        );
        let mut header = vec![0; 512];
        header[257..262].copy_from_slice(b"ustar");
        assert_eq!(Format::of_start(&header), Some(Format::Plain));
        assert_eq!(Format::of_start(b"PK\x03\x04"), None);
        assert_eq!(Format::of_start(b""), None);
    }

    #[test]
    fn looks_from_the_current_position_and_stays_there() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"prefix\x1f\x8brest").unwrap();
        file.seek(SeekFrom::Start(6)).unwrap();
        assert_eq!(Format::detect(file.as_fd()).unwrap(), Some(Format::Gzip));
        assert_eq!(file.stream_position().unwrap(), 6);
    }
}

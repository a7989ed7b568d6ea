//! Descriptor chains as checked spans of guest memory, and input and output on them.
//!
//! A chain is accepted only when all of it is sound: readable spans come before writable ones,
//! none leaves memory, there are not too many, and their sum is no nonsense. So the devices see
//! good chains or none.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd};

use virtio_queue::DescriptorChain;
use vm_memory::bitmap::Bitmap;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use crate::machine::memory::Memory;

/// Most descriptors in one chain; also the most one vectored system call takes.
pub const MAX_SPANS: usize = 1024;

/// A piece of guest memory, known to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Address of the first byte.
    pub start: GuestAddress,
    /// Length in bytes.
    pub len: usize,
}

/// A chain's spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Index the driver knows the chain by.
    pub head: u16,
    /// What the driver wrote for the device.
    pub readable: Spans,
    /// Where the device may write.
    pub writable: Spans,
}

/// Several spans in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Span>);

/// Why a chain is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`MAX_SPANS`] descriptors.
    #[error("the chain has more than {MAX_SPANS} descriptors")]
    TooLong,
    /// A readable descriptor follows a writable one.
    #[error("a readable descriptor follows a writable one")]
    Order,
    /// Memory that does not exist.
    #[error("a descriptor points outside memory")]
    Outside,
}

impl Chain {
    /// Checks a whole chain.
    pub fn collect<M>(memory: &Memory, descriptors: DescriptorChain<M>) -> Result<Self, Error>
    where
        M: Deref<Target = Memory>,
    {
        let mut chain = Self {
            head: descriptors.head_index(),
            ..Self::default()
        };
        for (count, descriptor) in descriptors.enumerate() {
            if count == MAX_SPANS {
                return Err(Error::TooLong);
            }
            let span = Span {
                start: descriptor.addr(),
                len: descriptor.len() as usize,
            };
            if span.len > 0 && !memory.check_range(span.start, span.len) {
                return Err(Error::Outside);
            }
            if descriptor.is_write_only() {
                chain.writable.0.push(span);
            } else if chain.writable.0.is_empty() {
                chain.readable.0.push(span);
            } else {
                return Err(Error::Order);
            }
        }
        Ok(chain)
    }
}

impl Spans {
    /// Sum of the lengths; each is below 4 GiB and there are at most [`MAX_SPANS`].
    pub fn len(&self) -> usize {
        self.0.iter().map(|s| s.len).sum()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits the first `len` bytes off; `None` if there are fewer.
    pub fn take_front(&mut self, len: usize) -> Option<Spans> {
        if self.len() < len {
            return None;
        }
        let mut front = Vec::new();
        let mut missing = len;
        while missing > 0 {
            let first = self.0.first_mut()?;
            let part = first.len.min(missing);
            front.push(Span {
                start: first.start,
                len: part,
            });
            first.start = GuestAddress(first.start.0.wrapping_add(part as u64));
            first.len -= part;
            missing -= part;
            if first.len == 0 {
                self.0.remove(0);
            }
        }
        Some(Spans(front))
    }

    /// Splits the last `len` bytes off; `None` if there are fewer.
    pub fn take_back(&mut self, len: usize) -> Option<Spans> {
        let keep = self.len().checked_sub(len)?;
        let front = self.take_front(keep)?;
        Some(std::mem::replace(self, front))
    }

    /// Copies from guest memory; returns the number of bytes, bounded by both sides.
    pub fn read(&self, memory: &Memory, mut into: &mut [u8]) -> usize {
        let mut done = 0;
        for span in &self.0 {
            let len = span.len.min(into.len());
            let (now, rest) = into.split_at_mut(len);
            if memory.read_slice(now, span.start).is_err() {
                break;
            }
            done += len;
            into = rest;
        }
        done
    }

    /// Copies into guest memory; returns the number of bytes, bounded by both sides.
    pub fn write(&self, memory: &Memory, mut from: &[u8]) -> usize {
        let mut done = 0;
        for span in &self.0 {
            let len = span.len.min(from.len());
            let (now, rest) = from.split_at(len);
            if memory.write_slice(now, span.start).is_err() {
                break;
            }
            done += len;
            from = rest;
        }
        done
    }

    /// The same memory as the kernel wants it for vectored input and output.
    fn vectors(&self, memory: &Memory) -> io::Result<Vec<libc::iovec>> {
        let mut vectors = Vec::with_capacity(self.0.len());
        for span in &self.0 {
            for slice in memory.get_slices(span.start, span.len) {
                let slice = slice.map_err(io::Error::other)?;
                let pointer = slice.ptr_guard_mut().as_ptr();
                vectors.push(libc::iovec {
                    iov_base: pointer.cast(),
                    iov_len: slice.len(),
                });
            }
        }
        // A span across the hole counts twice.
        if vectors.len() > MAX_SPANS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(vectors)
    }

    /// Reads from `file` at `offset` until the spans are full or the file ends.
    pub fn fill_from(&self, memory: &Memory, file: BorrowedFd, offset: u64) -> io::Result<usize> {
        transfer(self.vectors(memory)?, offset, |vectors, offset| {
            // SAFETY: every vector is guest memory that `memory` keeps mapped across the call;
            // the guest may change it meanwhile, which only changes its own data.
            unsafe {
                libc::preadv(
                    file.as_raw_fd(),
                    vectors.as_ptr(),
                    vectors.len() as i32,
                    offset,
                )
            }
        })
        .inspect(|_| self.mark(memory))
    }

    /// Notes that the kernel wrote into the spans by address, where nothing sees it.
    pub fn mark(&self, memory: &Memory) {
        for span in &self.0 {
            for slice in memory.get_slices(span.start, span.len).flatten() {
                slice.bitmap().mark_dirty(0, slice.len());
            }
        }
    }

    /// Writes all of the spans to `file` at `offset`.
    pub fn drain_to(&self, memory: &Memory, file: BorrowedFd, offset: u64) -> io::Result<usize> {
        transfer(self.vectors(memory)?, offset, |vectors, offset| {
            // SAFETY: as in `fill_from`.
            unsafe {
                libc::pwritev(
                    file.as_raw_fd(),
                    vectors.as_ptr(),
                    vectors.len() as i32,
                    offset,
                )
            }
        })
    }

    /// Writes the spans to a packet device with one call.
    pub fn send(&self, memory: &Memory, packets: BorrowedFd) -> io::Result<usize> {
        let vectors = self.vectors(memory)?;
        // SAFETY: as in `fill_from`.
        let sent =
            unsafe { libc::writev(packets.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Repeats a vectored call until everything moved or it moves no more.
fn transfer(
    mut vectors: Vec<libc::iovec>,
    offset: u64,
    mut call: impl FnMut(&[libc::iovec], i64) -> isize,
) -> io::Result<usize> {
    let mut done = 0usize;
    let mut rest = &mut vectors[..];
    while !rest.is_empty() {
        let at = offset
            .checked_add(done as u64)
            .and_then(|at| i64::try_from(at).ok());
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        let moved = match usize::try_from(call(rest, at)) {
            Ok(0) => break,
            Ok(moved) => moved,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            },
        };
        done += moved;
        rest = advance(rest, moved);
    }
    Ok(done)
}

/// Drops `moved` bytes from the front.
fn advance(mut vectors: &mut [libc::iovec], mut moved: usize) -> &mut [libc::iovec] {
    while let Some(first) = vectors.first_mut() {
        if moved < first.iov_len {
            first.iov_base = first.iov_base.wrapping_byte_add(moved);
            first.iov_len -= moved;
            break;
        }
        moved -= first.iov_len;
        vectors = &mut vectors[1..];
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;
    use crate::machine::memory::reserve;

    fn spans(list: &[(u64, usize)]) -> Spans {
        Spans(
            list.iter()
                .map(|(start, len)| Span {
                    start: GuestAddress(*start),
                    len: *len,
                })
                .collect(),
        )
    }

    #[test]
    fn front_and_back_split_anywhere() {
        let whole = [(0x1000, 10), (0x3000, 0), (0x2000, 6)];
        for cut in 0..=16 {
            let mut rest = spans(&whole);
            let front = rest.take_front(cut).unwrap();
            assert_eq!((front.len(), rest.len()), (cut, 16 - cut));
            let mut rest = spans(&whole);
            let back = rest.take_back(cut).unwrap();
            assert_eq!((back.len(), rest.len()), (cut, 16 - cut));
        }
        assert!(spans(&whole).take_front(17).is_none());
        assert!(spans(&whole).take_back(17).is_none());
    }

    #[test]
    fn copies_are_bounded_by_both_sides() {
        let memory = reserve(64 * MIB).unwrap();
        let target = spans(&[(0x1000, 3), (0x5000, 4)]);
        assert_eq!(target.write(&memory, b"hello"), 5);
        let mut back = [0; 16];
        assert_eq!(target.read(&memory, &mut back), 7);
        assert_eq!(&back[..5], b"hello");
        assert_eq!(target.write(&memory, &[1; 64]), 7);
    }

    #[test]
    fn files_are_read_to_their_end_only() {
        use std::os::fd::AsFd;
        let memory = reserve(64 * MIB).unwrap();
        let file = tempfile::tempfile().unwrap();
        let target = spans(&[(0x1000, 600), (0x9000, 600)]);
        assert_eq!(target.drain_to(&memory, file.as_fd(), 100).unwrap(), 1200);
        assert_eq!(file.metadata().unwrap().len(), 1300);
        assert_eq!(target.fill_from(&memory, file.as_fd(), 700).unwrap(), 600);
        assert!(
            target
                .fill_from(&memory, file.as_fd(), u64::MAX - 3)
                .is_err()
        );
    }
}

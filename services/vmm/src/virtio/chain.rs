//! Descriptor chains as checked spans of guest memory, and input and output on them.
//!
//! A chain is accepted only when all of it is sound: readable spans come before writable ones,
//! none leaves memory, there are not too many, and their sum is no nonsense. So the devices see
//! good chains or none.

use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::bitmap::Bitmap;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use crate::disk::vectors::{MAX_VECTORS, Vectors};
use crate::machine::memory::Memory;

/// Most descriptors in one chain; also the most one vectored system call takes.
pub const MAX_SPANS: usize = MAX_VECTORS;

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
    /// One span, for tests.
    #[cfg(test)]
    pub(crate) fn one(start: GuestAddress, len: usize) -> Self {
        Self(vec![Span { start, len }])
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

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
    pub fn vectors(&self, memory: &Arc<Memory>) -> io::Result<Vectors> {
        let mut list = Vec::with_capacity(self.0.len());
        for span in self.0.iter().filter(|span| span.len > 0) {
            for slice in memory.get_slices(span.start, span.len) {
                let slice = slice.map_err(io::Error::other)?;
                list.push(libc::iovec {
                    iov_base: slice.ptr_guard_mut().as_ptr().cast(),
                    iov_len: slice.len(),
                });
            }
        }
        // A span across the hole counts twice.
        if list.len() > MAX_SPANS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: `get_slices` gave pieces that each lie within one mapping of `memory`.
        Ok(unsafe { Vectors::guest(memory.clone(), self.clone(), list) })
    }

    /// Notes that the kernel wrote into the spans by address, where nothing sees it.
    pub fn mark(&self, memory: &Memory) {
        for span in self.0.iter().filter(|span| span.len > 0) {
            for slice in memory.get_slices(span.start, span.len).flatten() {
                slice.bitmap().mark_dirty(0, slice.len());
            }
        }
    }

    /// Writes the spans to a packet device with one call.
    pub fn send(&self, memory: &Arc<Memory>, packets: BorrowedFd<'_>) -> io::Result<usize> {
        self.vectors(memory)?.send_to(packets)
    }
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
}

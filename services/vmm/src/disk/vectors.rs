//! Memory for vectored input and output: pieces of guest memory or of our own, in order, kept
//! alive for as long as the kernel may touch them.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use vm_memory::VolatileSlice;

use crate::machine::memory::Memory;
use crate::virtio::chain::Spans;

/// Alignment that satisfies direct access to any device.
pub const ALIGNMENT: usize = 4096;
/// Most vectors that one system call takes.
pub const MAX_VECTORS: usize = 1024;

/// What keeps the memory alive.
#[derive(Clone)]
enum Keep {
    Nothing,
    Guest(Arc<Memory>),
    Own(#[allow(dead_code, reason = "held, not read")] Arc<Aligned>),
}

/// Pieces of memory in order.
pub struct Vectors {
    list: Vec<libc::iovec>,
    len: usize,
    keep: Keep,
    /// The guest's addresses of the same memory.
    spans: Spans,
}

// SAFETY: the pointers lead to guest memory, which all threads may touch, or to a buffer that
// only this value reads and writes.
unsafe impl Send for Vectors {}

impl fmt::Debug for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pieces", self.len, self.list.len())
    }
}

impl Vectors {
    /// Pieces of guest memory, which `spans` are the guest's addresses of.
    ///
    /// # Safety
    /// Every entry of `list` must lie within one mapping of `memory`.
    pub unsafe fn guest(memory: Arc<Memory>, spans: Spans, list: Vec<libc::iovec>) -> Self {
        Self {
            len: list.iter().map(|piece| piece.iov_len).sum(),
            list,
            keep: Keep::Guest(memory),
            spans,
        }
    }

    /// Notes that the kernel wrote into guest memory by address, where nothing sees it.
    pub fn mark(&self) {
        if let Keep::Guest(memory) = &self.keep {
            self.spans.mark(memory);
        }
    }

    /// No memory at all.
    pub fn none() -> Self {
        Self {
            list: Vec::new(),
            len: 0,
            keep: Keep::Nothing,
            spans: Spans::default(),
        }
    }

    /// The first `len` bytes of a buffer of our own.
    pub fn own(buffer: Arc<Aligned>, len: usize) -> Self {
        let len = len.min(buffer.len());
        let piece = libc::iovec {
            iov_base: buffer.start.as_ptr().cast(),
            iov_len: len,
        };
        Self {
            list: vec![piece],
            len,
            keep: Keep::Own(buffer),
            spans: Spans::default(),
        }
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same memory once more, for the kernel; who marks it is who had it first.
    pub fn again(&self) -> Self {
        Self {
            list: self.list.clone(),
            len: self.len,
            keep: self.keep.clone(),
            spans: Spans::default(),
        }
    }

    /// The pieces as the kernel wants them.
    pub fn raw(&self) -> &[libc::iovec] {
        &self.list
    }

    /// Whether every piece starts and ends at a multiple of `alignment`, a power of two.
    pub fn is_aligned(&self, alignment: usize) -> bool {
        let mask = alignment - 1;
        let good = |piece: &libc::iovec| (piece.iov_base as usize | piece.iov_len) & mask == 0;
        self.list.iter().all(good)
    }

    /// The pieces for code that knows memory may change under it.
    pub fn slices(&self) -> Vec<VolatileSlice<'_>> {
        let slice = |piece: &libc::iovec| {
            // SAFETY: the piece is memory that `self.keep` keeps, and the slice borrows `self`.
            unsafe { VolatileSlice::new(piece.iov_base.cast(), piece.iov_len) }
        };
        self.list.iter().map(slice).collect()
    }

    /// Drops `moved` bytes from the front.
    pub fn advance(&mut self, mut moved: usize) {
        self.len = self.len.saturating_sub(moved);
        let mut whole = 0;
        for piece in &mut self.list {
            if moved < piece.iov_len {
                piece.iov_base = piece.iov_base.wrapping_byte_add(moved);
                piece.iov_len -= moved;
                break;
            }
            moved -= piece.iov_len;
            whole += 1;
        }
        self.list.drain(..whole);
    }

    /// Copies the pieces into `buffer`, as far as both reach.
    pub fn copy_to(&self, buffer: &mut [u8]) {
        let mut rest = buffer;
        for slice in self.slices() {
            let len = slice.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            slice.copy_to(now);
            rest = later;
        }
    }

    /// Copies `buffer` into the pieces, as far as both reach.
    pub fn copy_from(&self, buffer: &[u8]) {
        let mut rest = buffer;
        for slice in self.slices() {
            let len = slice.len().min(rest.len());
            let (now, later) = rest.split_at(len);
            slice.copy_from(now);
            rest = later;
        }
    }

    /// Reads from `file` at `offset` until the pieces are full; a file that ends earlier is an
    /// error.
    pub fn read_from(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let call = |pieces: &[libc::iovec], offset| {
            // SAFETY: every piece is memory that `self.keep` keeps; a guest may change it
            // meanwhile, which only changes its own data.
            unsafe {
                libc::preadv(
                    file.as_raw_fd(),
                    pieces.as_ptr(),
                    pieces.len() as i32,
                    offset,
                )
            }
        };
        match self.again().transfer(offset, call)? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Writes the pieces to `file` at `offset`.
    pub fn write_to(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let call = |pieces: &[libc::iovec], offset| {
            // SAFETY: as in `read_from`; the kernel only reads.
            unsafe {
                libc::pwritev(
                    file.as_raw_fd(),
                    pieces.as_ptr(),
                    pieces.len() as i32,
                    offset,
                )
            }
        };
        match self.again().transfer(offset, call)? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Sends the pieces to a packet device with one call; returns what it took.
    pub fn send_to(&self, packets: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: as in `write_to`.
        let sent = unsafe {
            libc::writev(
                packets.as_raw_fd(),
                self.list.as_ptr(),
                self.list.len() as i32,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Repeats a vectored call until everything moved or it moves no more; returns what is left.
    fn transfer(
        mut self,
        offset: u64,
        mut call: impl FnMut(&[libc::iovec], i64) -> isize,
    ) -> io::Result<usize> {
        let mut place = offset;
        while self.len > 0 {
            let at = i64::try_from(place).map_err(|_| io::ErrorKind::InvalidInput)?;
            let some = &self.list[..self.list.len().min(MAX_VECTORS)];
            match usize::try_from(call(some, at)) {
                Ok(0) => break,
                Ok(moved) => {
                    self.advance(moved);
                    place = place.saturating_add(moved as u64);
                }
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        Ok(self.len)
    }
}

/// Zeroed memory of our own, aligned for direct access.
pub struct Aligned {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Aligned {}
// SAFETY: shared references only read, and the kernel writes only while nobody reads: see
// `Vectors::own`, whose users look at the buffer after the operation has ended.
unsafe impl Sync for Aligned {}

impl Aligned {
    /// So many bytes, at least one page.
    pub fn new(len: usize) -> io::Result<Self> {
        let layout = Layout::from_size_align(len.max(ALIGNMENT), ALIGNMENT)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => Ok(Self { start, layout }),
            None => handle_alloc_error(layout),
        }
    }

    /// Bytes, at least as many as were asked for.
    pub fn len(&self) -> usize {
        self.layout.size()
    }

    /// Never: there is at least one page.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is initialized, `len` bytes long and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len()) }
    }

    /// The bytes, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len()) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn filled(byte: u8, len: usize) -> Vectors {
        let mut buffer = Aligned::new(len).unwrap();
        buffer.bytes_mut().fill(byte);
        Vectors::own(Arc::new(buffer), len)
    }

    #[test]
    fn files_are_read_whole_or_not_at_all() {
        let file = tempfile::tempfile().unwrap();
        filled(7, 1200).write_to(file.as_fd(), 100).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1300);
        let target = filled(0, 1200);
        target.read_from(file.as_fd(), 100).unwrap();
        let mut bytes = vec![0; 1200];
        target.copy_to(&mut bytes);
        assert_eq!(bytes, vec![7; 1200]);
        let beyond = target.read_from(file.as_fd(), 700).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        assert!(target.read_from(file.as_fd(), u64::MAX - 3).is_err());
    }

    #[test]
    fn advancing_drops_whole_and_partial_pieces() {
        let mut vectors = filled(1, 100);
        let second = filled(2, 50);
        vectors.list.extend_from_slice(second.raw());
        vectors.len += 50;
        for (step, left) in [(30, 120), (70, 50), (49, 1), (1, 0), (5, 0)] {
            vectors.advance(step);
            let sum: usize = vectors.list.iter().map(|piece| piece.iov_len).sum();
            assert_eq!((vectors.len(), sum), (left, left));
        }
    }

    #[test]
    fn alignment_is_that_of_every_piece() {
        assert!(filled(0, 8192).is_aligned(4096));
        assert!(!filled(0, 8192 + 512).is_aligned(4096));
        assert!(filled(0, 8192 + 512).is_aligned(512));
    }
}

//! Disks for tests: run to their end, filled, and full at will.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::vectors::{Aligned, Vectors};
use super::{Disk, Done, Operation};

/// Carries one operation out and waits for it.
pub fn run(disk: &mut dyn Disk, operation: Operation) -> io::Result<()> {
    disk.submit(77, operation);
    let mut done = Vec::new();
    loop {
        disk.collect(&mut done);
        if let Some(one) = done.pop() {
            assert_eq!(one.tag, 77);
            return one.result;
        }
        disk.wait()?;
    }
}

/// Writes `bytes` at `offset`.
pub fn write(disk: &mut dyn Disk, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut buffer = Aligned::new(bytes.len())?;
    buffer.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    let from = Vectors::own(Arc::new(buffer), bytes.len());
    run(disk, Operation::Write { offset, from })
}

/// Reads `len` bytes at `offset`.
pub fn read(disk: &mut dyn Disk, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let buffer = Arc::new(Aligned::new(len)?);
    let into = Vectors::own(buffer.clone(), len);
    run(disk, Operation::Read { offset, into })?;
    Ok(buffer.bytes()[..len].to_vec())
}

/// A disk on a host that is full while the switch is on.
pub struct FullDisk {
    /// The disk behind it.
    pub inner: Box<dyn Disk>,
    /// Whether the host is full.
    pub full: Arc<AtomicBool>,
    /// Operations refused.
    pub refused: VecDeque<Done>,
}

impl Disk for FullDisk {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn submit(&mut self, tag: u64, operation: Operation) {
        if operation.changes().is_some() && self.full.load(Ordering::Relaxed) {
            self.refused.push_back(Done {
                tag,
                operation,
                result: Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            });
        } else {
            self.inner.submit(tag, operation);
        }
    }

    fn collect(&mut self, done: &mut Vec<Done>) {
        done.extend(self.refused.drain(..));
        self.inner.collect(done);
    }

    fn pending(&self) -> usize {
        self.refused.len() + self.inner.pending()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.inner.wait()
    }

    fn read_now(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_now(offset, into)
    }

    fn grow(&mut self, size: u64) -> io::Result<()> {
        self.inner.grow(size)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.inner.source()
    }
}

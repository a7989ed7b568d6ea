//! Flash memory that keeps the firmware's variables: the Intel command set (CFI 0001), bytewide.
//!
//! Reads normally come from a read-only slot of KVM without leaving the guest. Writes always leave
//! it and arrive here as commands. While the firmware wants to read something else than the array
//! (status, identity), the slot is taken away.
//!
//! Programming and erasing end at once, and the array stays readable; the chips would answer with
//! their status until told otherwise. Firmware asks for the status explicitly, and each change of a
//! slot costs the guest its page tables.
//!
//! In a machine with system management mode commands come from that mode alone ([`Flash::guarded`]): so
//! only the firmware changes its variables, whoever owns the operating system.
//!
//! Contents go to a file: every erased block at once, programmed bytes when the firmware returns to
//! reading (as it does after each piece), each followed by `fdatasync`. So the file holds what a chip
//! would hold that lost power at that instant, in the order in which the firmware wrote it, and the
//! firmware's own journal (fault tolerant write) does the rest.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, MmapRegion, VolatileMemory};

use crate::bus::MemoryDevice;

/// Bytes erased together.
pub const BLOCK: usize = 4096;
const ERASED: u8 = 0xff;

const PROGRAM: u8 = 0x10;
const PROGRAM_ALTERNATE: u8 = 0x40;
const ERASE: u8 = 0x20;
const CLEAR_STATUS: u8 = 0x50;
const READ_STATUS: u8 = 0x70;
const READ_IDENTITY: u8 = 0x90;
const CONFIRM: u8 = 0xd0;

/// Status: the chip is idle.
const READY: u8 = 1 << 7;
/// Status: an erasure was not confirmed.
const ERASE_FAILED: u8 = 1 << 5;
/// Manufacturer (Intel) and device, at even and odd addresses.
const IDENTITY: [u8; 2] = [0x89, 0x18];

/// What reads give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Reads {
    Array,
    Status,
    Identity,
}

/// What the next write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Expects {
    Command,
    Byte,
    Confirmation,
}

/// The chip's state apart from its contents, which are in the file once saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashState {
    reads: Reads,
    expects: Expects,
    status: u8,
}

/// Makes the array readable without leaving the guest, or no longer.
pub trait ArraySlot: Send + Sync {
    /// Shows or hides the array.
    fn show(&self, on: bool) -> io::Result<()>;
}

struct Inner {
    state: FlashState,
    /// Programmed but not yet in the file.
    dirty: Range<usize>,
}

/// One chip.
pub struct Flash {
    base: u64,
    array: Arc<MmapRegion>,
    file: Arc<File>,
    slot: Box<dyn ArraySlot>,
    guarded: bool,
    inner: Mutex<Inner>,
}

/// Reads the start of `file` into memory of its own.
pub fn load(file: &File, len: usize) -> io::Result<Arc<MmapRegion>> {
    let mut content = vec![0; len];
    file.read_exact_at(&mut content, 0)?;
    let array = MmapRegion::new(len).map_err(io::Error::other)?;
    array
        .as_volatile_slice()
        .write_slice(&content, 0)
        .map_err(io::Error::other)?;
    Ok(Arc::new(array))
}

impl Flash {
    /// A chip at `base` whose contents are in `array` and `file`; the array is shown by `slot`.
    pub fn new(
        base: u64,
        array: Arc<MmapRegion>,
        file: Arc<File>,
        slot: Box<dyn ArraySlot>,
    ) -> io::Result<Self> {
        slot.show(true)?;
        Ok(Self {
            base,
            array,
            file,
            slot,
            guarded: false,
            inner: Mutex::new(Inner {
                state: FlashState {
                    reads: Reads::Array,
                    expects: Expects::Command,
                    status: READY,
                },
                dirty: 0..0,
            }),
        })
    }

    /// The chip takes commands in system management mode alone; others go unheard.
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chip's state; its contents are in the file afterwards.
    pub fn save(&self) -> FlashState {
        let mut inner = self.inner();
        self.flush(&mut inner);
        inner.state.clone()
    }

    /// Takes over a state.
    pub fn restore(&self, state: FlashState) -> io::Result<()> {
        let mut inner = self.inner();
        self.slot.show(state.reads == Reads::Array)?;
        inner.state = state;
        Ok(())
    }

    /// Where `address` lies in the chip, if `len` bytes fit there.
    fn offset(&self, address: u64, len: usize) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let end = offset.checked_add(len)?;
        (end <= self.array.size()).then_some(offset)
    }

    fn set_reads(&self, inner: &mut Inner, reads: Reads) {
        let (before, after) = (inner.state.reads == Reads::Array, reads == Reads::Array);
        inner.state.reads = reads;
        if before != after
            && let Err(error) = self.slot.show(after)
        {
            tracing::error!(%error, "cannot switch the variables' memory");
        }
    }

    fn write_byte(&self, inner: &mut Inner, offset: usize, value: u8) {
        match inner.state.expects {
            Expects::Command => self.command(inner, value),
            Expects::Byte => {
                inner.state.expects = Expects::Command;
                self.program(inner, offset, value);
            }
            Expects::Confirmation => {
                inner.state.expects = Expects::Command;
                if value == CONFIRM {
                    self.erase(inner, offset);
                } else {
                    inner.state.status |= READY | ERASE_FAILED;
                }
            }
        }
    }

    fn command(&self, inner: &mut Inner, command: u8) {
        match command {
            PROGRAM | PROGRAM_ALTERNATE => inner.state.expects = Expects::Byte,
            ERASE => inner.state.expects = Expects::Confirmation,
            READ_STATUS => self.set_reads(inner, Reads::Status),
            READ_IDENTITY => self.set_reads(inner, Reads::Identity),
            CLEAR_STATUS => {
                inner.state.status = 0;
                self.set_reads(inner, Reads::Array);
            }
            // Back to the array, asked for or by a command that does not exist.
            _ => {
                self.flush(inner);
                self.set_reads(inner, Reads::Array);
            }
        }
    }

    /// Programming can only clear bits.
    fn program(&self, inner: &mut Inner, offset: usize, value: u8) {
        let mut byte = [0];
        self.copy_out(&mut byte, offset);
        self.copy_in(&[byte[0] & value], offset);
        inner.state.status |= READY;
        let dirty = &mut inner.dirty;
        if dirty.start == dirty.end {
            *dirty = offset..offset + 1;
        } else if offset == dirty.end {
            dirty.end += 1;
        } else {
            self.flush(inner);
            inner.dirty = offset..offset + 1;
        }
    }

    fn erase(&self, inner: &mut Inner, offset: usize) {
        self.flush(inner);
        let start = offset / BLOCK * BLOCK;
        let end = (start + BLOCK).min(self.array.size());
        self.copy_in(&vec![ERASED; end - start], start);
        inner.state.status |= READY;
        inner.dirty = start..end;
        self.flush(inner);
    }

    /// Brings what was programmed into the file, for good.
    fn flush(&self, inner: &mut Inner) {
        let dirty = std::mem::take(&mut inner.dirty);
        if dirty.start == dirty.end {
            return;
        }
        let mut bytes = vec![0; dirty.len()];
        self.copy_out(&mut bytes, dirty.start);
        let written = self
            .file
            .write_all_at(&bytes, dirty.start as u64)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // The guest goes on with its variables in memory; the chip has no better answer.
            tracing::error!(%error, "cannot keep the firmware's variables");
        }
    }

    fn copy_out(&self, bytes: &mut [u8], offset: usize) {
        // Callers stay inside the array, where this cannot fail.
        let _ = self.array.as_volatile_slice().read_slice(bytes, offset);
    }

    fn copy_in(&self, bytes: &[u8], offset: usize) {
        // As above.
        let _ = self.array.as_volatile_slice().write_slice(bytes, offset);
    }
}

impl MemoryDevice for Flash {
    fn read(&self, address: u64, data: &mut [u8]) -> bool {
        let Some(offset) = self.offset(address, data.len()) else {
            return false;
        };
        let inner = self.inner();
        match inner.state.reads {
            Reads::Array => self.copy_out(data, offset),
            Reads::Status => data.fill(inner.state.status),
            Reads::Identity => {
                for (i, byte) in data.iter_mut().enumerate() {
                    *byte = IDENTITY[(offset + i) % 2];
                }
            }
        }
        true
    }

    fn write(&self, address: u64, data: &[u8]) -> bool {
        match self.guarded {
            true => self.offset(address, data.len()).is_some(),
            false => self.write_managed(address, data),
        }
    }

    fn write_managed(&self, address: u64, data: &[u8]) -> bool {
        let Some(offset) = self.offset(address, data.len()) else {
            return false;
        };
        let mut inner = self.inner();
        for (i, byte) in data.iter().enumerate() {
            self.write_byte(&mut inner, offset + i, *byte);
        }
        true
    }
}

impl Drop for Flash {
    fn drop(&mut self) {
        self.flush(&mut self.inner());
    }
}

#[cfg(test)]
#[path = "flash_tests.rs"]
mod tests;

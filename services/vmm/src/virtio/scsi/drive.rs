//! A drive's tray: the disc in it, and what the guest has not yet heard of.
//!
//! The device's thread and the main thread share it, and it outlives a reset of the machine.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sense::Sense;
use crate::machine::memory::Memory;
use crate::virtio::chain::Spans;

/// Bytes of a disc's block.
pub const BLOCK: u64 = 2048;

/// A disc.
#[derive(Debug, Clone)]
pub struct Medium {
    file: Arc<File>,
    blocks: u64,
}

impl Medium {
    /// The disc of an image; a last block that is not whole is not shown. An image without a
    /// whole block is none.
    pub fn new(file: File) -> io::Result<Self> {
        let blocks = (&file).seek(SeekFrom::End(0))? / BLOCK;
        if blocks == 0 || blocks > u64::from(u32::MAX) {
            let text = format!("{blocks} blocks of {BLOCK} bytes are no disc");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self {
            file: Arc::new(file),
            blocks,
        })
    }

    /// Number of blocks, 1 to 2³² − 1.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Reads `len` bytes at `offset`, or as many as `data` has room for; returns how many.
    pub fn read(
        &self,
        memory: &Arc<Memory>,
        mut data: Spans,
        offset: u64,
        len: u64,
    ) -> io::Result<usize> {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(data.len());
        let Some(wanted) = data.take_front(len) else {
            return Ok(0);
        };
        let vectors = wanted.vectors(memory)?;
        vectors.read_from(self.file.as_fd(), offset)?;
        vectors.mark();
        Ok(len)
    }
}

/// What happened to the disc, as a driver asks for it (MMC-6, section 6.6.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// Nothing new.
    None,
    /// There is a disc that was not there before.
    New,
    /// The disc is gone.
    Removed,
}

/// What changes about a drive.
#[derive(Debug)]
pub struct Tray {
    /// The disc.
    pub medium: Option<Medium>,
    /// Whether the guest keeps the disc from being taken out by its own command.
    pub locked: bool,
    /// What the guest is told before its next command is carried out.
    pub attention: Option<Sense>,
    /// What the guest is told when it asks.
    pub event: MediaEvent,
}

/// A drive for optical discs.
#[derive(Debug)]
pub struct Drive {
    id: String,
    tray: Mutex<Tray>,
}

impl Drive {
    /// A drive called `id` in the configuration.
    pub fn new(id: &str, medium: Option<Medium>) -> Self {
        Self {
            id: id.to_owned(),
            tray: Mutex::new(Tray {
                medium,
                locked: false,
                attention: None,
                event: MediaEvent::None,
            }),
        }
    }

    /// Configuration key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tray.
    pub fn tray(&self) -> MutexGuard<'_, Tray> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another disc in, or none, whatever the guest thinks of it.
    pub fn change(&self, medium: Option<Medium>) {
        let mut tray = self.tray();
        tray.event = match medium {
            Some(_) => MediaEvent::New,
            None => MediaEvent::Removed,
        };
        tray.medium = medium;
        tray.locked = false;
        tray.attention = Some(Sense::CHANGED);
    }

    /// The disc's descriptor, if there is one.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.tray().medium.as_ref().map(|m| m.file.as_raw_fd())
    }
}

//! QEMU's firmware configuration device: named blobs the firmware reads by port or by DMA.
//!
//! Specified in QEMU's `docs/specs/fw_cfg.rst`. The selector is at [`FW_CFG_PORT`], the data byte
//! behind it, the DMA address register (big endian, two halves) from offset 4 on. Blobs are fixed
//! when the machine is built, except for those declared by [`Blobs::register`], which the guest may
//! write by DMA and whose device hears of it, and by [`Blobs::answer`], which depend on that.
//!
//! [`FW_CFG_PORT`]: crate::machine::layout::FW_CFG_PORT

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use crate::bus::PortDevice;
use crate::machine::memory::Memory;

/// Number of ports.
pub const LEN: u16 = 12;
const SELECTOR: u16 = 0;
const DATA: u16 = 1;
const DMA_HIGH: u16 = 4;
const DMA_LOW: u16 = 8;

const KEY_SIGNATURE: u16 = 0x00;
const KEY_ID: u16 = 0x01;
const KEY_UUID: u16 = 0x02;
const KEY_RAM_SIZE: u16 = 0x03;
const KEY_CPUS: u16 = 0x05;
const KEY_MAX_CPUS: u16 = 0x0f;
const KEY_DIRECTORY: u16 = 0x19;
const KEY_FIRST_FILE: u16 = 0x20;
/// Bits of a key that select direction and architecture; neither matters here.
const KEY_MASK: u16 = 0x3fff;

/// The device has the traditional interface (bit 0) and DMA (bit 1).
const FEATURES: u32 = 0b11;
/// What the DMA register reads as.
const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";
/// Longest name of a file, its final zero included.
const NAME_LEN: usize = 56;

const CONTROL_ERROR: u32 = 1 << 0;
const CONTROL_READ: u32 = 1 << 1;
const CONTROL_SKIP: u32 = 1 << 2;
const CONTROL_SELECT: u32 = 1 << 3;
const CONTROL_WRITE: u32 = 1 << 4;
/// Bytes moved at a time.
const CHUNK: usize = 4096;

/// Hears what the guest wrote into a register blob: all of its bytes, after every write.
pub type OnWrite = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Says what a blob holds now.
pub type Answer = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// What is special about a blob.
enum Purpose {
    /// Nothing: it stays as it is.
    Fixed,
    /// The guest may write it.
    Register(OnWrite),
    /// It is made anew each time that it is read.
    Answer(Answer),
}

struct Blob {
    content: Vec<u8>,
    purpose: Purpose,
}

impl Blob {
    fn on_write(&self) -> Option<&OnWrite> {
        match &self.purpose {
            Purpose::Register(on_write) => Some(on_write),
            Purpose::Fixed | Purpose::Answer(_) => None,
        }
    }
}

/// The blobs of a device that is being put together.
pub struct Blobs {
    numbered: BTreeMap<u16, Vec<u8>>,
    files: BTreeMap<String, Blob>,
}

impl Blobs {
    /// The blobs every machine has: identity, memory in bytes, number of processors.
    pub fn new(uuid: [u8; 16], memory: u64, plugged: u8, vcpus: u8) -> Self {
        let cpus = |count: u8| u16::from(count).to_le_bytes().to_vec();
        Self {
            numbered: BTreeMap::from([
                (KEY_SIGNATURE, b"QEMU".to_vec()),
                (KEY_ID, FEATURES.to_le_bytes().to_vec()),
                (KEY_UUID, uuid.to_vec()),
                (KEY_RAM_SIZE, memory.to_le_bytes().to_vec()),
                (KEY_CPUS, cpus(plugged)),
                (KEY_MAX_CPUS, cpus(vcpus)),
            ]),
            files: BTreeMap::new(),
        }
    }

    /// Adds a file the guest can only read.
    pub fn file(&mut self, name: &str, content: Vec<u8>) {
        self.insert(name, content, Purpose::Fixed);
    }

    /// Adds a file of `len` zeros the guest may write.
    pub fn register(&mut self, name: &str, len: usize, on_write: OnWrite) {
        self.insert(name, vec![0; len], Purpose::Register(on_write));
    }

    /// Adds a file of `len` bytes that are made when the guest reads them.
    pub fn answer(&mut self, name: &str, len: usize, answer: Answer) {
        self.insert(name, vec![0; len], Purpose::Answer(answer));
    }

    fn insert(&mut self, name: &str, content: Vec<u8>, purpose: Purpose) {
        debug_assert!(name.len() < NAME_LEN, "{name}");
        self.files
            .insert(name.to_owned(), Blob { content, purpose });
    }

    /// The device, reading and writing `memory`.
    pub fn build(self, memory: Arc<Memory>) -> FwCfg {
        let mut blobs: BTreeMap<u16, Blob> = self
            .numbered
            .into_iter()
            .map(|(key, content)| {
                let purpose = Purpose::Fixed;
                (key, Blob { content, purpose })
            })
            .collect();
        let mut directory = (self.files.len() as u32).to_be_bytes().to_vec();
        for (key, (name, blob)) in (KEY_FIRST_FILE..).zip(self.files) {
            directory.extend((blob.content.len() as u32).to_be_bytes());
            directory.extend(key.to_be_bytes());
            directory.extend([0; 2]);
            let mut field = [0; NAME_LEN];
            let len = name.len().min(NAME_LEN - 1);
            field[..len].copy_from_slice(&name.as_bytes()[..len]);
            directory.extend(field);
            blobs.insert(key, blob);
        }
        let purpose = Purpose::Fixed;
        let content = directory;
        blobs.insert(KEY_DIRECTORY, Blob { content, purpose });
        FwCfg {
            blobs,
            memory,
            state: Mutex::default(),
        }
    }
}

/// What changes while the machine runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FwCfgState {
    /// Selected blob.
    selected: u16,
    /// Next byte of it.
    offset: u32,
    /// Upper half of the next DMA address.
    dma_high: u32,
    /// What the guest wrote, by blob.
    written: BTreeMap<u16, Vec<u8>>,
}

/// The device.
pub struct FwCfg {
    blobs: BTreeMap<u16, Blob>,
    memory: Arc<Memory>,
    state: Mutex<FwCfgState>,
}

/// One DMA request as it lies in guest memory, big endian.
struct Access {
    control: u32,
    length: u32,
    address: u64,
}

impl FwCfg {
    fn state(&self) -> MutexGuard<'_, FwCfgState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device's state.
    pub fn save(&self) -> FwCfgState {
        self.state().clone()
    }

    /// Takes over a state; devices behind registers hear what was written to them.
    pub fn restore(&self, mut state: FwCfgState) {
        state.written.retain(|key, bytes| {
            self.blobs
                .get(key)
                .is_some_and(|b| b.on_write().is_some() && b.content.len() == bytes.len())
        });
        for (key, bytes) in &state.written {
            if let Some(on_write) = self.blobs.get(key).and_then(Blob::on_write) {
                on_write(bytes);
            }
        }
        *self.state() = state;
    }

    fn select(state: &mut FwCfgState, key: u16) {
        state.selected = key & KEY_MASK;
        state.offset = 0;
    }

    /// Fills `data` from the selected blob; zeros follow its end.
    fn take(&self, state: &mut FwCfgState, data: &mut [u8]) {
        data.fill(0);
        let blob = self.blobs.get(&state.selected);
        let made = match blob.map(|b| &b.purpose) {
            Some(Purpose::Answer(answer)) => Some(answer()),
            _ => None,
        };
        let written = state.written.get(&state.selected);
        let content = made.as_ref().or(written).or(blob.map(|b| &b.content));
        let rest = content
            .and_then(|c| c.get(state.offset as usize..))
            .unwrap_or_default();
        let len = rest.len().min(data.len());
        data[..len].copy_from_slice(&rest[..len]);
        state.offset = state.offset.saturating_add(data.len() as u32);
    }

    fn dma(&self, state: &mut FwCfgState, at: u64) {
        let Some(access) = self.read_access(at) else {
            // There is no place to report it.
            return;
        };
        if access.control & CONTROL_SELECT != 0 {
            Self::select(state, (access.control >> 16) as u16);
        }
        let done = if access.control & CONTROL_READ != 0 {
            self.dma_read(state, &access)
        } else if access.control & CONTROL_WRITE != 0 {
            self.dma_write(state, &access)
        } else {
            if access.control & CONTROL_SKIP != 0 {
                state.offset = state.offset.saturating_add(access.length);
            }
            true
        };
        let result = if done { 0 } else { CONTROL_ERROR };
        // The guest put the structure where it cannot be written: its own loss.
        let _ = self
            .memory
            .write_slice(&result.to_be_bytes(), GuestAddress(at));
    }

    fn read_access(&self, at: u64) -> Option<Access> {
        let mut raw = [0; 16];
        self.memory.read_slice(&mut raw, GuestAddress(at)).ok()?;
        let (control, rest) = raw.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Access {
            control: u32::from_be_bytes(*control),
            length: u32::from_be_bytes(*length),
            address: u64::from_be_bytes(*rest.first_chunk()?),
        })
    }

    fn dma_read(&self, state: &mut FwCfgState, access: &Access) -> bool {
        let mut buffer = [0; CHUNK];
        let mut done = 0;
        while done < access.length {
            let len = (access.length - done).min(CHUNK as u32);
            let part = &mut buffer[..len as usize];
            self.take(state, part);
            let Some(to) = access.address.checked_add(u64::from(done)) else {
                return false;
            };
            if self.memory.write_slice(part, GuestAddress(to)).is_err() {
                return false;
            }
            done += len;
        }
        true
    }

    fn dma_write(&self, state: &mut FwCfgState, access: &Access) -> bool {
        let Some(blob) = self.blobs.get(&state.selected) else {
            return false;
        };
        let Some(on_write) = blob.on_write() else {
            return false;
        };
        let (from, len) = (state.offset as usize, access.length as usize);
        if from
            .checked_add(len)
            .is_none_or(|end| end > blob.content.len())
        {
            return false;
        }
        let mut bytes = vec![0; len];
        let read = self
            .memory
            .read_slice(&mut bytes, GuestAddress(access.address));
        if read.is_err() {
            return false;
        }
        let content = state
            .written
            .entry(state.selected)
            .or_insert_with(|| blob.content.clone());
        content[from..from + len].copy_from_slice(&bytes);
        on_write(content);
        state.offset += access.length;
        true
    }
}

impl PortDevice for FwCfg {
    fn read(&self, offset: u16, data: &mut [u8]) {
        match offset {
            DATA => self.take(&mut self.state(), data),
            DMA_HIGH..LEN => {
                let signature = &DMA_SIGNATURE[usize::from(offset - DMA_HIGH)..];
                let filled = data.iter_mut().zip(signature);
                filled.for_each(|(to, from)| *to = *from);
            }
            _ => {}
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let mut state = self.state();
        match (offset, data) {
            (SELECTOR, [low, high]) => {
                Self::select(&mut state, u16::from_le_bytes([*low, *high]));
            }
            (DMA_HIGH, [a, b, c, d]) => state.dma_high = u32::from_be_bytes([*a, *b, *c, *d]),
            (DMA_LOW, [a, b, c, d]) => {
                let low = u32::from_be_bytes([*a, *b, *c, *d]);
                let at = u64::from(std::mem::take(&mut state.dma_high)) << 32 | u64::from(low);
                self.dma(&mut state, at);
            }
            (DMA_HIGH, [high @ .., a, b, c, d]) if high.len() == 4 => {
                let low = u32::from_be_bytes([*a, *b, *c, *d]);
                let high = high
                    .iter()
                    .fold(0u64, |all, byte| all << 8 | u64::from(*byte));
                self.dma(&mut state, high << 32 | u64::from(low));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "fwcfg_tests.rs"]
mod tests;

//! Where a module's state outlives it: two places in a volume, written in turn, so that an interruption
//! leaves the state before.
//!
//! ```text
//! at 0 and at 1 MiB: magic (8) · version (4) · length (4) · sequence (8) · SHA-256 of the rest (32) · state
//! ```
//!
//! Numbers are little endian; the sum goes over version, length, sequence and state.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"BslTpm2\n";
const VERSION: u32 = 1;
const PLACE: u64 = 1 << 20;
const HEADER: usize = 56;
/// Highest number of a state that is believed.
const LAST: u64 = u64::MAX / 2;
/// Longest state; the emulator itself takes no longer one.
pub const MAX_STATE: usize = 512 << 10;

/// Why the state cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The volume.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// Neither place has a whole state, and something is there.
    #[error("it holds no state of a TPM, or a damaged one")]
    Damaged,
}

/// What is in one place.
enum Place {
    Empty,
    Torn,
    Foreign,
    State(u64, Vec<u8>),
}

/// The volume.
pub struct Store {
    volume: File,
    /// The last state, and how many there were.
    last: Option<Vec<u8>>,
    sequence: u64,
}

impl Store {
    /// Reads the volume.
    pub fn open(volume: File) -> Result<Self, Error> {
        let places = [read(&volume, 0)?, read(&volume, PLACE)?];
        let newest = places.iter().filter_map(|place| match place {
            Place::State(sequence, state) => Some((*sequence, state.clone())),
            _ => None,
        });
        let (sequence, last) = match (newest.max_by_key(|(sequence, _)| *sequence), &places) {
            (Some((sequence, state)), _) => (sequence, Some(state)),
            // The very first state may have been interrupted.
            (None, [Place::Empty | Place::Torn, Place::Empty]) => (0, None),
            _ => return Err(Error::Damaged),
        };
        Ok(Self {
            volume,
            last,
            sequence,
        })
    }

    /// The state, if the module was ever started.
    pub fn state(&self) -> Option<&[u8]> {
        self.last.as_deref()
    }

    /// The volume.
    pub fn volume(&self) -> &File {
        &self.volume
    }

    /// Keeps a state, if it is another one; it is on the medium when this returns.
    pub fn keep(&mut self, state: &[u8]) -> io::Result<()> {
        if self.last.as_deref() == Some(state) {
            return Ok(());
        }
        if state.len() > MAX_STATE {
            return Err(io::Error::other("the state of the TPM is too long"));
        }
        let sequence = self.sequence + 1;
        let mut bytes = MAGIC.to_vec();
        let body = [
            &VERSION.to_le_bytes()[..],
            &(state.len() as u32).to_le_bytes(),
            &sequence.to_le_bytes(),
        ];
        bytes.extend(body.concat());
        bytes.extend(sum(&body.concat(), state));
        bytes.extend(state);
        // The first state has number 1 and goes to the first place.
        self.volume
            .write_all_at(&bytes, (sequence - 1) % 2 * PLACE)?;
        self.volume.sync_data()?;
        self.sequence = sequence;
        self.last = Some(state.to_vec());
        Ok(())
    }
}

fn sum(numbers: &[u8], state: &[u8]) -> [u8; 32] {
    let mut sum = Sha256::new();
    sum.update(numbers);
    sum.update(state);
    sum.finalize().into()
}

fn read(volume: &File, at: u64) -> io::Result<Place> {
    let mut header = [0; HEADER];
    volume.read_exact_at(&mut header, at)?;
    if header == [0; HEADER] {
        return Ok(Place::Empty);
    }
    if header[..8] != MAGIC {
        return Ok(Place::Foreign);
    }
    let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
    let len = number(12) as usize;
    if number(8) != VERSION || len > MAX_STATE {
        return Ok(Place::Torn);
    }
    let mut state = vec![0; len];
    volume.read_exact_at(&mut state, at + HEADER as u64)?;
    if header[24..] != sum(&header[8..24], &state) {
        return Ok(Place::Torn);
    }
    let sequence = u64::from(number(16)) | u64::from(number(20)) << 32;
    // Nobody wrote so often; there have to be numbers after this one.
    match sequence {
        1..=LAST => Ok(Place::State(sequence, state)),
        _ => Ok(Place::Torn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 << 20).unwrap();
        file
    }

    fn open(volume: &File) -> Result<Store, Error> {
        Store::open(volume.try_clone().unwrap())
    }

    #[test]
    fn the_last_state_is_found_again() {
        let volume = volume();
        let mut store = open(&volume).unwrap();
        assert_eq!(store.state(), None);
        for state in [&b"one"[..], b"two", b"two", b"three"] {
            store.keep(state).unwrap();
            assert_eq!(open(&volume).unwrap().state(), Some(state));
        }
        assert_eq!(store.sequence, 3, "what is the same is not written");
        assert!(store.keep(&vec![0; MAX_STATE + 1]).is_err());
        store.keep(&vec![7; MAX_STATE]).unwrap();
        assert_eq!(open(&volume).unwrap().state().unwrap().len(), MAX_STATE);
    }

    #[test]
    fn an_interrupted_write_leaves_the_state_before() {
        let volume = volume();
        let mut store = open(&volume).unwrap();
        store.keep(b"first").unwrap();
        store.keep(b"second").unwrap();
        store.keep(b"third state").unwrap();
        // The third is in the first place again.
        volume.write_all_at(b"x", HEADER as u64 + 4).unwrap();
        let mut store = open(&volume).unwrap();
        assert_eq!(store.state(), Some(&b"second"[..]));
        store.keep(b"again").unwrap();
        assert_eq!(open(&volume).unwrap().state(), Some(&b"again"[..]));
    }

    #[test]
    fn the_very_first_write_may_be_interrupted() {
        let volume = volume();
        open(&volume).unwrap().keep(b"first").unwrap();
        volume.write_all_at(b"x", HEADER as u64).unwrap();
        assert_eq!(open(&volume).unwrap().state(), None);
    }

    #[test]
    fn what_is_no_state_is_never_overwritten() {
        let volume = volume();
        volume.write_all_at(b"somebody's data", 0).unwrap();
        assert!(matches!(open(&volume), Err(Error::Damaged)));
        let torn = self::volume();
        let mut store = open(&torn).unwrap();
        store.keep(b"first").unwrap();
        store.keep(b"second").unwrap();
        for place in [0, PLACE] {
            torn.write_all_at(b"x", place + HEADER as u64).unwrap();
        }
        assert!(matches!(open(&torn), Err(Error::Damaged)));
        let short = tempfile::tempfile().unwrap();
        assert!(matches!(open(&short), Err(Error::Read(_))));
    }
}

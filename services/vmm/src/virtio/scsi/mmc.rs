//! The commands of a CD-ROM drive: the part of SPC-4, SBC-3 and MMC-6 that systems and firmware
//! use on a disc that is only read.

use super::drive::{BLOCK, Drive, MediaEvent, Medium, Tray};
use super::sense::{SENSE_LEN, Sense};

/// Type of the device: a drive for optical discs.
const CD_ROM: u8 = 5;
/// The disc's only track, and the number of what follows it.
const TRACK: u8 = 1;
const LEAD_OUT: u8 = 0xaa;
/// Data track, recorded uninterrupted, not to be copied.
const DATA_TRACK: u8 = 0x14;
/// Blocks before the first one that are not counted (two seconds).
const PREGAP: u64 = 150;
/// Profile of the drive with a disc in it.
const PROFILE_DVD_ROM: u16 = 0x0010;
const PROFILE_CD_ROM: u16 = 0x0008;
/// Largest compact disc: 80 minutes.
const CD_BLOCKS: u64 = 80 * 60 * 75;

/// What became of a command.
#[derive(Debug)]
pub enum Outcome {
    /// It succeeded and answers with these bytes.
    Data(Vec<u8>),
    /// It reads so many bytes of a disc at a place.
    Read(Medium, u64, u64),
    /// It failed.
    Failed(Sense),
}

type Result<T> = std::result::Result<T, Sense>;

/// A command block whose fields are read without leaving it.
struct Block<'a>(&'a [u8]);

impl Block<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn word(&self, at: usize) -> u64 {
        u64::from(u16::from_be_bytes([self.byte(at), self.byte(at + 1)]))
    }

    fn dword(&self, at: usize) -> u64 {
        self.word(at) << 16 | self.word(at + 2)
    }

    fn qword(&self, at: usize) -> u64 {
        self.dword(at) << 32 | self.dword(at + 4)
    }
}

impl Drive {
    /// Carries a command block out.
    pub fn execute(&self, block: &[u8]) -> Outcome {
        let block = Block(block);
        let mut tray = self.tray();
        match run(&mut tray, &block) {
            Ok(outcome) => outcome,
            Err(sense) => Outcome::Failed(sense),
        }
    }
}

fn run(tray: &mut Tray, block: &Block<'_>) -> Result<Outcome> {
    let code = block.byte(0);
    // These say what they know instead of failing (SPC-4, section 5.14).
    let always = matches!(code, 0x03 | 0x12 | 0xa0 | 0x46 | 0x4a);
    if !always && let Some(attention) = tray.attention.take() {
        return Err(attention);
    }
    let (bytes, room) = match code {
        0x00 => return medium(tray).map(|_| Outcome::Data(Vec::new())),
        0x03 => (request_sense(tray), u64::from(block.byte(4))),
        0x12 => (inquiry(block)?, block.word(3)),
        0x1a => (mode_sense(block, 4)?, u64::from(block.byte(4))),
        0x5a => (mode_sense(block, 8)?, block.word(7)),
        0x1b => return start_stop(tray, block),
        0x1e => {
            tray.locked = block.byte(4) & 1 != 0;
            (Vec::new(), 0)
        }
        0x25 => (capacity(medium(tray)?), 8),
        0x9e if block.byte(1) & 0x1f == 0x10 => (capacity_long(medium(tray)?), block.dword(10)),
        0x28 => return read(tray, block.dword(2), block.word(7)),
        0xa8 => return read(tray, block.dword(2), block.dword(6)),
        0x88 => return read(tray, block.qword(2), block.dword(10)),
        // Nothing is ever written, so nothing waits to be written out.
        0x35 => (Vec::new(), 0),
        0x43 => (contents(medium(tray)?, block)?, block.word(7)),
        0x46 => (configuration(tray, block), block.word(7)),
        0x4a => (event_status(tray, block)?, block.word(7)),
        0x51 => {
            medium(tray)?;
            (disc_information(), block.word(7))
        }
        0xa0 => (units(), block.dword(6)),
        _ => return Err(Sense::UNKNOWN_COMMAND),
    };
    Ok(answer(bytes, room))
}

/// An answer, cut to the room that the command names.
fn answer(mut bytes: Vec<u8>, room: u64) -> Outcome {
    bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    Outcome::Data(bytes)
}

fn medium(tray: &Tray) -> Result<&Medium> {
    tray.medium.as_ref().ok_or(Sense::NO_MEDIUM)
}

fn request_sense(tray: &mut Tray) -> Vec<u8> {
    let sense: [u8; SENSE_LEN] = tray.attention.take().unwrap_or(Sense::NONE).fixed();
    sense.to_vec()
}

fn read(tray: &Tray, first: u64, count: u64) -> Result<Outcome> {
    let medium = medium(tray)?;
    let end = first.checked_add(count).ok_or(Sense::OUT_OF_RANGE)?;
    if end > medium.blocks() {
        return Err(Sense::OUT_OF_RANGE);
    }
    if count == 0 {
        return Ok(Outcome::Data(Vec::new()));
    }
    Ok(Outcome::Read(medium.clone(), first * BLOCK, count * BLOCK))
}

fn start_stop(tray: &mut Tray, block: &Block<'_>) -> Result<Outcome> {
    let (load_eject, start) = (block.byte(4) & 2 != 0, block.byte(4) & 1 != 0);
    if load_eject && !start {
        if tray.locked {
            return Err(Sense::LOCKED);
        }
        if tray.medium.take().is_some() {
            tray.event = MediaEvent::Removed;
        }
    }
    Ok(Outcome::Data(Vec::new()))
}

/// Last block and block length (SBC-3, section 5.16).
fn capacity(medium: &Medium) -> Vec<u8> {
    // Fits: a disc has at most 2³² − 1 blocks.
    let last = (medium.blocks() - 1) as u32;
    [last.to_be_bytes(), (BLOCK as u32).to_be_bytes()].concat()
}

fn capacity_long(medium: &Medium) -> Vec<u8> {
    let mut bytes = (medium.blocks() - 1).to_be_bytes().to_vec();
    bytes.extend((BLOCK as u32).to_be_bytes());
    bytes.resize(32, 0);
    bytes
}

/// The one logical unit (SPC-4, section 6.33).
fn units() -> Vec<u8> {
    let mut bytes = 8u32.to_be_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// Who the drive is (SPC-4, sections 6.6 and 7.8).
fn inquiry(block: &Block<'_>) -> Result<Vec<u8>> {
    let page = block.byte(2);
    if block.byte(1) & 1 == 0 {
        if page != 0 {
            return Err(Sense::BAD_FIELD);
        }
        let mut bytes = vec![CD_ROM, 0x80, 5, 2, 31, 0, 0, 0];
        bytes.extend(b"BASALT  DVD-ROM         1   ");
        return Ok(bytes);
    }
    let content: &[u8] = match page {
        0x00 => &[0x00, 0x80, 0x83],
        0x80 => b"0",
        // One name, chosen by the vendor, in ASCII.
        0x83 => &[2, 1, 0, 8, b'B', b'A', b'S', b'A', b'L', b'T', b' ', b' '],
        _ => return Err(Sense::BAD_FIELD),
    };
    let mut bytes = vec![CD_ROM, page, 0, content.len() as u8];
    bytes.extend(content);
    Ok(bytes)
}

/// Parameters of the drive after a header of `header` bytes (SPC-4, section 7.5; MMC-6, 7.2).
fn mode_sense(block: &Block<'_>, header: usize) -> Result<Vec<u8>> {
    const ERROR_RECOVERY: [u8; 8] = [0x01, 0x06, 0, 0x05, 0, 0, 0, 0];
    // Reads CD-R and CD-RW, DVD; locks, ejects, loads by tray.
    const CAPABILITIES: [u8; 22] = [
        0x2a, 0x14, 0x3b, 0, 0x71, 0x60, 0x29, 0, 0x02, 0xc2, 0, 2, 2, 0, 0x02, 0xc2, 0, 0, 0, 0,
        0, 0,
    ];
    let pages: Vec<&[u8]> = match block.byte(2) & 0x3f {
        0x01 => vec![&ERROR_RECOVERY],
        0x2a => vec![&CAPABILITIES],
        0x3f => vec![&ERROR_RECOVERY, &CAPABILITIES],
        _ => return Err(Sense::BAD_FIELD),
    };
    let mut bytes = vec![0; header];
    bytes.extend(pages.concat());
    match header {
        4 => bytes[0] = (bytes.len() - 1) as u8,
        _ => {
            let len = (bytes.len() - 2) as u16;
            bytes[..2].copy_from_slice(&len.to_be_bytes());
        }
    }
    Ok(bytes)
}

/// Minutes, seconds and frames, or the block's number.
fn address(block: u64, in_time: bool) -> [u8; 4] {
    if !in_time {
        return u32::try_from(block).unwrap_or(u32::MAX).to_be_bytes();
    }
    let frames = block + PREGAP;
    let minutes = u8::try_from(frames / 75 / 60).unwrap_or(u8::MAX);
    [0, minutes, (frames / 75 % 60) as u8, (frames % 75) as u8]
}

/// The table of contents (MMC-6, section 6.26).
fn contents(medium: &Medium, block: &Block<'_>) -> Result<Vec<u8>> {
    let in_time = block.byte(1) & 2 != 0;
    let first = block.byte(6);
    // Older drivers put the format into the last byte.
    let format = match block.byte(2) & 0x0f {
        0 => block.byte(9) >> 6,
        format => format,
    };
    let mut entries = Vec::new();
    match format {
        0 => {
            if first > TRACK && first != LEAD_OUT {
                return Err(Sense::BAD_FIELD);
            }
            if first <= TRACK {
                entries.extend([0, DATA_TRACK, TRACK, 0]);
                entries.extend(address(0, in_time));
            }
            entries.extend([0, DATA_TRACK, LEAD_OUT, 0]);
            entries.extend(address(medium.blocks(), in_time));
        }
        1 => {
            entries.extend([0, DATA_TRACK, TRACK, 0]);
            entries.extend(address(0, in_time));
        }
        _ => return Err(Sense::BAD_FIELD),
    }
    let mut bytes = ((entries.len() + 2) as u16).to_be_bytes().to_vec();
    bytes.extend([TRACK, TRACK]);
    bytes.extend(entries);
    Ok(bytes)
}

fn profile(tray: &Tray) -> u16 {
    match &tray.medium {
        None => 0,
        Some(medium) if medium.blocks() > CD_BLOCKS => PROFILE_DVD_ROM,
        Some(_) => PROFILE_CD_ROM,
    }
}

/// What the drive can do (MMC-6, sections 5.3 and 6.5).
fn configuration(tray: &Tray, block: &Block<'_>) -> Vec<u8> {
    let (scope, first) = (block.byte(1) & 3, block.word(2));
    let current = profile(tray);
    let is_current = |number: u16| u8::from(number == current);
    let [dvd, cd] = [PROFILE_DVD_ROM, PROFILE_CD_ROM].map(|number| {
        let [high, low] = number.to_be_bytes();
        [high, low, is_current(number), 0]
    });
    let readable = u8::from(tray.medium.is_some());
    let features: [(u16, u8, Vec<u8>); 5] = [
        (0x0000, 0x03, [dvd, cd].concat()),
        // Core: over SCSI, with media events.
        (0x0001, 0x0b, vec![0, 0, 0, 1, 1, 0, 0, 0]),
        // Morphing: nothing but the events asked for by polling.
        (0x0002, 0x07, vec![2, 0, 0, 0]),
        // Removable: a tray that loads, ejects and locks.
        (0x0003, 0x03, vec![0x29, 0, 0, 0]),
        // Readable at random.
        (0x0010, readable, vec![0, 0, 8, 0, 0, 16, 0, 0]),
    ];
    let mut bytes = vec![0; 6];
    bytes.extend(current.to_be_bytes());
    for (code, flags, content) in features {
        let wanted = match scope {
            1 => u64::from(code) >= first && flags & 1 != 0,
            2 => u64::from(code) == first,
            _ => u64::from(code) >= first,
        };
        if wanted {
            bytes.extend(code.to_be_bytes());
            bytes.extend([flags, content.len() as u8]);
            bytes.extend(content);
        }
    }
    let len = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// What happened to the disc, for drivers that ask now and then (MMC-6, section 6.6).
fn event_status(tray: &mut Tray, block: &Block<'_>) -> Result<Vec<u8>> {
    const MEDIA: u8 = 4;
    if block.byte(1) & 1 == 0 {
        // Notifications by themselves are not supported.
        return Err(Sense::BAD_FIELD);
    }
    if block.byte(4) & 1 << MEDIA == 0 {
        return Ok(vec![0, 2, 0x80, 1 << MEDIA]);
    }
    let event = std::mem::replace(&mut tray.event, MediaEvent::None);
    let code = match event {
        MediaEvent::None => 0,
        MediaEvent::New => 2,
        MediaEvent::Removed => 3,
    };
    let present = if tray.medium.is_some() { 2 } else { 0 };
    Ok(vec![0, 6, MEDIA, 1 << MEDIA, code, present, 0, 0])
}

/// A finished disc with one session and one track (MMC-6, section 6.22).
fn disc_information() -> Vec<u8> {
    let mut bytes = vec![0; 34];
    bytes[1] = 32;
    bytes[2] = 0x0e;
    bytes[3..7].copy_from_slice(&[1, 1, 1, 1]);
    bytes[7] = 0x20;
    bytes[16..20].fill(0xff);
    bytes[20..24].fill(0xff);
    bytes
}

//! The SCSI host adapter (virtio 1.2, section 5.6) with drives for optical discs: target `n` is
//! the machine's drive `n`, and each has one logical unit.
//!
//! Commands are carried out as they come, on the device's thread, so there is never one to abort.
//! What a drive does with a command is in [`mmc`]; the disc in it, which the main thread changes,
//! is in [`drive`].

pub mod drive;
pub mod mmc;
pub mod sense;

use std::io;
use std::sync::Arc;

use super::chain::Chain;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};
use crate::machine::memory::Memory;
use drive::Drive;
use mmc::Outcome;
use sense::{SENSE_LEN, Sense};

const CONTROL: usize = 0;
const EVENT: usize = 1;
const QUEUE_SIZE: u16 = 128;
/// Bytes of a command block.
pub const CDB_LEN: usize = 32;
const REQUEST: usize = 19 + CDB_LEN;
const RESPONSE: usize = 12 + SENSE_FIELD;
/// Room for sense data in a response.
const SENSE_FIELD: usize = 96;

const STATUS_GOOD: u8 = 0;
const STATUS_CHECK: u8 = 2;

/// What became of a request (virtio 1.2, section 5.6.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Response {
    Ok = 0,
    BadTarget = 3,
}

/// Answers on the control queue.
const FUNCTION_COMPLETE: u8 = 0;
const FUNCTION_REJECTED: u8 = 11;
const TASK_MANAGEMENT: u32 = 0;
const ASYNC_QUERY: u32 = 1;
const ASYNC_SUBSCRIBE: u32 = 2;

/// What the transport needs to know of an adapter with `drives` drives.
pub fn description(drives: usize) -> Description {
    let mut config = vec![0; 36];
    let mut put = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &1u32.to_le_bytes()); // request queues
    put(4, &u32::from(QUEUE_SIZE - 2).to_le_bytes()); // descriptors of data
    put(8, &0xffffu32.to_le_bytes()); // sectors in one command
    put(12, &u32::from(QUEUE_SIZE).to_le_bytes()); // commands at once
    put(16, &16u32.to_le_bytes()); // bytes of an event
    put(20, &(SENSE_FIELD as u32).to_le_bytes());
    put(24, &(CDB_LEN as u32).to_le_bytes());
    let last = u16::try_from(drives.saturating_sub(1)).unwrap_or(u16::MAX);
    put(30, &last.to_le_bytes());
    Description {
        kind: Kind::Scsi,
        features: 0,
        queues: vec![QUEUE_SIZE; 3],
        config,
    }
}

/// The device.
pub struct Scsi {
    drives: Vec<Arc<Drive>>,
}

impl Scsi {
    /// An adapter with these drives.
    pub fn new(drives: Vec<Arc<Drive>>) -> Self {
        Self { drives }
    }

    /// The drive that a logical unit number names.
    fn drive(&self, lun: &[u8]) -> Option<&Drive> {
        let [1, target, high, low, 0, 0, 0, 0] = lun else {
            return None;
        };
        let unit = u16::from_be_bytes([*high, *low]) & 0x3fff;
        let drive = self.drives.get(usize::from(*target))?;
        (unit == 0).then_some(drive)
    }

    /// Carries a command out. Returns the number of bytes written to the chain.
    fn command(&self, memory: &Arc<Memory>, mut chain: Chain) -> Result<usize, BrokenQueue> {
        let mut request = [0; REQUEST];
        let header = chain.readable.take_front(REQUEST).ok_or(BrokenQueue)?;
        if header.read(memory, &mut request) != REQUEST {
            return Err(BrokenQueue);
        }
        let answer = chain.writable.take_front(RESPONSE).ok_or(BrokenQueue)?;
        let data = chain.writable;
        let room = data.len();
        let Some(drive) = self.drive(&request[..8]) else {
            answer.write(memory, &response(Response::BadTarget, room, None));
            return Ok(RESPONSE);
        };
        let (written, sense) = match drive.execute(&request[19..]) {
            Outcome::Data(bytes) => (data.write(memory, &bytes), None),
            Outcome::Failed(sense) => (0, Some(sense)),
            Outcome::Read(medium, offset, len) => match medium.read(memory, data, offset, len) {
                Ok(written) => (written, None),
                Err(_) => (0, Some(Sense::UNREADABLE)),
            },
        };
        answer.write(memory, &response(Response::Ok, room - written, sense));
        Ok(RESPONSE + written)
    }
}

/// A response block: what became of the request, how much of the room for data is left, and what
/// the drive complains about.
fn response(response: Response, left: usize, sense: Option<Sense>) -> [u8; RESPONSE] {
    let mut block = [0; RESPONSE];
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    block[4..8].copy_from_slice(&left.to_le_bytes());
    block[10] = STATUS_GOOD;
    block[11] = response as u8;
    if let Some(sense) = sense {
        block[..4].copy_from_slice(&(SENSE_LEN as u32).to_le_bytes());
        block[10] = STATUS_CHECK;
        block[12..12 + SENSE_LEN].copy_from_slice(&sense.fixed());
    }
    block
}

/// Answers a request on the control queue. Returns the number of bytes written.
fn control(memory: &Memory, chain: &Chain) -> usize {
    let mut kind = [0; 4];
    if chain.readable.read(memory, &mut kind) != kind.len() {
        return chain.writable.write(memory, &[FUNCTION_REJECTED]);
    }
    match u32::from_le_bytes(kind) {
        // No command is ever under way, so every one is aborted already.
        TASK_MANAGEMENT => chain.writable.write(memory, &[FUNCTION_COMPLETE]),
        // No drive has events to subscribe to: the driver asks for those of the disc.
        ASYNC_QUERY | ASYNC_SUBSCRIBE => chain.writable.write(memory, &[0; 5]),
        _ => chain.writable.write(memory, &[FUNCTION_REJECTED]),
    }
}

impl Backend for Scsi {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        if queue == EVENT {
            // Buffers for events that never come.
            return Ok(());
        }
        live.drain(queue, |live| {
            while let Some(chain) = live.pop(queue)? {
                let head = chain.head;
                let written = match queue {
                    CONTROL => control(&live.memory, &chain),
                    _ => self.command(&live.memory, chain)?,
                };
                live.push(queue, head, written)?;
            }
            Ok(Stopped::Empty)
        })
    }
}

#[cfg(test)]
mod tests;

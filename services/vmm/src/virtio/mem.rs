//! Memory that comes to a running machine, and goes (virtio-mem, virtio 1.2 section 5.15): the host says
//! how much of it the guest is to have, and the guest plugs blocks in and out until it has that.
//!
//! [`Blocks`] is what both sides share: which blocks are plugged in, and how many are asked for. Those
//! that the guest plugs out go back to the host at once, and it may not look at them any more. The
//! driver's resets change nothing about them; those of the machine plug all of them out.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::chain::Chain;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind, Registers};
use crate::machine::blocks::{Blocks, Plugged};
use crate::machine::layout::BLOCK;
use crate::machine::reclaim;

/// The node of the memory is one of ACPI's tables.
const F_ACPI_PXM: u64 = 1 << 0;
/// What is not plugged in must not be touched.
const F_UNPLUGGED_INACCESSIBLE: u64 = 1 << 1;

/// Length of the configuration (section 5.15.4).
const CONFIG: usize = 56;
/// Length of a request: kind, then address and number of blocks, each with its padding (section 5.15.6).
const REQUEST: usize = 24;
/// Length of an answer: kind with its padding, then a state.
const ANSWER: usize = 10;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Answer {
    /// Done.
    Ack = 0,
    /// Not now: the guest has what it is to have.
    Nack = 1,
    /// It makes no sense.
    Error = 3,
}

/// What the driver asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Plug { address: u64, blocks: u16 },
    Unplug { address: u64, blocks: u16 },
    UnplugAll,
    State { address: u64, blocks: u16 },
}

impl Request {
    fn parse(bytes: &[u8; REQUEST]) -> Option<Self> {
        let [
            k0,
            k1,
            _,
            _,
            _,
            _,
            _,
            _,
            address @ ..,
            b0,
            b1,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = bytes;
        let address = u64::from_le_bytes(*address);
        let blocks = u16::from_le_bytes([*b0, *b1]);
        match u16::from_le_bytes([*k0, *k1]) {
            0 => Some(Self::Plug { address, blocks }),
            1 => Some(Self::Unplug { address, blocks }),
            2 => Some(Self::UnplugAll),
            3 => Some(Self::State { address, blocks }),
            _ => None,
        }
    }
}

/// What the transport needs to know.
pub fn description() -> Description {
    Description {
        kind: Kind::Memory,
        features: F_ACPI_PXM | F_UNPLUGGED_INACCESSIBLE,
        queues: vec![128],
        config: vec![0; CONFIG],
    }
}

impl Registers for Blocks {
    /// All of the room may be used at any time; the node is number 0, that of all memory.
    fn read(&self, offset: usize, data: &mut [u8]) {
        let (start, len) = self.room();
        let node = 0;
        let fields = [
            BLOCK,
            node,
            start,
            len,
            len,
            self.plugged(),
            self.requested(),
        ];
        let config: Vec<u8> = fields.into_iter().flat_map(u64::to_le_bytes).collect();
        let rest = config.get(offset..).unwrap_or_default();
        let rest = rest.iter().chain(std::iter::repeat(&0));
        data.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    }

    fn write(&self, _offset: usize, _data: &[u8]) {}
}

/// The device.
pub struct Mem {
    blocks: Arc<Blocks>,
    /// Called when the guest has more or less than before.
    on_change: Box<dyn Fn() + Send>,
}

impl Mem {
    /// A device for `blocks`.
    pub fn new(blocks: Arc<Blocks>, on_change: Box<dyn Fn() + Send>) -> Self {
        Self { blocks, on_change }
    }

    /// Carries out a request; also the state that one asks for.
    fn carry_out(&self, live: &Live, request: Request) -> (Answer, u16) {
        let of = |address, blocks| self.blocks.range(address, blocks);
        let answer = match request {
            Request::Plug { address, blocks } => of(address, blocks).map(|b| self.plug(live, b)),
            Request::Unplug { address, blocks } => {
                of(address, blocks).map(|b| self.unplug(live, b))
            }
            Request::UnplugAll => {
                self.unplug_all(live);
                Some(Answer::Ack)
            }
            Request::State { address, blocks } => match of(address, blocks) {
                Some(range) => return (Answer::Ack, state(self.blocks.look(range))),
                None => None,
            },
        };
        (answer.unwrap_or(Answer::Error), 0)
    }

    fn plug(&self, live: &Live, range: Range<usize>) -> Answer {
        let (start, len) = self.blocks.span(&range);
        // Both are far below the whole address space.
        if self.blocks.plugged() + len > self.blocks.requested() {
            return Answer::Nack;
        }
        if self.blocks.look(range.clone()) != Plugged::Nothing {
            return Answer::Error;
        }
        self.blocks.set(range, true);
        // A copy that is being made may hold what was there when they were plugged in before.
        reclaim::note_written(&live.memory, start, len);
        (self.on_change)();
        Answer::Ack
    }

    fn unplug(&self, live: &Live, range: Range<usize>) -> Answer {
        if self.blocks.look(range.clone()) != Plugged::All {
            return Answer::Error;
        }
        let (start, len) = self.blocks.span(&range);
        self.blocks.set(range, false);
        reclaim::give_back(&live.memory, start, len);
        (self.on_change)();
        Answer::Ack
    }

    fn unplug_all(&self, live: &Live) {
        if self.blocks.plugged() == 0 {
            return;
        }
        let runs = self.blocks.there();
        self.blocks.clear();
        for run in runs {
            reclaim::give_back(&live.memory, run.start, run.len);
        }
        (self.on_change)();
    }

    fn serve(&self, live: &Live, chain: &Chain) -> Result<usize, BrokenQueue> {
        let mut bytes = [0; REQUEST];
        let read = chain.readable.read(&live.memory, &mut bytes);
        if read < REQUEST || chain.writable.len() < ANSWER {
            return Err(BrokenQueue);
        }
        let (answer, state) = match Request::parse(&bytes) {
            Some(request) => self.carry_out(live, request),
            None => (Answer::Error, 0),
        };
        let mut bytes = [0; ANSWER];
        bytes[..2].copy_from_slice(&(answer as u16).to_le_bytes());
        bytes[8..].copy_from_slice(&state.to_le_bytes());
        Ok(chain.writable.write(&live.memory, &bytes))
    }
}

fn state(plugged: Plugged) -> u16 {
    match plugged {
        Plugged::All => 0,
        Plugged::Nothing => 1,
        Plugged::Mixed => 2,
    }
}

impl Backend for Mem {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        live.drain(queue, |live| {
            while let Some(chain) = live.pop(queue)? {
                let len = self.serve(live, &chain)?;
                live.push(queue, chain.head, len)?;
            }
            Ok(Stopped::Empty)
        })
    }

    fn registers(&self) -> Option<Arc<dyn Registers>> {
        Some(self.blocks.clone())
    }
}

#[cfg(test)]
#[path = "mem_tests.rs"]
mod tests;

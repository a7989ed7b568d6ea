//! The memory balloon (virtio 1.2 section 5.5): the guest gives memory back to the host, as much as
//! it is asked for, and besides tells which pages it does not use and how its memory is used.
//!
//! What is given back is [`reclaim`]ed at once. The guest may use any page again without a word; it
//! finds zeros, or what it once wrote there. [`Levers`] is the main thread's side.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use basalt_model::balloon::MemoryFigures;
use virtio_queue::QueueT;

use super::chain::Chain;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind, Registers};
use crate::machine::reclaim;

/// The driver has a queue for statistics.
const F_STATS: u64 = 1 << 1;
/// The driver takes memory back by itself rather than run out.
const F_DEFLATE_ON_OOM: u64 = 1 << 2;
/// The driver reports pages that it does not use.
const F_REPORTING: u64 = 1 << 5;

const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATS: usize = 2;

/// Unit of the balloon, whatever the guest's pages are.
const PAGE: u64 = 4096;
/// Most pages in one request; drivers send 256.
const MOST_PAGES: usize = 1 << 16;
/// Length of a page's number.
const NUMBER: usize = 4;
/// Length of a statistic: tag and value.
const STATISTIC: usize = 10;
/// Most statistics that are looked at; the specification has ten, newer ones have more.
const MOST_STATISTICS: usize = 64;
/// Configuration: the target, and what the driver has given.
const CONFIG: usize = 8;

/// A target of whatever the machine has.
const ALL: u64 = u64::MAX;

/// What the transport needs to know. The specification numbers the queue of reports 4, but drivers
/// leave those of absent features out; so there are five, and it is where the driver puts it.
pub fn description() -> Description {
    Description {
        kind: Kind::Balloon,
        features: F_STATS | F_DEFLATE_ON_OOM | F_REPORTING,
        queues: vec![128; 5],
        config: vec![0; CONFIG],
    }
}

/// What is asked of the guest, and what it says. They outlive a reset.
pub struct Levers {
    /// Whether the host takes nothing back.
    fixed: bool,
    /// Bytes of memory that the machine has.
    memory: AtomicU64,
    /// Bytes that the guest is to use, [`ALL`] if that is what there is.
    target: AtomicU64,
    /// Pages that the guest is to give.
    wanted: AtomicU32,
    /// Pages that it has given.
    given: AtomicU32,
    /// The driver is to look at the target.
    changed: AtomicBool,
    /// The driver is to tell its statistics anew.
    asked: AtomicBool,
    figures: Mutex<MemoryFigures>,
}

impl Levers {
    /// Those of a machine with `memory` bytes, which is to use `target` of them.
    pub fn new(memory: u64, target: u64) -> Self {
        let levers = Self {
            fixed: false,
            memory: AtomicU64::new(memory),
            target: AtomicU64::new(ALL),
            wanted: AtomicU32::new(0),
            given: AtomicU32::new(0),
            changed: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            figures: Mutex::default(),
        };
        levers.set_target(target);
        levers
    }

    /// Those of a machine with `memory` bytes of which the host takes nothing back: the guest only tells how
    /// it uses them.
    pub fn fixed(memory: u64) -> Self {
        Self {
            fixed: true,
            ..Self::new(memory, memory)
        }
    }

    /// What the transport needs to know of their device: where the host takes nothing back, the driver need
    /// not look for it.
    pub fn description(&self) -> Description {
        let mut description = description();
        if self.fixed {
            description.features &= !F_REPORTING;
        }
        description
    }

    /// Whether the host takes nothing back.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    fn figures(&self) -> MutexGuard<'_, MemoryFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the guest to make do with so many bytes. The device is poked for it.
    pub fn set_target(&self, bytes: u64) {
        let all = bytes >= self.memory();
        let target = if all { ALL } else { bytes };
        self.target.store(target, Ordering::Release);
        self.follow();
    }

    /// Makes the surplus that is asked for anew.
    fn follow(&self) {
        let target = self.target.load(Ordering::Acquire);
        let surplus = self.memory().saturating_sub(target) / PAGE;
        let pages = u32::try_from(surplus).unwrap_or(u32::MAX);
        self.wanted.store(pages, Ordering::Release);
        self.changed.store(true, Ordering::Release);
    }

    /// The machine has so many bytes now. What the guest is to use stays as it is, and is all of it if it
    /// was. The device is poked for it.
    pub fn set_memory(&self, bytes: u64) {
        if self.memory.swap(bytes, Ordering::AcqRel) != bytes {
            self.follow();
        }
    }

    /// Bytes of memory that the machine has.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Acquire)
    }

    /// Bytes that the guest is to use.
    pub fn target(&self) -> u64 {
        self.without(&self.wanted)
    }

    /// Bytes that it has.
    pub fn actual(&self) -> u64 {
        self.without(&self.given)
    }

    /// What the guest said last. It is asked anew, and the device poked for it.
    pub fn look(&self) -> MemoryFigures {
        self.asked.store(true, Ordering::Release);
        self.figures().clone()
    }

    fn without(&self, pages: &AtomicU32) -> u64 {
        let pages = u64::from(pages.load(Ordering::Acquire));
        self.memory().saturating_sub(pages * PAGE)
    }

    fn forget(&self) {
        self.given.store(0, Ordering::Release);
        *self.figures() = MemoryFigures::default();
    }
}

impl Registers for Levers {
    fn read(&self, offset: usize, data: &mut [u8]) {
        let mut config = self.wanted.load(Ordering::Acquire).to_le_bytes().to_vec();
        config.extend(self.given.load(Ordering::Acquire).to_le_bytes());
        let rest = config.get(offset..).unwrap_or_default();
        let rest = rest.iter().chain(std::iter::repeat(&0));
        data.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    }

    fn write(&self, offset: usize, data: &[u8]) {
        // The driver says how much it has given, which nothing depends on.
        if let (4, Ok(pages)) = (offset, <[u8; 4]>::try_from(data)) {
            let most = u32::try_from(self.memory() / PAGE).unwrap_or(u32::MAX);
            let pages = u32::from_le_bytes(pages).min(most);
            self.given.store(pages, Ordering::Release);
        }
    }
}

/// The device.
pub struct Balloon {
    levers: Arc<Levers>,
    /// The chain of the statistics, which goes back to the driver when new ones are wanted.
    statistics: Option<u16>,
}

impl Balloon {
    /// A balloon that `levers` move.
    pub fn new(levers: Arc<Levers>) -> Self {
        let statistics = None;
        Self { levers, statistics }
    }

    /// Passes on what the main thread wants.
    fn pass_on(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        if self.levers.changed.swap(false, Ordering::AcqRel) {
            live.interrupts.config();
        }
        if self.levers.asked.load(Ordering::Acquire)
            && let Some(head) = self.statistics.take()
        {
            self.levers.asked.store(false, Ordering::Release);
            live.push(STATS, head, 0)?;
            live.notify(STATS)?;
        }
        Ok(())
    }

    /// Pages that the guest has put into the balloon.
    fn inflate(&self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(INFLATE, |live| {
            while let Some(chain) = live.pop(INFLATE)? {
                for (first, count) in runs(&numbers(live, &chain)?) {
                    reclaim::give_back(&live.memory, first * PAGE, count * PAGE);
                }
                live.push(INFLATE, chain.head, 0)?;
            }
            Ok(Stopped::Empty)
        })
    }

    /// Pages that it uses again.
    fn deflate(live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(DEFLATE, |live| {
            while let Some(chain) = live.pop(DEFLATE)? {
                live.push(DEFLATE, chain.head, 0)?;
            }
            Ok(Stopped::Empty)
        })
    }

    /// Memory that it does not use at the moment: the very buffers are meant.
    fn reports(live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        live.drain(queue, |live| {
            while let Some(chain) = live.pop(queue)? {
                for span in chain.writable.iter() {
                    reclaim::give_back(&live.memory, span.start.0, span.len as u64);
                }
                live.push(queue, chain.head, 0)?;
            }
            Ok(Stopped::Empty)
        })
    }

    fn take_statistics(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(STATS, |live| {
            while let Some(chain) = live.pop(STATS)? {
                let most = MOST_STATISTICS * STATISTIC;
                let mut bytes = vec![0; chain.readable.len().min(most)];
                let len = chain.readable.read(&live.memory, &mut bytes);
                let figures = figures(&bytes[..len]);
                *self.levers.figures() = figures;
                // There is one at a time; a driver that sends more gets the others back.
                if let Some(older) = self.statistics.replace(chain.head) {
                    live.push(STATS, older, 0)?;
                }
            }
            Ok(Stopped::Empty)
        })?;
        self.pass_on(live)
    }
}

/// The pages' numbers in a request.
fn numbers(live: &Live, chain: &Chain) -> Result<Vec<u64>, BrokenQueue> {
    let len = chain.readable.len();
    if len > MOST_PAGES * NUMBER {
        return Err(BrokenQueue);
    }
    let mut bytes = vec![0; len];
    let len = chain.readable.read(&live.memory, &mut bytes);
    let (numbers, _) = bytes[..len].as_chunks::<NUMBER>();
    Ok(numbers
        .iter()
        .map(|n| u32::from_le_bytes(*n).into())
        .collect())
}

/// Neighbouring pages together: the first of them and how many they are. Drivers send them from the
/// last to the first as well.
fn runs(pages: &[u64]) -> Vec<(u64, u64)> {
    let mut sorted = pages.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in sorted {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == page => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    runs
}

/// What the driver's statistics say (section 5.5.6.3.1). Unknown ones are left out.
fn figures(bytes: &[u8]) -> MemoryFigures {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut figures = MemoryFigures {
        updated: now.map_or(0, |now| now.as_secs()),
        ..MemoryFigures::default()
    };
    let (statistics, _) = bytes.as_chunks::<STATISTIC>();
    for [tag_low, tag_high, value @ ..] in statistics {
        let value = Some(u64::from_le_bytes(*value));
        match u16::from_le_bytes([*tag_low, *tag_high]) {
            0 => figures.swapped_in = value,
            1 => figures.swapped_out = value,
            2 => figures.major_faults = value,
            3 => figures.minor_faults = value,
            4 => figures.free = value,
            5 => figures.total = value,
            6 => figures.available = value,
            7 => figures.caches = value,
            _ => {}
        }
    }
    figures
}

impl Backend for Balloon {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        self.statistics = None;
        self.levers.forget();
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        self.pass_on(live)?;
        match queue {
            INFLATE => self.inflate(live),
            DEFLATE => Self::deflate(live),
            STATS if live.has(F_STATS) => self.take_statistics(live),
            _ if live.has(F_REPORTING) => Self::reports(live, queue),
            _ => Ok(()),
        }
    }

    fn poked(&mut self, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        match live {
            Some(live) => self.pass_on(live),
            // The next notification passes it on.
            None => Ok(()),
        }
    }

    fn registers(&self) -> Option<Arc<dyn Registers>> {
        Some(self.levers.clone())
    }

    /// What the driver has given; then the statistics' chain, if the device has it.
    fn save(&self) -> Vec<u8> {
        let mut saved = self
            .levers
            .given
            .load(Ordering::Acquire)
            .to_le_bytes()
            .to_vec();
        if let Some(head) = self.statistics {
            saved.extend(head.to_le_bytes());
        }
        saved
    }

    fn restore(&mut self, saved: &[u8], live: &mut Live) {
        let Some((given, rest)) = saved.split_at_checked(NUMBER) else {
            return;
        };
        self.levers.write(4, given);
        let size = live.queues.get(STATS).map_or(0, QueueT::size);
        let head = <[u8; 2]>::try_from(rest).map(u16::from_le_bytes);
        self.statistics = head.ok().filter(|head| *head < size);
        // Here another target may be wanted than where it comes from.
        self.levers.changed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
#[path = "balloon_tests.rs"]
mod tests;

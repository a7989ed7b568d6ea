//! A disk's queues, on a host that now and then has no room, no luck or no time.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::input::Input;
use crate::{files, machine, virtio};
use basalt_model::disk::{CacheMode, Limits, Rate};
use basalt_vmm::disk::raw::{RawDisk, RawImage};
use basalt_vmm::disk::{Disk, Done, Operation};
use basalt_vmm::virtio::block::{self, Block, Orders, Settings};

/// Bytes of the image.
const SIZE: u64 = 256 << 10;

/// What the host is like at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    Full,
    Broken,
    /// Operations end later.
    Slow,
}

/// The host, as the fuzzer changes it.
#[derive(Clone)]
struct Host(Arc<Mutex<Mood>>);

impl Host {
    fn get(&self) -> Mood {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mood: Mood) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

struct Moody {
    inner: RawDisk,
    mood: Host,
    late: Vec<Done>,
}

impl Disk for Moody {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn submit(&mut self, tag: u64, operation: Operation) {
        let errno = match self.mood.get() {
            Mood::Full if operation.changes().is_some() => 28,
            Mood::Broken => 5,
            _ => return self.inner.submit(tag, operation),
        };
        self.late.push(Done {
            tag,
            operation,
            result: Err(io::Error::from_raw_os_error(errno)),
        });
    }

    fn collect(&mut self, done: &mut Vec<Done>) {
        self.inner.collect(&mut self.late);
        if self.mood.get() != Mood::Slow {
            done.append(&mut self.late);
        }
    }

    fn pending(&self) -> usize {
        self.inner.pending() + self.late.len()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.mood.set(Mood::Good);
        Ok(())
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
        None
    }
}

fn settings(input: &mut Input<'_>) -> Settings {
    let how = input.byte();
    let mut limits = Limits::default();
    if how & 8 != 0 {
        limits.requests.total = Some(Rate {
            average: u64::from(input.word()) + 1,
            burst: (how & 16 != 0).then(|| u64::from(input.dword()) + 1),
            burst_seconds: u32::from(input.byte()) + 1,
        });
    }
    Settings {
        name: "virtio0".to_owned(),
        readonly: how & 1 != 0,
        serial: "fuzz".to_owned(),
        queues: u16::from(how >> 1 & 1) + 1,
        discard: how & 4 != 0,
        limits,
    }
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = settings(&mut input);
    let mood = Host(Arc::new(Mutex::new(Mood::Good)));
    let image = RawImage {
        file: Arc::new(files::of(SIZE)),
        cache: CacheMode::Unsafe,
        alignment: 1,
    };
    let disk = Moody {
        inner: RawDisk::new(image).expect("a file has a size"),
        mood: mood.clone(),
        late: Vec::new(),
    };
    let orders = Orders::default();
    let (counters, on_full) = (Arc::default(), Box::new(|_: &io::Error| ()));
    let device = Block::new(
        Box::new(disk),
        settings.clone(),
        counters,
        orders.clone(),
        on_full,
    );
    virtio::play(
        &block::description(&settings, SIZE),
        &machine::memory(),
        &mut device.expect("a timer can be had"),
        &mut input,
        &mut |input| match input.byte() % 8 {
            0..=2 => mood.set(Mood::Good),
            3 => mood.set(Mood::Slow),
            4 => mood.set(Mood::Full),
            5 => mood.set(Mood::Broken),
            6 => orders.retry(),
            _ => drop(orders.grow(u64::from(input.word()) * 512)),
        },
    );
}

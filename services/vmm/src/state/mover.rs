//! The thread that carries a state away, into a file or to another monitor, so that the main
//! thread goes on serving.
//!
//! The main thread gives it a [`Job`] and looks at its [`Message`]s. A machine that is saved
//! stands from the start. One that moves runs on while its memory is sent, in rounds: each sends
//! what was written during the one before. When what is left would take no longer than the limit,
//! the mover has the machine stopped, sends the rest and the tree, and hands it over. A guest
//! that writes faster than the connection carries never gets there, so the limit doubles every
//! third round.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use basalt_model::machine::{Moved, Progress};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::dirty::PAGE;
use super::file;
use super::memory::{Region, Run, for_each_run, parts, regions};
use super::transfer::{Tag, Wire};
use crate::event::Signal;
use crate::machine::blocks::Blocks;
use crate::machine::memory::Memory;
use crate::machine::spaces::Spaces;
use crate::sandbox::{self, ThreadClass};

/// Progress is announced when so many parts more of the whole are done.
const STEPS: u64 = 100;
/// Rounds after which the limit doubles.
const ROUNDS_PER_LIMIT: u32 = 3;

/// What is to be done.
pub enum Job {
    /// Write the state of a machine that stands.
    Save {
        /// What the guest writes to besides, by name. The guest goes on from its state as if all of
        /// that were there, so it must outlive a power cut before the state does.
        written: Vec<(String, Arc<File>)>,
        /// Where to.
        file: File,
        /// The tree.
        tree: Vec<u8>,
    },
    /// Hand a machine over to another monitor.
    Move {
        /// The connection.
        socket: File,
        /// The tree with the outline.
        outline: Vec<u8>,
        /// What its processors see of memory; the log is on.
        spaces: Arc<Spaces>,
        /// How long the machine may stand.
        limit: Duration,
    },
}

/// What the thread has to say.
pub enum Message {
    /// The machine is to stand; its tree is awaited.
    Stop(SyncSender<Result<Vec<u8>, String>>),
    /// The job is done or has failed; nothing follows.
    Done(Result<Moved, String>),
}

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    total: AtomicU64,
}

/// The main thread's side.
pub struct Mover {
    messages: Receiver<Message>,
    wake: Arc<Signal>,
    shared: Arc<Shared>,
}

impl Mover {
    /// Starts the thread for a machine with `memory`, of which it leaves out those of `blocks` that are
    /// not plugged in.
    pub fn start(job: Job, memory: Arc<Memory>, blocks: Option<Arc<Blocks>>) -> io::Result<Self> {
        let (sender, messages) = channel();
        let wake = Arc::new(Signal::new()?);
        let shared = Arc::new(Shared::default());
        let carrier = Carrier {
            memory,
            blocks,
            sender,
            wake: wake.clone(),
            shared: shared.clone(),
            announced: 0,
        };
        std::thread::Builder::new()
            .name("mover".into())
            .spawn(move || {
                if let Err(error) = sandbox::enter(ThreadClass::Mover) {
                    crate::fatal(&format!("cannot close the mover's sandbox: {error}"));
                }
                carrier.carry(job);
            })?;
        Ok(Self {
            messages,
            wake,
            shared,
        })
    }

    /// The next message.
    pub fn message(&self) -> Option<Message> {
        self.messages.try_recv().ok()
    }

    /// Readable when there are messages or progress.
    pub fn wake(&self) -> &Signal {
        &self.wake
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            done: self.shared.done.load(Ordering::Relaxed),
            total: self.shared.total.load(Ordering::Relaxed),
        }
    }
}

/// Has the host write what the guest wrote.
fn settle(written: &[(String, Arc<File>)]) -> io::Result<()> {
    for (name, file) in written {
        file.sync_data()
            .map_err(|e| io::Error::new(e.kind(), format!("{name} cannot be flushed: {e}")))?;
    }
    Ok(())
}

/// The thread's side.
struct Carrier {
    memory: Arc<Memory>,
    blocks: Option<Arc<Blocks>>,
    sender: Sender<Message>,
    wake: Arc<Signal>,
    shared: Arc<Shared>,
    announced: u64,
}

/// Pages of every region, one bit each.
type Pages = Vec<(Region, Vec<u64>)>;

impl Carrier {
    fn carry(mut self, job: Job) {
        let total = self.parts().iter().map(|r| r.len).sum();
        self.shared.total.store(total, Ordering::Relaxed);
        let result = match job {
            Job::Save {
                written,
                file,
                tree,
            } => settle(&written).and_then(|()| self.save(&file, &tree)),
            Job::Move {
                socket,
                outline,
                spaces,
                limit,
            } => self.hand_over(&mut Wire::new(socket), &outline, &spaces, limit),
        };
        self.say(Message::Done(result.map_err(|e| e.to_string())));
    }

    /// The memory that the guest has.
    fn parts(&self) -> Vec<Region> {
        parts(&self.memory, self.blocks.as_deref())
    }

    fn say(&self, message: Message) {
        // The main thread lives as long as the process.
        let _ = self.sender.send(message);
        self.wake.raise();
    }

    fn advance(&mut self, done: u64) {
        self.shared.done.store(done, Ordering::Relaxed);
        let step = self.shared.total.load(Ordering::Relaxed) / STEPS;
        if done >= self.announced + step {
            self.announced = done;
            self.wake.raise();
        }
    }

    fn save(&mut self, file: &File, tree: &[u8]) -> io::Result<Moved> {
        let memory = self.memory.clone();
        let blocks = self.blocks.clone();
        file::write(file, &memory, blocks.as_deref(), tree, |done| {
            self.advance(done);
        })?;
        Ok(Moved {
            rounds: 1,
            bytes: self.parts().iter().map(|r| r.len).sum(),
            downtime_ms: 0,
        })
    }

    fn hand_over(
        &mut self,
        wire: &mut Wire,
        outline: &[u8],
        spaces: &Spaces,
        mut limit: Duration,
    ) -> io::Result<Moved> {
        wire.send(Tag::Hello, 0, outline)?;
        wire.expect_ready()?;
        let mut rate = self.send_everything(wire)?;
        let mut rounds = 1;
        let rest = loop {
            let dirty = self.take_dirty(spaces)?;
            if time_for(count(&dirty), rate) <= limit {
                break dirty;
            }
            rate = self.send_pages(wire, &dirty)?.max(1);
            rounds += 1;
            if rounds % ROUNDS_PER_LIMIT == 0 {
                limit *= 2;
            }
        };
        let stopped = Instant::now();
        let tree = self.stop_machine()?;
        let mut rest = union(rest, self.take_dirty(spaces)?);
        self.leave_holes_out(&mut rest);
        self.send_pages(wire, &rest)?;
        wire.send(Tag::Tree, 0, &tree)?;
        wire.expect_ready()?;
        let downtime = stopped.elapsed();
        wire.send(Tag::Go, 0, &[])?;
        Ok(Moved {
            rounds: rounds + 1,
            bytes: wire.sent(),
            downtime_ms: downtime.as_millis() as u64,
        })
    }

    fn stop_machine(&self) -> io::Result<Vec<u8>> {
        let (reply, answer) = sync_channel(1);
        self.say(Message::Stop(reply));
        let tree = answer.recv().map_err(io::Error::other)?;
        tree.map_err(io::Error::other)
    }

    /// The first round, into memory that is zero. Returns bytes a second.
    fn send_everything(&mut self, wire: &mut Wire) -> io::Result<u64> {
        let memory = self.memory.clone();
        let (started, before) = (Instant::now(), wire.sent());
        let mut base = 0;
        for region in self.parts() {
            for_each_run(
                &memory,
                region,
                |_| true,
                |offset, run| {
                    let len = match run {
                        Run::Bytes(bytes) => {
                            wire.send(Tag::Pages, region.start + offset, bytes)?;
                            bytes.len() as u64
                        }
                        Run::Zeroes(len) => len,
                    };
                    self.advance(base + offset + len);
                    Ok(())
                },
            )?;
            base += region.len;
        }
        Ok(rate(wire.sent() - before, started.elapsed()))
    }

    fn send_pages(&self, wire: &mut Wire, pages: &Pages) -> io::Result<u64> {
        let (started, before) = (Instant::now(), wire.sent());
        for (region, words) in pages {
            let wanted = |page: usize| {
                let word = words.get(page / 64).copied().unwrap_or(0);
                word & (1 << (page % 64)) != 0
            };
            for_each_run(&self.memory, *region, wanted, |offset, run| match run {
                Run::Bytes(bytes) => wire.send(Tag::Pages, region.start + offset, bytes),
                Run::Zeroes(len) => wire.send_zeroes(region.start + offset, len),
            })?;
        }
        Ok(rate(wire.sent() - before, started.elapsed()))
    }

    /// What processors and devices wrote since the last call.
    fn take_dirty(&self, spaces: &Spaces) -> io::Result<Pages> {
        let mut all = Vec::new();
        for (slot, region) in self.memory.iter().enumerate() {
            let len = region.len() as usize;
            let mut words = spaces.written(slot, len)?;
            for (word, ours) in words.iter_mut().zip(region.get_mmap().bitmap().take()) {
                *word |= ours;
            }
            all.push(words);
        }
        let mut pages = regions(&self.memory).into_iter().zip(all).collect();
        self.leave_holes_out(&mut pages);
        Ok(pages)
    }

    /// What was plugged out is of no use to the target.
    fn leave_holes_out(&self, pages: &mut Pages) {
        let Some(blocks) = &self.blocks else { return };
        for (region, words) in pages {
            blocks.leave_holes_out(*region, words);
        }
    }
}

fn count(pages: &Pages) -> u64 {
    let ones = |words: &Vec<u64>| words.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
    pages.iter().map(|(_, words)| ones(words)).sum::<u64>() * PAGE as u64
}

fn union(mut one: Pages, other: Pages) -> Pages {
    for ((_, words), (_, more)) in one.iter_mut().zip(other) {
        for (word, more) in words.iter_mut().zip(more) {
            *word |= more;
        }
    }
    one
}

/// Bytes a second, at least one.
fn rate(bytes: u64, time: Duration) -> u64 {
    let micros = time.as_micros().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000 / micros)
        .unwrap_or(u64::MAX)
        .max(1)
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_flushed_is_named() {
        let kept = Arc::new(tempfile::tempfile().unwrap());
        let (_reader, pipe) = io::pipe().unwrap();
        let pipe = Arc::new(File::from(std::os::fd::OwnedFd::from(pipe)));
        let mut written = vec![("virtio0".to_owned(), kept)];
        settle(&written).unwrap();
        written.push(("virtio1".to_owned(), pipe));
        let error = settle(&written).unwrap_err().to_string();
        assert!(error.starts_with("virtio1 cannot be flushed"), "{error}");
    }

    #[test]
    fn estimates_hold_at_the_edges() {
        assert_eq!(rate(0, Duration::ZERO), 1);
        assert_eq!(rate(1000, Duration::from_secs(2)), 500);
        assert_eq!(time_for(0, 0), Duration::ZERO);
        assert_eq!(time_for(500, 1000), Duration::from_millis(500));
        let region = Region {
            start: 0,
            len: 1 << 20,
        };
        let one = vec![(region, vec![1, 0])];
        let both = union(one, vec![(region, vec![2, 1 << 63])]);
        assert_eq!(both[0].1, [3, 1 << 63]);
        assert_eq!(count(&both), 3 * PAGE as u64);
    }
}

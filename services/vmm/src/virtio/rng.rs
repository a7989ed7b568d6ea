//! The entropy device (virtio 1.2 section 5.4): fills what the driver offers from the host's random
//! numbers, as many in a period as its limit says.
//!
//! Requests beyond the limit stay in the queue until the next period begins, and so do those for which
//! the source has nothing yet; a timer wakes the device for them.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use virtio_queue::QueueT;

use super::budget::Budget;
use super::wake::Wake;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};

const QUEUE: usize = 0;
/// Most bytes in one answer; drivers ask again.
const MOST: usize = 64 * 1024;
/// When a source that has nothing is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What the transport needs to know.
pub fn description() -> Description {
    Description {
        kind: Kind::Rng,
        features: 0,
        queues: vec![64],
        config: Vec::new(),
    }
}

/// The device.
pub struct Rng {
    source: Arc<File>,
    budget: Option<Arc<Mutex<Budget>>>,
    wake: Wake,
}

impl Rng {
    /// Takes random numbers from `source`, as many as `budget` allows.
    pub fn new(source: Arc<File>, budget: Option<Arc<Mutex<Budget>>>) -> io::Result<Self> {
        Ok(Self {
            source,
            budget,
            wake: Wake::new(None, true)?,
        })
    }

    fn budget(&self) -> Option<MutexGuard<'_, Budget>> {
        let budget = self.budget.as_ref()?;
        Some(budget.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Most bytes that may go into the next answer, or how long it has to wait.
    fn most(&self) -> Result<usize, Duration> {
        let left = match self.budget() {
            Some(mut budget) => budget.left(Instant::now())?,
            None => u64::MAX,
        };
        Ok(usize::try_from(left).unwrap_or(usize::MAX).min(MOST))
    }

    /// Answers one request; says how the round ended if it did.
    fn answer(&mut self, live: &mut Live) -> Result<Option<Stopped>, BrokenQueue> {
        let most = match self.most() {
            Ok(most) => most,
            Err(wait) => {
                self.wake.after(wait);
                return Ok(Some(Stopped::Early));
            }
        };
        let place = live.queues.get(QUEUE).ok_or(BrokenQueue)?.next_avail();
        let Some(chain) = live.pop(QUEUE)? else {
            return Ok(Some(Stopped::Empty));
        };
        let mut bytes = vec![0; chain.writable.len().min(most)];
        let len = match (&*self.source).read(&mut bytes) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                live.queues[QUEUE].set_next_avail(place);
                self.wake.after(ASK_AGAIN);
                return Ok(Some(Stopped::Early));
            }
            // A source that fails gives nothing; the driver sees an empty answer.
            Err(_) => 0,
        };
        let written = chain.writable.write(&live.memory, &bytes[..len]);
        if let Some(mut budget) = self.budget() {
            budget.take(written as u64);
        }
        live.push(QUEUE, chain.head, written)?;
        Ok(None)
    }

    fn serve(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(QUEUE, |live| {
            loop {
                if let Some(stopped) = self.answer(live)? {
                    return Ok(stopped);
                }
            }
        })
    }
}

impl Backend for Rng {
    /// The budget stays as it is: a driver that is off and on again gets no more.
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, _queue: usize) -> Result<(), BrokenQueue> {
        self.serve(live)
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.wake.source()
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.wake.disarm();
        self.serve(live)
    }

    fn save(&self) -> Vec<u8> {
        self.budget()
            .map_or_else(Vec::new, |budget| budget.save(Instant::now()))
    }

    fn restore(&mut self, saved: &[u8], _live: &mut Live) {
        if let Some(mut budget) = self.budget() {
            budget.restore(saved, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::{Driver, Part};
    use basalt_model::entropy::EntropyLimit;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::OFlags;
    use std::io::Write;

    const HOUR: u64 = 3_600_000;

    fn urandom() -> Arc<File> {
        Arc::new(File::open("/dev/urandom").unwrap())
    }

    fn limited(bytes: u64, period_ms: u64) -> Rng {
        let budget = Budget::new(EntropyLimit { bytes, period_ms });
        Rng::new(urandom(), Some(Arc::new(Mutex::new(budget)))).unwrap()
    }

    /// Waits until the device is woken.
    fn wait(rng: &Rng) {
        let source = rng.source().unwrap();
        poll(&mut [PollFd::new(&source, PollFlags::IN)], None).unwrap();
    }

    #[test]
    fn requests_are_filled_and_bounded() {
        let mut rng = Rng::new(urandom(), None).unwrap();
        let mut driver = Driver::new(1);
        driver.submit(&[Part::In(64), Part::In(64)]);
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), Some(128));
        assert_ne!(driver.bytes_of(1, 64), vec![0xee; 64]);
        driver.submit(&[Part::In(MOST), Part::In(MOST)]);
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), Some(MOST as u32));
        assert!(rng.save().is_empty());
    }

    #[test]
    fn what_is_beyond_the_limit_waits_whatever_the_driver_does() {
        let mut rng = limited(100, HOUR);
        let mut driver = Driver::new(1);
        for expected in [Some(64), Some(36), None] {
            driver.submit(&[Part::In(64)]);
            rng.kicked(&mut driver.live, QUEUE).unwrap();
            assert_eq!(driver.completed_on(QUEUE), expected);
        }
        // Neither another notification nor a reset of the device helps.
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), None);
        rng.deactivated();
        let mut driver = Driver::new(1);
        rng.activate(&mut driver.live).unwrap();
        driver.submit(&[Part::In(64)]);
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), None);

        // Nor does a saved state.
        let mut other = limited(100, HOUR);
        other.activate(&mut driver.live).unwrap();
        other.restore(&rng.save(), &mut driver.live);
        other.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), None);
    }

    #[test]
    fn what_waits_is_answered_period_by_period() {
        const PERIOD: u64 = 20;
        let mut rng = limited(16, PERIOD);
        let mut driver = Driver::new(1);
        for _ in 0..3 {
            driver.submit(&[Part::In(16)]);
        }
        let begun = Instant::now();
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        for _ in 0..3 {
            while driver.completed_on(QUEUE) != Some(16) {
                wait(&rng);
                rng.ready(&mut driver.live).unwrap();
            }
        }
        assert!(begun.elapsed() >= Duration::from_millis(2 * PERIOD));
    }

    #[test]
    fn a_source_that_has_nothing_yet_is_asked_again() {
        let (from, to) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&from, OFlags::NONBLOCK).unwrap();
        let source = File::from(std::os::fd::OwnedFd::from(from));
        let mut rng = Rng::new(Arc::new(source), None).unwrap();
        let mut driver = Driver::new(1);
        driver.submit(&[Part::In(4)]);
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), None);
        (&to).write_all(b"dice").unwrap();
        wait(&rng);
        rng.ready(&mut driver.live).unwrap();
        assert_eq!(driver.completed_on(QUEUE), Some(4));
        assert_eq!(driver.bytes_of(0, 4), b"dice");
    }
}

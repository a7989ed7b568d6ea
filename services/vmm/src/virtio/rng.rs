//! The entropy device: fills what the driver offers from the host's random numbers.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};

const QUEUE: usize = 0;
/// Most bytes in one answer; drivers ask again.
const MOST: usize = 64 * 1024;

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
}

impl Rng {
    /// Takes random numbers from `source`.
    pub fn new(source: Arc<File>) -> Self {
        Self { source }
    }
}

impl Backend for Rng {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        Ok(())
    }

    fn kicked(&mut self, live: &mut Live, _queue: usize) -> Result<(), BrokenQueue> {
        live.drain(QUEUE, |live| {
            while let Some(chain) = live.pop(QUEUE)? {
                let mut bytes = vec![0; chain.writable.len().min(MOST)];
                // A source that fails gives nothing; the driver sees an empty answer.
                let len = (&*self.source).read(&mut bytes).unwrap_or(0);
                let written = chain.writable.write(&live.memory, &bytes[..len]);
                live.push(QUEUE, chain.head, written)?;
            }
            Ok(Stopped::Empty)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::{Driver, Part};

    #[test]
    fn requests_are_filled_and_bounded() {
        let mut rng = Rng::new(Arc::new(File::open("/dev/urandom").unwrap()));
        let mut driver = Driver::new(1);
        driver.submit(&[Part::In(64), Part::In(64)]);
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), Some(128));
        assert_ne!(driver.bytes_of(1, 64), vec![0xee; 64]);
        driver.submit(&[Part::In(MOST), Part::In(MOST)]);
        rng.kicked(&mut driver.live, QUEUE).unwrap();
        assert_eq!(driver.completed_on(QUEUE), Some(MOST as u32));
    }
}

//! Fetching a bundle from a web server: only what this host has not got, and going on where the
//! line broke, also after a restart.
//!
//! The bundle is put together in one file on the data partition, which has exactly the bytes of
//! the original. Its blocks come, in this order, from what an earlier try has left in the file,
//! from the slots of this host, and from the server. Until the file is whole and installed, both
//! slots stay as they are: a download that never ends costs nobody the way back.
//!
//! Every block is checked against the list of blocks before it is kept, and the list against the
//! signed manifest; [`crate::install`] checks whole parts once more. A server that knows no
//! stretches of files works too, only nothing is saved.

mod local;
mod partial;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::blocks::{BLOCK, read_full};
use crate::install::{Installed, Options, check, install};
use crate::observer::Span;
use crate::table::Table;
use crate::web::{Answer, Trouble, Web};
use crate::{Error, Host, Observer, files};
use partial::{HEAD, Partial};

/// A stretch that is there already is fetched again when this many blocks or fewer separate two
/// that are not: a question costs more than so many bytes.
const SMALL_GAP: u64 = 8;

/// A connection that breaks so often without bringing anything is given up.
const TRIES: u32 = 8;

/// First pause before asking again; it doubles each time.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest pause before asking again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Fetches a bundle and installs it; the next boot tries it.
pub fn install_from(
    host: &Host,
    url: &str,
    options: Options,
    observer: &mut dyn Observer,
) -> Result<Installed, Error> {
    let fetching = Span { from: 0, to: 60 };
    let path = Fetch::new(host, url).run(host, options, fetching, observer)?;
    let installing = Span { from: 60, to: 100 };
    let result = install(host, &path, options, installing, observer);
    // What could not be written for another reason need not be fetched again.
    if matches!(result, Ok(_) | Err(Error::Bundle(_) | Error::Signature(_))) {
        files::remove_if_there(&path).map_err(|e| Error::io(&path, e))?;
    }
    result
}

/// One bundle on a server.
struct Fetch<'a> {
    web: Web,
    url: &'a str,
    pause: Duration,
    failures: u32,
    /// Bytes that came from the server.
    moved: u64,
}

impl<'a> Fetch<'a> {
    fn new(host: &Host, url: &'a str) -> Self {
        Self {
            web: host.web(),
            url,
            pause: PAUSE,
            failures: 0,
            moved: 0,
        }
    }

    /// Makes the bundle's file and returns its path.
    fn run(
        &mut self,
        host: &Host,
        options: Options,
        span: Span,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf, Error> {
        observer.say(&format!("asking {}", self.url));
        let keys = host.keys()?;
        let head = self.head(observer)?;
        let mut partial = Partial::open(host, &head, &keys)?;
        let manifest = partial.manifest().clone();
        {
            let table = Table::read(&host.disk)?;
            let slot = host.running_slot(&table)?.other();
            check(host, &table, slot, &host.open_esp()?, &manifest, options)?;
        }
        partial.allocate()?;
        self.list(&mut partial, observer)?;
        let total = partial.blocks_size();
        let kept = partial.find_kept()?;
        if kept > 0 {
            observer.say(&format!(
                "{} of {} are here from before",
                mib(kept),
                mib(total)
            ));
        }
        let reused = local::reuse(host, &mut partial)?;
        observer.say(&format!(
            "{} of {} are the same in the slots of this host",
            mib(reused),
            mib(total)
        ));
        self.rest(&mut partial, span, observer)?;
        observer.say(&format!(
            "moved {} of {}",
            mib(self.moved),
            mib(partial.size())
        ));
        partial.finish()
    }

    /// The first bytes of the file: manifest and signature.
    fn head(&mut self, observer: &mut dyn Observer) -> Result<Vec<u8>, Error> {
        loop {
            let asked = self.web.stretch(self.url, 0..HEAD);
            let read = asked.and_then(|Answer { mut body, .. }| {
                let mut head = vec![0; usize::try_from(HEAD).unwrap_or(0)];
                let count = read_full(&mut body, &mut head)
                    .map_err(|error| Trouble::Lost(error.to_string()))?;
                head.truncate(count);
                Ok(head)
            });
            match read {
                Ok(head) => {
                    self.moved += head.len() as u64;
                    return Ok(head);
                }
                Err(trouble) => self.bear(trouble, observer)?,
            }
        }
    }

    /// The list of blocks, unless an earlier try has left it.
    fn list(&mut self, partial: &mut Partial, observer: &mut dyn Observer) -> Result<(), Error> {
        if !partial.has_list()? {
            let range = partial.list_range();
            self.stream(range, observer, &mut |at, bytes, _| {
                partial.write(at, bytes)
            })?;
        }
        partial.load_list()
    }

    /// Every block that is in none of the slots.
    fn rest(
        &mut self,
        partial: &mut Partial,
        span: Span,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let total = partial.blocks_size();
        let mut last = Instant::now();
        for range in partial.missing(SMALL_GAP) {
            self.stream(range, observer, &mut |at, bytes, observer| {
                partial.take(at, bytes)?;
                // Asking for every block would cost more than the block.
                if last.elapsed() > Duration::from_millis(100) {
                    last = Instant::now();
                    span.reached(partial.present(), total, observer)?;
                }
                Ok(())
            })?;
        }
        span.reached(total, total, observer)
    }

    /// Passes on a stretch of the file block by block, asking again from where the line broke.
    fn stream(
        &mut self,
        range: Range<u64>,
        observer: &mut dyn Observer,
        take: &mut Take<'_>,
    ) -> Result<(), Error> {
        let mut at = range.start;
        while at < range.end {
            let begun = at;
            if let Err(trouble) = self.once(&mut at, range.end, observer, take) {
                if at > begun {
                    self.failures = 0;
                }
                self.bear(trouble, observer)?;
            }
        }
        Ok(())
    }

    fn once(
        &mut self,
        at: &mut u64,
        end: u64,
        observer: &mut dyn Observer,
        take: &mut Take<'_>,
    ) -> Result<(), Trouble> {
        let lost = |error: std::io::Error| Trouble::Lost(error.to_string());
        let Answer { mut body, start } = self.web.stretch(self.url, *at..end)?;
        if start < *at {
            let skip = &mut std::io::Read::take(&mut body, *at - start);
            self.moved += std::io::copy(skip, &mut std::io::sink()).map_err(lost)?;
        }
        let mut block = [0; BLOCK];
        while *at < end {
            let want = usize::try_from(end - *at).map_or(BLOCK, |left| left.min(BLOCK));
            let count = read_full(&mut body, &mut block[..want]).map_err(lost)?;
            self.moved += count as u64;
            if count < want {
                return Err(Trouble::Lost("the connection ended early".to_owned()));
            }
            take(*at, &block[..count], observer).map_err(Trouble::Final)?;
            *at += count as u64;
        }
        Ok(())
    }

    /// Waits before the next question, or gives up.
    fn bear(&mut self, trouble: Trouble, observer: &mut dyn Observer) -> Result<(), Error> {
        let reason = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Lost(reason) => reason,
        };
        self.failures += 1;
        if self.failures >= TRIES {
            return Err(Error::Http {
                url: self.url.to_owned(),
                reason: format!(
                    "{reason}; given up after {TRIES} tries. What has been fetched is kept: the \
                     next installation goes on from there"
                ),
            });
        }
        let pause = (self.pause * 2_u32.pow(self.failures - 1)).min(LONGEST_PAUSE);
        observer.say(&format!(
            "the connection is lost ({reason}); asking again in {} s",
            pause.as_secs()
        ));
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if observer.cancelled() {
                return Err(Error::Cancelled);
            }
            // Time itself is meant: the server gets a rest, in steps short enough to hear a cancel.
            std::thread::sleep(Duration::from_millis(100).min(pause));
        }
        Ok(())
    }
}

/// Takes a block: its position in the file and its bytes.
type Take<'a> = dyn FnMut(u64, &[u8], &mut dyn Observer) -> Result<(), Error> + 'a;

fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

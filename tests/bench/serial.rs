//! A guest's serial port, as lines with the time they came.

use super::Result;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Begins the lines that are for us.
const MARK: &str = "bench: ";
/// Lines kept to say what went wrong.
const KEPT: usize = 12;

/// A line of the guest's own.
pub struct Line {
    /// When it was whole.
    pub at: Instant,
    /// Its words behind the mark.
    pub words: Vec<String>,
}

/// The port.
pub struct Serial {
    lines: Receiver<(Instant, String)>,
    last: Vec<String>,
}

impl Serial {
    /// The standard output of a monitor.
    pub fn of(child: &mut Child) -> Result<Self> {
        let output = child.stdout.take().ok_or("the monitor has no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                line.clear();
                if sender.send((Instant::now(), text)).is_err() {
                    return;
                }
            }
        });
        let last = Vec::new();
        Ok(Self { lines, last })
    }

    /// The next line of the guest's own.
    pub fn next(&mut self, patience: Duration) -> Result<Line> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, text) = self.lines.recv_timeout(left).map_err(|error| {
                let what = match error {
                    RecvTimeoutError::Timeout => "the guest is silent",
                    RecvTimeoutError::Disconnected => "the monitor has ended",
                };
                format!("{what}; its last lines: {}", self.last.join(" | "))
            })?;
            let words = text.split_once(MARK).map(|(_, own)| {
                let words = own.split_whitespace();
                words.map(str::to_owned).collect()
            });
            if self.last.len() == KEPT {
                self.last.remove(0);
            }
            self.last.push(text);
            if let Some(words) = words {
                return Ok(Line { at, words });
            }
        }
    }

    /// When the guest's line with this first word came.
    pub fn until(&mut self, word: &str, patience: Duration) -> Result<Instant> {
        loop {
            let line = self.next(patience)?;
            if line.words.first().is_some_and(|first| first == word) {
                return Ok(line.at);
            }
        }
    }
}

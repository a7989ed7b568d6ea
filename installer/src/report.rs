//! Tells how the installation goes: on every console, in the journal, and in a log that is kept.

use std::fmt::Write;
use std::time::Instant;

use crate::terminal;

/// Steps of progress that are worth a line.
const STEP: u64 = 20;

/// Where progress is told.
pub struct Report {
    consoles: Vec<String>,
    log: String,
    begun: Instant,
    shown: u64,
}

impl Report {
    /// Tells on these consoles.
    pub fn new(consoles: &[String]) -> Self {
        Self {
            consoles: consoles.to_vec(),
            log: String::new(),
            begun: Instant::now(),
            shown: 0,
        }
    }

    /// Tells one line.
    pub fn line(&mut self, text: &str) {
        tracing::info!("{text}");
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.log,
            "{:6.1}s {text}",
            self.begun.elapsed().as_secs_f32()
        );
        for console in &self.consoles {
            terminal::write(console, &format!("\r\n{text}\r\n"));
        }
        self.shown = 0;
    }

    /// Tells how much of a step is done, now and then.
    pub fn progress(&mut self, what: &str, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        if percent < self.shown + STEP && percent < 100 || percent == self.shown {
            return;
        }
        self.shown = percent;
        for console in &self.consoles {
            terminal::write(console, &format!("{what}: {percent} %\r\n"));
        }
    }

    /// Everything that was told, with times.
    pub fn log(&self) -> &str {
        &self.log
    }
}

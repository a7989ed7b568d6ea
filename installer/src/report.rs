//! Tells how the installation goes: on every console, in the journal, to the browser, and in a log
//! that is kept.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::terminal;

/// Steps of progress that are worth a line.
const STEP: u64 = 20;

/// Where progress is told.
pub struct Report {
    consoles: Vec<String>,
    board: Board,
    begun: Instant,
    shown: u64,
}

/// How far the installation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nobody has decided yet.
    #[default]
    Asking,
    /// The disk is being written.
    Installing,
    /// Everything is on the disk.
    Finished,
    /// It was given up.
    Failed,
}

/// What a visitor sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// How far it is.
    pub phase: Phase,
    /// The last line told.
    pub line: String,
    /// What is being copied, and how much of it in percent.
    pub copying: Option<(String, u64)>,
    /// Everything that was told, with times.
    pub log: String,
}

/// Where the standing is read while the installation goes on.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Standing>>);

impl Board {
    /// The standing now.
    pub fn read(&self) -> Standing {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        // A writer that panicked has left a whole value: every change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// Tells on these consoles.
    pub fn new(consoles: &[String]) -> Self {
        Self {
            consoles: consoles.to_vec(),
            board: Board::default(),
            begun: Instant::now(),
            shown: 0,
        }
    }

    /// Tells one line.
    pub fn line(&mut self, text: &str) {
        tracing::info!("{text}");
        let mut standing = self.board.lock();
        // Writing to a String cannot fail.
        let _ = writeln!(
            standing.log,
            "{:6.1}s {text}",
            self.begun.elapsed().as_secs_f32()
        );
        text.clone_into(&mut standing.line);
        standing.copying = None;
        drop(standing);
        let shown = text.replace('\n', "\r\n");
        for console in &self.consoles {
            terminal::write(console, &format!("\r\n{shown}\r\n"));
        }
        self.shown = 0;
    }

    /// Tells how much of a step is done, now and then.
    pub fn progress(&mut self, what: &str, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        self.board.lock().copying = Some((what.to_owned(), percent));
        if percent < self.shown + STEP && percent < 100 || percent == self.shown {
            return;
        }
        self.shown = percent;
        for console in &self.consoles {
            terminal::write(console, &format!("{what}: {percent} %\r\n"));
        }
    }

    /// Tells how far the installation is.
    pub fn phase(&mut self, phase: Phase) {
        self.board.lock().phase = phase;
    }

    /// Where others read the standing.
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Everything that was told, with times.
    pub fn log(&self) -> String {
        self.board.lock().log.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_shows_what_was_told() {
        let mut report = Report::new(&[]);
        let board = report.board();
        report.phase(Phase::Installing);
        report.line("Copying");
        report.progress("root", 1, 4);
        let standing = board.read();
        assert_eq!(standing.phase, Phase::Installing);
        assert_eq!(standing.copying, Some(("root".to_owned(), 25)));
        report.line("Done");
        let standing = board.read();
        assert_eq!((standing.line.as_str(), standing.copying), ("Done", None));
        assert!(standing.log.contains("s Copying\n") && standing.log.ends_with("s Done\n"));
        assert_eq!(report.log(), standing.log);
    }
}

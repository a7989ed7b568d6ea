//! `cargo image test`: unit tests and the web interface's tests, beside them two builds of the image,
//! then scenarios on it.
//!
//! Each part reports a [`Tally`]; their sum is the last line. The scenarios are the program of the
//! crate `basalt-tests` in `tests/`; [`guests`] makes the guests they run.

pub mod debian;
mod fuzz;
pub mod guests;
pub mod kit;
pub mod licences;
mod recipe;
mod reproducible;
mod system;
mod tally;
mod units;
mod web;

use crate::appliance::{root, say};
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

pub use system::TALLY_FILE;
pub use tally::Tally;

/// What to test.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run only the tests whose name contains this
    pub filter: Option<String>,
    /// Run only this part; may be given more than once
    #[arg(long, value_name = "PART")]
    pub part: Vec<Part>,
}

impl Options {
    /// Whether a part is to be run. The fuzz targets are compiled apart from everything else, with all
    /// crates below them, which takes longer than they run: a whole run has them with `BASALT_LONG`.
    fn wants(&self, part: Part) -> bool {
        match self.part.is_empty() {
            true => part != Part::Fuzz || std::env::var_os("BASALT_LONG").is_some(),
            false => self.part.contains(&part),
        }
    }
}

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Licences of the dependencies
    Licences,
    /// Rust unit tests
    Units,
    /// Every fuzz target for a few seconds (`cargo image fuzz` runs them for longer)
    Fuzz,
    /// Lint, format and unit tests of the web interface
    Web,
    /// Two builds of the image are the same (the short form of `cargo image reproduce`)
    Reproducible,
    /// Scenarios on the real image
    System,
}

/// Where scenarios leave what helps to understand a failure.
pub fn results_dir() -> PathBuf {
    crate::build::paths::workspace().join("target/test-results")
}

/// Where the figures of the last run are written.
pub fn figures_file() -> PathBuf {
    crate::build::paths::workspace().join("target/figures.json")
}

/// Parts that follow one another while [`BESIDE`] runs: they leave much of the processors idle.
const FIRST: [Part; 4] = [Part::Licences, Part::Units, Part::Fuzz, Part::Web];
/// Compiles and compresses, for most of its time on one processor.
const BESIDE: Part = Part::Reproducible;
/// Runs alone: scenarios wait for machines whose processors are emulated.
const LAST: Part = Part::System;
/// How much [`BESIDE`] gives way to the others, whose tests wait for no longer than they say.
const NICE: i32 = 10;

/// Tests, and prints `N passed, N failed` as the last line.
pub fn test(options: &Options) -> Result<ExitCode> {
    std::fs::create_dir_all(root())?;
    let mut total = thread::scope(|scope| {
        let beside = scope.spawn(|| {
            // Of this thread alone, and of what it starts. Without it the part is as right, but in the way.
            let _ = rustix::process::nice(NICE);
            run(BESIDE, options)
        });
        let mut total = Tally::default();
        for part in FIRST {
            total += run(part, options);
        }
        total += beside
            .join()
            .unwrap_or_else(|_| Tally::failed(&format!("{BESIDE:?}"), "it panicked"));
        total
    });
    total += run(LAST, options);
    for name in &total.failures {
        println!("FAILED {name}");
    }
    println!("{total}");
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs a part if it is wanted, and says how it went.
fn run(part: Part, options: &Options) -> Tally {
    if !options.wants(part) {
        return Tally::default();
    }
    let began = Instant::now();
    let filter = options.filter.as_deref();
    let tally = match part {
        Part::Licences => licences::test(filter),
        Part::Units => units::test(filter),
        Part::Fuzz => fuzz::test(filter),
        Part::Web => web::test(filter),
        Part::Reproducible => reproducible::test(filter),
        Part::System => system::test(filter),
    };
    let tally =
        tally.unwrap_or_else(|error| Tally::failed(&format!("{part:?}"), &format!("{error:#}")));
    say(&format!(
        "{part:?}: {tally} ({} s)",
        began.elapsed().as_secs()
    ));
    tally
}

//! `cargo image test`: unit tests, the web interface's tests, then scenarios on the real image.
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
    /// Lint, format, unit tests and build of the web interface
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

/// Tests, and prints `N passed, N failed` as the last line.
pub fn test(options: &Options) -> Result<ExitCode> {
    std::fs::create_dir_all(root())?;
    let mut total = Tally::default();
    for part in [
        Part::Licences,
        Part::Units,
        Part::Fuzz,
        Part::Web,
        Part::Reproducible,
        Part::System,
    ] {
        if !options.wants(part) {
            continue;
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
        let tally = tally
            .unwrap_or_else(|error| Tally::failed(&format!("{part:?}"), &format!("{error:#}")));
        say(&format!(
            "{part:?}: {tally} ({} s)",
            began.elapsed().as_secs()
        ));
        total += tally;
    }
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

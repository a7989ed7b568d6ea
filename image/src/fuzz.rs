//! `cargo image fuzz`: builds the fuzz targets in `fuzz/` and runs them, by the toolchain that builds
//! everything else.
//!
//! libFuzzer wants to know which edges of the program an input reaches. The compiler counts them by
//! LLVM's pass for that, which needs flags for all crates below a target, so they are compiled apart,
//! in `target/fuzz/`. What is found goes there as well, by target: `findings/` has the inputs that end
//! the program, `corpus/` those that reach something new. A corpus to begin with is in `fuzz/corpus/`;
//! how long every target has run for it, in `fuzz/ran.json` ([`record`]).

mod record;
mod run;

use crate::appliance::say;
use crate::build::paths::{target_dir, workspace};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

pub use run::{Finding, Outcome};

use record::Record;

/// The host's own, named so that programs that run while compiling are not instrumented.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Has the compiler count edges, and show libFuzzer what is compared.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// What to fuzz, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The targets, one after the other; all when none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each of them runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Take the inputs that reach something new over into fuzz/corpus, and the time into fuzz/ran.json
    #[arg(long)]
    keep: bool,
    /// Run each target only until it has run for so long in all, by fuzz/ran.json
    #[arg(long, value_name = "N")]
    in_all: Option<u64>,
}

/// A fuzz target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Every target there is, by name.
    pub fn all() -> Result<Vec<Self>> {
        let dir = workspace().join("fuzz/engine/fuzz_targets");
        let mut all = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                all.push(Self(name.into_owned()));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    fn program(&self) -> PathBuf {
        home().join(PLATFORM).join("debug").join(&self.0)
    }

    /// The corpus that everybody has.
    fn seeds(&self) -> PathBuf {
        workspace().join("fuzz/corpus").join(&self.0)
    }

    /// What was found here.
    fn corpus(&self) -> PathBuf {
        home().join("corpus").join(&self.0)
    }

    /// Inputs that ended the program.
    fn findings(&self) -> PathBuf {
        home().join("findings").join(&self.0)
    }

    /// What libFuzzer said last.
    fn log(&self) -> PathBuf {
        home().join("logs").join(format!("{}.log", self.0))
    }

    /// Words of the format, if it has any.
    fn dictionary(&self) -> Option<PathBuf> {
        let file = workspace().join(format!("fuzz/dictionaries/{}.dict", self.0));
        file.exists().then_some(file)
    }
}

/// Where everything of the fuzzers goes.
fn home() -> PathBuf {
    target_dir(&workspace()).join("fuzz")
}

/// Builds and runs targets; fails when there are findings.
pub fn fuzz(options: &Options) -> Result<ExitCode> {
    let mut targets = Target::all()?;
    for name in &options.targets {
        ensure!(
            targets.iter().any(|target| target.name() == name),
            "there is no fuzz target `{name}`: see fuzz/engine/fuzz_targets"
        );
    }
    if !options.targets.is_empty() {
        targets.retain(|target| options.targets.iter().any(|name| target.name() == name));
    }
    build(&targets)?;
    let mut found = false;
    for target in &targets {
        let mut time = Duration::from_secs(options.seconds);
        if let Some(all) = options.in_all.map(Duration::from_secs) {
            time = time.min(all.saturating_sub(Record::read()?.of(target)));
        }
        if time.is_zero() {
            continue;
        }
        let outcome = target.run(time)?;
        say(&format!("{}: {outcome}", target.name()));
        found |= outcome.finding.is_some();
        if options.keep && outcome.finding.is_none() {
            target.keep()?;
            Record::add(target, outcome.ran)?;
        }
    }
    Ok(if found {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Compiles targets.
pub fn build(targets: &[Target]) -> Result<()> {
    tools::ensure(&[Tool::Cxx])?;
    let mut command = crate::cargo::command();
    command
        .current_dir(workspace())
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(workspace().join("fuzz/engine/Cargo.toml"))
        .args(["--target", PLATFORM])
        .env("CARGO_TARGET_DIR", home())
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .env_remove("RUSTFLAGS");
    for target in targets {
        command.args(["--bin", target.name()]);
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the fuzz targets were not built ({status})"
    );
    Ok(())
}

impl Target {
    /// Takes over what reaches something new: as few and as small inputs as will do.
    fn keep(&self) -> Result<()> {
        let seeds = self.seeds();
        fs::create_dir_all(&seeds)?;
        let output = Command::new(self.program())
            .arg("-set_cover_merge=1")
            // Edges alone: how often each is taken would keep ten times as many.
            .arg("-use_counters=0")
            .args([&seeds, &self.corpus()])
            .output()?;
        if !output.status.success() {
            bail!(
                "{}: the corpus cannot be merged: {}",
                self.0,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_crate() {
        let manifest = fs::read_to_string(workspace().join("fuzz/engine/Cargo.toml")).unwrap();
        let targets = Target::all().unwrap();
        assert!(!targets.is_empty());
        for target in &targets {
            let line = format!("path = \"fuzz_targets/{}.rs\"", target.name());
            assert!(manifest.contains(&line), "{line} is missing");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }
}

//! The Rust unit tests of every crate: by nextest where it is installed, else by cargo itself.

use super::Tally;
use crate::appliance::say;
use crate::build::paths::workspace;
use crate::node::Npm;
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

/// The same selection as for the image's programs, so that dependencies are compiled once. The
/// scenarios are no unit tests: they need the image and are run by their own program.
const SELECTION: [&str; 1] = ["--workspace"];

/// Programs that the image brings for the tested code, and that the tests run on this machine.
const TOOLS: [Tool; 9] = [
    Tool::Sfdisk,
    Tool::MkfsExt4,
    Tool::MkfsVfat,
    Tool::Mtools,
    Tool::Slapd,
    Tool::Samba,
    Tool::SambaProvision,
    Tool::Zsh,
    Tool::Fish,
];

/// Modules of a program that the tests run on Node.js, in the workspace.
const MODULES: &str = "services/openid/tests/provider";

/// Runs the unit tests whose name contains `filter`.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    tools::ensure(&TOOLS)?;
    let npm = Npm::ensure()?;
    npm.install(&workspace().join(MODULES))?;
    let nextest = tools::find("cargo-nextest").is_some();
    say(if nextest {
        "unit tests"
    } else {
        "unit tests (cargo-nextest is not installed: cargo test)"
    });
    let mut command = crate::cargo::command();
    if nextest {
        command.args([
            "nextest",
            "run",
            "--no-fail-fast",
            "--no-tests=pass",
            "--locked",
        ]);
        command.args([
            "--status-level=slow",
            "--final-status-level=fail",
            "--color=never",
        ]);
    } else {
        command.args([
            "test",
            "--no-fail-fast",
            "--locked",
            "--quiet",
            "--bins",
            "--lib",
            "--tests",
        ]);
    }
    command.args(SELECTION).args(filter);
    command.env("BASALT_NODE_JS", npm.program());
    let output = shown_and_kept(&mut command)?;
    let tally = if nextest {
        Tally::from_nextest(&output)
    } else {
        Tally::from_libtest(&output)
    };
    match tally {
        Some(tally) => Ok(tally),
        // A filter that selects nothing leaves no summary, and no failure.
        None if filter.is_some() && output.contains("0 tests run") => Ok(Tally::default()),
        None => bail!("the unit tests did not run to their end"),
    }
}

/// Runs a command, shows everything it says on standard error, and returns it.
pub(super) fn shown_and_kept(command: &mut Command) -> Result<String> {
    let mut child = command
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let stdout = child.stdout.take().context("no output")?;
    let stderr = child.stderr.take().context("no output")?;
    let other = thread::spawn(move || show(stderr));
    let mut text = show(stdout)?;
    let Ok(said) = other.join() else {
        bail!("cannot read what {command:?} says")
    };
    text.push_str(&said?);
    child.wait()?;
    Ok(text)
}

fn show(from: impl Read) -> Result<String> {
    let mut kept = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        std::io::stderr().write_all(&line)?;
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_kept() {
        let text =
            shown_and_kept(Command::new("sh").args(["-c", "echo out; echo err >&2"])).unwrap();
        assert!(text.contains("out\n") && text.contains("err\n"), "{text}");
    }
}

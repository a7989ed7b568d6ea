//! The web interface: lint, format, and its unit tests.

use super::Tally;
use crate::appliance::say;
use crate::build::paths::workspace;
use crate::node::Npm;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// npm scripts that pass or fail as a whole, by the name a filter sees. (That it builds, the builds of
/// the image show.)
const CHECKS: [(&str, &str); 2] = [("web::lint", "lint"), ("web::format", "format:check")];

/// Runs the checks whose name contains `filter`, and the unit tests whose name does.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    let web = workspace().join("web");
    let mut total = Tally::default();
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    if filter.is_some_and(|filter| !filter.contains("web")) && CHECKS.iter().all(|c| !wanted(c.0)) {
        return Ok(total);
    }
    let npm = Npm::ensure()?;
    say("fetching the web interface's modules");
    npm.install(&web)?;
    for (name, script) in CHECKS.into_iter().filter(|check| wanted(check.0)) {
        say(name);
        let mut command = npm.command(&web);
        total += if to_stderr(command.args(["run", "--silent", script]))? {
            Tally::passed()
        } else {
            Tally::failed(name, "its output is above")
        };
    }
    if wanted("web::unit") {
        say("web::unit");
        total += unit_tests(&npm, &web)?;
    }
    Ok(total)
}

fn unit_tests(npm: &Npm, web: &Path) -> Result<Tally> {
    let report = tempfile::NamedTempFile::new()?;
    let mut command = npm.command(web);
    command.args([
        "exec",
        "--no",
        "--",
        "vitest",
        "run",
        "--reporter=default",
        "--reporter=json",
    ]);
    command.arg(format!("--outputFile.json={}", report.path().display()));
    to_stderr(&mut command)?;
    let text = fs::read_to_string(report.path())?;
    let report = serde_json::from_str(&text).context("vitest left no report")?;
    Tally::from_vitest(&report).context("vitest's report has no counts")
}

fn to_stderr(command: &mut Command) -> Result<bool> {
    let status = command
        .env("CI", "true")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    Ok(status.success())
}

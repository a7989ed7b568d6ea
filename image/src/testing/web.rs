//! The web interface: lint, format, its unit tests, and that it builds.

use super::Tally;
use crate::appliance::say;
use crate::build::paths::workspace;
use crate::tools::{self, Tool};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// npm scripts that pass or fail as a whole, by the name a filter sees.
const CHECKS: [(&str, &str); 3] = [
    ("web::lint", "lint"),
    ("web::format", "format:check"),
    ("web::build", "build"),
];

/// Runs the checks whose name contains `filter`, and the unit tests whose name does.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    tools::ensure(&[Tool::Npm])?;
    let web = workspace().join("web");
    let mut total = Tally::default();
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    if filter.is_some_and(|filter| !filter.contains("web")) && CHECKS.iter().all(|c| !wanted(c.0)) {
        return Ok(total);
    }
    install(&web)?;
    for (name, script) in CHECKS.into_iter().filter(|check| wanted(check.0)) {
        say(name);
        let mut command = Command::new("npm");
        command.current_dir(&web).args(["run", "--silent", script]);
        total += Tally::one(name, to_stderr(&mut command)?);
    }
    if wanted("web::unit") {
        say("web::unit");
        total += unit_tests(&web)?;
    }
    Ok(total)
}

/// `npm ci`, unless the modules are there and belong to this lock file.
fn install(web: &Path) -> Result<()> {
    let lock = web.join("package-lock.json");
    let installed = web.join("node_modules/.package-lock.json");
    let newer = |a: &Path, b: &Path| {
        Some(fs::metadata(a).ok()?.modified().ok()? >= fs::metadata(b).ok()?.modified().ok()?)
    };
    if newer(&installed, &lock) == Some(true) {
        return Ok(());
    }
    say("fetching the web interface's modules");
    let mut command = Command::new("npm");
    command
        .current_dir(web)
        .args(["ci", "--no-audit", "--no-fund"]);
    anyhow::ensure!(to_stderr(&mut command)?, "npm ci failed");
    Ok(())
}

fn unit_tests(web: &Path) -> Result<Tally> {
    let report = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("npx");
    command.current_dir(web).args([
        "--no-install",
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

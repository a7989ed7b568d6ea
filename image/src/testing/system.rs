//! The scenarios on the real image: a program of their own, which links this crate.

use super::{Tally, results_dir};
use crate::appliance::say;
use crate::build::paths::{target_dir, workspace};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::{Command, Stdio};

/// File in the results folder into which the scenarios' program writes its tally.
pub const TALLY_FILE: &str = "tally.json";

/// Runs the scenarios whose name contains `filter`.
pub fn test(filter: Option<&str>) -> Result<Tally> {
    say("scenarios on the real image");
    let results = results_dir();
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    fs::create_dir_all(&results)?;
    // The same selection as for the image's programs: nothing is compiled a second time.
    let built = crate::cargo::command()
        .current_dir(workspace())
        .args(["build", "--quiet", "--locked", "--workspace", "--bins"])
        .status()
        .context("cannot run cargo")?;
    ensure!(
        built.success(),
        "the scenarios' program was not built ({built})"
    );
    let program = target_dir(&workspace()).join("debug/basalt-tests");
    let status = Command::new(&program)
        .current_dir(workspace())
        .args(filter)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = fs::read_to_string(results.join(TALLY_FILE))
        .with_context(|| format!("the scenarios did not run to their end ({status})"))?;
    Ok(serde_json::from_str(&text)?)
}

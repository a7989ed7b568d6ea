//! From booted ISO to installed disk: one engine, two faces.
//!
//! A medium with an answer file installs without questions ([`answers`]); otherwise the questions
//! are asked on every console ([`terminal`]). Both end in one checked [`plan::Plan`], and the
//! [`engine`] turns that into an installed disk, telling [`report`] how it goes.
//!
//! The installer runs from the very image it installs: [`source`] finds its partitions.

mod answers;
mod disks;
mod engine;
mod password;
mod plan;
mod report;
mod secure_boot;
mod source;
mod terminal;

use std::process::{Command, ExitCode};

use anyhow::Context;
use basalt_model::host::answer::After;

use report::Report;
use source::Source;

/// Begins the line that says that everything is on the disk.
const FINISHED: &str = "Basalt is installed";
/// Begins the line that says why it is not.
const FAILED: &str = "Installation failed";

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
    // Disks have to be described before they can be told apart.
    let settled = Command::new("udevadm")
        .args(["settle", "--timeout=60"])
        .status();
    if !settled.is_ok_and(|status| status.success()) {
        tracing::warn!("devices are still appearing");
    }
    let consoles = terminal::consoles();
    let mut report = Report::new(&consoles);
    let outcome = Source::running().and_then(|source| {
        report.line(&format!("Basalt {} installer", source.version));
        install(&source, &mut report, &consoles)
    });
    match outcome {
        Ok(after) => leave(after),
        Err(error) => {
            report.line(&format!("{FAILED}: {error:#}"));
            report.line("Nothing was changed that could be booted. Press Enter to start over.");
            terminal::wait_for_enter(&consoles);
            // systemd starts the installer again, with a fresh view of the disks.
            ExitCode::FAILURE
        }
    }
}

fn install(source: &Source, report: &mut Report, consoles: &[String]) -> anyhow::Result<After> {
    let plan = match answers::find()? {
        Some(answers) => {
            report.line("Installing by answer file.");
            plan::from_answers(&answers, &disks::list()?, source)?
        }
        None => terminal::ask(consoles, source)?,
    };
    plan::check(&plan, source)?;
    engine::install(&plan, source, report)?;
    report.line(&format!(
        "{FINISHED} on {}. Remove the installation medium.",
        plan.disk.path.display()
    ));
    Ok(plan.after)
}

fn leave(after: After) -> ExitCode {
    let verb = match after {
        After::Reboot => "reboot",
        After::Poweroff => "poweroff",
    };
    let status = Command::new("systemctl")
        .arg(verb)
        .status()
        .context("systemctl");
    if status.is_ok_and(|status| status.success()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

//! From booted ISO to installed disk: one engine, three faces.
//!
//! With an answer file nothing is asked ([`answers`]); otherwise the questions are asked everywhere
//! at once ([`faces`]): on every console ([`terminal`]) and in a browser on the network
//! ([`browser`]). All end in one checked [`plan::Plan`], and the [`engine`] turns that into an
//! installed disk, telling [`report`] how it goes. [`existing`] recognises a Basalt that is there.
//!
//! The installer runs from the very image it installs: [`source`] finds its partitions. On a host that
//! is there, `basalt-installer reset` asks the questions of a factory reset ([`reset`]).

mod answers;
mod browser;
mod disks;
mod engine;
mod existing;
mod faces;
mod keyboard;
mod network;
mod password;
mod plan;
mod report;
mod reset;
mod secure_boot;
mod source;
mod terminal;

use std::process::{Command, ExitCode};

use anyhow::Context;
use basalt_model::host::answer::After;

use faces::Faces;
use report::{Phase, Report};
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
    if std::env::args().nth(1).as_deref() == Some("reset") {
        return reset::run();
    }
    // Disks have to be described before they can be told apart.
    let settled = Command::new("udevadm")
        .args(["settle", "--timeout=60"])
        .status();
    if !settled.is_ok_and(|status| status.success()) {
        tracing::warn!("devices are still appearing");
    }
    let consoles = terminal::consoles();
    let mut report = Report::new(&consoles);
    let mut faces = None;
    let outcome = Source::running().and_then(|source| {
        report.line(&format!("Basalt {} installer", source.version));
        install(&source, &mut report, &consoles, &mut faces)
    });
    match outcome {
        Ok(after) => {
            if let Some(faces) = &faces {
                faces.farewell();
            }
            leave(after)
        }
        Err(error) => {
            report.line(&format!("{FAILED}: {error:#}"));
            report.line("Nothing was changed that could be booted. Press Enter to start over.");
            report.phase(Phase::Failed);
            faces::wait_for_again(faces.as_ref(), &consoles);
            // systemd starts the installer again, with a fresh view of the disks.
            ExitCode::FAILURE
        }
    }
}

fn install(
    source: &Source,
    report: &mut Report,
    consoles: &[String],
    faces: &mut Option<Faces>,
) -> anyhow::Result<After> {
    let plan = match answers::find(source, report)? {
        Some(answers) => plan::from_answers(&answers, &disks::list()?, source)?,
        None => {
            let faces = faces.insert(Faces::open(consoles, source, report)?);
            faces.decide()?
        }
    };
    plan::check(&plan, source)?;
    report.phase(Phase::Installing);
    engine::install(&plan, source, report)?;
    let second = plan.mirror.as_ref();
    let second = second.map_or(String::new(), |disk| {
        format!(" and {}", disk.path.display())
    });
    report.line(&format!(
        "{FINISHED} on {}{second}. Remove the installation medium.",
        plan.disk.path.display()
    ));
    report.phase(Phase::Finished);
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

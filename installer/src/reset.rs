//! A factory reset: everything that it destroys is named, the host that is to be left is asked for,
//! and the decision is written where the initial RAM disk finds it at the next boot.
//!
//! It runs on an installed host that was started by the boot menu's entry of this name. Nothing is
//! removed here: until the decision is on the disk everything stays, and from then on each boot goes
//! on with the reset until it is done. Whoever says nothing lets the host start as usual.

mod content;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use basalt_layout::mode::RESET_MARKER;
use basalt_model::host::HostConfig;
use basalt_update::files::write_atomic;
use basalt_update::host;

use crate::terminal::{self, Stop};

pub use content::Content;

/// The data partition.
const DATA: &str = "/var";

/// How long somebody may take to decide.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Asks, and writes the decision down. The machine is to start again afterwards, whatever was decided.
pub fn run() -> ExitCode {
    let consoles = terminal::consoles();
    let data = Path::new(DATA);
    let outcome = decide(&consoles, data).and_then(|choice| {
        if let Some(host) = &choice {
            write_decision(data, host)?;
        }
        Ok(choice)
    });
    let (text, code) = match outcome {
        Ok(Some(_)) => (
            "Starting again to remove everything.".to_owned(),
            ExitCode::SUCCESS,
        ),
        Ok(None) => (
            "Nothing was changed. Starting as usual.".to_owned(),
            ExitCode::SUCCESS,
        ),
        Err(error) => (
            format!("Nothing was changed: {error:#}. Starting as usual."),
            ExitCode::FAILURE,
        ),
    };
    tracing::info!("{text}");
    for console in &consoles {
        terminal::write(console, &format!("\r\n{text}\r\n"));
    }
    code
}

/// Asks on every console; the first answer counts. `None` leaves the host as it is.
fn decide(consoles: &[String], data: &Path) -> anyhow::Result<Option<HostConfig>> {
    ensure!(!consoles.is_empty(), "there is no console to ask on");
    let (version, _) = host::running()?;
    let content = Content::read(data);
    let stop = Stop::new().context("a pipe")?;
    let (sender, decisions) = channel();
    terminal::on_each(
        consoles,
        &stop,
        move |dialog| dialog.reset(&version, &content, PATIENCE),
        move |_, choice| {
            // Nobody listens any more when another console was faster.
            let _ = sender.send(choice);
        },
    );
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    for _ in consoles {
        let left = end.saturating_duration_since(Instant::now());
        match decisions.recv_timeout(left) {
            Ok(Ok(choice)) => {
                stop.now();
                return Ok(choice);
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => {
                stop.now();
                return Ok(None);
            }
        }
    }
    Err(last.context("no console")?)
}

/// With this on the disk the reset is decided.
fn write_decision(data: &Path, host: &HostConfig) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(host).context("the host's configuration")?;
    text.push(b'\n');
    write_atomic(&data.join(RESET_MARKER), &text, 0o600).context(RESET_MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_is_the_configuration_of_the_host_that_is_left() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("lib/basalt")).unwrap();
        let host = HostConfig::fallback();
        write_decision(dir.path(), &host).unwrap();
        let text = std::fs::read(dir.path().join(RESET_MARKER)).unwrap();
        assert_eq!(serde_json::from_slice::<HostConfig>(&text).unwrap(), host);
    }
}

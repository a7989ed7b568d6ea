//! The supervisor beside systemd.
//!
//! One program, several moments of a host's life: [`setup`] makes this boot's host out of the image
//! and the host's configuration, [`health`] decides whether the boot was good, [`run`] watches the
//! services and shows the host's state as long as it is up, and `status` prints what it sees.
//! [`record`] is what one boot remembers for the next, [`timing`] how long each one took; [`rescue`] is
//! the shell that the boot menu offers, [`seal`] what ties encrypted data to the machine, [`pool`] what
//! opens an encrypted pool beside it.

mod health;
mod notify;
mod paths;
mod pool;
mod record;
mod rescue;
mod run;
mod seal;
mod setup;
mod timing;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use paths::Paths;
use run::state::State;

/// Supervises this host.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes this boot's configuration.
    Setup,
    /// Watches the services and shows the state.
    Run,
    /// Waits until the host is healthy.
    Health {
        /// Seconds after which it is not.
        #[arg(long, default_value_t = 240)]
        timeout: u64,
    },
    /// Prints how long the last boots took, and their units.
    BootTimes {
        /// As JSON, every boot that is kept.
        #[arg(long)]
        json: bool,
    },
    /// Asks for root's password and starts a shell, in place of the host.
    Rescue,
    /// Opens the encrypted pool for guests' disks.
    OpenPool,
    /// Tells the TPM which host may open the encrypted data.
    Seal {
        /// Once more, for a machine that has changed; asks for the recovery key.
        #[arg(long)]
        anew: bool,
    },
    /// Prints the state.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    match start(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("basalt-init: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    let paths = Paths::default();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no asynchronous runtime")
    };
    match command {
        Command::Setup => Ok(set_up(&paths)),
        Command::Run => runtime()?
            .block_on(run::run(&paths))
            .map(|()| ExitCode::SUCCESS),
        Command::Health { timeout } => {
            Ok(runtime()?.block_on(health::gate(&paths, Duration::from_secs(timeout))))
        }
        Command::BootTimes { json } => boot_times(&paths, json),
        Command::Rescue => rescue::run(&paths).map(|never| match never {}),
        Command::OpenPool => pool::open(&paths).map(|()| ExitCode::SUCCESS),
        Command::Seal { anew: false } => seal::run(&paths).map(|()| ExitCode::SUCCESS),
        Command::Seal { anew: true } => seal::run_anew(&paths).map(|()| ExitCode::SUCCESS),
        Command::Status { json } => status(&paths, json),
    }
}

fn boot_times(paths: &Paths, json: bool) -> anyhow::Result<ExitCode> {
    let boots = timing::read(paths);
    if json {
        println!("{}", serde_json::to_string(&boots)?);
        return Ok(ExitCode::SUCCESS);
    }
    let last = boots
        .first()
        .context("no boot is recorded yet; this one is when the host is healthy")?;
    print!("{}", timing::table(last));
    Ok(ExitCode::SUCCESS)
}

/// Problems are told and kept for the screen, but never stop the boot.
fn set_up(paths: &Paths) -> ExitCode {
    let problems = setup::run(paths);
    for problem in &problems {
        tracing::error!("{problem}");
        // The journal may not be reachable for whoever stands in front of the machine.
        let _ = std::fs::write("/dev/console", format!("\r\nbasalt: {problem}\r\n"));
    }
    let written = std::fs::create_dir_all(paths.run("basalt")).and_then(|()| {
        let text = serde_json::to_vec(&problems)?;
        basalt_update::files::write_atomic(&paths.run(run::state::PROBLEMS), &text, 0o644)
    });
    if let Err(error) = written {
        tracing::error!(%error, "the problems are not kept for the screen");
    }
    ExitCode::SUCCESS
}

fn status(paths: &Paths, json: bool) -> anyhow::Result<ExitCode> {
    let path = paths.run(run::state::FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("the supervisor is not running ({})", path.display()))?;
    if json {
        println!("{text}");
    } else {
        let state: State = serde_json::from_str(&text)?;
        for line in run::screen::lines(&state) {
            println!("{}", line.trim_start_matches("  "));
        }
    }
    Ok(ExitCode::SUCCESS)
}

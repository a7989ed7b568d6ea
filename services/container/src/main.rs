//! The container runtime's and the archive unpacker's process; what they do is in the library.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs one system container, or unpacks a root file system for one.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the container described over the socket that is standard input.
    Run,
    /// Unpacks the archive handed over through the socket that is standard input.
    Extract,
    /// Runs a program as root in a running container, root's shell when none is named.
    Enter {
        /// Number of the container.
        vmid: u32,
        /// The program and its arguments.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BASALT_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Run => basalt_container::run_from_stdin(),
        Command::Extract => basalt_container::extract_from_stdin(),
        Command::Enter { vmid, command } => {
            match basalt_container::enter(&basalt_container::Entry { vmid, command }) {
                Ok(code) => return ExitCode::from(code),
                Err(error) => Err(error),
            }
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

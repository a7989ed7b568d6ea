//! `basalt-update`: installs a bundle, shows the slots, goes back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use basalt_update::block::Blocks;
use basalt_update::channel::Channel;
use basalt_update::mirror::array::Array;
use basalt_update::source::Source;
use basalt_update::status::State;
use basalt_update::{Error, Host, Observer, install, mirror, rollback, status};
use clap::{Parser, Subcommand};

/// Updates this host as one image.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs a bundle into the slot that does not run.
    Install {
        /// The bundle: a file, or an address that begins with http:// or https://.
        #[arg(required_unless_present = "from", conflicts_with = "from")]
        bundle: Option<String>,
        /// A folder on a web server that has the latest bundle of each channel.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// The channel: stable or testing.
        #[arg(long, requires = "from", default_value_t)]
        channel: Channel,
        /// Certificates (PEM) of authorities that vouch for the web server, besides the usual ones.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// Also install a version older than the running one.
        #[arg(long)]
        allow_downgrade: bool,
        /// Boot it at once.
        #[arg(long)]
        reboot: bool,
    },
    /// Shows what is in the slots.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Boots the other slot at the next start.
    Rollback {
        /// Boot it at once.
        #[arg(long)]
        reboot: bool,
    },
    /// Looks after the second system disk.
    Mirror {
        #[command(subcommand)]
        command: MirrorCommand,
    },
    /// Keeps the running version; called when its health checks have passed.
    #[command(hide = true)]
    Commit,
}

#[derive(Subcommand)]
enum MirrorCommand {
    /// Makes a disk the second one, in the place of one that is gone. Everything on it is lost.
    Add {
        /// The disk, as /dev/sdb.
        disk: PathBuf,
    },
    /// Shows how the mirror is.
    Status,
    /// Brings disks up to date that have returned; called by a timer.
    #[command(hide = true)]
    Complete,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("basalt-update: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let host = Host::detect()?;
    match command {
        Command::Install {
            bundle,
            from,
            channel,
            ca,
            allow_downgrade,
            reboot,
        } => {
            let host = match ca {
                Some(file) => host.trusting(read_authorities(&file)?),
                None => host,
            };
            let options = install::Options { allow_downgrade };
            let source = match from {
                Some(folder) => Source::Channel { folder, channel },
                None => Source::of(&bundle.unwrap_or_default()),
            };
            let done = source.install(&host, options, &mut Printer)?;
            println!("version {} is in slot {}", done.version, done.slot.letter());
            restart(reboot)
        }
        Command::Status { json } => {
            let status = status::status(&host)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                print(&status);
            }
            Ok(())
        }
        Command::Rollback { reboot } => {
            let version = rollback::roll_back(&host)?;
            println!("version {version} is what boots next");
            restart(reboot)
        }
        Command::Mirror { command } => look_after(&host, command),
        Command::Commit => Ok(rollback::commit(&host)?),
    }
}

fn read_authorities(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    basalt_update::check_authorities(&text)
        .map_err(|reason| anyhow::anyhow!("{} {reason}", file.display()))?;
    Ok(text)
}

fn look_after(host: &Host, command: MirrorCommand) -> anyhow::Result<()> {
    match command {
        MirrorCommand::Add { disk } => {
            mirror::join(host, &disk, &mut Printer)?;
            println!("{} has everything", disk.display());
        }
        MirrorCommand::Status => {
            let array = Array::read(&Blocks::default());
            let text = array.map_or("none: there is one system disk".to_owned(), |a| {
                a.describe()
            });
            println!("mirror: {text}");
        }
        MirrorCommand::Complete => match mirror::complete(host) {
            // An update is being installed; the timer calls again.
            Err(Error::Busy) => {}
            other => other?,
        },
    }
    Ok(())
}

/// Tells every step to whoever sits in front of the terminal.
struct Printer;

impl Observer for Printer {
    fn say(&mut self, text: &str) {
        println!("{text}");
    }
}

fn print(status: &status::Status) {
    println!("Secure Boot: {}", status.secure_boot.as_str());
    for slot in &status.slots {
        let version = slot
            .version
            .as_ref()
            .map_or("-".to_owned(), ToString::to_string);
        let state = match (slot.state, slot.tries_left) {
            (State::Empty, _) => "empty".to_owned(),
            (State::Good, _) => "good".to_owned(),
            (State::Failed, _) => "failed".to_owned(),
            (State::Trial, left) => format!("on trial, {} boots left", left.unwrap_or(0)),
        };
        let running = if slot.running { " (running)" } else { "" };
        println!("slot {}: {version:<12} {state}{running}", slot.slot);
    }
}

fn restart(now: bool) -> anyhow::Result<()> {
    if !now {
        println!("it starts with the next reboot");
        return Ok(());
    }
    let status = std::process::Command::new("systemctl")
        .arg("reboot")
        .status()
        .context("systemctl cannot be started")?;
    anyhow::ensure!(status.success(), "the reboot was refused");
    Ok(())
}

//! Commands that are no call of one method: terminals, and programs in containers.

use crate::client::Client;
use crate::terminal::{self, Guest};
use anyhow::{Context, Result};
use basalt_model::qemu::serial::SerialName;
use basalt_model::vmid::Vmid;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// The option that names a serial port.
const IFACE: &str = "iface";
/// The program that enters containers.
const ENTER: &str = "/usr/lib/basalt/basalt-container";

/// A command that is no call of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Joins this terminal to a guest's.
    Terminal(Guest),
    /// Opens a shell in a container.
    Enter,
    /// Runs a program in a container.
    Exec,
}

impl Own {
    /// What it does, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Terminal(Guest::Machine) => {
                "Joins this terminal to a serial port of the virtual machine."
            }
            Self::Terminal(Guest::Container) => "Joins this terminal to the container's console.",
            Self::Enter => "Opens a shell of root in the running container.",
            Self::Exec => "Runs a program as root in the running container.",
        }
    }

    /// Adds its arguments to its command.
    pub fn arguments(self, command: Command) -> Command {
        let vmid = Arg::new("vmid")
            .required(true)
            .value_parser(value_parser!(Vmid))
            .help("Number of the guest");
        let command = command.arg(vmid);
        match self {
            Self::Terminal(Guest::Machine) => command.arg(
                Arg::new(IFACE)
                    .long(IFACE)
                    .value_parser(PossibleValuesParser::new(
                        SerialName::ALL.iter().map(|name| name.as_str()),
                    ))
                    .help("Serial port (default: the one that is the machine's console)"),
            ),
            Self::Terminal(Guest::Container) | Self::Enter => command,
            Self::Exec => command.arg(
                Arg::new("command")
                    .required(true)
                    .num_args(1..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .help("The program and its arguments"),
            ),
        }
    }

    /// Does it; the exit code is that of the program which ran.
    pub async fn run(self, client: &Client, matches: &ArgMatches) -> Result<ExitCode> {
        let vmid = *matches.get_one::<Vmid>("vmid").context("vmid is missing")?;
        let mut enter = std::process::Command::new(ENTER);
        enter.arg("enter").arg(vmid.to_string());
        match self {
            Self::Terminal(guest) => {
                let port = match guest {
                    Guest::Machine => matches.get_one::<String>(IFACE),
                    Guest::Container => None,
                };
                return terminal::open(client, guest, vmid, port).await;
            }
            Self::Enter => {}
            Self::Exec => {
                let words = matches.get_many::<String>("command");
                enter.arg("--").args(words.into_iter().flatten());
            }
        }
        Err(enter.exec()).with_context(|| format!("cannot run {ENTER}"))
    }
}

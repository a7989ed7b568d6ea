//! The `basalt` command: every API method from the shell of the host.
//!
//! Nothing about a method is written here. [`commands`] builds the subcommands from the
//! declarations in `basalt-api`; [`client`] sends a call over the node's Unix socket, where the
//! kernel says who the caller is; [`follow`] shows a task's log until it ends; [`output`] prints
//! answers as tables or JSON. It may know `api` and `model`, never a manager.

mod client;
mod commands;
mod follow;
mod output;
mod raw;

use anyhow::{Context, Result, bail};
use basalt_api::endpoint::Kind;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum, value_parser};
use client::{Call, Client};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let matches = command(&arguments).get_matches_from(&arguments);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("basalt: cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&matches)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("basalt: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// The whole command; numbered options such as `--net1` exist when `arguments` use them.
fn command(arguments: &[String]) -> Command {
    Command::new("basalt")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Manages this Basalt host, its guests and storages.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("output-format")
                .long("output-format")
                .global(true)
                .help("How to print answers")
                .value_parser(value_parser!(output::Format))
                .default_value("text"),
        )
        .arg(
            Arg::new("no-wait")
                .long("no-wait")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Print the task's id instead of waiting for its end"),
        )
        .arg(
            Arg::new("socket")
                .long("socket")
                .global(true)
                .hide(true)
                .value_parser(value_parser!(PathBuf))
                .default_value(client::SOCKET),
        )
        .subcommands(commands::nouns(arguments))
        .subcommand(raw::command())
        .subcommand(
            Command::new("completion")
                .about("Prints the completion script of a shell.")
                .arg(
                    Arg::new("shell")
                        .required(true)
                        .value_parser(value_parser!(clap_complete::Shell)),
                ),
        )
        .subcommand(
            Command::new("man")
                .about("Writes the manual pages into a folder.")
                .arg(
                    Arg::new("folder")
                        .required(true)
                        .value_parser(value_parser!(PathBuf)),
                ),
        )
}

async fn run(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand() {
        Some(("completion", sub)) => completion(sub),
        Some(("man", sub)) => manual(sub),
        Some(("api", sub)) => execute(matches, raw::call(sub)?).await,
        Some((noun, sub)) => execute(matches, commands::call(noun, sub)?).await,
        None => bail!("no command given; see basalt --help"),
    }
}

async fn execute(matches: &ArgMatches, call: Call) -> Result<ExitCode> {
    let format = *matches
        .get_one::<output::Format>("output-format")
        .unwrap_or(&output::Format::Text);
    let socket = matches
        .get_one::<PathBuf>("socket")
        .context("no socket given")?;
    let client = Client::new(socket.clone());
    let kind = call.kind;
    let data = client.send(call).await?;
    let waits = matches!(kind, Kind::Task | Kind::Upload) && !matches.get_flag("no-wait");
    match data.as_str() {
        Some(upid) if waits && upid.starts_with("UPID:") => follow::until_end(&client, upid).await,
        _ => {
            output::print(&data, format)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn completion(matches: &ArgMatches) -> Result<ExitCode> {
    let shell = matches
        .get_one::<clap_complete::Shell>("shell")
        .context("no shell given")?;
    clap_complete::generate(*shell, &mut command(&[]), "basalt", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}

fn manual(matches: &ArgMatches) -> Result<ExitCode> {
    let folder = matches
        .get_one::<PathBuf>("folder")
        .context("no folder given")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    clap_mangen::generate_to(command(&[]), folder)
        .with_context(|| format!("cannot write manual pages into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

impl ValueEnum for output::Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json, Self::JsonPretty]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::JsonPretty => "json-pretty",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        command(&[]).debug_assert();
    }

    #[test]
    fn numbered_options_exist_when_they_are_used() {
        let line = [
            "basalt",
            "vm",
            "create",
            "100",
            "--net3",
            "virtio,bridge=vmbr0",
        ];
        let line: Vec<String> = line.map(String::from).to_vec();
        let matches = command(&line).try_get_matches_from(&line).unwrap();
        let (noun, sub) = matches.subcommand().unwrap();
        let call = commands::call(noun, sub).unwrap();
        assert_eq!(call.params["net3"], "virtio,bridge=vmbr0");
        assert!(call.path.ends_with("/qemu"), "{}", call.path);
        assert_eq!(call.params["vmid"], "100");
    }
}

//! The `basalt` command: every API method from the shell of the host.
//!
//! Nothing about a method is written here. [`program`] says which names this binary has: `basalt`,
//! whose commands follow from the declarations in `basalt-api`, the names that users of Proxmox VE
//! know ([`peers`]), and `man`. A command is a [`leaf`] of a [`tree`]; [`client`] sends its call
//! over the node's Unix socket, where the kernel says who the caller is; [`follow`] shows a task's
//! log until it ends; [`output`] prints answers. [`complete`] and [`manual`] are made from the same
//! leaves. It may know `api` and `model`, never a manager.

mod client;
mod complete;
mod follow;
mod leaf;
mod live;
mod manual;
mod output;
mod own;
mod paths;
mod peers;
mod program;
mod raw;
mod secret;
mod terminal;
mod tree;

use anyhow::{Context, Result, bail};
use basalt_api::endpoint::Kind;
use clap::ArgMatches;
use client::{Call, Client};
use leaf::{Action, Show};
use peers::Peer;
use program::Program;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut line: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let name = line.first().map(String::as_str).unwrap_or_default();
    let program = Program::of_name(name).unwrap_or(Program::Basalt);
    if let Program::Peer(_) = program {
        peers::with_two_dashes(&mut line);
    }
    let matches = program.command(&line).get_matches_from(&line);
    let done = if program == Program::Man {
        manual::show(&matches)
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")
            .and_then(|runtime| runtime.block_on(run(program, &matches)))
    };
    done.unwrap_or_else(|e| {
        eprintln!("{}: {e:#}", program.name());
        ExitCode::FAILURE
    })
}

async fn run(program: Program, matches: &ArgMatches) -> Result<ExitCode> {
    let socket = matches.get_one::<PathBuf>("socket");
    let client = Client::new(socket.context("no socket given")?.clone());
    match (program, matches.subcommand()) {
        (Program::Peer(Peer::Pveversion), _) => peers::pveversion(&client, matches).await,
        (Program::Peer(Peer::Pvesh), Some((word, sub))) => {
            peers::pvesh::run(&client, word, sub).await
        }
        (Program::Basalt, Some(("completion", sub))) => completion(sub),
        (Program::Basalt, Some(("complete", sub))) => {
            print!("{}", complete::answer(&client, sub).await);
            Ok(ExitCode::SUCCESS)
        }
        (Program::Basalt, Some(("man", sub))) => manual::write(sub),
        (Program::Basalt, Some(("api", sub))) => {
            execute(&client, matches, raw::call(sub)?, Show::Text).await
        }
        _ => command(&client, program, matches).await,
    }
}

/// Does what a leaf stands for.
async fn command(client: &Client, program: Program, matches: &ArgMatches) -> Result<ExitCode> {
    let leaves = program.leaves();
    let (words, inner) = tree::spoken(matches);
    let leaf = tree::find(&leaves, &words)
        .with_context(|| format!("there is no command '{words}'; see --help"))?;
    match &leaf.action {
        Action::Method(declaration) => {
            let call = leaf.call(declaration, inner)?;
            execute(client, inner, call, leaf.show).await
        }
        Action::Own(own) => own.run(client, inner).await,
        Action::Missing(verb, path) => bail!("Basalt cannot do this yet ({verb} {path})"),
    }
}

async fn execute(
    client: &Client,
    matches: &ArgMatches,
    call: Call,
    show: Show,
) -> Result<ExitCode> {
    let kind = call.kind;
    let data = client.send(call).await?;
    let waits = matches!(kind, Kind::Task | Kind::Upload) && !matches.get_flag("no-wait");
    match data.as_str() {
        Some(upid) if waits && upid.starts_with("UPID:") => follow::until_end(client, upid).await,
        _ => {
            let text = match (matches.get_one::<output::Format>("output-format"), show) {
                (Some(format), _) => output::formatted(&data, *format)?,
                (None, Show::By(own)) => own(&data),
                (None, Show::Text) => output::formatted(&data, output::Format::Text)?,
            };
            output::print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn completion(matches: &ArgMatches) -> Result<ExitCode> {
    let shell = matches.get_one::<complete::Shell>("shell");
    output::print(shell.context("no shell given")?.script())?;
    Ok(ExitCode::SUCCESS)
}

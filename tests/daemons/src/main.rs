//! `bench` measures the daemons, `serve` runs them, `write` is the writer of a store.

use anyhow::Result;
use basalt_daemons::{Gateway, Node, ROOT, bench, programs, sample, writer};
use clap::Parser;
use std::path::PathBuf;

/// The daemons alone on this machine.
#[derive(Debug, Parser)]
enum Command {
    /// Measures, and writes tests/daemons/README.md
    Bench {
        /// How often everything is measured
        #[arg(default_value_t = 5)]
        rounds: usize,
    },
    /// Runs them with something of every kind, until it is interrupted
    Serve,
    /// Writes into a store until it is killed
    #[command(hide = true)]
    Write {
        /// The store's file
        store: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Bench { rounds } => bench::run(rounds).await,
        Command::Serve => serve().await,
        Command::Write { store } => writer::run(&store).await,
    }
}

async fn serve() -> Result<()> {
    let node = Node::start_with(programs::node()?, sample::stored()?).await?;
    let gateway = Gateway::start(programs::gateway()?, node.socket()).await?;
    sample::make(&gateway).await?;
    println!("https://localhost:{}", gateway.address().port());
    println!("{}", ROOT.trim());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

//! A daemon as a child process, which ends with its owner.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// From the start of the process until it said that it is ready.
    pub took: Duration,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts a program and waits until it logs a line with `sign`; also answers what follows that.
    pub async fn spawn(mut command: Command, sign: &'static str) -> Result<(Self, String)> {
        let begun = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("no output")?;
        let mut daemon = Self {
            child,
            took: Duration::ZERO,
        };
        let waiting = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let found = lines.find_map(|line| Some(line.split_once(sign)?.1.to_owned()));
            let at = Instant::now();
            // The pipe stays open and is read, so that the daemon can go on logging.
            std::thread::spawn(move || lines.for_each(drop));
            found.map(|rest| (rest, at))
        });
        let Some((rest, at)) = waiting.await? else {
            bail!("{command:?} ended before it said '{sign}'");
        };
        daemon.took = at.duration_since(begun);
        Ok((daemon, rest))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, in whatever it is doing, and waits until it is gone.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

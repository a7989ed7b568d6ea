//! Waiting until an appliance is healthy: its door answers and its own health gate has passed.

use super::node::Node;
use super::poll;
use anyhow::{Result, bail};
use std::fmt;
use std::time::{Duration, Instant};

/// How long a start may take with hardware virtualisation.
pub const START_LIMIT: Duration = Duration::from_secs(150);
/// Lines of the serial log that an error repeats.
const TAIL: usize = 25;

/// What a healthy appliance has shown.
#[derive(Debug, Clone)]
pub struct Healthy {
    /// SHA-256 fingerprint of its certificate.
    pub fingerprint: String,
    /// Time since the wait began.
    pub after: Duration,
}

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Booting,
    Answers,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Booting => "its web interface does not answer",
            Self::Answers => "its web interface answers, but its health gate has not passed",
        })
    }
}

/// Waits until the node is healthy; fails at once when it has died.
pub fn wait(node: &Node, limit: Duration) -> Result<Healthy> {
    let began = Instant::now();
    let mut progress = Progress::Booting;
    let client = node.https(Duration::from_secs(20));
    let found = poll::until(limit, Duration::from_millis(500), || {
        if !node.running() {
            bail!(
                "{} ended while it started\n{}",
                node.state().name,
                last_words(node)
            );
        }
        if let Some(line) = node.log().fatal() {
            bail!(
                "{} died while it started: {line}\n{}",
                node.state().name,
                last_words(node)
            );
        }
        if progress == Progress::Booting && answers(&client) {
            progress = Progress::Answers;
        }
        Ok((progress == Progress::Answers && gate_passed(node)).then(|| client.fingerprint()))
    })?;
    match found.flatten() {
        Some(fingerprint) => Ok(Healthy {
            fingerprint,
            after: began.elapsed(),
        }),
        None => bail!(
            "{} is not healthy after {} s: {progress}\n{}",
            node.state().name,
            limit.as_secs(),
            last_words(node)
        ),
    }
}

/// Any well-formed HTTP answer proves gateway and certificate; what it says is for tests.
fn answers(client: &super::https::Client) -> bool {
    client
        .request("GET", "/api2/json/version", &[], super::https::Body::Empty)
        .is_ok()
}

fn gate_passed(node: &Node) -> bool {
    let line = "systemctl is-active --quiet boot-complete.target";
    node.ssh()
        .output(line)
        .is_ok_and(|output| output.status.success())
}

/// The end of the serial log, for an error message.
pub fn last_words(node: &Node) -> String {
    let log = node.log();
    format!(
        "last lines of {}:\n{}",
        log.path().display(),
        log.tail(TAIL)
    )
}

//! The guest agent of a machine: QEMU's protocol, as the stock `qemu-guest-agent` speaks it, over
//! the port that the machine's monitor has on a socket.
//!
//! Whatever comes back was written by the guest. Answers are bounded in size and time, and what is
//! passed on of their texts is short and printable.

mod commands;

pub use commands::{Executed, FileContent, Finished};

use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// How long an agent may take to say that it is there.
const SYNC_PATIENCE: Duration = Duration::from_secs(5);
/// How long an agent may take for what needs no waiting.
const USUAL_PATIENCE: Duration = Duration::from_secs(10);
/// How long an agent may take for all file systems.
const FILE_SYSTEMS_PATIENCE: Duration = Duration::from_secs(600);
/// How long an agent may take to refuse what it does not answer when it does it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer in bytes.
const USUAL_ANSWER: usize = 4 << 20;
/// Longest answer that may hold what a program printed: twice 16 MiB in base64.
const OUTPUT_ANSWER: usize = 48 << 20;
/// Longest text of a guest that is passed on, in characters.
const MOST_TEXT: usize = 500;
/// Starts a new message, whatever came before it; also before the answer to a synchronisation.
const SENTINEL: u8 = 0xff;

/// Why an agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The machine was started without the agent's port.
    #[error("no guest agent is configured: set 'agent' to 1 and start the machine anew")]
    Absent,
    /// No agent listens, or it does not answer.
    #[error("QEMU guest agent is not running")]
    NotRunning,
    /// The agent says no.
    #[error("guest agent: {0}")]
    Refused(String),
    /// The agent did not answer a command in time.
    #[error("guest agent: no answer to {command} within {seconds} s")]
    Slow {
        /// The command.
        command: &'static str,
        /// How long we waited.
        seconds: u64,
    },
    /// The answer is none.
    #[error("guest agent: the answer to {command} makes no sense: {problem}")]
    Nonsense {
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection failed.
    #[error("guest agent: {0}")]
    Io(#[from] std::io::Error),
}

type Result<T> = std::result::Result<T, AgentError>;

/// What an agent can be asked without arguments, and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    command: &'static str,
    patience: Duration,
}

impl Question {
    const fn quick(command: &'static str) -> Self {
        let patience = USUAL_PATIENCE;
        Self { command, patience }
    }

    const fn long(command: &'static str) -> Self {
        let patience = FILE_SYSTEMS_PATIENCE;
        Self { command, patience }
    }

    /// Whether it is there.
    pub const PING: Self = Self::quick("guest-ping");
    /// Its version and commands.
    pub const INFO: Self = Self::quick("guest-info");
    /// Network interfaces.
    pub const INTERFACES: Self = Self::quick("guest-network-get-interfaces");
    /// Mounted file systems.
    pub const FILE_SYSTEMS: Self = Self::quick("guest-get-fsinfo");
    /// Operating system.
    pub const SYSTEM: Self = Self::quick("guest-get-osinfo");
    /// Name.
    pub const HOST_NAME: Self = Self::quick("guest-get-host-name");
    /// Time in nanoseconds since 1970.
    pub const TIME: Self = Self::quick("guest-get-time");
    /// Time zone.
    pub const TIME_ZONE: Self = Self::quick("guest-get-timezone");
    /// Who is logged in.
    pub const USERS: Self = Self::quick("guest-get-users");
    /// Processors.
    pub const VCPUS: Self = Self::quick("guest-get-vcpus");
    /// Blocks of memory.
    pub const MEMORY_BLOCKS: Self = Self::quick("guest-get-memory-blocks");
    /// Size of a block of memory.
    pub const MEMORY_BLOCK_INFO: Self = Self::quick("guest-get-memory-block-info");
    /// Stops writing to all file systems; says how many.
    pub const FREEZE: Self = Self::long("guest-fsfreeze-freeze");
    /// Whether file systems are frozen.
    pub const FREEZE_STATUS: Self = Self::quick("guest-fsfreeze-status");
    /// Lets file systems be written again; says how many.
    pub const THAW: Self = Self::long("guest-fsfreeze-thaw");
    /// Gives unused blocks of file systems back.
    pub const TRIM: Self = Self::long("guest-fstrim");
}

/// What an agent does without answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Switches the guest off.
    Shutdown,
    /// Suspends the guest to its own disk.
    SuspendDisk,
    /// Suspends it to its memory, and to its disk in case the power goes.
    SuspendHybrid,
    /// Suspends it to its memory.
    SuspendRam,
}

impl Farewell {
    fn command(self) -> &'static str {
        match self {
            Self::Shutdown => "guest-shutdown",
            Self::SuspendDisk => "guest-suspend-disk",
            Self::SuspendHybrid => "guest-suspend-hybrid",
            Self::SuspendRam => "guest-suspend-ram",
        }
    }
}

/// A connection to an agent that answers. After an error it is of no use any more.
#[derive(Debug)]
pub struct Agent {
    stream: BufReader<UnixStream>,
}

impl Agent {
    /// Connects to the socket at `path` and waits until the agent behind it answers.
    pub async fn connect(path: &Path) -> Result<Self> {
        let connecting = async {
            let stream = UnixStream::connect(path).await?;
            let mut agent = Self {
                stream: BufReader::new(stream),
            };
            agent.synchronise().await?;
            Ok::<_, AgentError>(agent)
        };
        let connected = tokio::time::timeout(SYNC_PATIENCE, connecting).await;
        connected.unwrap_or(Err(AgentError::NotRunning))
    }

    /// Skips what is left of earlier conversations, in both directions.
    async fn synchronise(&mut self) -> Result<()> {
        let id = fresh_number();
        let mut message = vec![SENTINEL];
        let arguments = json!({"id": id});
        message.extend(line("guest-sync-delimited", Some(arguments)));
        self.stream.get_mut().write_all(&message).await?;
        loop {
            self.skip_to_sentinel().await?;
            let answer = self.read_line("guest-sync-delimited", 1024).await?;
            let answer: Option<Value> = serde_json::from_slice(&answer).ok();
            if answer.is_some_and(|answer| answer["return"].as_u64() == Some(id.into())) {
                return Ok(());
            }
        }
    }

    async fn skip_to_sentinel(&mut self) -> Result<()> {
        loop {
            let bytes = self.stream.fill_buf().await?;
            let (len, found) = match bytes.iter().position(|byte| *byte == SENTINEL) {
                Some(at) => (at + 1, true),
                None => (bytes.len(), false),
            };
            if len == 0 {
                return Err(AgentError::NotRunning);
            }
            self.stream.consume(len);
            if found {
                return Ok(());
            }
        }
    }

    /// Reads a line of at most `most` bytes.
    async fn read_line(&mut self, command: &'static str, most: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = (&mut self.stream).take(most as u64 + 1);
        reader.read_until(b'\n', &mut bytes).await?;
        match bytes.pop() {
            Some(b'\n') => Ok(bytes),
            Some(_) if bytes.len() >= most => Err(AgentError::Nonsense {
                command,
                problem: format!("it is longer than {most} bytes"),
            }),
            _ => Err(AgentError::NotRunning),
        }
    }

    /// Asks something.
    pub async fn ask(&mut self, question: Question) -> Result<Value> {
        let Question { command, patience } = question;
        self.call(command, None, patience, USUAL_ANSWER).await
    }

    /// Has the guest leave; returns when the agent has not refused it.
    pub async fn dismiss(&mut self, farewell: Farewell) -> Result<()> {
        let arguments = match farewell {
            Farewell::Shutdown => Some(json!({"mode": "powerdown"})),
            _ => None,
        };
        let asked = self.call(
            farewell.command(),
            arguments,
            REFUSAL_PATIENCE,
            USUAL_ANSWER,
        );
        match asked.await {
            // It is busy leaving, or gone.
            Ok(_) | Err(AgentError::Slow { .. } | AgentError::NotRunning) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call(
        &mut self,
        command: &'static str,
        arguments: Option<Value>,
        patience: Duration,
        most: usize,
    ) -> Result<Value> {
        let exchange = async {
            let message = line(command, arguments);
            self.stream.get_mut().write_all(&message).await?;
            let answer = self.read_line(command, most).await?;
            judge(command, &answer)
        };
        let answered = tokio::time::timeout(patience, exchange).await;
        answered.unwrap_or(Err(AgentError::Slow {
            command,
            seconds: patience.as_secs(),
        }))
    }
}

fn line(command: &str, arguments: Option<Value>) -> Vec<u8> {
    let mut message = Map::new();
    message.insert("execute".to_owned(), command.into());
    message.extend(arguments.map(|arguments| ("arguments".to_owned(), arguments)));
    let mut line = Value::Object(message).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// What an answer says.
fn judge(command: &'static str, answer: &[u8]) -> Result<Value> {
    let nonsense = |problem: &dyn std::fmt::Display| AgentError::Nonsense {
        command,
        problem: printable(&problem.to_string()),
    };
    let mut answer: Map<String, Value> =
        serde_json::from_slice(answer).map_err(|error| nonsense(&error))?;
    if let Some(error) = answer.get("error") {
        let text = error["desc"].as_str().unwrap_or("it does not say why");
        return Err(AgentError::Refused(printable(text)));
    }
    answer
        .remove("return")
        .ok_or_else(|| nonsense(&"it has neither result nor error"))
}

/// A guest's text, fit for a message or a log.
fn printable(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(MOST_TEXT).collect()
}

/// A number that earlier conversations did not have.
fn fresh_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.map_or(0, |now| now.subsec_nanos());
    seed.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

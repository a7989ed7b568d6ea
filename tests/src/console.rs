//! A guest's console as the web interface reaches it: `termproxy`, then a WebSocket. Or the terminal of a
//! process that is joined with one.

use crate::api::{Api, NODE, encode};
use crate::guest::Kind;
use anyhow::{Context, Result, bail};
use basalt_image::appliance::{https, serial};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{Error, Message, client};

/// How long a single read waits before the limit is looked at again.
const READ_SLICE: Duration = Duration::from_millis(500);

/// Commands run so far. A new console begins with what was printed before, and must not take an earlier
/// command's end for that of its own.
static COMMANDS: AtomicU32 = AtomicU32::new(0);

/// An open console.
pub struct Console {
    line: Line,
    seen: String,
}

/// What a console is reached by.
enum Line {
    Socket(Box<WebSocket<https::Stream>>),
    Process {
        input: ChildStdin,
        output: Receiver<Vec<u8>>,
    },
}

impl Line {
    fn send(&mut self, text: String) -> Result<()> {
        match self {
            Self::Socket(socket) => socket
                .send(Message::Binary(text.into_bytes().into()))
                .context("console"),
            Self::Process { input, .. } => input.write_all(text.as_bytes()).context("console"),
        }
    }

    /// What has come; nothing when nothing came for a while.
    fn receive(&mut self) -> Result<String> {
        let bytes = match self {
            Self::Socket(socket) => match socket.read() {
                Ok(Message::Binary(bytes)) => bytes.to_vec(),
                Ok(Message::Text(text)) => return Ok(text.to_string()),
                Ok(_) => Vec::new(),
                Err(Error::Io(error)) if timed_out(&error) => Vec::new(),
                Err(error) => bail!("{error}"),
            },
            Self::Process { output, .. } => match output.recv_timeout(READ_SLICE) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => bail!("the process has ended"),
            },
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Console {
    /// Opens the console of a running guest.
    pub fn open(api: &Api, kind: Kind, vmid: u32) -> Result<Self> {
        Self::open_with(api, kind, vmid, &[])
    }

    /// Opens a serial port of a running machine, e.g. `serial1`.
    pub fn open_port(api: &Api, vmid: u32, port: &str) -> Result<Self> {
        Self::open_with(api, Kind::Vm, vmid, &[("serial", port)])
    }

    fn open_with(api: &Api, kind: Kind, vmid: u32, which: &[(&str, &str)]) -> Result<Self> {
        let guest = format!("/nodes/{NODE}/{}/{vmid}", kind.path());
        let proxy = api.post(&format!("{guest}/termproxy"), which)?;
        let text = |key: &str| match &proxy[key] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (user, ticket, port) = (text("user"), text("ticket"), text("port"));
        let uri = format!(
            "wss://localhost/api2/json{guest}/vncwebsocket?port={port}&vncticket={}",
            encode(&ticket)
        );
        let mut request = uri.into_client_request()?;
        request
            .headers_mut()
            .insert("Cookie", HeaderValue::from_str(&api.cookie())?);
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", HeaderValue::from_static("binary"));
        let stream = api.client().connect()?;
        let (socket, _) = client::client(request, stream)
            .map_err(|error| anyhow::anyhow!("the console's WebSocket does not open: {error}"))?;
        socket.get_ref().sock.set_read_timeout(Some(READ_SLICE))?;
        let mut console = Self {
            line: Line::Socket(Box::new(socket)),
            seen: String::new(),
        };
        console.line.send(format!("{user}:{ticket}\n"))?;
        console
            .wait("OK", Duration::from_secs(30))
            .context("the console does not let us in")?;
        console.line.send("1:120:40:".into())?;
        Ok(console)
    }

    /// The console that a process has as its standard input and output, which are pipes.
    pub fn of(process: &mut Child) -> Result<Self> {
        let input = process.stdin.take().context("the process has no input")?;
        let mut from = process.stdout.take().context("the process has no output")?;
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            line: Line::Process { input, output },
            seen: String::new(),
        })
    }

    /// Types text.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        match self.line {
            Line::Socket(_) => self.line.send(format!("0:{}:{text}", text.len())),
            Line::Process { .. } => self.line.send(text.to_owned()),
        }
    }

    /// Waits until the output since the last wait contains `text`; returns the output up to it.
    pub fn wait(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let plain = serial::plain(&self.seen);
            if let Some(at) = plain.find(text) {
                self.seen = plain[at + text.len()..].to_owned();
                return Ok(plain[..at].to_owned());
            }
            if Instant::now() > deadline {
                let tail: Vec<_> = plain.lines().rev().take(25).collect();
                let tail: Vec<_> = tail.into_iter().rev().collect();
                bail!(
                    "no {text:?} on the console after {} s; it shows:\n{}",
                    limit.as_secs(),
                    tail.join("\n")
                );
            }
            match self.line.receive() {
                Ok(text) => self.seen.push_str(&text),
                Err(error) => bail!("the console closed: {error:#}; it showed:\n{plain}"),
            }
        }
    }

    /// Waits for the shell that a test guest's console logs in to.
    pub fn shell(&mut self, limit: Duration) -> Result<()> {
        // A prompt that was printed before we came is in the replay; Enter brings a fresh one else.
        self.type_text("\n")?;
        self.wait(":~# ", limit).map(drop)
    }

    /// Runs a command in the shell and returns what it printed.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<String> {
        let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
        // The shell joins the two halves; its echo of what we typed does not.
        self.type_text(&format!(
            "echo '>>''{number}'; {command}; echo '<<''{number}'\n"
        ))?;
        self.wait(&format!(">>{number}\n"), limit)
            .with_context(|| format!("`{command}`"))?;
        let output = self
            .wait(&format!("<<{number}\n"), limit)
            .with_context(|| format!("`{command}`"))?;
        Ok(output.trim().to_owned())
    }
}

fn timed_out(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

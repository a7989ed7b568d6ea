//! Joins this terminal to a guest's, over the websocket that the API has for it.
//!
//! The protocol is told in the node's `console` module: a first line that proves who we are, then
//! `0:LENGTH:DATA` for what is typed and `1:COLUMNS:ROWS:` for the window.

use crate::client::{Call, Client, encode, node_name};
use crate::leaf::text_of;
use anyhow::{Context, Result, bail};
use basalt_api::endpoint::Verb;
use basalt_model::vmid::Vmid;
use futures_util::{SinkExt, StreamExt};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A kind of guest, by how one leaves its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// A virtual machine: Ctrl+O leaves.
    Machine,
    /// A container: Ctrl+A and then q leaves.
    Container,
}

impl Guest {
    fn folder(self) -> &'static str {
        match self {
            Self::Machine => "qemu",
            Self::Container => "lxc",
        }
    }

    fn escape(self) -> Escape {
        match self {
            Self::Machine => Escape::new(0x0f, None),
            Self::Container => Escape::new(0x01, Some(b'q')),
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Machine => "Ctrl+O leaves it.",
            Self::Container => "Ctrl+A and then q leaves it, Ctrl+A twice sends Ctrl+A.",
        }
    }
}

/// Joins the terminals until either side ends. `port` names a machine's serial port, if not its console.
pub async fn open(
    client: &Client,
    guest: Guest,
    vmid: Vmid,
    port: Option<&String>,
) -> Result<ExitCode> {
    if !std::io::stdin().is_terminal() {
        bail!("standard input is no terminal");
    }
    let path = format!("/nodes/{}/{}/{vmid}", encode(&node_name()?), guest.folder());
    let mut prepare = Call::plain(Verb::Post, format!("{path}/termproxy"));
    let port = port.map(|port| ("serial".to_owned(), port.as_str().into()));
    prepare.params.extend(port);
    let ticket = client.send(prepare).await?;
    let (user, secret) = (text_of(&ticket, "user")?, text_of(&ticket, "ticket")?);
    let port = ticket["port"].as_u64().context("the node named no port")?;
    let address = format!(
        "ws://localhost/api2/json{path}/vncwebsocket?port={port}&vncticket={}",
        encode(secret)
    );
    let (mut socket, _) = tokio_tungstenite::client_async(address, client.connect().await?)
        .await
        .context("the node opened no terminal")?;
    socket
        .send(Message::binary(format!("{user}:{secret}\n").into_bytes()))
        .await?;
    match socket.next().await {
        Some(Ok(answer)) if answer.clone().into_data()[..] == *b"OK" => {}
        _ => bail!("the node refused the terminal"),
    }
    eprintln!("Joined to guest {vmid}; {}", guest.hint());
    let raw = Raw::enter()?;
    let ended = join(&mut socket, guest.escape()).await;
    drop(raw);
    eprintln!();
    // The node may have closed it already.
    let _ = socket.close(None).await;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn join<S>(socket: &mut WebSocketStream<S>, mut escape: Escape) -> Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut typed = keyboard();
    let mut resized = signal(SignalKind::window_change())?;
    socket.send(window()?).await?;
    loop {
        tokio::select! {
            bytes = typed.recv() => {
                let Some(bytes) = bytes else { return Ok(()) };
                let (bytes, leaves) = escape.pass(&bytes);
                if !bytes.is_empty() {
                    let mut message = format!("0:{}:", bytes.len()).into_bytes();
                    message.extend(bytes);
                    socket.send(Message::binary(message)).await?;
                }
                if leaves {
                    return Ok(());
                }
            }
            Some(()) = resized.recv() => socket.send(window()?).await?,
            message = socket.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(message)) => {
                    let mut out = std::io::stdout().lock();
                    out.write_all(&message.into_data())?;
                    out.flush()?;
                }
            },
        }
    }
}

/// What is typed, read by a thread of its own: a terminal cannot be read without waiting, and the
/// thread ends with the program.
fn keyboard() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn window() -> Result<Message> {
    let size = termios::tcgetwinsize(std::io::stdin())?;
    let text = format!("1:{}:{}:", size.ws_col.max(1), size.ws_row.max(1));
    Ok(Message::binary(text.into_bytes()))
}

/// The terminal without its own treatment of keys; as before when dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Self> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // When the terminal is gone there is nothing to put back.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Finds the keys that leave a terminal.
#[derive(Debug)]
struct Escape {
    key: u8,
    then: Option<u8>,
    armed: bool,
}

impl Escape {
    fn new(key: u8, then: Option<u8>) -> Self {
        let armed = false;
        Self { key, then, armed }
    }

    /// What of `typed` goes to the guest, and whether the terminal is to be left.
    fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            match (self.armed, self.then) {
                (true, Some(then)) if *byte == then => return (passed, true),
                (true, _) => {
                    // The key twice is the key itself.
                    if *byte != self.key {
                        passed.push(self.key);
                    }
                    passed.push(*byte);
                    self.armed = false;
                }
                (false, None) if *byte == self.key => return (passed, true),
                (false, Some(_)) if *byte == self.key => self.armed = true,
                (false, _) => passed.push(*byte),
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_leaves_a_machine() {
        let mut escape = Guest::Machine.escape();
        assert_eq!(escape.pass(b"ab"), (b"ab".to_vec(), false));
        assert_eq!(escape.pass(b"c\x0fd"), (b"c".to_vec(), true));
    }

    #[test]
    fn two_keys_leave_a_container_and_others_pass() {
        let mut escape = Guest::Container.escape();
        assert_eq!(escape.pass(b"a\x01"), (b"a".to_vec(), false));
        assert_eq!(escape.pass(b"\x01b"), (b"\x01b".to_vec(), false));
        assert_eq!(escape.pass(b"\x01x"), (b"\x01x".to_vec(), false));
        assert_eq!(escape.pass(b"\x01q"), (Vec::new(), true));
    }
}

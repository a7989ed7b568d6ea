//! Consoles: a websocket at one end, a guest's Unix socket at the other.
//!
//! A console is prepared with one call, which answers a port and a ticket, and opened with a
//! second one, which becomes the websocket. There the client first sends `user:ticket` and a line
//! feed and is answered `OK`; then it sends messages `0:LENGTH:DATA` (typed), `1:COLS:ROWS:`
//! (size) and `2` (still there), and receives the guest's bytes as they are. On the websocket of
//! a graphical console both sides speak RFB from the first byte on ([`screen`]).

mod frames;
pub mod keys;
pub mod screen;

use crate::auth::now;
use crate::call::Call;
use crate::error::IntoApi;
use crate::router::Router;
use basalt_api::methods::guest::{ConsoleSocket, ConsoleTicket};
use basalt_api::methods::lxc::CtWebsocket;
use basalt_api::methods::qemu::VmWebsocket;
use basalt_api::{Error, Result};
use basalt_container::Control;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_tasks::NewTask;
use bytes::Bytes;
use frames::{Frame, Frames, Size};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

const PORTS: std::ops::RangeInclusive<u16> = 5900..=5999;
/// So long a prepared console waits for its websocket.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long a websocket may take to prove who it is.
const GREETING: Duration = Duration::from_secs(10);

/// Consoles that wait for their websocket, by port.
#[derive(Debug, Default)]
pub struct Consoles {
    waiting: Mutex<BTreeMap<u16, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    owner: Authid,
    path: String,
    target: Target,
    /// Tells the task that the websocket is there, and hands it the end to wait for.
    opened: oneshot::Sender<oneshot::Receiver<()>>,
}

/// What a console leads to.
#[derive(Debug)]
pub enum Target {
    /// A serial port, by its socket. It has no size.
    Serial(PathBuf),
    /// A container's terminal.
    Terminal {
        /// The socket of its bytes.
        socket: PathBuf,
        /// The socket of the container's runtime, which can be told the window's size.
        control: PathBuf,
    },
    /// A machine's screen.
    Screen {
        /// The socket of its monitor.
        socket: PathBuf,
        /// The password for VNC; the console's ticket if there is none of its own.
        password: Option<String>,
    },
}

impl Target {
    fn socket(&self) -> &Path {
        match self {
            Self::Serial(socket) | Self::Terminal { socket, .. } | Self::Screen { socket, .. } => {
                socket
            }
        }
    }

    /// Passes the window's size on. A failure costs a badly wrapped line, not the console.
    async fn resize(&self, size: Size) {
        let Self::Terminal { control, .. } = self else {
            return;
        };
        let resized = async {
            let mut control = Control::connect(control).await?;
            control.resize_console(size.columns, size.rows).await
        };
        if let Err(error) = resized.await {
            tracing::warn!(%error, control = %control.display(), "console not resized");
        }
    }
}

impl Consoles {
    fn prepare(&self, waiting: Waiting) -> Result<u16> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let port = PORTS.into_iter().find(|port| !all.contains_key(port));
        let port = port.ok_or_else(|| Error::failed("too many consoles wait to be opened"))?;
        all.insert(port, waiting);
        Ok(port)
    }

    fn take(&self, port: u16) -> Option<Waiting> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&port)
    }

    fn check(&self, port: u16, owner: &Authid, path: &str) -> bool {
        let all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&port)
            .is_some_and(|w| w.owner == *owner && w.path == path)
    }
}

/// Says how the websockets of both kinds of guest are opened.
pub fn register(router: &mut Router) {
    router.on::<VmWebsocket, _, _, _>(open);
    router.on::<CtWebsocket, _, _, _>(open);
}

/// Prepares a console of a guest.
pub fn prepare(call: &Call, vmid: Vmid, target: Target) -> Result<ConsoleTicket> {
    let core = &call.core;
    let path = format!("/vms/{vmid}");
    let (opened, when_opened) = oneshot::channel();
    let owner = call.auth().clone();
    let waiting = Waiting {
        owner: owner.clone(),
        path: path.clone(),
        target,
        opened,
    };
    let port = core.consoles.prepare(waiting)?;
    let waiting_core = std::sync::Arc::clone(core);
    let task = NewTask {
        kind: "vncproxy",
        id: vmid.to_string(),
        user: &owner,
        lock: None,
    };
    let upid = core.tasks.spawn(task, move |ctx| async move {
        let opened = tokio::select! {
            opened = tokio::time::timeout(PATIENCE, when_opened) => opened.ok().and_then(|r| r.ok()),
            () = ctx.cancelled() => None,
        };
        let Some(closed) = opened else {
            waiting_core.consoles.take(port);
            return Err("nobody opened the console");
        };
        ctx.log("console opened");
        // The connection ends when either side drops its end of `closed`.
        tokio::select! { _ = closed => {}, () = ctx.cancelled() => {} }
        Ok(())
    });
    let upid = upid.api().inspect_err(|_| drop(core.consoles.take(port)))?;
    let ticket = core.access.key().console(&owner, &path, port, now());
    Ok(ConsoleTicket {
        user: owner.to_string(),
        ticket,
        port,
        upid,
    })
}

/// Opens the websocket of a prepared console.
async fn open(call: Call, params: ConsoleSocket) -> Result<()> {
    let upgrade = call.upgrade()?;
    let core = &call.core;
    let path = format!("/vms/{}", params.vmid);
    let owner = call.auth().clone();
    let verifier = call.access.verifier.clone();
    verifier
        .console(&params.vncticket, &owner, &path, params.port, now())
        .map_err(|e| Error::new(401, e))?;
    if !core.consoles.check(params.port, &owner, &path) {
        return Err(Error::failed(format_args!(
            "no console waits on port {}",
            params.port
        )));
    }
    let Some(mut waiting) = core.consoles.take(params.port) else {
        return Err(Error::failed(format_args!(
            "no console waits on port {}",
            params.port
        )));
    };
    let guest = UnixStream::connect(waiting.target.socket())
        .await
        .map_err(|e| Error::failed(format_args!("the guest's console does not answer: {e}")))?;
    let (closed, when_closed) = oneshot::channel();
    // When the task is gone already, the connection ends with the first select below.
    let _ = waiting.opened.send(when_closed);
    let greeting = format!("{owner}:{}", params.vncticket);
    if let Target::Screen { password, .. } = &mut waiting.target {
        password.get_or_insert(params.vncticket);
    }
    tokio::spawn(async move {
        if let Err(error) = serve(upgrade, guest, waiting.target, greeting, closed).await {
            tracing::debug!(%error, "console ended");
        }
    });
    Ok(())
}

/// The headers that turn a request into a websocket.
pub fn switch_headers(request: &HeaderMap) -> Result<HeaderMap> {
    let key = request
        .get(SEC_WEBSOCKET_KEY)
        .ok_or_else(|| Error::new(400, "this is no websocket request"))?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| Error::new(400, "bad websocket key"))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    let offered = request
        .get(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    if offered
        .split(',')
        .any(|protocol| protocol.trim() == "binary")
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("binary"));
    }
    Ok(headers)
}

async fn serve(
    upgrade: OnUpgrade,
    guest: UnixStream,
    target: Target,
    greeting: String,
    mut closed: oneshot::Sender<()>,
) -> std::io::Result<()> {
    let connection = upgrade.await.map_err(std::io::Error::other)?;
    let socket =
        WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, None).await;
    if let Target::Screen { password, .. } = &target {
        let password = password.as_deref().unwrap_or_default();
        return screen::serve(socket, guest, password, &mut closed).await;
    }
    let (mut to_client, mut from_client) = socket.split();
    let mut frames = Frames::default();
    let greeted = greet(&mut from_client, &mut frames, &greeting);
    if !tokio::time::timeout(GREETING, greeted)
        .await
        .unwrap_or(false)
    {
        return to_client.close().await.map_err(std::io::Error::other);
    }
    to_client
        .send(Message::binary(&b"OK"[..]))
        .await
        .map_err(std::io::Error::other)?;
    let (mut guest_out, mut guest_in) = guest.into_split();
    let typed = async {
        loop {
            while let Some(frame) = frames.next().map_err(std::io::Error::other)? {
                match frame {
                    Frame::Data(bytes) => guest_in.write_all(&bytes).await?,
                    Frame::Resize(size) => target.resize(size).await,
                    Frame::Ping => {}
                }
            }
            match from_client.next().await {
                Some(Ok(message)) => frames.add(&payload(message)),
                Some(Err(_)) | None => return Ok::<(), std::io::Error>(()),
            }
        }
    };
    let shown = show(&mut guest_out, &mut to_client);
    let ended = tokio::select! {
        ended = typed => ended,
        ended = shown => ended,
        () = closed.closed() => Ok(()),
    };
    // The other side may be gone already.
    let _ = to_client.close().await;
    ended
}

/// Reads the first line and compares it.
async fn greet<S, E>(from_client: &mut S, frames: &mut Frames, greeting: &str) -> bool
where
    S: Stream<Item = std::result::Result<Message, E>> + Unpin,
{
    loop {
        if let Some(line) = frames.line() {
            return line == greeting.as_bytes();
        }
        match from_client.next().await {
            Some(Ok(message)) if frames.len() < 4096 => frames.add(&payload(message)),
            Some(_) | None => return false,
        }
    }
}

async fn show<S>(guest: &mut (impl AsyncReadExt + Unpin), to_client: &mut S) -> std::io::Result<()>
where
    S: Sink<Message, Error = tokio_tungstenite::tungstenite::Error> + Unpin,
{
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = guest.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let message = Message::binary(Bytes::copy_from_slice(&buffer[..count]));
        to_client
            .send(message)
            .await
            .map_err(std::io::Error::other)?;
    }
}

fn payload(message: Message) -> Bytes {
    match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => text.into(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Bytes::new(),
    }
}

#[cfg(test)]
mod tests;

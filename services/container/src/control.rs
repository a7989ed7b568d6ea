//! The manager's end of a running container's control socket.

use std::io;
use std::path::Path;

use basalt_model::container::{Request, Response, Status};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longest answer line in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Why a running container did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket failed; the container most likely ended.
    #[error("control socket: {0}")]
    Io(#[from] io::Error),
    /// The answer was not one.
    #[error("control socket: malformed answer: {0}")]
    Json(#[from] serde_json::Error),
    /// The runtime refused, and says why.
    #[error("{0}")]
    Refused(String),
    /// An answer to another question.
    #[error("control socket: unexpected answer")]
    Unexpected,
}

/// A connection to a container's runtime.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Connects to the socket at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ControlError> {
        Ok(Self {
            stream: BufReader::new(UnixStream::connect(path).await?),
        })
    }

    /// Process id of init and the container's cgroup.
    pub async fn status(&mut self) -> Result<Status, ControlError> {
        match self.request(&Request::Status).await? {
            Response::Status(status) => Ok(status),
            _ => Err(ControlError::Unexpected),
        }
    }

    /// Asks init to power off; returns when it was asked.
    pub async fn shutdown(&mut self) -> Result<(), ControlError> {
        self.order(&Request::Shutdown).await
    }

    /// Asks init to reboot; returns when it was asked.
    pub async fn reboot(&mut self) -> Result<(), ControlError> {
        self.order(&Request::Reboot).await
    }

    /// Tells the container the size of the console's window.
    pub async fn resize_console(&mut self, columns: u16, rows: u16) -> Result<(), ControlError> {
        self.order(&Request::ConsoleResize { columns, rows }).await
    }

    /// Kills the container.
    pub async fn quit(&mut self) -> Result<(), ControlError> {
        self.order(&Request::Quit).await
    }

    async fn order(&mut self, request: &Request) -> Result<(), ControlError> {
        match self.request(request).await? {
            Response::Ok => Ok(()),
            _ => Err(ControlError::Unexpected),
        }
    }

    async fn request(&mut self, request: &Request) -> Result<Response, ControlError> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).await?;
        let mut answer = String::new();
        let count = (&mut self.stream)
            .take(MAX_LINE)
            .read_line(&mut answer)
            .await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match serde_json::from_str(&answer)? {
            Response::Error(reason) => Err(ControlError::Refused(reason)),
            response => Ok(response),
        }
    }
}

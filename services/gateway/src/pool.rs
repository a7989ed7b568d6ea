//! Connections to the node's socket, kept for the next call.

use crate::body::Body;
use crate::forward::NodeError;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;

/// So many are kept when nobody calls.
const KEPT: usize = 64;
/// So long one is kept; the node closes those on which nothing comes somewhat later, and a request
/// must not meet that.
const FRESH: Duration = Duration::from_secs(20);

/// A connection, and when it was used last.
type Idle = (Instant, SendRequest<Body>);

/// Connections to one socket.
#[derive(Debug)]
pub struct Pool {
    socket: PathBuf,
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    /// Connections to `socket`; there are none yet.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            idle: Mutex::default(),
        }
    }

    /// Sends a request on a connection that is free, or on a new one.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, NodeError> {
        while let Some(mut sender) = self.take() {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep(sender);
                    return Ok(response);
                }
                // The node closed it just now: nothing was sent, so it can be sent again.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await?;
        self.keep(sender);
        Ok(response)
    }

    /// Sends a request on a connection of its own.
    pub async fn send_alone(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, NodeError> {
        Ok(self.connect().await?.send_request(request).await?)
    }

    /// A connection on which no answer is being read any more.
    fn take(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(used, sender)| !sender.is_closed() && used.elapsed() < FRESH);
        let free = idle.iter().rposition(|(_, sender)| sender.is_ready())?;
        Some(idle.swap_remove(free).1)
    }

    fn keep(&self, sender: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push((Instant::now(), sender));
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, NodeError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(NodeError::Absent)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the node");
            }
        });
        Ok(sender)
    }
}

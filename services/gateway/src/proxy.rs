//! Passes a request on to the node over its Unix socket.

use crate::files::full;
use crate::server::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::PathBuf;
use tokio::net::UnixStream;

/// Why the node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not listen: it starts, stops or has failed.
    #[error("the node's service does not answer: {0}")]
    Connect(#[from] io::Error),
    /// It went away in the middle.
    #[error("the node's service ended the connection: {0}")]
    Talk(#[from] hyper::Error),
}

/// The node's API socket.
#[derive(Debug, Clone)]
pub struct Node {
    socket: PathBuf,
}

/// Headers that concern one connection only and are never passed on (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

impl Node {
    /// The node that listens on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Sends a request and returns the answer as it begins.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(e) = connection.with_upgrades().await {
                tracing::debug!(error = %e, "connection to the node ended early");
            }
        });
        Ok(sender.send_request(request).await?)
    }

    /// Reads an internal document of the node.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let mut request = Request::new(full(Bytes::new()));
        *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
        request
            .headers_mut()
            .insert(header::HOST, header::HeaderValue::from_static("node"));
        let answer = self.send(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Passes `request` on; a websocket is joined through.
    pub async fn forward(&self, request: Request<Incoming>) -> Result<Response<Body>, Error> {
        let upgrade = wanted_upgrade(request.headers());
        let (mut parts, body) = request.into_parts();
        for name in &HOP_BY_HOP {
            parts.headers.remove(name);
        }
        if let Some(protocol) = &upgrade {
            parts.headers.insert(
                header::CONNECTION,
                header::HeaderValue::from_static("upgrade"),
            );
            parts.headers.insert(header::UPGRADE, protocol.clone());
        } else {
            parts.headers.remove(header::UPGRADE);
        }
        let mut client = Request::from_parts(parts.clone(), ());
        let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut client));
        let outgoing = Request::from_parts(without_upgrade(parts), body.boxed_unsync());
        let mut answer = self.send(outgoing).await?;
        if let Some(client_side) = client_side
            && answer.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            let node_side = hyper::upgrade::on(&mut answer);
            tokio::spawn(join(client_side, node_side));
            let (parts, _) = answer.into_parts();
            return Ok(Response::from_parts(parts, full(Bytes::new())));
        }
        let (mut parts, body) = answer.into_parts();
        for name in &HOP_BY_HOP {
            parts.headers.remove(name);
        }
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }
}

fn wanted_upgrade(headers: &HeaderMap) -> Option<header::HeaderValue> {
    let connection = headers.get(header::CONNECTION)?.to_str().ok()?;
    let upgrades = connection
        .split(',')
        .any(|w| w.trim().eq_ignore_ascii_case("upgrade"));
    upgrades
        .then(|| headers.get(header::UPGRADE).cloned())
        .flatten()
}

/// The head of a request without the handle to its connection, which stays with the client side.
fn without_upgrade(mut parts: http::request::Parts) -> http::request::Parts {
    parts.extensions = http::Extensions::new();
    parts
}

async fn join(client: hyper::upgrade::OnUpgrade, node: hyper::upgrade::OnUpgrade) {
    let joined = async {
        let (client, node) = tokio::try_join!(client, node)?;
        let (mut client, mut node) = (TokioIo::new(client), TokioIo::new(node));
        tokio::io::copy_bidirectional(&mut client, &mut node)
            .await
            .ok();
        Ok::<_, hyper::Error>(())
    };
    if let Err(e) = joined.await {
        tracing::debug!(error = %e, "a console's connection was not joined");
    }
}

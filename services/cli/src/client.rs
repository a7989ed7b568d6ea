//! A call over the node's Unix socket.
//!
//! The node takes the identity of a caller on its socket from the kernel, so there is no ticket
//! here and no secret.

use anyhow::{Context, Result, anyhow, bail};
use basalt_api::encode::CONTENT_TYPE;
use basalt_api::endpoint::{Kind, Verb};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio_util::io::ReaderStream;

/// Where the node listens.
pub const SOCKET: &str = "/run/basalt/node.sock";

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

type Body = BoxBody<Bytes, std::io::Error>;

/// One call of a method.
#[derive(Debug)]
pub struct Call {
    /// HTTP verb.
    pub verb: Verb,
    /// Path below `/api2/json`, encoded.
    pub path: String,
    /// Parameters that do not stand in the path.
    pub params: Map<String, Value>,
    /// How the method answers.
    pub kind: Kind,
    /// File to upload.
    pub file: Option<PathBuf>,
}

impl Call {
    /// A call without parameters that answers at once.
    pub fn plain(verb: Verb, path: String) -> Self {
        Self {
            verb,
            path,
            params: Map::new(),
            kind: Kind::Sync,
            file: None,
        }
    }
}

/// Text as one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Name of this node: the host's name up to its first dot.
pub fn node_name() -> Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .context("cannot read the host's name")?;
    Ok(name.trim().split('.').next().unwrap_or_default().to_owned())
}

/// Sends calls, one connection each.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Sends to the node that listens on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// A connection to the node.
    pub async fn connect(&self) -> Result<UnixStream> {
        UnixStream::connect(&self.socket)
            .await
            .map_err(|e| self.unreachable(&e))
    }

    /// Sends a call and returns its `data`.
    pub async fn send(&self, call: Call) -> Result<Value> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request(call).await?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        let body: Value = serde_json::from_slice(&body).with_context(|| {
            format!("the node answered {status} with something that is no JSON")
        })?;
        if !status.is_success() {
            return Err(failure(&body, status));
        }
        Ok(body["data"].clone())
    }

    fn unreachable(&self, e: &std::io::Error) -> anyhow::Error {
        let socket = self.socket.display();
        match e.kind() {
            std::io::ErrorKind::PermissionDenied => {
                anyhow!("only root may talk to the node directly ({socket}: {e})")
            }
            _ => anyhow!(
                "the node does not answer on {socket}: {e} (see: systemctl status basalt-node)"
            ),
        }
    }
}

fn failure(body: &Value, status: http::StatusCode) -> anyhow::Error {
    let mut text = body["message"]
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_owned();
    if text.is_empty() {
        text = format!("the node answered {status}");
    }
    for (name, why) in body["errors"].as_object().into_iter().flatten() {
        text.push_str(&format!("\n  {name}: {}", why.as_str().unwrap_or_default()));
    }
    anyhow!(text)
}

async fn request(call: Call) -> Result<http::Request<Body>> {
    let mut uri = format!("/api2/json{}", call.path);
    let builder = http::Request::builder()
        .method(call.verb.as_str())
        .header(header::HOST, "localhost");
    if let Some(file) = &call.file {
        let (kind, body) = multipart(&call.params, file).await?;
        return Ok(builder
            .uri(uri)
            .header(header::CONTENT_TYPE, kind)
            .body(body)?);
    }
    match call.verb {
        Verb::Get | Verb::Delete => {
            let query = basalt_api::bag::to_form(&call.params);
            if !query.is_empty() {
                uri = format!("{uri}?{query}");
            }
            Ok(builder.uri(uri).body(full(Bytes::new()))?)
        }
        Verb::Post | Verb::Put => {
            let body = full(Value::Object(call.params).to_string().into());
            Ok(builder
                .uri(uri)
                .header(header::CONTENT_TYPE, CONTENT_TYPE)
                .body(body)?)
        }
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// A streamed `multipart/form-data` body: the parameters, then the file as `filename`.
async fn multipart(params: &Map<String, Value>, path: &Path) -> Result<(String, Body)> {
    let file = tokio::fs::File::open(path)
        .await
        .with_context(|| format!("cannot open {}", path.display()))?;
    let Some(name) = path
        .file_name()
        .and_then(|n| n.to_str())
        .filter(|n| !n.contains('"'))
    else {
        bail!("{} has no name that can be uploaded", path.display());
    };
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut head = String::new();
    for (key, value) in params {
        let value = value.as_str().unwrap_or_default();
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n"
        ));
    }
    head.push_str(&format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    ));
    let tail = format!("\r\n--{boundary}--\r\n");
    let parts = stream::iter([Ok(Bytes::from(head))])
        .chain(ReaderStream::with_capacity(file, 1 << 20))
        .chain(stream::iter([Ok(Bytes::from(tail))]));
    let body = StreamBody::new(parts.map(|part| part.map(Frame::data)));
    Ok((
        format!("multipart/form-data; boundary={boundary}"),
        BodyExt::boxed(body),
    ))
}

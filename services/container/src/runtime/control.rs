//! The control socket: one request a line, one answer a line.

use std::rc::Rc;

use basalt_model::container::{Request, Response};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

/// Longest request line in bytes.
const MAX_LINE: u64 = 4096;

/// A request on its way to the container's driver, with the way back.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Response>,
}

/// Accepts clients and passes their requests on; never ends by itself.
pub async fn serve(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let calls = Rc::new(calls);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let calls = Rc::clone(&calls);
                spawn_local(async move {
                    if let Err(error) = converse(stream, &calls).await {
                        tracing::debug!(%error, "control client lost");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control client not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, calls: &mpsc::Sender<Call>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let response = match serde_json::from_str(&line) {
            Ok(request) => ask(request, calls).await,
            Err(error) => Response::Error(format!("not a request: {error}")),
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
    }
}

async fn ask(request: Request, calls: &mpsc::Sender<Call>) -> Response {
    let (answer, receiver) = oneshot::channel();
    let ending = || Response::Error("the container is ending".into());
    if calls.send(Call { request, answer }).await.is_err() {
        return ending();
    }
    receiver.await.unwrap_or_else(|_| ending())
}

//! Accepts connections and speaks HTTPS.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::api::Api;

/// So many connections at a time; others wait.
const MOST_CONNECTIONS: usize = 64;
/// A client may take so long to begin to speak TLS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// A client may take so long for a request's headers, or be idle for so long.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);
/// Longest headers of a request.
const HEADER_LIMIT: usize = 16 * 1024;
/// Pause after a connection that could not be accepted: usually others must be closed first.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections as long as the runtime lives.
pub async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    api: Arc<Api>,
) -> anyhow::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener).context("listening")?;
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        match listener.accept().await {
            Ok((stream, from)) => {
                let (tls, api) = (tls.clone(), Arc::clone(&api));
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, tls, api).await {
                        tracing::debug!(%from, "connection: {error:#}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, api: Arc<Api>) -> anyhow::Result<()> {
    let stream = tokio::time::timeout(HANDSHAKE_PATIENCE, tls.accept(stream))
        .await
        .context("TLS: too slow")??;
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(HEADER_LIMIT);
    Ok(http.serve_connection(TokioIo::new(stream), service).await?)
}

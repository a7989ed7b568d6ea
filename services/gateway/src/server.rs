//! Accepts connections and hands each request to the API or to the files.

use crate::api::Api;
use crate::files::Files;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Connections served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// Time a client has for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Time a client has for sending the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// What is behind the door.
pub struct Door {
    /// The API.
    pub api: Api,
    /// The web interface.
    pub files: Files,
}

/// Serves connections; never returns.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(error = %e, "cannot accept a connection");
                // Out of descriptors: trying at once again would spin until some are closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, door) = (tls.clone(), door.clone());
        tokio::spawn(async move {
            connection(stream, peer, &tls, door).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: &TlsAcceptor, door: Arc<Door>) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!(%peer, error = %e, "no TCP_NODELAY");
    }
    let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return tracing::debug!(%peer, error = %e, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
    };
    let service = service_fn(move |request| {
        let door = door.clone();
        async move { Ok::<_, Infallible>(answer(&door, peer, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(e) = served {
        tracing::debug!(%peer, error = %e, "connection ended early");
    }
}

async fn answer(door: &Door, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    let mut response = if request.uri().path().starts_with("/api2/") {
        door.api.answer(peer, request).await
    } else {
        door.files.answer(&request)
    };
    harden(response.headers_mut());
    response
}

/// Headers that every answer carries.
fn harden(headers: &mut http::HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
}

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self' data:; connect-src 'self' wss:; object-src 'none'; \
     base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

//! Accepts connections and speaks TLS.

use crate::body::whole;
use crate::door::Door;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{HOST, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// So many connections at a time; others wait.
const MOST_CONNECTIONS: usize = 2000;
/// A client may take so long to begin to speak TLS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// A client may take so long for a request's headers, or be idle for so long.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);
/// First byte of a client that speaks TLS.
const TLS_HANDSHAKE: u8 = 22;
/// Longest headers of a request.
const HEADER_LIMIT: usize = 64 * 1024;

/// The certificate and its key from `tls.cert` and `tls.key` in a folder.
pub fn tls(folder: &Path) -> Result<TlsAcceptor> {
    let (cert, key) = (folder.join("tls.cert"), folder.join("tls.key"));
    let chain = CertificateDer::pem_file_iter(&cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&key).with_context(|| key.display().to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Reason phrases are part of the API, and HTTP/2 has none.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Listens; an IPv6 address takes IPv4 connections, too.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    listen(&socket, 1024)?;
    Ok(TcpListener::from_std(std::net::TcpListener::from(socket))?)
}

/// Accepts connections for ever, each with the certificate of its time.
pub async fn accept(listener: TcpListener, tls: watch::Receiver<TlsAcceptor>, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let (tls, door) = (tls.borrow().clone(), Arc::clone(&door));
                tokio::spawn(async move {
                    serve(stream, from, tls, door).await;
                    drop(place);
                });
            }
            // Usually no more descriptors: others will be closed.
            Err(error) => {
                tracing::error!(%error, "accept");
                // Nothing tells when; until then accepting again at once would only burn the processor.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, tls: TlsAcceptor, door: Arc<Door>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let begun = async {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == TLS_HANDSHAKE => tls.accept(stream).await.map(Some),
            Ok(1) => redirect(stream).await.map(|()| None),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let stream = match tokio::time::timeout(HANDSHAKE_PATIENCE, begun).await {
        Ok(Ok(Some(stream))) => stream,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "TLS"),
        Err(_) => return tracing::debug!(%from, "TLS: too slow"),
    };
    let from = from.ip().to_canonical().to_string();
    let service = service_fn(move |request| {
        let (door, from) = (Arc::clone(&door), from.clone());
        async move { Ok::<_, Infallible>(door.answer(request, &from).await) }
    });
    let connection = http()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection");
    }
}

fn http() -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(HEADER_LIMIT);
    builder
}

/// Sends a browser that was pointed at `http://` to `https://`, whatever it asks for.
async fn redirect(stream: TcpStream) -> std::io::Result<()> {
    let answer = service_fn(|request: Request<Incoming>| async move {
        let host = request.headers().get(HOST).and_then(|h| h.to_str().ok());
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let to = host.and_then(|host| HeaderValue::from_str(&format!("https://{host}{path}")).ok());
        let mut response = Response::new(whole(Bytes::new()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        if let Some(to) = to {
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            response.headers_mut().insert(LOCATION, to);
        }
        Ok::<_, Infallible>(response)
    });
    let connection = http()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    connection.await.map_err(std::io::Error::other)
}

//! A small web server for what an appliance fetches: files of one folder, and stretches of them.

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

/// This machine as an appliance in QEMU sees it.
const HOST: &str = "10.0.2.2";

/// Serves a folder until this program ends; returns its address for appliances.
pub fn serve(folder: &Path) -> Result<String> {
    let port = listen(folder, Some)?;
    Ok(format!("http://{HOST}:{port}"))
}

/// A server with TLS whose certificate an authority of its own has signed.
pub struct Secure {
    /// Its address for appliances.
    pub url: String,
    /// The authority's certificate, PEM.
    pub authority: String,
}

/// Like [`serve`], with TLS.
pub fn serve_securely(folder: &Path) -> Result<Secure> {
    let (config, authority) = identity()?;
    let port = listen(folder, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
        Some(StreamOwned::new(connection, stream))
    })?;
    Ok(Secure {
        url: format!("https://{HOST}:{port}"),
        authority,
    })
}

/// A new authority, and what it vouches for.
fn identity() -> Result<(Arc<ServerConfig>, String)> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "An authority of one's own");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![HOST.to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((Arc::new(config), authority))
}

/// Answers whoever comes to a new port, until this program ends; `open` makes a connection of a stream.
fn listen<S: Read + Write>(
    folder: &Path,
    open: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port for a web server")?;
    let port = listener.local_addr()?.port();
    let folder = folder.to_owned();
    let open = Arc::new(open);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (folder, open) = (folder.clone(), Arc::clone(&open));
            thread::spawn(move || {
                let Some(mut stream) = open(stream) else {
                    return;
                };
                // A client that has what it wants hangs up.
                while answer(&mut stream, &folder).unwrap_or(false) {}
            });
        }
    });
    Ok(port)
}

/// Answers one request; false when there is no other.
fn answer(stream: &mut (impl Read + Write), folder: &Path) -> std::io::Result<bool> {
    let mut path = None;
    let mut range = None;
    let mut head_only = false;
    for line in BufReader::new(&mut *stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if path.is_none() {
            head_only = line.starts_with("HEAD ");
            path = line.split(' ').nth(1).map(|path| PathBuf::from(&path[1..]));
        } else if let Some((from, to)) = lower
            .strip_prefix("range: bytes=")
            .and_then(|range| range.split_once('-'))
        {
            range = from.parse::<u64>().ok().zip(to.parse::<u64>().ok());
        }
    }
    let Some(path) = path else {
        return Ok(false);
    };
    let name = path.file_name().unwrap_or_default();
    let Ok(mut file) = fs::File::open(folder.join(name)) else {
        write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        )?;
        stream.flush()?;
        return Ok(true);
    };
    let size = file.metadata()?.len();
    let (from, end) = range.map_or((0, size), |(from, to)| (from, (to + 1).min(size)));
    let status = match range {
        None => "200 OK".to_owned(),
        Some(_) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}",
            end - 1
        ),
    };
    let length = end - from;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    if !head_only {
        file.seek(SeekFrom::Start(from))?;
        std::io::copy(&mut file.take(length), stream)?;
    }
    stream.flush()?;
    Ok(true)
}

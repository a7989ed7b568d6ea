//! A connection, in the clear or by TLS, that ends at a given time.

use super::Server;
use crate::{Error, Network, Result, authorities};
use basalt_model::notify::SmtpMode;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So long the wait for a connection to one of a server's addresses may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection that no longer works after some time.
pub struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long")),
            false => Ok(left),
        }
    }
}

/// What the system calls a timeout has a name that says nothing to people.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it takes too long"),
        _ => error,
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(in_time)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection.
pub enum Stream {
    /// In the clear.
    Plain(Timed),
    /// By TLS.
    Secret(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secret(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Secret(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Secret(stream) => stream.flush(),
        }
    }
}

impl Stream {
    /// Connects to a server, by TLS if its mode begins with that.
    pub fn connect(server: &Server, deadline: Instant, network: &Network) -> Result<Self> {
        let name = format!("{}:{}", server.host, server.port);
        let unreachable = |reason: String| Error::Unreachable {
            server: name.clone(),
            reason,
        };
        let addresses = (server.host.as_str(), server.port).to_socket_addrs();
        let addresses = addresses.map_err(|error| unreachable(error.to_string()))?;
        let mut last = "its name has no address".to_owned();
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, left.min(CONNECT)) {
                Ok(stream) => {
                    let plain = Self::Plain(Timed { stream, deadline });
                    return match server.mode {
                        SmtpMode::Tls => plain.secured(&server.host, network),
                        SmtpMode::Insecure | SmtpMode::Starttls => Ok(plain),
                    };
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(unreachable(last))
    }

    /// Goes on by TLS; the handshake comes with the first bytes.
    pub fn secured(self, host: &str, network: &Network) -> Result<Self> {
        let Self::Plain(stream) = self else {
            return Ok(self);
        };
        let settings = |reason: String| Error::Settings(reason);
        let mut roots = RootCertStore::empty();
        let trusted = authorities::read(&network.authorities)?;
        let trusted = trusted.iter().map(|one| CertificateDer::from(one.der()));
        roots.add_parsable_certificates(trusted);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| settings(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| settings(format!("{host}: {error}")))?;
        let connection = ClientConnection::new(Arc::new(config), name);
        let connection = connection.map_err(|error| settings(error.to_string()))?;
        Ok(Self::Secret(Box::new(StreamOwned::new(connection, stream))))
    }
}

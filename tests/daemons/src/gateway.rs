//! A gateway on a free port of this machine.

use crate::daemon::Daemon;
use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the certificate is for.
const NAME: &str = "localhost";

/// A gateway before a node.
pub struct Gateway {
    daemon: Daemon,
    program: PathBuf,
    node: PathBuf,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

impl Gateway {
    /// Starts a gateway before the node that listens, or will listen, on a socket.
    pub async fn start(program: impl Into<PathBuf>, node: impl Into<PathBuf>) -> Result<Self> {
        let (program, node, folder) = (program.into(), node.into(), tempfile::tempdir()?);
        let certified = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        std::fs::write(folder.path().join("tls.cert"), certified.cert.pem())?;
        let key = certified.signing_key.serialize_pem();
        std::fs::write(folder.path().join("tls.key"), key)?;
        std::fs::create_dir(folder.path().join("web"))?;
        std::fs::write(folder.path().join("web/index.html"), "the page")?;
        let (daemon, address) = spawn(&program, &node, folder.path()).await?;
        Ok(Self {
            daemon,
            program,
            node,
            address,
            certificate: certified.cert.der().clone(),
            folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// How long it took to start.
    pub fn took(&self) -> Duration {
        self.daemon.took
    }

    /// Kills the gateway, in whatever it is doing.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill().context("the gateway cannot be killed")
    }

    /// Starts a gateway that was killed again, on another port.
    pub async fn restart(&mut self) -> Result<()> {
        (self.daemon, self.address) = spawn(&self.program, &self.node, self.folder.path()).await?;
        Ok(())
    }

    /// Opens a connection that trusts the gateway's certificate, and offers these protocols.
    pub async fn connect(&self, protocols: &[&str]) -> Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(connector
            .connect(ServerName::try_from(NAME)?, stream)
            .await?)
    }
}

async fn spawn(program: &Path, node: &Path, folder: &Path) -> Result<(Daemon, SocketAddr)> {
    let mut command = Command::new(program);
    command
        .args(["--listen", "127.0.0.1:0", "--node"])
        .arg(node)
        .arg("--web")
        .arg(folder.join("web"))
        .arg("--credentials")
        .arg(folder)
        .env("RUST_LOG", "info");
    let (daemon, address) = Daemon::spawn(command, "ready address=").await?;
    Ok((daemon, address.trim().parse()?))
}

//! The only door: TLS on port 8006, the web interface's files, authentication, forwarding.
//!
//! The gateway holds no privilege and writes no disk. [`server`] accepts connections, [`api`]
//! checks a call against the declarations in `basalt-api` and the access configuration it mirrors
//! from the node ([`mirror`]), [`proxy`] passes it on over the node's Unix socket, and [`files`]
//! serves the interface. The node checks each credential again, so a fault here is not root.
//! It may know `api` and `access`, never a manager.

mod api;
mod files;
mod mirror;
mod proxy;
mod server;
mod tls;

use anyhow::{Context, Result};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The unprivileged front of a Basalt host.
#[derive(Debug, Parser)]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "[::]:8006")]
    listen: SocketAddr,
    /// The node's API socket.
    #[arg(long, default_value = "/run/basalt/node.sock")]
    node: PathBuf,
    /// Folder of the web interface.
    #[arg(long, default_value = "/usr/share/basalt/web")]
    web: PathBuf,
    /// Certificate chain, PEM (default: the systemd credential `tls.cert`).
    #[arg(long)]
    cert: Option<PathBuf>,
    /// Private key, PEM (default: the systemd credential `tls.key`).
    #[arg(long)]
    key: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let cert = credential(options.cert, "tls.cert")?;
    let key = credential(options.key, "tls.key")?;
    let tls = tls::acceptor(&cert, &key)?;
    let files = files::Files::open(&options.web)
        .with_context(|| format!("cannot read the interface in {}", options.web.display()))?;
    let node = proxy::Node::new(options.node);
    let mirror = mirror::Mirror::start(node.clone());
    let door = Arc::new(server::Door {
        api: api::Api::new(node, mirror),
        files,
    });
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).context("cannot tell systemd")?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = server::serve(listener, tls, door) => {}
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// The path given, or the credential of that name that systemd passed.
fn credential(given: Option<PathBuf>, name: &str) -> Result<PathBuf> {
    match given {
        Some(path) => Ok(path),
        None => std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| PathBuf::from(folder).join(name))
            .with_context(|| format!("neither an option nor the credential {name} is given")),
    }
}

//! The only door: TLS on 8006, web files, authentication, forwarding. It has no privileges.
//!
//! Start at [`door`]: what happens to a request. [`access`] keeps a copy of who may what in step
//! with the node, [`forward`] passes calls to the node's socket over the connections of [`pool`],
//! [`files`] serves the web interface, [`listen`] accepts connections and speaks TLS. The gateway
//! writes nothing to disk.

mod access;
mod body;
mod door;
mod files;
mod forward;
mod listen;
mod pool;

use anyhow::{Context, Result};
use clap::Parser;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::EnvFilter;

/// The only door of Basalt.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Address to listen on; `::` takes IPv4, too.
    #[arg(long, default_value_t = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8006)))]
    listen: SocketAddr,
    /// Socket of the node.
    #[arg(long, default_value = "/run/basalt/node.sock")]
    node: PathBuf,
    /// Folder of the web interface.
    #[arg(long, default_value = "/usr/share/basalt/web")]
    web: PathBuf,
    /// Folder with `tls.cert` and `tls.key`; systemd names its own.
    #[arg(long, env = "CREDENTIALS_DIRECTORY")]
    credentials: PathBuf,
    /// Folder into which a reload (SIGHUP) brings newer ones.
    #[arg(long, env = "RUNTIME_DIRECTORY")]
    renewed: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .without_time()
        .init();
    let tls = listen::tls(&options.credentials)
        .with_context(|| format!("no usable certificate in {}", options.credentials.display()))?;
    let (tls, shown) = watch::channel(tls);
    if let Some(folder) = options.renewed {
        renew(tls, folder)?;
    }
    let listener = listen::bind(options.listen)
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let node = forward::Node::new(options.node);
    let access = access::Access::follow(node.clone());
    let door = Arc::new(door::Door::new(
        access,
        node,
        files::Files::new(options.web),
    ));
    tracing::info!(address = %listener.local_addr()?, "ready");
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = listen::accept(listener, shown, door) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    sd_notify::notify(&[sd_notify::NotifyState::Stopping])?;
    Ok(())
}

/// Shows the certificate in `folder` to new connections whenever a SIGHUP says so; one that cannot be
/// used leaves the present one.
fn renew(tls: watch::Sender<TlsAcceptor>, folder: PathBuf) -> Result<()> {
    let mut reload = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while reload.recv().await.is_some() {
            match listen::tls(&folder) {
                Ok(newer) => {
                    tls.send_replace(newer);
                    tracing::info!("certificate renewed");
                }
                Err(error) => tracing::error!(?error, "the newer certificate cannot be used"),
            }
        }
    });
    Ok(())
}

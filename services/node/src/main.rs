//! The privileged side: implements the API by calling the managers.
//!
//! Start at [`server`]: the way of every request. [`handlers`] has one module for each module of
//! declarations in `basalt-api`; [`core`] is what every part stands on, [`state`] the managers.
//! The node listens on a Unix socket only; the gateway is the door to the network.

mod acme;
mod audit;
mod auth;
mod call;
mod certificate;
mod console;
mod core;
mod error;
mod figures;
mod guests;
mod handlers;
mod hardware;
mod host;
mod host_config;
mod journal;
mod metric_servers;
mod notifications;
mod pam;
mod program;
mod report;
mod router;
mod schedules;
mod server;
mod state;
mod upload;
mod whole;

use anyhow::{Context, Result, bail};
use clap::Parser;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

/// So long running tasks may take to end when the node stops.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long a request's headers may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// So many threads answer requests even on a host with fewer processors: writing a line of a task's log or
/// a mark waits for the disk as long as the disk is busy, and the others are to be answered meanwhile.
const FEWEST_WORKERS: usize = 4;

/// File in the folder of sockets in which a node that could not go on leaves the reason, for the
/// health checks to tell.
const LAST_WORDS: &str = "node.error";

/// The privileged side of Basalt.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    settings: core::Settings,
    /// Socket to listen on, when systemd does not hand one over.
    #[arg(long, default_value = "/run/basalt/node.sock")]
    socket: PathBuf,
    #[command(subcommand)]
    command: Option<whole::Command>,
}

fn main() -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(FEWEST_WORKERS))
        .enable_all()
        .build()?
        .block_on(begin())
}

async fn begin() -> Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .without_time()
        .init();
    if let Some(command) = &options.command {
        return command.run(&options.settings.state, &options.socket).await;
    }
    let last_words = options.settings.run.join(LAST_WORDS);
    let ended = run(options, &last_words).await;
    if let Err(error) = &ended
        && let Err(unsaid) = std::fs::write(&last_words, format!("{error:#}\n"))
    {
        tracing::warn!(error = %unsaid, "the reason is not left behind");
    }
    ended
}

/// Serves until it is asked to end.
async fn run(options: Options, last_words: &Path) -> Result<()> {
    let core = core::Core::open(options.settings).await?;
    let node = Arc::new(state::Node::open(Arc::clone(&core)).await?);
    let router = handlers::router();
    let missing = router.missing();
    if !missing.is_empty() {
        bail!("methods without implementation: {}", missing.join(", "));
    }
    let server = Arc::new(server::Server::new(
        Arc::clone(&core),
        Arc::clone(&node),
        router,
    ));
    node.recover().await;
    let listener = listen(&options.socket)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    match std::fs::remove_file(last_words) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
        Ok(()) | Err(_) => {}
    }
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    tracing::info!(node = core.name, "ready");
    let starting = Arc::clone(&node);
    tokio::spawn(async move { starting.autostart().await });
    let sampling = tokio::spawn(figures::sampler::run(Arc::clone(&node)));
    tokio::spawn(acme::renewal::keep(Arc::clone(&node)));
    tokio::spawn(notifications::fallback::tell(Arc::clone(&node)));
    tokio::spawn(notifications::disks::watch(Arc::clone(&node)));
    tokio::spawn(schedules::keep(Arc::clone(&node)));
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(Arc::clone(&server), stream));
                }
                // Usually no more descriptors: others will be closed.
                Err(error) => {
                    tracing::error!(%error, "accept");
                    // Nothing tells when; until then accepting again at once would only burn the processor.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping");
    sd_notify::notify(&[sd_notify::NotifyState::Stopping])?;
    core.tasks.shutdown(PATIENCE).await;
    sampling.abort();
    node.flush_histories().await;
    node.shutdown_with_host().await;
    Ok(())
}

/// Takes the socket that systemd hands over, or makes one.
fn listen(path: &Path) -> Result<UnixListener> {
    let handed: Vec<_> = sd_notify::listen_fds()?.collect();
    let listener = match handed.first() {
        Some(fd) => {
            // SAFETY: systemd opened the descriptor for this process, and nothing else owns it.
            let fd = unsafe { OwnedFd::from_raw_fd(*fd) };
            std::os::unix::net::UnixListener::from(fd)
        }
        None => {
            make_socket(path).with_context(|| format!("cannot listen on {}", path.display()))?
        }
    };
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

fn make_socket(path: &Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn serve(server: Arc<server::Server>, stream: UnixStream) {
    let is_root = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0);
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request, is_root).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection");
    }
}

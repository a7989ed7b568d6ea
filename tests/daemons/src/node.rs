//! A node with folders of its own and a service manager that knows no unit.

use crate::bus;
use crate::daemon::Daemon;
use anyhow::{Context, Result};
use basalt_access::config::{AccessConfig, Token, User};
use basalt_access::password;
use basalt_api::methods::users::TokenInfo;
use basalt_store::{SqliteStore, Store, Transaction};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::net::UnixListener;

/// Header with a token of the superuser that has all the superuser's rights.
pub const ROOT: &str = "Authorization: PVEAPIToken=root@pam!test=root-secret\r\n";
/// Header with a token of a user whom nobody gave any right.
pub const JO: &str = "Authorization: PVEAPIToken=jo@pve!test=jo-secret\r\n";

/// What a node logs when it is ready, and when it begins.
const READY: &str = "ready node=";
const BEGUN: &str = "store open";

/// A node. Its name is `n1`.
#[derive(Debug)]
pub struct Node {
    daemon: Daemon,
    program: PathBuf,
    folder: tempfile::TempDir,
    /// Where it shows proofs of names.
    challenge_port: u16,
}

impl Node {
    /// Starts a node whose store has the users of [`ROOT`] and [`JO`].
    pub async fn start(program: impl Into<PathBuf>) -> Result<Self> {
        Self::start_with(program, Transaction::new()).await
    }

    /// Starts a node whose store has these things besides.
    pub async fn start_with(program: impl Into<PathBuf>, things: Transaction) -> Result<Self> {
        let (program, folder) = (program.into(), tempfile::tempdir()?);
        for name in ["state", "run", "logs", "vz"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let store = SqliteStore::open(folder.path().join("state/store.db"))?;
        store.commit(things.put("access", &users())?).await?;
        drop(store);
        bus::play(UnixListener::bind(folder.path().join("bus.sock"))?);
        // Free now, and given to nobody else soon.
        let challenge_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let daemon = spawn(&program, folder.path(), challenge_port, READY).await?;
        Ok(Self {
            daemon,
            program,
            folder,
            challenge_port,
        })
    }

    /// The port that it shows proofs of names on.
    pub fn challenge_port(&self) -> u16 {
        self.challenge_port
    }

    /// A file or folder of the node: `state`, `run`, `logs`, `vz` and `node.sock` are there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.path("node.sock")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// How long it took to start.
    pub fn took(&self) -> Duration {
        self.daemon.took
    }

    /// Kills the node, in whatever it is doing.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill().context("the node cannot be killed")
    }

    /// Starts a node that was killed again.
    pub async fn restart(&mut self) -> Result<()> {
        self.daemon = spawn(
            &self.program,
            self.folder.path(),
            self.challenge_port,
            READY,
        )
        .await?;
        Ok(())
    }

    /// Starts a node that was killed again, and kills it while it starts.
    pub async fn restart_and_kill(&mut self) -> Result<()> {
        self.daemon = spawn(
            &self.program,
            self.folder.path(),
            self.challenge_port,
            BEGUN,
        )
        .await?;
        self.kill()
    }

    /// The store of a node that was killed.
    pub fn store(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(self.path("state/store.db"))?)
    }
}

fn users() -> AccessConfig {
    let token = |secret| Token {
        info: TokenInfo {
            expire: 0,
            privsep: false,
            comment: None,
        },
        secret: password::hash_secret(secret),
    };
    let user = |secret| User {
        tokens: [("test".into(), token(secret))].into(),
        ..User::default()
    };
    let mut config = AccessConfig::default();
    for (id, secret) in [("root@pam", "root-secret"), ("jo@pve", "jo-secret")] {
        if let Ok(id) = id.parse() {
            config.users.insert(id, user(secret));
        }
    }
    config
}

async fn spawn(program: &Path, folder: &Path, port: u16, sign: &'static str) -> Result<Daemon> {
    let at = |name: &str| folder.join(name);
    let mut command = Command::new(program);
    command
        .args(["--name", "n1", "--challenge-port", &port.to_string()])
        .args(["--state".into(), at("state"), "--run".into(), at("run")])
        .args(["--logs".into(), at("logs"), "--vz".into(), at("vz")])
        .args(["--socket".into(), at("node.sock")])
        .env(
            "DBUS_SYSTEM_BUS_ADDRESS",
            format!("unix:path={}", at("bus.sock").display()),
        )
        .env("RUST_LOG", "info");
    Ok(Daemon::spawn(command, sign).await?.0)
}

//! A node as a child process with folders of its own and a service manager that knows no unit.

mod bus;

use basalt_access::config::{AccessConfig, Token, User};
use basalt_access::password;
use basalt_api::methods::users::TokenInfo;
use basalt_store::{SqliteStore, Store, Transaction};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Token of the superuser, with all the superuser's rights.
pub const ROOT: &str = "Authorization: PVEAPIToken=root@pam!test=root-secret\r\n";
/// Token of a user whom nobody gave any right.
pub const JO: &str = "Authorization: PVEAPIToken=jo@pve!test=jo-secret\r\n";

/// A node.
pub struct Rig {
    node: Child,
    folder: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// An answer: status line and body.
#[derive(Debug)]
pub struct Answer {
    pub line: String,
    pub body: Value,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn data(&self) -> &Value {
        assert_eq!(self.status(), 200, "{self:?}");
        &self.body["data"]
    }
}

impl Rig {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        seed(&folder.path().join("state")).await;
        bus::play(UnixListener::bind(folder.path().join("bus.sock")).unwrap());
        let node = spawn(folder.path()).await;
        Self { node, folder }
    }

    /// Kills the node and starts it again.
    pub async fn crash(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
        self.node = spawn(self.folder.path()).await;
    }

    /// Kills the node, sets a value in its store, and starts it again.
    pub async fn crash_with(&mut self, key: &str, value: &Value) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
        let store = SqliteStore::open(self.path("state/store.db")).unwrap();
        let change = Transaction::new().put(key, value).unwrap();
        store.commit(change).await.unwrap();
        drop(store);
        self.node = spawn(self.folder.path()).await;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends a request with a form as body.
    pub async fn ask(&self, line: &str, who: &str, form: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.send(line, &format!("{who}{kind}"), form.as_bytes())
            .await
    }

    pub async fn send(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let (verb, path) = line.split_once(' ').unwrap();
        let mut stream = UnixStream::connect(self.path("node.sock")).await.unwrap();
        let head = format!(
            "{verb} /api2/json{path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\
             X-Basalt-Forwarded: 192.0.2.1\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The node may refuse a body before it has read it.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{answer:?}"));
        let kind = "content-type: application/json;charset=UTF-8";
        assert!(head.contains(kind), "{head}");
        let body = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body:?}"));
        Answer {
            line: head.lines().next().unwrap().to_owned(),
            body,
        }
    }

    /// Waits for the end of a task.
    pub async fn wait(&self, upid: &Value) -> String {
        let upid = basalt_api::bag::encode(upid.as_str().unwrap());
        loop {
            let status = self
                .ask(&format!("GET /nodes/n1/tasks/{upid}/status"), ROOT, "")
                .await;
            if let Some(end) = status.data()["exitstatus"].as_str() {
                return end.to_owned();
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn seed(state: &Path) {
    std::fs::create_dir_all(state).unwrap();
    let store = SqliteStore::open(state.join("store.db")).unwrap();
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
    config
        .users
        .insert("root@pam".parse().unwrap(), user("root-secret"));
    config
        .users
        .insert("jo@pve".parse().unwrap(), user("jo-secret"));
    store
        .commit(Transaction::new().put("access", &config).unwrap())
        .await
        .unwrap();
}

async fn spawn(folder: &Path) -> Child {
    let at = |name: &str| folder.join(name);
    for name in ["run", "logs", "vz"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    let mut node = Command::new(env!("CARGO_BIN_EXE_basalt-node"))
        .args(["--name", "n1"])
        .args(["--state".into(), at("state"), "--run".into(), at("run")])
        .args(["--logs".into(), at("logs"), "--vz".into(), at("vz")])
        .args(["--socket".into(), at("node.sock")])
        .env(
            "DBUS_SYSTEM_BUS_ADDRESS",
            format!("unix:path={}", at("bus.sock").display()),
        )
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    tokio::task::spawn_blocking(move || {
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("ready node=")));
        assert!(ready, "the node did not start");
        // The pipe stays open and is read, so that the node can go on logging.
        std::thread::spawn(move || lines.for_each(drop));
    })
    .await
    .unwrap();
    node
}

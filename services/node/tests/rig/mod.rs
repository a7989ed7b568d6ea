//! A node as a child process, and what tests ask of it on its socket.

use basalt_daemons::Node;
pub use basalt_daemons::{JO, ROOT};
use basalt_store::{Store, Transaction};
use serde_json::Value;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A node.
pub struct Rig {
    node: Node,
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
        let program = env!("CARGO_BIN_EXE_basalt-node");
        let node = Node::start(program).await.unwrap();
        Self { node }
    }

    /// Kills the node.
    pub fn stop(&mut self) {
        self.node.kill().unwrap();
    }

    /// Kills the node and starts it again.
    pub async fn crash(&mut self) {
        self.node.kill().unwrap();
        self.node.restart().await.unwrap();
    }

    /// Kills the node, sets a value in its store, and starts it again.
    pub async fn crash_with(&mut self, key: &str, value: &Value) {
        self.node.kill().unwrap();
        let store = self.node.store().unwrap();
        let change = Transaction::new().put(key, value).unwrap();
        store.commit(change).await.unwrap();
        drop(store);
        self.node.restart().await.unwrap();
    }

    /// The port that the node shows proofs of names on.
    pub fn challenge_port(&self) -> u16 {
        self.node.challenge_port()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.node.path(name)
    }

    /// Sends a request with a form as body.
    pub async fn ask(&self, line: &str, who: &str, form: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.send(line, &format!("{who}{kind}"), form.as_bytes())
            .await
    }

    /// Sends a request as root on the host does, if that is who runs this.
    pub async fn local(&self, line: &str, form: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.exchange(line, kind, form.as_bytes()).await
    }

    pub async fn send(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let headers = format!("X-Basalt-Forwarded: 192.0.2.1\r\n{headers}");
        self.exchange(line, &headers, body).await
    }

    async fn exchange(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let (verb, path) = line.split_once(' ').unwrap();
        let mut stream = UnixStream::connect(self.path("node.sock")).await.unwrap();
        let head = format!(
            "{verb} /api2/json{path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\
             {headers}Content-Length: {}\r\n\r\n",
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

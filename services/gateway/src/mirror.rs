//! A mirror of the node's access configuration.
//!
//! The node answers `/internal/access?after=REVISION` when there is a newer one, or after a while
//! without one, so a changed permission applies here at once. While the node is away the last
//! configuration stays in force.

use crate::proxy::Node;
use basalt_access::Snapshot;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Time between two attempts while the node is away.
const RETRY: Duration = Duration::from_millis(500);
/// Longest time that one question may take; the node answers earlier.
const PATIENCE: Duration = Duration::from_secs(90);

/// The latest access configuration.
#[derive(Debug, Clone)]
pub struct Mirror {
    latest: watch::Receiver<Option<Arc<Snapshot>>>,
}

impl Mirror {
    /// Starts to follow the node.
    pub fn start(node: Node) -> Self {
        let (sender, latest) = watch::channel(None);
        tokio::spawn(follow(node, sender));
        Self { latest }
    }

    /// The configuration, or none before the node first answered.
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.borrow().clone()
    }
}

async fn follow(node: Node, sender: watch::Sender<Option<Arc<Snapshot>>>) {
    let mut revision = None;
    loop {
        let asked = tokio::time::timeout(PATIENCE, ask(&node, revision)).await;
        match asked {
            Ok(Ok(Some(snapshot))) => {
                revision = Some(snapshot.revision);
                sender.send_replace(Some(Arc::new(snapshot)));
            }
            Ok(Ok(None)) => {}
            Ok(Err(e)) => {
                tracing::debug!(error = %e, "cannot read the access configuration");
                // A node that restarted counts revisions anew.
                revision = None;
                tokio::time::sleep(RETRY).await;
            }
            Err(_) => revision = None,
        }
    }
}

async fn ask(node: &Node, after: Option<u64>) -> anyhow::Result<Option<Snapshot>> {
    let path = match after {
        Some(revision) => format!("/internal/access?after={revision}"),
        None => "/internal/access".to_owned(),
    };
    let (status, body) = node.get(&path).await?;
    match status {
        http::StatusCode::OK => Ok(Some(serde_json::from_slice(&body)?)),
        http::StatusCode::NO_CONTENT => Ok(None),
        other => anyhow::bail!("the node answered {other}"),
    }
}

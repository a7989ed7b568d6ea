//! A copy of who may what, kept in step with the node.
//!
//! The node is asked for a newer revision and answers when there is one, so a change is in force
//! at once: whoever made it hears of it when it is ([`Access::reach`]). While the node restarts, the last copy stays; the node checks everything again.

use crate::forward::Node;
use basalt_access::Snapshot;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Pause before the next question after one that failed.
const PAUSE: Duration = Duration::from_millis(300);
/// A request waits so long for the first copy.
const FIRST: Duration = Duration::from_secs(2);
/// An answer waits so long for the copy to have what the call changed.
const STEP: Duration = Duration::from_secs(2);

/// A copy of who may what.
#[derive(Debug)]
pub struct Access {
    current: watch::Receiver<Option<Arc<Snapshot>>>,
}

impl Access {
    /// Follows the node from now on.
    pub fn follow(node: Node) -> Self {
        let (sender, current) = watch::channel(None);
        tokio::spawn(async move {
            let mut known = None;
            while !sender.is_closed() {
                match ask(&node, known).await {
                    Ok(Some(snapshot)) => {
                        known = Some(snapshot.revision);
                        tracing::debug!(revision = snapshot.revision, "access");
                        sender.send_replace(Some(Arc::new(snapshot)));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the node does not tell who may what");
                        // A pause before the next attempt: the node may just be starting.
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        Self { current }
    }

    /// The latest copy; none when the node never answered.
    pub async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mut current = self.current.clone();
        let first = tokio::time::timeout(FIRST, current.wait_for(Option::is_some)).await;
        first.ok()?.ok()?.clone()
    }

    /// Waits until the copy is at least at `revision`, though not for ever.
    pub async fn reach(&self, revision: u64) {
        let mut current = self.current.clone();
        let there = |copy: &Option<Arc<Snapshot>>| {
            copy.as_ref().is_some_and(|copy| copy.revision >= revision)
        };
        if tokio::time::timeout(STEP, current.wait_for(there))
            .await
            .is_err()
        {
            tracing::warn!(revision, "who may what is late");
        }
    }
}

async fn ask(node: &Node, known: Option<u64>) -> anyhow::Result<Option<Snapshot>> {
    let query = known
        .map(|revision| format!("?revision={revision}"))
        .unwrap_or_default();
    let (status, body) = node.get(&format!("/internal/access{query}")).await?;
    match status {
        StatusCode::OK => Ok(Some(serde_json::from_slice(&body)?)),
        StatusCode::NO_CONTENT => Ok(None),
        other => anyhow::bail!("status {other}"),
    }
}

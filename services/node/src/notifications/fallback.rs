//! Tells of an update that was left behind.

use crate::handlers::update::failure;
use crate::state::Node;
use basalt_api::methods::update::UpdateFailure;
use basalt_model::notify::{EventType, Severity};
use basalt_notify::Event;
use basalt_store::Transaction;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// What was told of last.
const TOLD: &str = "notification-told/update-fallback";
/// What the supervisor says of this boot, in the folder of sockets.
const SAID: &str = "init.json";
/// The record of the failure, below the folder of the store; it may be missing.
const RECORD: &str = "boot/failure.json";
/// The supervisor is looked for so often, and so many times.
const PAUSE: Duration = Duration::from_secs(5);
const LOOKS: u32 = 120;

/// Waits until the supervisor has said how this boot came to be, and tells of an update that was left
/// behind, once.
pub async fn tell(node: Arc<Node>) {
    let run = node.settings.run.clone();
    for _ in 0..LOOKS {
        if run.join(SAID).exists() {
            break;
        }
        // Nothing tells when it comes, and a host without a supervisor has none.
        tokio::time::sleep(PAUSE).await;
    }
    let Some(failure) = failure(&run) else {
        return;
    };
    let which = identity(&node, &failure);
    let told = node.store.read::<String>(TOLD);
    if told.is_ok_and(|told| told.is_some_and(|told| told.value == which)) {
        return;
    }
    node.notify(event(&failure, &node.name));
    let noted = async {
        let change = Transaction::new().put(TOLD, &which)?;
        node.store.commit(change).await
    };
    if let Err(error) = noted.await {
        tracing::error!(%error, "an update that was left behind will be told of again");
    }
}

/// One failure, and not the same one when the version is tried again.
fn identity(node: &Node, failure: &UpdateFailure) -> String {
    let record = std::fs::metadata(node.settings.state.join(RECORD));
    let written = record.and_then(|record| record.modified()).ok();
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = since.map_or(0, |since| since.as_secs());
    let UpdateFailure { version, reasons } = failure;
    basalt_store::digest(&format!("{version}\n{seconds}\n{}", reasons.join("\n")))
}

fn event(failure: &UpdateFailure, node: &str) -> Event {
    let version = &failure.version;
    let reasons = match failure.reasons.as_slice() {
        [] => "It did not get far enough to say why.".to_owned(),
        reasons => format!("It said:\n\n- {}", reasons.join("\n- ")),
    };
    let body = format!(
        "Version {version} was installed on {node} and did not work. The host went back by itself to \
         the version before, which runs now.\n\n{reasons}\n"
    );
    let title = format!("{node}: version {version} was left behind");
    Event::new(EventType::UpdateFallback, Severity::Error, &title, &body)
}

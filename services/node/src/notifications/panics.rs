//! Tells of virtual machines whose guest panicked, and has not reset itself before anybody looked.

use crate::figures::GUEST_PANICKED;
use crate::state::Node;
use basalt_api::methods::guest::GuestStatus;
use basalt_api::{Error, Result};
use basalt_model::guest::GuestKind;
use basalt_model::notify::{EventType, Severity};
use basalt_notify::Event;
use basalt_store::{Expect, Transaction};
use std::collections::BTreeMap;

/// When each guest panicked that was told of, by its number; of each the last time.
const TOLD: &str = "notification-told/guest-panic";
/// Panics of one guest that are closer together, in seconds, are told of once: a guest that panics over and
/// over fills nobody's mailbox.
const QUIET: u64 = 3600;

/// Tells of those of the guests that panicked and were not told of.
pub async fn tell(node: &Node, guests: &[(GuestKind, GuestStatus)]) {
    for (_, guest) in guests {
        if guest.qmpstatus.as_deref() != Some(GUEST_PANICKED) {
            continue;
        }
        if let Err(error) = tell_of(node, guest).await {
            tracing::error!(%error, vmid = %guest.vmid, "nobody was told that the guest panicked");
        }
    }
}

async fn tell_of(node: &Node, guest: &GuestStatus) -> Result<()> {
    let machine = node.machines.status(guest.vmid).await;
    let Some(at) = machine.map_err(Error::failed)?.panicked else {
        // It was reset since.
        return Ok(());
    };
    let before = node.store.read::<BTreeMap<String, u64>>(TOLD);
    let before = before.map_err(Error::failed)?;
    let told = before.as_ref().map(|stored| stored.value.clone());
    let mut told = told.unwrap_or_default();
    let key = guest.vmid.to_string();
    if !is_news(told.get(&key).copied(), at) {
        return Ok(());
    }
    let guests = node.guests();
    told.retain(|key, _| guests.iter().any(|guest| guest.vmid.to_string() == *key));
    told.insert(key, at);
    // First, so that nobody is told every minute when it cannot be noted.
    let change = Transaction::new().expect(TOLD, Expect::unchanged(&before));
    let change = change.put(TOLD, &told).map_err(Error::failed)?;
    node.store.commit(change).await.map_err(Error::failed)?;
    tracing::warn!(vmid = %guest.vmid, "the guest panicked");
    node.notify(event(guest, &node.name));
    Ok(())
}

/// Whether a panic is told of after the last that was. The host's clock may have been set meanwhile.
fn is_news(last: Option<u64>, at: u64) -> bool {
    last.is_none_or(|last| at.abs_diff(last) >= QUIET)
}

fn event(guest: &GuestStatus, node: &str) -> Event {
    let (vmid, name) = (guest.vmid, &guest.name);
    let body = format!(
        "The operating system in virtual machine {vmid} ({name}) on {node} said that it panicked.\n\n\
         The machine runs on until its guest or somebody resets it; its console may show what \
         happened.\n"
    );
    let title = format!("{node}: the guest of VM {vmid} ({name}) panicked");
    Event::new(EventType::GuestPanic, Severity::Error, &title, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_panics_over_and_over_is_told_of_once_an_hour() {
        let first = 1_700_000_000;
        assert!(is_news(None, first));
        assert!(!is_news(Some(first), first));
        assert!(!is_news(Some(first), first + QUIET - 1));
        assert!(is_news(Some(first), first + QUIET));
        assert!(is_news(Some(first), first - QUIET));
    }
}

//! One operation at a time on a guest.

use crate::Error;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Which guests are held, and by what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    held: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    guests: Mutex<HashMap<String, String>>,
    /// Told whenever a guest is free again.
    freed: Notify,
}

impl Held {
    fn guests(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds a guest until it is dropped.
#[derive(Debug)]
#[must_use = "the guest is free again when this is dropped"]
pub struct GuestLock {
    guest: String,
    held: Arc<Held>,
}

impl Locks {
    pub(crate) fn take(&self, guest: &str, holder: &str) -> Result<GuestLock, Error> {
        let mut guests = self.held.guests();
        if let Some(holder) = guests.get(guest) {
            return Err(Error::Locked {
                guest: guest.into(),
                holder: holder.clone(),
            });
        }
        guests.insert(guest.into(), holder.into());
        Ok(GuestLock {
            guest: guest.into(),
            held: Arc::clone(&self.held),
        })
    }

    pub(crate) async fn take_within(
        &self,
        guest: &str,
        holder: &str,
        patience: Duration,
    ) -> Result<GuestLock, Error> {
        let waiting = async {
            loop {
                // Listens before it looks, so that it misses nobody who lets go in between.
                let freed = self.held.freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                if let Ok(lock) = self.take(guest, holder) {
                    return lock;
                }
                freed.await;
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(lock) => Ok(lock),
            Err(_) => self.take(guest, holder),
        }
    }

    pub(crate) fn holder(&self, guest: &str) -> Option<String> {
        self.held.guests().get(guest).cloned()
    }
}

impl Drop for GuestLock {
    fn drop(&mut self) {
        self.held.guests().remove(&self.guest);
        self.held.freed.notify_waiters();
    }
}

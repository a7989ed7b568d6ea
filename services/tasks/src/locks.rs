//! One operation at a time on a guest.

use crate::Error;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Which guests are held, and by what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    held: Arc<Mutex<HashMap<String, String>>>,
}

/// Holds a guest until it is dropped.
#[derive(Debug)]
#[must_use = "the guest is free again when this is dropped"]
pub struct GuestLock {
    guest: String,
    held: Arc<Mutex<HashMap<String, String>>>,
}

impl Locks {
    pub(crate) fn take(&self, guest: &str, holder: &str) -> Result<GuestLock, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = held.get(guest) {
            return Err(Error::Locked {
                guest: guest.into(),
                holder: holder.clone(),
            });
        }
        held.insert(guest.into(), holder.into());
        Ok(GuestLock {
            guest: guest.into(),
            held: Arc::clone(&self.held),
        })
    }

    pub(crate) fn holder(&self, guest: &str) -> Option<String> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(guest)
            .cloned()
    }
}

impl Drop for GuestLock {
    fn drop(&mut self) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.guest);
    }
}

//! Guests as they were last read from the store, so that lists of many cost little.

use super::{GUESTS, Guest};
use basalt_model::guest::GuestRecord;
use basalt_model::vmid::Vmid;
use basalt_store::{Entry, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Every guest in the order of numbers.
pub type AllGuests = Arc<[Arc<Guest>]>;

/// Every guest as of some revision of the store.
#[derive(Debug, Default)]
pub struct Parsed {
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// Of the store; none before the first look.
    revision: Option<u64>,
    /// With the revision that wrote each.
    by_number: BTreeMap<Vmid, (u64, Arc<Guest>)>,
    all: AllGuests,
}

impl Parsed {
    /// Every guest. One whose record cannot be read is left out and logged, so that it does not take
    /// the others along.
    pub fn all(&self, store: &dyn Store) -> AllGuests {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the entries: what is written between is read again the next time.
        let revision = Some(store.revision());
        if last.revision == revision {
            return Arc::clone(&last.all);
        }
        let mut by_number = BTreeMap::new();
        for entry in store.list(GUESTS) {
            let vmid = match entry.key.trim_start_matches(GUESTS).parse::<Vmid>() {
                Ok(vmid) => vmid,
                Err(error) => {
                    tracing::error!(%error, key = entry.key, "guest is left out");
                    continue;
                }
            };
            let known = last.by_number.get(&vmid);
            let known = known.filter(|(written, _)| *written == entry.revision);
            match known.cloned().map_or_else(|| read(vmid, &entry), Ok) {
                Ok(read) => {
                    by_number.insert(vmid, read);
                }
                Err(error) => tracing::error!(%error, "guest is left out"),
            }
        }
        last.all = by_number
            .values()
            .map(|(_, guest)| Arc::clone(guest))
            .collect();
        last.by_number = by_number;
        last.revision = revision;
        Arc::clone(&last.all)
    }
}

fn read(vmid: Vmid, entry: &Entry) -> basalt_store::Result<(u64, Arc<Guest>)> {
    let guest = Guest {
        vmid,
        record: entry.parse::<GuestRecord>()?,
        digest: entry.digest(),
    };
    Ok((entry.revision, Arc::new(guest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_store::{SqliteStore, Transaction};
    use serde_json::json;

    #[tokio::test]
    async fn only_what_changed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("store.db")).unwrap();
        let parsed = Parsed::default();
        assert!(parsed.all(&store).is_empty());
        let record = json!({"kind": "qemu", "config": {"memory": "64"}});
        let change = Transaction::new()
            .put("guests/101", &record)
            .and_then(|c| c.put("guests/100", &record))
            .and_then(|c| c.put("guests/99x", &record))
            .and_then(|c| c.put("guests/102", &1));
        store.commit(change.unwrap()).await.unwrap();
        let before = parsed.all(&store);
        let numbers: Vec<u32> = before.iter().map(|guest| guest.vmid.get()).collect();
        assert_eq!(numbers, [100, 101]);
        assert!(Arc::ptr_eq(&before, &parsed.all(&store)));
        let change = Transaction::new().delete("guests/100").delete("guests/99x");
        let changed = json!({"kind": "qemu", "config": {"memory": "128"}});
        let change = change.put("guests/103", &changed).unwrap();
        store.commit(change).await.unwrap();
        let after = parsed.all(&store);
        assert!(Arc::ptr_eq(&after[0], &before[1]));
        assert_eq!(after.len(), 2);
        let change = Transaction::new().put("guests/101", &changed).unwrap();
        store.commit(change).await.unwrap();
        let last = parsed.all(&store);
        assert!(!Arc::ptr_eq(&last[0], &after[0]));
        assert_ne!(last[0].digest, after[0].digest);
    }
}

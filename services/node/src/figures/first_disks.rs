//! Sizes of guests' first disks, which lists show: looked up again every few seconds at most.

use crate::guests::Guest;
use crate::state::Node;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::storage::VolumeId;
use basalt_model::vmid::Vmid;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A look that is older is repeated, while the list shows what it found.
const FRESH: Duration = Duration::from_secs(10);

/// Size of a disk in bytes, and what it takes of its storage, as far as that is shown.
pub type Size = (u64, u64);

/// What was found at the last look.
#[derive(Debug, Default)]
pub struct FirstDisks {
    seen: Mutex<HashMap<Vmid, Seen>>,
    looking: AtomicBool,
}

#[derive(Debug)]
struct Seen {
    /// Another configuration may have another first disk.
    digest: String,
    at: Instant,
    size: Size,
}

impl FirstDisks {
    fn known(&self, guest: &Guest) -> Option<(Size, Instant)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = seen.get(&guest.vmid)?;
        (found.digest == guest.digest).then_some((found.size, found.at))
    }

    fn note(&self, guest: &Guest, size: Size) {
        let seen = Seen {
            digest: guest.digest.clone(),
            at: Instant::now(),
            size,
        };
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(guest.vmid, seen);
    }

    fn forget_others(&self, guests: &[Arc<Guest>]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|vmid, _| guests.binary_search_by_key(vmid, |g| g.vmid).is_ok());
    }
}

impl Node {
    /// Size of a guest's first disk, and for a container the room it takes.
    pub async fn first_disk(&self, guest: &Guest) -> Size {
        let size = self.look(guest).await;
        self.first_disks.note(guest, size);
        size
    }

    /// The same, as it was some seconds ago if somebody looked.
    pub async fn first_disk_lately(&self, guest: &Guest) -> Size {
        match self.first_disks.known(guest) {
            Some((size, at)) => {
                if at.elapsed() > FRESH {
                    self.look_again();
                }
                size
            }
            None => self.first_disk(guest).await,
        }
    }

    /// Looks at all of them, unless somebody does.
    fn look_again(&self) {
        if self.first_disks.looking.swap(true, Ordering::Relaxed) {
            return;
        }
        let node = self.clone();
        tokio::spawn(async move {
            let guests = node.guests();
            for guest in guests.iter() {
                node.first_disk(guest).await;
            }
            node.first_disks.forget_others(&guests);
            node.first_disks.looking.store(false, Ordering::Relaxed);
        });
    }

    async fn look(&self, guest: &Guest) -> Size {
        let volume: Option<VolumeId> = match &guest.record.config {
            GuestConfig::Qemu(config) => config
                .disks()
                .into_iter()
                .find_map(|(_, disk)| disk.file.volume().cloned()),
            GuestConfig::Lxc(config) => config
                .rootfs
                .as_ref()
                .and_then(|rootfs| rootfs.volume.volume().cloned()),
        };
        let Some(volume) = volume else {
            return (0, 0);
        };
        let Ok(storage) = self.storages.of(&volume) else {
            return (0, 0);
        };
        match storage.volume(&volume).await {
            Ok(found) if guest.kind() == GuestKind::Lxc => (found.size, found.used),
            Ok(found) => (found.size, 0),
            Err(_) => (0, 0),
        }
    }
}

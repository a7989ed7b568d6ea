//! A network card on its tap.

use std::fs::File;
use std::sync::Arc;

use basalt_model::machine::Nic;

use super::delivery::Delivery;
use super::{Error, invalid};
use crate::virtio::net;
use crate::virtio::vhost::Card;

/// A network card's part of [`super::Resources`].
pub struct NicResource {
    /// PCI device number.
    pub slot: u8,
    /// Configuration key.
    pub id: String,
    /// The tap.
    pub tap: Arc<File>,
    /// Hardware address.
    pub mac: [u8; 6],
    /// The guest is told that the cable is pulled.
    pub link_down: bool,
    /// Counters that outlive a reset.
    pub counters: Arc<net::Counters>,
    /// The kernel's worker, if it moves the packets.
    pub vhost: Option<Arc<Card>>,
}

impl NicResource {
    /// Takes a card's tap, and the kernel's worker if there is one and it can do the work.
    pub(super) fn take(nic: Nic, slot: u8, delivery: &mut Delivery) -> Result<Self, Error> {
        let tap = Arc::new(delivery.file(&nic.id, nic.tap)?);
        net::prepare_tap(&tap).map_err(|e| invalid(&nic.id, e.to_string()))?;
        let device = nic.vhost.map(|slot| delivery.file(&nic.id, slot));
        let vhost = device.transpose()?.and_then(|device| {
            let made = Card::new(device, tap.clone()).map(Arc::new);
            made.inspect_err(|error| {
                let nic = &nic.id;
                tracing::warn!(%error, %nic, "the kernel cannot move the card's packets: the monitor does");
            })
            .ok()
        });
        Ok(Self {
            slot,
            id: nic.id,
            tap,
            mac: nic.mac,
            link_down: nic.link_down,
            counters: Arc::default(),
            vhost,
        })
    }
}

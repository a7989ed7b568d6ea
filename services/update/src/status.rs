//! What is in the slots.

use basalt_layout::{Slot, Version};
use serde::Serialize;

use crate::secureboot::SecureBoot;
use crate::table::Table;
use crate::{Error, Host};

/// Both slots of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The version that runs.
    pub version: Version,
    /// Whether the firmware checks what it starts.
    pub secure_boot: SecureBoot,
    /// The slots.
    pub slots: Vec<SlotStatus>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// `a` or `b`.
    pub slot: char,
    /// What it holds.
    pub version: Option<Version>,
    /// Whether it runs.
    pub running: bool,
    /// What the boot loader makes of it.
    pub state: State,
    /// Boots left for a version on trial.
    pub tries_left: Option<u32>,
}

/// What the boot loader makes of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Holds nothing, or half of something.
    Empty,
    /// Still has to prove itself.
    Trial,
    /// Has proved itself.
    Good,
    /// Was tried and never became healthy.
    Failed,
}

/// Looks at both slots.
pub fn status(host: &Host) -> Result<Status, Error> {
    let table = Table::read(&host.disk)?;
    let running = host.running_slot(&table)?;
    let ukis = host.open_esp()?.ukis()?;
    let slots = Slot::ALL
        .into_iter()
        .map(|slot| {
            let version = table.content_of(slot);
            let uki = ukis
                .iter()
                .find(|uki| uki.whole && Some(&uki.name.version) == version.as_ref());
            let tries = uki.and_then(|uki| uki.name.tries);
            let state = match (uki, tries) {
                (None, _) => State::Empty,
                (Some(_), None) => State::Good,
                (Some(uki), Some(_)) if uki.name.is_exhausted() => State::Failed,
                (Some(_), Some(_)) => State::Trial,
            };
            SlotStatus {
                slot: slot.letter(),
                version,
                running: slot == running,
                state,
                tries_left: tries.map(|tries| tries.left),
            }
        })
        .collect();
    Ok(Status {
        version: host.version.clone(),
        secure_boot: host.loader.secure_boot(),
        slots,
    })
}

//! Things that are made and removed.

use super::{Desk, list};
use anyhow::Result;
use basalt_api::bag::encode;
use basalt_daemons::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// So many are there before the first is removed.
const FEW: usize = 3;
/// Volumes of guests.
pub const IMAGES: &str = "GET /nodes/n1/storage/local/content?content=images";

/// How things of one kind are made, removed and listed.
#[derive(Debug)]
pub struct Kind {
    make: fn(u64) -> (&'static str, String),
    remove: fn(u64) -> String,
    all: &'static str,
    number: fn(&Value) -> Option<u64>,
}

/// What is only stored, what is a file as well, and what is both and made by a task.
pub const ALL: &[Kind] = &[
    Kind {
        make: |n| ("POST /pools", format!("poolid=k{n}")),
        remove: |n| format!("DELETE /pools/k{n}"),
        all: "GET /pools",
        number: |pool| pool["poolid"].as_str()?.strip_prefix('k')?.parse().ok(),
    },
    Kind {
        make: |n| {
            let form = format!("vmid=100&filename=vm-100-disk-{n}.raw&size=1M");
            ("POST /nodes/n1/storage/local/content", form)
        },
        remove: |n| {
            let volume = encode(&format!("local:100/vm-100-disk-{n}.raw"));
            format!("DELETE /nodes/n1/storage/local/content/{volume}")
        },
        all: IMAGES,
        number: |volume| {
            let name = volume["volid"]
                .as_str()?
                .strip_prefix("local:100/vm-100-disk-")?;
            name.strip_suffix(".raw")?.parse().ok()
        },
    },
    Kind {
        make: |n| {
            let form = format!("vmid={}&memory=64&virtio0=local:1&net0=virtio", 1000 + n);
            ("POST /nodes/n1/qemu", form)
        },
        remove: |n| format!("DELETE /nodes/n1/qemu/{}", 1000 + n),
        all: "GET /nodes/n1/qemu",
        number: |guest| guest["vmid"].as_u64()?.checked_sub(1000),
    },
];

/// Whether a thing must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    There,
    Gone,
    /// The daemons were killed while it was made or removed.
    Either,
    /// The same, a round ago: a node that lived on has brought it to its end by now.
    Settled,
}

/// All things of one kind that were ever made.
#[derive(Debug)]
pub struct Things {
    kind: &'static Kind,
    known: BTreeMap<u64, Presence>,
    resolved: usize,
}

impl Things {
    pub fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            known: BTreeMap::new(),
            resolved: 0,
        }
    }

    /// Makes one more, or removes the oldest.
    pub async fn step(&mut self, desk: &mut Desk) -> Result<()> {
        let there = |(_, presence): &(&u64, &Presence)| **presence == Presence::There;
        let there: Vec<u64> = self.known.iter().filter(there).map(|(n, _)| *n).collect();
        let (number, then) = match there.as_slice() {
            [oldest, ..] if there.len() > FEW => (*oldest, Presence::Gone),
            _ => {
                let last = self.known.last_key_value().map_or(0, |(n, _)| *n);
                (last + 1, Presence::There)
            }
        };
        self.known.insert(number, Presence::Either);
        match then {
            Presence::Gone => desk.change(&(self.kind.remove)(number), "").await?,
            _ => {
                let (line, form) = (self.kind.make)(number);
                desk.change(line, &form).await?;
            }
        }
        self.known.insert(number, then);
        Ok(())
    }

    pub async fn check(&mut self, client: &mut Client) {
        let all = list(client, self.kind.all).await;
        let found: BTreeSet<u64> = all.iter().filter_map(self.kind.number).collect();
        for (number, presence) in &mut self.known {
            let is_there = found.contains(number);
            let wanted = match is_there {
                true => Presence::There,
                false => Presence::Gone,
            };
            match presence {
                Presence::There | Presence::Gone => {
                    let list = self.kind.all;
                    assert_eq!(*presence, wanted, "{number} of '{list}'");
                }
                Presence::Either => *presence = Presence::Settled,
                Presence::Settled => {
                    self.resolved += 1;
                    *presence = wanted;
                }
            }
        }
        for number in found {
            let known = self.known.contains_key(&number);
            assert!(known, "{number} of '{}' was never made", self.kind.all);
        }
    }

    /// How many were in doubt and then found to be whole or absent.
    pub fn resolved(&self) -> usize {
        self.resolved
    }
}

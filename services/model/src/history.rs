//! What a guest was at earlier times: its snapshots, and how they follow one another.

use crate::guest::{Description, GuestConfig};
use crate::storage::{SnapshotName, VolumeId};
use crate::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The snapshots of a guest. They are a tree: each began from another one, and so did what the guest
/// is now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What the guest as it is now began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotName>,
    /// The snapshots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "by_name")]
    pub snapshots: BTreeMap<SnapshotName, Snapshot>,
}

/// What a guest was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it was configured to be.
    #[serde(flatten)]
    pub config: GuestConfig,
    /// When that was, in seconds since 1970.
    pub time: u64,
    /// Free text about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// What it began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotName>,
    /// What ran, if something did: devices that come and go may make it differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<GuestConfig>,
    /// The volume with the memory of what ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmstate: Option<VolumeId>,
    /// What is being done with it. One with which something is done is not whole; if that is
    /// interrupted, it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<SnapshotWork>,
}

words! {
    /// What is being done with a snapshot.
    pub enum SnapshotWork {
        /// It is being taken.
        Prepare = "prepare",
        /// It is being removed.
        Delete = "delete",
    }
}

impl History {
    /// Whether the guest has only its present.
    pub fn is_empty(&self) -> bool {
        self.parent.is_none() && self.snapshots.is_empty()
    }

    /// Forgets a snapshot: what began from it began from its parent.
    pub fn forget(&mut self, name: &SnapshotName) {
        let Some(gone) = self.snapshots.remove(name) else {
            return;
        };
        let parents = self.snapshots.values_mut().map(|kept| &mut kept.parent);
        for parent in parents.chain([&mut self.parent]) {
            if parent.as_ref() == Some(name) {
                parent.clone_from(&gone.parent);
            }
        }
    }

    /// Whether a volume that is meant belongs to what the guest was.
    pub fn names_volume(&self, is_meant: &dyn Fn(&VolumeId) -> bool) -> bool {
        let named = |snapshot: &Snapshot| {
            let configs = [Some(&snapshot.config), snapshot.running.as_ref()];
            let configs = configs.into_iter().flatten();
            let values = configs.flat_map(|config| config.to_map().into_iter());
            let mut texts = values.filter_map(|(_, value)| Some(value.as_str()?.to_owned()));
            let in_config = texts.any(|text| {
                let first = text.split(',').next().unwrap_or_default();
                first
                    .parse::<VolumeId>()
                    .is_ok_and(|volume| is_meant(&volume))
            });
            in_config || snapshot.vmstate.as_ref().is_some_and(is_meant)
        };
        self.snapshots.values().any(named)
    }
}

/// Snapshots as an object with their names as keys.
mod by_name {
    use super::Snapshot;
    use crate::storage::SnapshotName;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<S: Serializer>(
        snapshots: &BTreeMap<SnapshotName, Snapshot>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(snapshots.iter().map(|(name, one)| (name.to_string(), one)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<SnapshotName, Snapshot>, D::Error> {
        let named = BTreeMap::<String, Snapshot>::deserialize(deserializer)?;
        let parsed = named.into_iter().map(|(name, snapshot)| {
            let name = name.parse().map_err(D::Error::custom)?;
            Ok((name, snapshot))
        });
        parsed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::GuestRecord;
    use serde_json::json;

    #[test]
    fn what_began_from_a_snapshot_that_goes_began_from_its_parent() {
        let snapshot = |parent: Option<&str>| {
            json!({"kind": "qemu", "config": {"scsi0": "local:100/vm-100-disk-0.qcow2,size=1G"},
                "time": 7, "parent": parent})
        };
        let json = json!({"kind": "qemu", "config": {}, "history": {
            "parent": "second",
            "snapshots": {"first": snapshot(None), "second": snapshot(Some("first")),
                "other": snapshot(Some("first"))},
        }});
        let record: GuestRecord = serde_json::from_value(json).unwrap();
        let again = serde_json::to_value(&record).unwrap();
        assert_eq!(
            serde_json::from_value::<GuestRecord>(again).unwrap(),
            record
        );
        let mut history = record.history;
        let named = |volume: &VolumeId| volume.name() == "vm-100-disk-0.qcow2";
        assert!(history.names_volume(&named));
        let name = |text: &str| text.parse::<SnapshotName>().unwrap();
        history.forget(&name("first"));
        assert_eq!(history.snapshots[&name("other")].parent, None);
        assert_eq!(history.snapshots[&name("second")].parent, None);
        history.forget(&name("second"));
        assert_eq!(history.parent, None);
        history.forget(&name("other"));
        assert!(history.is_empty() && !history.names_volume(&named));
    }

    #[test]
    fn a_guest_without_snapshots_is_stored_as_before() {
        let json = json!({"kind": "qemu", "config": {"memory": 64}});
        let record: GuestRecord = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), json);
    }
}

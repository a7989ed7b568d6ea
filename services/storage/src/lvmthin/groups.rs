//! Volume groups and thin pools of the host, whether a storage lies on them or not.

use super::{report, tool};
use crate::error::Result;
use serde::Deserialize;

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// What no logical volume has, in bytes.
    pub free: u64,
    /// What it is made of.
    pub volumes: Vec<PhysicalVolume>,
}

/// A disk or partition that belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// Path of the device.
    pub device: String,
    /// Size in bytes.
    pub size: u64,
    /// What no logical volume has, in bytes.
    pub free: u64,
}

/// A thin pool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ThinPool {
    /// Its name.
    #[serde(rename = "lv_name")]
    pub name: String,
    /// Its group.
    #[serde(rename = "vg_name")]
    pub group: String,
    /// Size in bytes.
    #[serde(rename = "lv_size", deserialize_with = "report::whole")]
    pub size: u64,
    /// Size of its own records in bytes.
    #[serde(
        rename = "lv_metadata_size",
        default,
        deserialize_with = "report::whole"
    )]
    pub metadata_size: u64,
    /// How much of its data is in use, in percent; only while it is active.
    #[serde(default, deserialize_with = "report::number")]
    data_percent: Option<f64>,
    /// The same of its own records.
    #[serde(default, deserialize_with = "report::number")]
    metadata_percent: Option<f64>,
}

impl ThinPool {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        report::part(self.size, self.data_percent)
    }

    /// Bytes that its own records take.
    pub fn metadata_used(&self) -> u64 {
        report::part(self.metadata_size, self.metadata_percent)
    }
}

/// A line of `vgs`.
#[derive(Deserialize)]
struct Group {
    vg_name: String,
    #[serde(deserialize_with = "report::whole")]
    vg_size: u64,
    #[serde(deserialize_with = "report::whole")]
    vg_free: u64,
}

/// A line of `pvs`; one that belongs to no group names none.
#[derive(Deserialize)]
struct Physical {
    pv_name: String,
    #[serde(default, deserialize_with = "report::text")]
    vg_name: String,
    #[serde(deserialize_with = "report::whole")]
    pv_size: u64,
    #[serde(deserialize_with = "report::whole")]
    pv_free: u64,
}

/// The volume groups of the host; none where there is no LVM.
pub async fn groups() -> Result<Vec<VolumeGroup>> {
    let Some(groups) = tool::ask("vgs", "vg_name,vg_size,vg_free", &[]).await? else {
        return Ok(Vec::new());
    };
    let Some(disks) = tool::ask("pvs", "pv_name,vg_name,pv_size,pv_free", &[]).await? else {
        return Ok(Vec::new());
    };
    together(&groups, &disks)
}

fn together(groups: &str, disks: &str) -> Result<Vec<VolumeGroup>> {
    let groups: Vec<Group> = report::rows("vgs", groups)?;
    let disks: Vec<Physical> = report::rows("pvs", disks)?;
    let made_of = |group: &str| {
        let disks = disks.iter().filter(|disk| disk.vg_name == group);
        let volumes = disks.map(|disk| PhysicalVolume {
            device: disk.pv_name.clone(),
            size: disk.pv_size,
            free: disk.pv_free,
        });
        volumes.collect()
    };
    let groups = groups.into_iter().map(|group| VolumeGroup {
        volumes: made_of(&group.vg_name),
        name: group.vg_name,
        size: group.vg_size,
        free: group.vg_free,
    });
    Ok(groups.collect())
}

/// The thin pools of the host; none where there is no LVM.
pub async fn thin_pools() -> Result<Vec<ThinPool>> {
    const COLUMNS: &str = "lv_name,vg_name,lv_size,lv_metadata_size,data_percent,metadata_percent";
    let pools = ["--select", "segtype=thin-pool"];
    match tool::ask("lvs", COLUMNS, &pools).await? {
        Some(said) => report::rows("lvs", &said),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_disks() {
        let groups = r#"{"report": [{"vg": [
            {"vg_name": "data", "vg_size": 1000, "vg_free": 10},
            {"vg_name": "fast", "vg_size": "2000", "vg_free": "0"}]}], "log": []}"#;
        let disks = r#"{"report": [{"pv": [
            {"pv_name": "/dev/sda3", "vg_name": "data", "pv_size": 600, "pv_free": 10},
            {"pv_name": "/dev/sdb", "vg_name": "data", "pv_size": 400, "pv_free": 0},
            {"pv_name": "/dev/sdc", "vg_name": "", "pv_size": 5, "pv_free": 5}]}], "log": []}"#;
        let groups = together(groups, disks).unwrap();
        assert_eq!((groups[0].size, groups[0].free), (1000, 10));
        let devices = |at: usize| {
            let volumes = groups[at].volumes.iter();
            volumes.map(|v| v.device.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(devices(0), ["/dev/sda3", "/dev/sdb"]);
        assert_eq!((groups[1].name.as_str(), groups[1].size), ("fast", 2000));
        assert!(devices(1).is_empty());
        assert!(together("{}", "{}").is_err());
    }

    #[test]
    fn a_pool_that_is_not_active_uses_nothing_that_is_known() {
        let json = r#"{"report": [{"lv": [
            {"lv_name": "thin", "vg_name": "data", "lv_size": 1000, "lv_metadata_size": 100,
             "data_percent": 25.00, "metadata_percent": "10.00"},
            {"lv_name": "off", "vg_name": "data", "lv_size": 1000, "lv_metadata_size": 100,
             "data_percent": null, "metadata_percent": ""}]}]}"#;
        let pools: Vec<ThinPool> = report::rows("lvs", json).unwrap();
        assert_eq!((pools[0].used(), pools[0].metadata_used()), (250, 10));
        assert_eq!((pools[1].used(), pools[1].metadata_used()), (0, 0));
    }
}

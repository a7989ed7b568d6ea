//! Pools of ZFS, which mirror by themselves: what of them lies on a disk that has returned, or on one
//! that takes the place of another.
//!
//! ZFS brings a member up to date that is there when the pool is brought in. One that comes back while
//! the host runs has to be pointed out to it, and so has a new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, command};

/// It is there while the kernel has ZFS.
const MODULE: &str = "/sys/module/zfs";

/// A member of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    pool: String,
    /// Its number in the pool, by which ZFS knows also one that is gone.
    guid: String,
    /// Its device, as far as ZFS knows.
    path: Option<PathBuf>,
    online: bool,
}

/// What `zpool status --json` tells, as far as it concerns us.
#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    pools: BTreeMap<String, Pool>,
}

#[derive(Debug, Deserialize)]
struct Pool {
    #[serde(default)]
    vdevs: BTreeMap<String, Vdev>,
}

/// A part of a pool: a disk, or a group of parts.
#[derive(Debug, Deserialize)]
struct Vdev {
    guid: String,
    state: String,
    path: Option<PathBuf>,
    #[serde(default)]
    vdevs: BTreeMap<String, Vdev>,
}

/// Points members out to ZFS that were away and whose devices are there again.
///
/// # Errors
/// When a pool does not tell how it is. A member that ZFS does not take is told of and left.
pub fn complete() -> Result<(), Error> {
    for member in members()? {
        let is_there = member.path.as_ref().is_some_and(|path| path.exists());
        if member.online || !is_there {
            continue;
        }
        tracing::info!(pool = member.pool, member = member.guid, "has returned");
        let (pool, guid) = (member.pool.as_str(), member.guid.as_str());
        let online = command::run("zpool", &["online", pool, guid], "");
        // Errors from before it went would keep it out.
        let cleared = command::run("zpool", &["clear", pool, guid], "");
        if let Err(error) = online.and(cleared) {
            tracing::warn!(%error, pool, "a member does not come back");
        }
    }
    Ok(())
}

/// Gives `new` the place of the member that the pool on the partition `present` has lost, and returns
/// when it has everything. Does nothing for a pool that has lost none.
pub fn replace(present: &Path, new: &Path) -> Result<(), Error> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let all = members()?;
    let Some((pool, guid)) = lost(&all, &real(present), real) else {
        return Ok(());
    };
    let new = new.to_string_lossy();
    let replace = ["replace", "-f", "-o", "ashift=12", pool, guid, &new];
    command::run("zpool", &replace, "")?;
    command::run("zpool", &["wait", "-t", "resilver", pool], "").map(drop)
}

/// Pool and number of the only member that is gone from the pool with the device `present`.
fn lost<'a>(
    all: &'a [Member],
    present: &Path,
    real: impl Fn(&Path) -> PathBuf,
) -> Option<(&'a str, &'a str)> {
    let has = |member: &&Member| member.path.as_deref().map(&real).as_deref() == Some(present);
    let pool = &all.iter().filter(|member| member.online).find(has)?.pool;
    let gone = |member: &&Member| member.pool == *pool && !member.online;
    let mut gone = all.iter().filter(gone);
    match (gone.next(), gone.next()) {
        (Some(only), None) => Some((pool, &only.guid)),
        _ => None,
    }
}

fn members() -> Result<Vec<Member>, Error> {
    if !Path::new(MODULE).exists() {
        return Ok(Vec::new());
    }
    let text = command::run("zpool", &["status", "--json", "-P"], "")?;
    parse(&text)
        .map_err(|error| Error::Mirror(format!("zpool's report is not understood: {error}")))
}

fn parse(text: &str) -> Result<Vec<Member>, serde_json::Error> {
    let report: Report = serde_json::from_str(text)?;
    let mut members = Vec::new();
    for (name, pool) in &report.pools {
        let mut pending: Vec<&Vdev> = pool.vdevs.values().collect();
        while let Some(vdev) = pending.pop() {
            pending.extend(vdev.vdevs.values());
            if vdev.vdevs.is_empty() {
                members.push(Member {
                    pool: name.clone(),
                    guid: vdev.guid.clone(),
                    path: vdev.path.clone(),
                    online: vdev.state == "ONLINE",
                });
            }
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"output_version": {"command": "zpool status"}, "pools": {"tank": {
        "name": "tank", "state": "DEGRADED", "vdevs": {"tank": {"name": "tank", "vdev_type": "root",
          "guid": "1", "class": "normal", "state": "DEGRADED", "vdevs": {"mirror-0": {
            "name": "mirror-0", "vdev_type": "mirror", "guid": "2", "state": "DEGRADED", "vdevs": {
              "/dev/vda8": {"name": "/dev/vda8", "vdev_type": "disk", "guid": "3",
                "path": "/dev/disk/by-partuuid/a", "state": "ONLINE"},
              "4": {"name": "4", "vdev_type": "disk", "guid": "4", "state": "UNAVAIL",
                "path": "/dev/disk/by-partuuid/b", "was": "/dev/disk/by-partuuid/b",
                "not_present": "1"}}}}}}}}}"#;

    #[test]
    fn the_member_that_is_gone_is_found() {
        let members = parse(STATUS).unwrap();
        assert_eq!(members.len(), 2);
        let real = |path: &Path| match path.ends_with("a") {
            true => PathBuf::from("/dev/vda8"),
            false => path.to_owned(),
        };
        let found = |present: &str| lost(&members, Path::new(present), real);
        assert_eq!(found("/dev/vda8"), Some(("tank", "4")));
        assert_eq!(found("/dev/vdz8"), None);
        let whole = parse(&STATUS.replace("UNAVAIL", "ONLINE")).unwrap();
        assert_eq!(lost(&whole, Path::new("/dev/vda8"), real), None);
    }

    #[test]
    fn a_host_without_pools_has_no_members() {
        assert_eq!(parse(r#"{"pools": {}}"#).unwrap(), []);
        assert!(parse("no pools available").is_err());
    }
}

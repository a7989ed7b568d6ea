//! Tells of disks that are failing, and of a mirror or pool that goes on without some.

use crate::hardware::Tree;
use crate::hardware::smart::{self, Question};
use crate::state::Node;
use basalt_api::methods::hardware::{DiskHealth, DiskInfo};
use basalt_api::{Error, Result};
use basalt_model::notify::{EventType, Severity};
use basalt_notify::Event;
use basalt_storage::zfs::pools;
use basalt_store::{Expect, Transaction};
use basalt_update::block::Blocks;
use basalt_update::mirror::array::{Array, MemberState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What was told of and goes on, each by what has it.
const TOLD: &str = "notification-told/disk-health";
/// The first look comes so long after the start, when pools are there.
const FIRST: Duration = Duration::from_secs(60);
/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1800);
/// What a pool of ZFS says that is well.
const WELL: &str = "ONLINE";

/// What is wrong, in a sentence, by what it is wrong with.
type Troubles = BTreeMap<String, String>;

/// Looks at everything that holds data, as long as the node runs.
pub async fn watch(node: Arc<Node>) {
    tokio::time::sleep(FIRST).await;
    loop {
        if let Err(error) = tell(&node).await {
            tracing::error!(%error, "nobody was told of troubles with disks");
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Everything that is wrong now.
async fn look(node: &Node, told: &Troubles) -> Troubles {
    let disks = tokio::task::spawn_blocking(|| Tree::default().disks(None, false));
    let mut found = Troubles::new();
    for disk in disks.await.unwrap_or_default() {
        let asked = smart::ask(&node.units, &disk.devpath, Question::Awake).await;
        let health = asked.map(|report| report.health).unwrap_or_else(|error| {
            tracing::warn!(%error, disk = disk.devpath, "its health is not known");
            DiskHealth::Unknown
        });
        found.extend(trouble(&disk, health, told));
    }
    let array = tokio::task::spawn_blocking(|| Array::read(&Blocks::default())).await;
    found.extend(array.ok().flatten().as_ref().and_then(degraded));
    match pools::pools().await {
        Ok(pools) => found.extend(pools.iter().filter_map(unwell)),
        Err(error) => tracing::warn!(%error, "the health of ZFS's pools is not known"),
    }
    found
}

/// By what stays with the disk, for its path may be another's after the next start. One that sleeps is as
/// it was.
fn trouble(disk: &DiskInfo, health: DiskHealth, told: &Troubles) -> Option<(String, String)> {
    let path = &disk.devpath;
    let which = disk.serial.as_ref().or(disk.by_id_link.as_ref());
    let key = format!("disk {}", which.unwrap_or(path));
    match health {
        DiskHealth::Passed => return None,
        DiskHealth::Unknown => return told.get(&key).map(|text| (key.clone(), text.clone())),
        DiskHealth::Failed => {}
    }
    let named = [&disk.model, &disk.serial];
    let named: Vec<&str> = named.into_iter().flatten().map(String::as_str).collect();
    let text = match named.is_empty() {
        true => format!("The disk {path} says that it is failing: replace it."),
        false => format!(
            "The disk {path} ({}) says that it is failing: replace it.",
            named.join(", ")
        ),
    };
    Some((key, text))
}

fn degraded(array: &Array) -> Option<(String, String)> {
    let recovers = |(_, state): &(String, MemberState)| *state == MemberState::Recovering;
    if array.is_whole() || array.members.iter().any(recovers) {
        return None;
    }
    let text = format!("The mirror of this host is {}.", array.describe());
    Some(("mirror".to_owned(), text))
}

fn unwell(pool: &pools::Pool) -> Option<(String, String)> {
    let pools::Pool { name, health, .. } = pool;
    if health == WELL {
        return None;
    }
    let text = format!("The pool {name} of ZFS is {health}: see `zpool status {name}`.");
    Some((format!("pool {name}"), text))
}

/// Tells of what is new, and forgets what is over.
async fn tell(node: &Node) -> Result<()> {
    let before = node.store.read::<Troubles>(TOLD).map_err(Error::failed)?;
    let told = before.as_ref().map(|stored| stored.value.clone());
    let told = told.unwrap_or_default();
    let found = look(node, &told).await;
    if told == found {
        return Ok(());
    }
    // First, so that nobody is told at every look when it cannot be noted.
    let change = Transaction::new().expect(TOLD, Expect::unchanged(&before));
    let change = change.put(TOLD, &found).map_err(Error::failed)?;
    node.store.commit(change).await.map_err(Error::failed)?;
    if let Some(event) = event(&node.name, &told, &found) {
        tracing::warn!(trouble = event.title, "disks");
        node.notify(event);
    }
    Ok(())
}

/// What to tell, when there is more than was told.
fn event(node: &str, told: &Troubles, found: &Troubles) -> Option<Event> {
    let is_new = |(what, text): &(&String, &String)| told.get(*what) != Some(*text);
    let news: Vec<(&String, &String)> = found.iter().filter(is_new).collect();
    let title = match news.as_slice() {
        [] => return None,
        [(what, _)] => format!("{node}: trouble with {what}"),
        [(what, _), rest @ ..] => format!("{node}: trouble with {what} and {} more", rest.len()),
    };
    let sentences: Vec<&str> = news.iter().map(|(_, text)| text.as_str()).collect();
    let body = format!("{}\n", sentences.join("\n"));
    Some(Event::new(
        EventType::DiskHealth,
        Severity::Error,
        &title,
        &body,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn troubles(all: &[(&str, &str)]) -> Troubles {
        let own = |(what, text): &(&str, &str)| ((*what).to_owned(), (*text).to_owned());
        all.iter().map(own).collect()
    }

    #[test]
    fn what_goes_on_is_told_once_and_what_is_new_alone() {
        let disk = ("disk S1", "It fails.");
        let pool = ("pool tank", "It is DEGRADED.");
        let none = Troubles::new();
        let first = event("n1", &none, &troubles(&[disk])).unwrap();
        assert_eq!(first.title, "n1: trouble with disk S1");
        assert!(event("n1", &troubles(&[disk]), &troubles(&[disk])).is_none());
        let second = event("n1", &troubles(&[disk]), &troubles(&[disk, pool])).unwrap();
        assert_eq!(second.title, "n1: trouble with pool tank");
        assert_eq!(second.body, "It is DEGRADED.\n");
        let worse = troubles(&[("pool tank", "It is FAULTED.")]);
        assert!(event("n1", &troubles(&[pool]), &worse).is_some());
        assert!(event("n1", &troubles(&[disk, pool]), &none).is_none());
        let both = event("n1", &none, &troubles(&[disk, pool])).unwrap();
        assert_eq!(both.title, "n1: trouble with disk S1 and 1 more");
    }

    #[test]
    fn a_failing_disk_that_falls_asleep_is_no_better() {
        let folder = tempfile::tempdir().unwrap();
        let tree = crate::hardware::testing::tree(folder.path());
        let disk = folder.path().join("sys/block/sda");
        crate::hardware::testing::write(&disk, &[("size", "8\n"), ("serial", "S1\n")]);
        let disk = &tree.disks(None, false)[0];
        let (key, text) = trouble(disk, DiskHealth::Failed, &Troubles::new()).unwrap();
        assert_eq!(key, "disk S1");
        assert!(text.contains("/dev/sda (S1)"), "{text}");
        let told = troubles(&[(&key, &text)]);
        assert_eq!(trouble(disk, DiskHealth::Unknown, &told), Some((key, text)));
        assert!(trouble(disk, DiskHealth::Unknown, &Troubles::new()).is_none());
        assert!(trouble(disk, DiskHealth::Passed, &told).is_none());
    }

    #[test]
    fn a_mirror_is_in_trouble_while_it_lacks_a_disk() {
        let array = |members: &[(&str, MemberState)], percent| Array {
            members: members.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect(),
            percent,
        };
        let (whole, coming) = (MemberState::Whole, MemberState::Recovering);
        assert!(degraded(&array(&[("vda6", whole), ("vdb6", whole)], None)).is_none());
        let (_, text) = degraded(&array(&[("vda6", whole)], None)).unwrap();
        assert!(text.contains("degraded"), "{text}");
        let recovering = array(&[("vda6", whole), ("vdb6", coming)], Some(4));
        assert!(degraded(&recovering).is_none());
    }
}

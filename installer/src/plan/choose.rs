//! Which of the machine's disks an answer file means.

use std::path::Path;

use anyhow::{Context, bail};
use basalt_model::host::answer::{DiskChoice, DiskRule, Take};

use crate::disks::Disk;

/// The disk that the answer file's table `table` chooses.
pub fn choose_disk<'a>(
    table: &str,
    choice: &DiskChoice,
    disks: &'a [Disk],
) -> anyhow::Result<&'a Disk> {
    let known = || {
        let list: Vec<String> = disks
            .iter()
            .map(|disk| format!("{} (serial {})", disk.path.display(), disk.serial))
            .collect();
        if list.is_empty() {
            "no disk at all".to_owned()
        } else {
            list.join(", ")
        }
    };
    match choice {
        DiskChoice::Device(path) => disks
            .iter()
            .find(|disk| disk.path == Path::new(path))
            .with_context(|| format!("{table}.device: there is no {path}; found {}", known())),
        DiskChoice::Serial(serial) => disks
            .iter()
            .find(|disk| disk.serial == *serial)
            .with_context(|| {
                format!(
                    "{table}.serial: no disk has the serial {serial}; found {}",
                    known()
                )
            }),
        DiskChoice::Rule(rule) => {
            choose_by_rule(rule, disks).with_context(|| format!("{table}: found {}", known()))
        }
        DiskChoice::Only => {
            let free: Vec<&Disk> = disks
                .iter()
                .filter(|disk| disk.busy.is_none() && !disk.is_medium)
                .collect();
            match free.as_slice() {
                [disk] => Ok(disk),
                [] => bail!("{table}: there is no disk to install on; found {}", known()),
                _ => bail!(
                    "{table}: say which one by `device` or `serial`; found {}",
                    known()
                ),
            }
        }
    }
}

fn choose_by_rule<'a>(rule: &DiskRule, disks: &'a [Disk]) -> anyhow::Result<&'a Disk> {
    let mut fitting: Vec<&Disk> = disks
        .iter()
        .filter(|disk| disk.busy.is_none() && !disk.is_medium)
        .filter(|disk| rule.fits(&disk.model, disk.size))
        .collect();
    fitting.sort_by_key(|disk| disk.size);
    match (fitting.as_slice(), rule.take) {
        ([], _) => bail!("no disk fits the rule"),
        ([disk], _) => Ok(disk),
        ([first, second, ..], Some(Take::Smallest)) if first.size < second.size => Ok(first),
        ([.., second, last], Some(Take::Largest)) if last.size > second.size => Ok(last),
        (several, _) => bail!(
            "{} disks fit the rule: make it say which one, by `take` or by `serial`",
            several.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::disk;
    use super::*;

    #[test]
    fn the_disk_is_the_one_that_was_meant() {
        let medium = Disk {
            is_medium: true,
            ..disk("/dev/vdb", "A", 1)
        };
        let mut disks = vec![disk("/dev/vda", "S", 1 << 40), medium];
        let choose = |choice: DiskChoice, disks: &[Disk]| {
            choose_disk("disk", &choice, disks)
                .map(|disk| disk.path.clone())
                .map_err(|e| e.to_string())
        };
        assert_eq!(
            choose(DiskChoice::Only, &disks).unwrap(),
            Path::new("/dev/vda")
        );
        assert_eq!(
            choose(DiskChoice::Serial("S".into()), &disks).unwrap(),
            Path::new("/dev/vda")
        );
        disks.push(disk("/dev/vdc", "T", 1 << 40));
        let error = choose(DiskChoice::Only, &disks).unwrap_err();
        assert!(
            error.contains("/dev/vda (serial S)") && error.contains("/dev/vdc"),
            "{error}"
        );
        let error = choose(DiskChoice::Device("/dev/sda".into()), &disks).unwrap_err();
        assert!(
            error.starts_with("disk.device: there is no /dev/sda"),
            "{error}"
        );
        let error = choose(DiskChoice::Serial("X".into()), &disks).unwrap_err();
        assert!(error.starts_with("disk.serial:"), "{error}");
        assert!(
            choose(DiskChoice::Only, &[])
                .unwrap_err()
                .contains("no disk at all")
        );
    }

    #[test]
    fn a_rule_chooses_one_disk_or_none() {
        let named = |path, model: &str, gib: u64| Disk {
            model: model.to_owned(),
            ..disk(path, path, gib << 30)
        };
        let disks = [
            named("/dev/sda", "ACME Fast", 200),
            named("/dev/sdb", "ACME Fast", 100),
            named("/dev/sdc", "Other", 50),
            named("/dev/sdd", "Other", 50),
        ];
        let choose = |rule: DiskRule| {
            choose_disk("disk", &DiskChoice::Rule(rule), &disks)
                .map(|disk| disk.path.display().to_string())
                .map_err(|error| format!("{error:#}"))
        };
        let acme = DiskRule {
            model: Some("acme".to_owned()),
            ..DiskRule::default()
        };
        assert!(choose(acme.clone()).unwrap_err().contains("2 disks fit"));
        let smallest = |rule: DiskRule| DiskRule {
            take: Some(Take::Smallest),
            ..rule
        };
        assert_eq!(choose(smallest(acme.clone())).unwrap(), "/dev/sdb");
        let largest = DiskRule {
            take: Some(Take::Largest),
            ..DiskRule::default()
        };
        assert_eq!(choose(largest).unwrap(), "/dev/sda");
        // Two of the same size are not told apart by it.
        assert!(choose(smallest(DiskRule::default())).is_err());
        let huge = DiskRule {
            min_size: Some("1 TB".parse().unwrap()),
            ..DiskRule::default()
        };
        let error = choose(huge).unwrap_err();
        assert!(
            error.contains("no disk fits") && error.contains("/dev/sdc"),
            "{error}"
        );
    }
}

//! What is to be done, decided and checked before a single byte is written.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use basalt_layout::Version;
use basalt_layout::disk::{MIN_DISK_SIZE, ROOT_SIZE, VERITY_SIZE};
use basalt_model::host::answer::{
    After, AnswerFile, DiskChoice, DiskRule, Enrol, Existing as Wish, RootPassword, Take,
};
use basalt_model::host::{HostConfig, MacAddress, Port};

use crate::disks::{Disk, gib};
use crate::existing::{self, Existing};
use crate::source::Source;
use crate::{keyboard, password, secure_boot};

/// A decided installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where to.
    pub disk: Disk,
    /// The second disk that holds everything once more.
    pub mirror: Option<Disk>,
    /// How much of the disk is written.
    pub mode: Mode,
    /// What makes this host this host; a repair leaves what is there.
    pub host: HostConfig,
    /// What follows.
    pub after: After,
    /// Whether the firmware is told of our certificates.
    pub secure_boot: Enrol,
}

/// How much of a disk is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    #[default]
    Fresh,
    /// Boot files, system and configuration; everything else on the data partition stays.
    KeepData,
    /// Boot files and system only.
    Repair,
}

/// Makes a plan out of an answer file.
pub fn from_answers(answers: &AnswerFile, disks: &[Disk], source: &Source) -> anyhow::Result<Plan> {
    let disk = choose_disk("disk", &answers.disk, disks)?;
    check_disk(disk)?;
    let found = existing::find(&disk.path);
    let mode = choose_mode(answers.existing, disk, found.as_ref(), &source.version)?;
    let mirror = match &answers.mirror {
        None => None,
        Some(choice) => Some(choose_mirror(
            choice,
            answers.existing,
            disk,
            disks,
            source,
        )?),
    };
    let root_password_hash = match &answers.root_password {
        RootPassword::Plain(text) => Some(password::hash(text)?),
        RootPassword::Hash(hash) => Some(hash.clone()),
        RootPassword::Locked => None,
    };
    tracing::info!(disk = %disk.path.display(), version = %source.version, "planned");
    Ok(Plan {
        disk: disk.clone(),
        mirror,
        mode,
        host: HostConfig {
            hostname: answers.hostname.clone(),
            network: answers.network.clone(),
            timezone: answers.timezone.clone(),
            keyboard: answers.keyboard.clone(),
            email: answers.email.clone(),
            root_password_hash,
            root_ssh_keys: answers.root_ssh_keys.clone(),
        },
        after: answers.after,
        secure_boot: answers.secure_boot,
    })
}

/// Plans the repair of the Basalt on a disk, whose configuration stays.
pub fn repair(device: &str, disks: &[Disk], source: &Source) -> anyhow::Result<Plan> {
    let disk = choose_disk("disk", &DiskChoice::Device(device.to_owned()), disks)?;
    check_disk(disk)?;
    let found = existing::find(&disk.path);
    Ok(Plan {
        disk: disk.clone(),
        // The running host brings the other disk of a mirror up to date by itself.
        mirror: None,
        mode: choose_mode(Wish::Repair, disk, found.as_ref(), &source.version)?,
        host: HostConfig::fallback(),
        after: After::Reboot,
        // The firmware stays as it is.
        secure_boot: Enrol::Leave,
    })
}

/// The second disk, when it is another one that can be used and holds nothing to be kept.
fn choose_mirror(
    choice: &DiskChoice,
    wish: Wish,
    disk: &Disk,
    disks: &[Disk],
    source: &Source,
) -> anyhow::Result<Disk> {
    let others: Vec<Disk> = match choice {
        // Whatever is named must be found, even if it is the first disk: that is the mistake then.
        DiskChoice::Device(_) | DiskChoice::Serial(_) => disks.to_vec(),
        DiskChoice::Rule(_) | DiskChoice::Only => {
            let is_other = |other: &&Disk| other.path != disk.path;
            disks.iter().filter(is_other).cloned().collect()
        }
    };
    let mirror = choose_disk("mirror", choice, &others)?;
    check_mirror(disk, mirror)?;
    let found = existing::find(&mirror.path);
    choose_mode(wish, mirror, found.as_ref(), &source.version).context("mirror")?;
    Ok(mirror.clone())
}

/// Whether `mirror` can be the second disk beside `disk`.
pub fn check_mirror(disk: &Disk, mirror: &Disk) -> anyhow::Result<()> {
    let path = mirror.path.display();
    ensure!(
        mirror.path != disk.path,
        "mirror: {path} is also the first disk; a mirror needs another one"
    );
    check_usable("mirror", mirror)
}

/// What may be done with a disk, by the wish and by what is there.
pub fn choose_mode(
    wish: Wish,
    disk: &Disk,
    found: Option<&Existing>,
    version: &Version,
) -> anyhow::Result<Mode> {
    let path = disk.path.display();
    let mode = match (wish, found) {
        (Wish::Repair, None) => {
            bail!("existing.action: {path} holds no Basalt that could be repaired")
        }
        // The same answer file serves the first installation and every later one.
        (_, None) | (Wish::Wipe, Some(_)) => Mode::Fresh,
        (Wish::Refuse, Some(found)) => bail!(
            "existing.action: {path} already holds {found}; say `repair`, `keep-data` or `wipe`"
        ),
        (Wish::Repair, Some(_)) => Mode::Repair,
        (Wish::KeepData, Some(_)) => Mode::KeepData,
    };
    if let (Mode::Repair | Mode::KeepData, Some(found)) = (mode, found)
        && let Some(newest) = found.versions.iter().max()
    {
        // An older version may not understand the newer one's data.
        ensure!(
            newest <= version,
            "existing.action: {path} holds Basalt {newest}, this medium is {version}; use a medium \
             that is not older"
        );
    }
    Ok(mode)
}

/// The disk that the answer file's table `table` chooses.
fn choose_disk<'a>(
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

/// Checks everything that can be known before writing.
pub fn check(plan: &Plan, source: &Source) -> anyhow::Result<()> {
    check_disk(&plan.disk)?;
    if let Some(mirror) = &plan.mirror {
        ensure!(
            plan.mode == Mode::Fresh,
            "mirror: made only by an installation that keeps nothing; leave it out, and add the \
             second disk afterwards: basalt-update mirror add DISK"
        );
        check_mirror(&plan.disk, mirror)?;
    }
    secure_boot::check(plan.secure_boot)?;
    check_network(plan.host.network.port, Path::new("/sys/class/net"))?;
    let zone = Path::new("/usr/share/zoneinfo").join(plan.host.timezone.as_str());
    ensure!(
        zone.is_file(),
        "timezone: there is no time zone `{}`",
        plan.host.timezone
    );
    let keyboard = &plan.host.keyboard;
    ensure!(
        keyboard::exists(keyboard),
        "keyboard: there is no keyboard `{keyboard}`"
    );
    for (what, size, room) in [
        ("root file system", source.root_size()?, ROOT_SIZE),
        ("hash tree", source.verity_size()?, VERITY_SIZE),
    ] {
        ensure!(
            size <= room,
            "the medium's {what} has {size} bytes, a slot only {room}"
        );
    }
    Ok(())
}

/// Whether a disk can be installed on.
pub fn check_disk(disk: &Disk) -> anyhow::Result<()> {
    check_usable("disk", disk)
}

fn check_usable(table: &str, disk: &Disk) -> anyhow::Result<()> {
    let path = disk.path.display();
    if let Some(reason) = &disk.busy {
        bail!("{table}: {path} cannot be used: {reason}");
    }
    ensure!(
        disk.size >= MIN_DISK_SIZE,
        "{table}: {path} is too small: it has {}, Basalt needs {}",
        disk.size_text(),
        gib(MIN_DISK_SIZE + (1 << 30) / 10)
    );
    Ok(())
}

fn check_network(port: Port, sys: &Path) -> anyhow::Result<()> {
    let cards = network_cards(sys);
    let found = || {
        let list: Vec<String> = cards
            .iter()
            .map(|(name, mac)| format!("{name} ({mac})"))
            .collect();
        list.join(", ")
    };
    ensure!(
        !cards.is_empty(),
        "network.port: this machine has no network card; add one, for Basalt is managed over it"
    );
    if let Port::Mac(wanted) = port {
        ensure!(
            cards.iter().any(|(_, mac)| *mac == wanted),
            "network.port: no network card has the address {wanted}; found {}",
            found()
        );
    }
    Ok(())
}

/// Names and addresses of the wired network cards.
pub fn network_cards(sys: &Path) -> Vec<(String, MacAddress)> {
    let Ok(entries) = std::fs::read_dir(sys) else {
        return Vec::new();
    };
    let mut cards: Vec<(String, MacAddress)> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let folder = entry.path();
            let kind = std::fs::read_to_string(folder.join("type")).unwrap_or_default();
            folder.join("device").exists()
                && kind.trim() == "1"
                && !folder.join("wireless").exists()
        })
        .filter_map(|entry| {
            let mac = std::fs::read_to_string(entry.path().join("address")).ok()?;
            Some((
                entry.file_name().to_string_lossy().into_owned(),
                mac.trim().parse().ok()?,
            ))
        })
        .collect();
    cards.sort_by(|(a, _), (b, _)| a.cmp(b));
    cards
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &str, serial: &str, size: u64) -> Disk {
        Disk {
            path: path.into(),
            size,
            model: "model".to_owned(),
            serial: serial.to_owned(),
            content: "nothing".to_owned(),
            busy: None,
            is_medium: false,
        }
    }

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

    #[test]
    fn what_is_there_is_kept_unless_the_wish_says_otherwise() {
        let disk = disk("/dev/vda", "S", 1 << 40);
        let found = Existing {
            versions: vec!["0.2.0".parse().unwrap()],
            host: None,
        };
        let (old, new) = ("0.1.0".parse().unwrap(), "0.2.0".parse().unwrap());
        let choose = |wish, found: Option<&Existing>, version: &Version| {
            choose_mode(wish, &disk, found, version).map_err(|error| error.to_string())
        };
        for wish in [Wish::Refuse, Wish::KeepData, Wish::Wipe] {
            assert_eq!(choose(wish, None, &new), Ok(Mode::Fresh));
        }
        assert!(choose(Wish::Repair, None, &new).is_err());
        let refused = choose(Wish::Refuse, Some(&found), &new).unwrap_err();
        assert!(
            refused.contains("/dev/vda already holds Basalt 0.2.0"),
            "{refused}"
        );
        assert_eq!(choose(Wish::Repair, Some(&found), &new), Ok(Mode::Repair));
        assert_eq!(
            choose(Wish::KeepData, Some(&found), &new),
            Ok(Mode::KeepData)
        );
        assert_eq!(choose(Wish::Wipe, Some(&found), &old), Ok(Mode::Fresh));
        let older = choose(Wish::Repair, Some(&found), &old).unwrap_err();
        assert!(older.contains("not older"), "{older}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let error = check_disk(&disk("/dev/vda", "S", 4 << 30))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "disk: /dev/vda is too small: it has 4.0 GiB, Basalt needs 5.7 GiB"
        );
        let busy = Disk {
            busy: Some("the installer runs from it".to_owned()),
            ..disk("/dev/vda", "S", 1 << 40)
        };
        assert!(
            check_disk(&busy)
                .unwrap_err()
                .to_string()
                .contains("runs from it")
        );
        assert!(check_disk(&disk("/dev/vda", "S", MIN_DISK_SIZE)).is_ok());
    }

    #[test]
    fn a_second_disk_is_another_one_and_large_enough() {
        let first = disk("/dev/vda", "S", 1 << 40);
        let refused = |second: &Disk| check_mirror(&first, second).unwrap_err().to_string();
        assert!(refused(&first).starts_with("mirror: /dev/vda is also the first disk"));
        let small = refused(&disk("/dev/vdb", "T", 4 << 30));
        assert!(
            small.starts_with("mirror: /dev/vdb is too small"),
            "{small}"
        );
        let busy = Disk {
            busy: Some("/dev/vdb1 is in use at /mnt".to_owned()),
            ..disk("/dev/vdb", "T", 1 << 40)
        };
        assert!(refused(&busy).contains("in use at /mnt"));
        check_mirror(&first, &disk("/dev/vdb", "T", MIN_DISK_SIZE)).unwrap();
        let error = choose_disk("mirror", &DiskChoice::Serial("X".into()), &[first]).unwrap_err();
        assert!(
            error.to_string().starts_with("mirror.serial: no disk"),
            "{error}"
        );
    }

    #[test]
    fn a_machine_without_a_network_card_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = check_network(Port::First, dir.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("network.port: this machine has no network card"),
            "{error}"
        );
        let card = dir.path().join("enp1s0");
        std::fs::create_dir_all(card.join("device")).unwrap();
        std::fs::write(card.join("type"), "1\n").unwrap();
        std::fs::write(card.join("address"), "52:54:00:00:00:01\n").unwrap();
        check_network(Port::First, dir.path()).unwrap();
        check_network(Port::Mac("52:54:00:00:00:01".parse().unwrap()), dir.path()).unwrap();
        let other = Port::Mac("52:54:00:00:00:02".parse().unwrap());
        let error = check_network(other, dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("found enp1s0 (52:54:00:00:00:01)"),
            "{error}"
        );
    }
}

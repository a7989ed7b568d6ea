//! What is to be done, decided and checked before a single byte is written.

mod choose;
pub mod pool;
pub mod room;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use basalt_layout::Version;
use basalt_layout::disk::{MIN_DISK_SIZE, ROOT_SIZE, VERITY_SIZE};
use basalt_model::host::answer::{
    After, AnswerFile, DiskChoice, EncryptionChoice, Enrol, Existing as Wish, RootPassword,
};
use basalt_model::host::{HostConfig, MacAddress, Port, TimeZone};

use crate::disks::{Disk, gib};
use crate::engine::encryption;
use crate::existing::{self, Existing};
use crate::source::Source;
use crate::{keyboard, password, secure_boot};
use choose::choose_disk;

pub use pool::PoolPlan;

/// A decided installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where to.
    pub disk: Disk,
    /// The second disk that holds everything once more.
    pub mirror: Option<Disk>,
    /// How much of the disk is written.
    pub mode: Mode,
    /// The pool for guests' disks that is made; none for a directory, and where data stays.
    pub pool: Option<PoolPlan>,
    /// Whether data and pool are encrypted; where data stays, that stays, too.
    pub encryption: EncryptionChoice,
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
    room::check_kept(&answers.data, mode, disk, found.as_ref())?;
    let pool = match mode {
        Mode::Fresh => match &answers.data.apart {
            Some(apart) => {
                let system: Vec<&Disk> = [disk].into_iter().chain(&mirror).collect();
                Some(pool::choose(apart, &system, disks, answers.existing)?)
            }
            None => room::choose(&answers.data, disk, mirror.as_ref())?,
        },
        Mode::KeepData | Mode::Repair => None,
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
        pool,
        encryption: match mode {
            Mode::Fresh => answers.data.encryption.clone(),
            Mode::KeepData | Mode::Repair => EncryptionChoice::None,
        },
        host: HostConfig {
            hostname: answers.hostname.clone(),
            network: answers.network.clone(),
            dns: None,
            timezone: answers.timezone.clone(),
            keyboard: answers.keyboard.clone(),
            email: answers.email.clone(),
            root_password_hash,
            root_ssh_keys: answers.root_ssh_keys.clone(),
            // It has a name once it is made.
            pool: None,
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
        pool: None,
        encryption: EncryptionChoice::None,
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

/// Whether the time zone database has this zone.
pub fn has_time_zone(zone: &TimeZone) -> bool {
    Path::new("/usr/share/zoneinfo")
        .join(zone.as_str())
        .is_file()
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
    if plan.encryption != EncryptionChoice::None {
        encryption::check()?;
    }
    secure_boot::check(plan.secure_boot)?;
    check_network(plan.host.network.port, Path::new("/sys/class/net"))?;
    let zone = &plan.host.timezone;
    ensure!(
        has_time_zone(zone),
        "timezone: there is no time zone `{zone}`"
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
    use basalt_model::host::answer::GuestStorage;

    pub fn disk(path: &str, serial: &str, size: u64) -> Disk {
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
    fn what_is_there_is_kept_unless_the_wish_says_otherwise() {
        let disk = disk("/dev/vda", "S", 1 << 40);
        let found = Existing {
            versions: vec!["0.2.0".parse().unwrap()],
            host: None,
            storage: Some(GuestStorage::Directory),
            encrypted: Some(false),
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

//! The installer's faces on every firmware, with one disk and two, with every kind of room for guests.
//!
//! There are 36 ways to combine them; these nine have every pair of choices at least once. Of a host on
//! two disks the one it was booted from is pulled, and it boots from the other.

use super::by_hand::{self, HOSTNAME, PASSWORD, Wishes};
use super::mirror::{self, SECOND, SECOND_SERIAL};
use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::lab::{Guarded, Lab};
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::{Keys, SYSTEM_SERIAL};
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use basalt_image::appliance::qemu::Firmware;
use basalt_model::host::answer::GuestStorage;
use serde_json::Value;
use std::time::Duration;

/// Who answers the installer's questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    AnswerFile,
    Terminal,
    Browser,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    face: Face,
    firmware: Firmware,
    wishes: Wishes,
}

const fn row_of(face: Face, firmware: Firmware, second_disk: bool, storage: GuestStorage) -> Row {
    let wishes = Wishes {
        second_disk,
        storage,
    };
    Row {
        face,
        firmware,
        wishes,
    }
}

const ROWS: [Row; 9] = {
    use Face::{AnswerFile, Browser, Terminal};
    use Firmware::{Bios, Secure, Uefi};
    use GuestStorage::{Directory, LvmThin, Zfs};
    [
        row_of(AnswerFile, Uefi, false, Directory),
        row_of(AnswerFile, Secure, true, LvmThin),
        row_of(AnswerFile, Bios, true, Zfs),
        row_of(Terminal, Uefi, true, LvmThin),
        row_of(Terminal, Secure, false, Zfs),
        row_of(Terminal, Bios, true, Directory),
        row_of(Browser, Uefi, true, Zfs),
        row_of(Browser, Secure, true, Directory),
        row_of(Browser, Bios, false, LvmThin),
    ]
};

/// A host by its name, and what lets root in.
struct Host {
    name: &'static str,
    password: String,
}

/// Installs a row of the table and boots what was installed; with two disks, then from the second alone.
pub fn row<const NUMBER: usize>(lab: &mut Lab<'_>) -> Result<()> {
    let row = ROWS[NUMBER];
    let limit = install::LIMIT * lab.shared.snapshot.accel().patience();
    let (mut machine, host) = match row.face {
        Face::AnswerFile => by_answer_file(lab, row)?,
        Face::Terminal | Face::Browser => {
            let (mut machine, limit) = by_hand::installer(lab, &row.attempt())?;
            match row.face {
                Face::Terminal => by_hand::at_terminal(&mut machine, row.wishes, limit)?,
                _ => by_hand::in_browser(&mut machine, row.wishes, limit)?,
            }
            let host = Host {
                name: HOSTNAME,
                password: PASSWORD.to_owned(),
            };
            (machine, host)
        }
    };
    machine.node.set_firmware(row.firmware, false);
    let mut disks = vec![mirror::disk(DISK, SYSTEM_SERIAL)];
    if row.wishes.second_disk {
        disks.push(mirror::disk(SECOND, SECOND_SERIAL));
    }
    machine.power_on_with(&disks)?;
    let api = healthy(&machine, &host, limit)?;
    started_as_meant(&api, &host, row)?;
    holds(&api, &host, row.wishes.storage)?;
    if row.wishes.second_disk {
        mirrored(&api, &host, true, machine.limit())?;
        machine.node.kill();
        machine.power_on_with(&disks[1..])?;
        let api = healthy(&machine, &host, limit).context("from the second disk alone")?;
        started_as_meant(&api, &host, row)?;
        mirrored(&api, &host, false, machine.limit())?;
        holds(&api, &host, row.wishes.storage).context("on the second disk alone")?;
    }
    machine.done();
    Ok(())
}

impl Row {
    fn attempt(&self) -> Attempt<'static> {
        Attempt {
            firmware: self.firmware,
            second: self.wishes.second_disk.then_some(SECOND),
            ..Attempt::default()
        }
    }
}

fn by_answer_file(lab: &mut Lab<'_>, row: Row) -> Result<(Guarded, Host)> {
    let answer = Keys::ensure()?.answer("basalt")?;
    let host = Host {
        name: NODE,
        password: answer.password.context("an answer without a password")?,
    };
    let mut text = answer.text;
    if row.wishes.second_disk {
        text += &format!("\n[mirror]\nserial = \"{SECOND_SERIAL}\"\n");
    }
    text += &format!("\n[data]\nstorage = \"{}\"\n", row.wishes.storage.as_str());
    let attempt = Attempt {
        answer: Some(&text),
        ..row.attempt()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let iso = &lab.shared.built.iso;
    match install::attempt(&mut machine.node, iso, &attempt, accel)? {
        Outcome::Installed => Ok((machine, host)),
        Outcome::Failed(why) => bail!("not installed: {why}"),
    }
}

/// Waits for the host's own word that it is healthy; of hosts that were installed by hand, nobody has a
/// key.
fn healthy(machine: &Appliance, host: &Host, limit: Duration) -> Result<Api> {
    machine.says_healthy(limit)?;
    Api::login(machine.node.state().port, &host.password)
}

fn started_as_meant(api: &Api, host: &Host, row: Row) -> Result<()> {
    let status = api.get(&format!("/nodes/{}/status", host.name))?;
    let boot = &status["boot-info"];
    let (mode, secure) = match row.firmware {
        Firmware::Uefi => ("efi", Some(false)),
        Firmware::Secure => ("efi", Some(true)),
        Firmware::Bios => ("legacy-bios", None),
    };
    ensure!(
        boot["mode"] == mode && truth(&boot["secureboot"]) == secure,
        "the host was started as {boot}"
    );
    Ok(())
}

/// Waits until both disks hold everything, or until the host says that they do not.
fn mirrored(api: &Api, host: &Host, whole: bool, limit: Duration) -> Result<()> {
    let mut mirror = Value::Null;
    let came = poll::until(limit, Duration::from_secs(2), || {
        mirror = api.get(&format!("/nodes/{}/status", host.name))?["mirror"].clone();
        Ok::<_, anyhow::Error>((truth(&mirror["whole"]) == Some(whole)).then_some(()))
    })?;
    came.with_context(|| format!("the host says of its mirror: {mirror}"))
}

/// The storage that was chosen is there and has room.
fn holds(api: &Api, host: &Host, storage: GuestStorage) -> Result<()> {
    let (name, kind) = match storage {
        GuestStorage::Directory => ("local", "dir"),
        GuestStorage::LvmThin => ("local-lvm", "lvmthin"),
        GuestStorage::Zfs => ("local-zfs", "zfspool"),
    };
    let config = api.get(&format!("/storage/{name}"))?;
    let content = config["content"].as_str().unwrap_or_default();
    ensure!(
        config["type"] == kind && content.contains("images"),
        "guests' disks do not lie in {name}: {config}"
    );
    let status = api.get(&format!("/nodes/{}/storage/{name}/status", host.name))?;
    ensure!(
        truth(&status["active"]) == Some(true) && status["avail"].as_u64() > Some(1 << 30),
        "{name} has no room: {status}"
    );
    Ok(())
}

fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_u64().map(|n| n != 0))
}

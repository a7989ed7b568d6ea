//! A host on two disks, of which either one may be gone.

use super::update;
use crate::appliance::Appliance;
use crate::lab::{Guarded, Lab};
use crate::web;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::{Keys, SYSTEM_SERIAL};
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use basalt_image::appliance::qemu::{Disk, Firmware, Format};
use basalt_image::build::Emulator;
use serde_json::json;
use std::time::Duration;

/// Image of the second disk.
pub const SECOND: &str = "second.qcow2";
/// Its serial number.
pub const SECOND_SERIAL: &str = "basalt-second";

/// What the host says of its mirror.
const STATUS: &str = "/usr/lib/basalt/basalt-update mirror status";

/// Image of the disk that replaces the first one.
const THIRD: &str = "third.qcow2";
/// Size of the disks of a host that gets a new one, whose data is copied as a whole.
const SMALL: &str = "7G";

/// A host is installed on two disks. It boots from the second alone, with its data; from both, and
/// becomes whole; and then from the first alone, with what was written while that one was away.
pub fn either_disk(lab: &mut Lab<'_>) -> Result<()> {
    let mut all = vec![Firmware::Uefi];
    if std::env::var_os("BASALT_ALL_FIRMWARE").is_some() {
        all.push(Firmware::Bios);
    }
    for firmware in all {
        with(lab, firmware).with_context(|| format!("with {firmware:?}"))?;
    }
    Ok(())
}

fn with(lab: &mut Lab<'_>, firmware: Firmware) -> Result<()> {
    let attempt = Attempt {
        firmware,
        ..Attempt::default()
    };
    let mut machine = installed(lab, attempt, "")?;
    machine.node.set_firmware(firmware, false);
    let (first, second) = (disk(DISK, SYSTEM_SERIAL), disk(SECOND, SECOND_SERIAL));

    let both = [first.clone(), second.clone()];
    boot(&mut machine, &both, "mirror: whole").context("from both disks")?;
    write(&machine, "together")?;
    pull_first(&machine).context("without the disk it was booted from")?;
    machine.node.kill();

    let alone = "degraded: the data is on vda6 alone";
    boot(&mut machine, &[second], alone).context("from the second disk")?;
    read(&machine, "together")?;
    read(&machine, "first-pulled")?;
    write(&machine, "second-alone")?;
    let status = machine.api()?.get("/nodes/basalt/status")?;
    ensure!(
        status["mirror"]["whole"] == 0 || status["mirror"]["whole"] == false,
        "the API does not tell of the loss: {}",
        status["mirror"]
    );
    machine.node.kill();

    boot(&mut machine, &both, "mirror: ").context("from both disks again")?;
    read(&machine, "together")?;
    read(&machine, "second-alone")?;
    says(&machine, "mirror: whole")?;
    machine.node.kill();

    boot(&mut machine, &[first], alone).context("from the first disk")?;
    read(&machine, "together")?;
    read(&machine, "second-alone")?;
    machine.done();
    Ok(())
}

/// A machine that is off, on whose two disks Basalt has just been installed, with `more` in the answer
/// file.
pub fn installed<'a>(lab: &mut Lab<'_>, attempt: Attempt<'a>, more: &str) -> Result<Guarded> {
    let answer = Keys::ensure()?.answer("basalt")?.text;
    let answer = format!("{answer}\n[mirror]\nserial = \"{SECOND_SERIAL}\"\n{more}");
    let attempt = Attempt {
        answer: Some(&answer),
        second: Some(SECOND),
        ..attempt
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let iso = &lab.shared.built.iso;
    match install::attempt(&mut machine.node, iso, &attempt, accel)? {
        Outcome::Installed => Ok(machine),
        Outcome::Failed(why) => bail!("not installed: {why}"),
    }
}

/// The first disk dies for good. A blank one takes its place and becomes whole; an update goes to
/// both; then the new disk alone boots the new version, with all data, and goes back to the old one.
pub fn new_disk(lab: &mut Lab<'_>) -> Result<()> {
    let update = update::build_other()?;
    let folder = update.bundle.parent().context("a bundle in no folder")?;
    let server = web::serve(folder)?;
    let name = update.bundle.file_name().context("a bundle without name")?;
    let bundle = format!("{server}/{}", name.to_string_lossy());
    let attempt = Attempt {
        size: SMALL,
        ..Attempt::default()
    };
    let mut machine = installed(lab, attempt, "")?;
    std::fs::remove_file(machine.node.dir().join(DISK))?;
    let (second, third) = (disk(SECOND, SECOND_SERIAL), disk(THIRD, SYSTEM_SERIAL));
    blank(&machine, THIRD)?;

    let alone = "degraded: the data is on vda6 alone";
    boot(&mut machine, &[second.clone(), third.clone()], alone).context("without the first")?;
    let old = update::running_version(&machine)?;
    write(&machine, "before")?;
    join(&machine)?;
    write(&machine, "joined")?;
    let ssh = machine.ssh();
    ssh.run(&format!("/usr/lib/basalt/basalt-update install {bundle}"))?;
    machine.reboot()?;
    let now = update::running_version(&machine)?;
    ensure!(now == update::VERSION, "{now} runs after the update");
    kept(&machine).context("the second disk did not learn that the version stays")?;
    machine.node.kill();

    boot(&mut machine, &[third], alone).context("from the new disk alone")?;
    let now = update::running_version(&machine)?;
    ensure!(now == update::VERSION, "{now} runs from the new disk");
    read(&machine, "before")?;
    read(&machine, "joined")?;
    machine
        .ssh()
        .run("/usr/lib/basalt/basalt-update rollback")?;
    machine.reboot()?;
    let now = update::running_version(&machine)?;
    ensure!(now == old, "{now} runs after the roll-back");
    read(&machine, "joined")?;
    machine.done();
    Ok(())
}

/// Makes an empty disk.
fn blank(machine: &Appliance, name: &str) -> Result<()> {
    let made = Emulator::ensure()?
        .command("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(machine.node.dir().join(name))
        .arg(SMALL)
        .status()
        .context("cannot run qemu-img")?;
    ensure!(made.success(), "no disk {name}");
    Ok(())
}

/// Adds the blank disk. A disk that is in use, and what is no disk, is refused before.
fn join(machine: &Appliance) -> Result<()> {
    let ssh = machine.ssh();
    let add = "/usr/lib/basalt/basalt-update mirror add";
    for (name, why) in [
        ("/dev/vda", "is in use"),
        ("/dev/vda6", "is no disk"),
        ("/dev/none", "No such file"),
    ] {
        let refused = ssh.output(&format!("{add} {name}"))?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            !refused.status.success() && said.contains(why),
            "{name} is refused as {said:?}"
        );
    }
    ssh.run(&format!("{add} /dev/vdb"))?;
    says(machine, "mirror: whole")?;
    let again = ssh.output(&format!("{add} /dev/vdb"))?;
    ensure!(!again.status.success(), "added twice");
    Ok(())
}

/// Waits until both disks have the new version for good.
fn kept(machine: &Appliance) -> Result<()> {
    let look = format!(
        "mkdir -p /run/look && for disk in vda vdb; do \
         mount /dev/${{disk}}1 /run/look && ls /run/look/EFI/Linux; umount /run/look; done \
         | grep --count --line-regexp basalt_{}.efi",
        update::VERSION
    );
    let mut found = String::new();
    let both = poll::until(machine.limit(), Duration::from_secs(2), || {
        found = String::from_utf8_lossy(&machine.ssh().output(&look)?.stdout).into_owned();
        Ok::<_, anyhow::Error>((found.trim() == "2").then_some(()))
    })?;
    both.with_context(|| format!("on {} disks", found.trim()))
}

/// Takes the disk away that the host was booted from: it runs on, with its system and its data.
pub fn pull_first(machine: &Appliance) -> Result<()> {
    let pull = json!({ "command-line": "drive_del disk0" });
    machine.node.qmp()?.execute("human-monitor-command", pull)?;
    write(machine, "first-pulled")?;
    // What is read now comes from a disk, not from memory.
    let read_all = "echo 3 > /proc/sys/vm/drop_caches && \
                    find /usr/lib/basalt -type f -exec cat {} + > /dev/null";
    machine.ssh().run(read_all)?;
    says(machine, "mirror: degraded: the data is on vdb6 alone")
}

pub fn disk(file: &str, serial: &'static str) -> Disk {
    Disk {
        file: file.into(),
        format: Format::Qcow2,
        readonly: false,
        serial,
        log: None,
    }
}

/// Boots from these disks, and checks what the host says of its mirror.
pub fn boot(machine: &mut Appliance, disks: &[Disk], expected: &str) -> Result<()> {
    machine.power_on_with(disks)?;
    machine.healthy()?;
    let said = machine.ssh().run(STATUS)?;
    ensure!(
        said.contains(expected),
        "the host says {said:?}, not {expected:?}"
    );
    let failed = machine
        .ssh()
        .run("systemctl list-units --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "units have failed:\n{failed}");
    Ok(())
}

/// Waits until the host says this of its mirror.
fn says(machine: &Appliance, expected: &str) -> Result<()> {
    let mut said = String::new();
    let came = poll::until(machine.limit(), Duration::from_secs(2), || {
        said = machine.ssh().run(STATUS)?;
        Ok::<_, anyhow::Error>((said == expected).then_some(()))
    })?;
    came.with_context(|| format!("the host says {said:?}, not {expected:?}"))
}

fn write(machine: &Appliance, word: &str) -> Result<()> {
    let line = format!("echo {word} > /var/lib/basalt/{word} && sync");
    machine.ssh().run(&line).map(drop)
}

fn read(machine: &Appliance, word: &str) -> Result<()> {
    let found = machine
        .ssh()
        .run(&format!("cat /var/lib/basalt/{word}"))
        .context("data is lost")?;
    ensure!(found == word, "{found:?} instead of {word:?}");
    Ok(())
}

//! A host on two disks, of which either one may be gone.

use crate::appliance::Appliance;
use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::{Keys, SYSTEM_SERIAL};
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use basalt_image::appliance::qemu::{Disk, Firmware, Format};
use serde_json::json;
use std::time::Duration;

/// Image of the second disk.
const SECOND: &str = "second.qcow2";
/// Its serial number.
const SECOND_SERIAL: &str = "basalt-second";

/// What the host says of its mirror.
const STATUS: &str = "/usr/lib/basalt/basalt-update mirror status";

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
    let answer = Keys::ensure()?.answer("basalt")?.text;
    let answer = format!("{answer}\n[mirror]\nserial = \"{SECOND_SERIAL}\"\n");
    let attempt = Attempt {
        answer: Some(&answer),
        second: Some(SECOND),
        firmware,
        ..Attempt::default()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    if let Outcome::Failed(why) =
        install::attempt(&mut machine.node, &lab.shared.built.iso, &attempt, accel)?
    {
        bail!("not installed: {why}");
    }
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

/// Takes the disk away that the host was booted from: it runs on, with its system and its data.
fn pull_first(machine: &Appliance) -> Result<()> {
    let pull = json!({ "command-line": "drive_del disk0" });
    machine.node.qmp()?.execute("human-monitor-command", pull)?;
    write(machine, "first-pulled")?;
    // What is read now comes from a disk, not from memory.
    let read_all = "echo 3 > /proc/sys/vm/drop_caches && \
                    find /usr/lib/basalt -type f -exec cat {} + > /dev/null";
    machine.ssh().run(read_all)?;
    says(machine, "mirror: degraded: the data is on vdb6 alone")
}

fn disk(file: &str, serial: &'static str) -> Disk {
    Disk {
        file: file.into(),
        format: Format::Qcow2,
        readonly: false,
        serial,
        log: None,
    }
}

/// Boots from these disks, and checks what the host says of its mirror.
fn boot(machine: &mut Appliance, disks: &[Disk], expected: &str) -> Result<()> {
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

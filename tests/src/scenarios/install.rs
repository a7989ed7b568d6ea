//! What an installation refuses, and that it then leaves the disk alone.

use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::build::Emulator;

/// An answer file with a mistake is refused with its line and key.
pub fn wrong_answer(lab: &mut Lab<'_>) -> Result<()> {
    let good = Keys::ensure()?.answer("basalt")?.text;
    let answer = good.replace("hostname = \"basalt\"", "hostname = \"no host name\"");
    ensure!(answer != good, "the answer file has no such line:\n{good}");
    refused(
        lab,
        &Attempt {
            answer: Some(&answer),
            ..Attempt::default()
        },
        &["hostname", "no host name"],
    )
}

/// A disk on which two slots and data find no room is refused.
pub fn small_disk(lab: &mut Lab<'_>) -> Result<()> {
    let answer = Keys::ensure()?.answer("basalt")?.text;
    refused(
        lab,
        &Attempt {
            answer: Some(&answer),
            size: "2G",
            ..Attempt::default()
        },
        &["disk", "GiB"],
    )
}

/// A machine without a network card is refused.
pub fn no_network(lab: &mut Lab<'_>) -> Result<()> {
    let answer = Keys::ensure()?.answer("basalt")?.text;
    refused(
        lab,
        &Attempt {
            answer: Some(&answer),
            network: false,
            ..Attempt::default()
        },
        &["network"],
    )
}

/// Attempts an installation that must be refused with these words, and leave the disk alone.
pub fn refused(lab: &mut Lab<'_>, attempt: &Attempt<'_>, words: &[&str]) -> Result<()> {
    let mut machine = lab.bare_machine()?;
    let accel = lab.shared.snapshot.accel();
    match install::attempt(&mut machine.node, &lab.shared.built.iso, attempt, accel)? {
        Outcome::Installed => bail!("it was installed"),
        Outcome::Failed(why) => {
            for word in words {
                ensure!(why.contains(word), "the error does not say {word:?}: {why}");
            }
        }
    }
    let map = Emulator::ensure()?
        .command("qemu-img")
        .args(["map", "--output=json"])
        .arg(machine.node.dir().join(DISK))
        .output()
        .context("cannot run qemu-img")?;
    let map = String::from_utf8_lossy(&map.stdout).into_owned();
    ensure!(
        !map.contains("\"data\": true"),
        "something was written to the disk: {map}"
    );
    machine.done();
    Ok(())
}

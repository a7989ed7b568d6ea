//! Data that only its own machine opens, or whoever has the recovery key.

use crate::lab::Lab;
use crate::person::Person;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::qemu::Firmware;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The owner's key.
const KEY: &str = "an owner's own key, kept in a safe place";

/// Where something is written that nobody else may read, and what.
const FILE: &str = "/var/lib/vz/secret";
const SECRET: &str = "a7c1-nobody-else-may-read-this-5e90";

/// Something that lies on the disk for everybody to read: the boot loader's configuration.
const PUBLIC: &str = "secure-boot-enroll";

/// How much of a disk is looked at at a time, in bytes.
const CHUNK: usize = 4 << 20;

/// A host is installed with encrypted data on a machine with a TPM. It boots with nobody there, also after
/// the key for the first boot is gone; what it writes cannot be read from its disk; and with another TPM
/// it asks for the recovery key, which opens it.
pub fn opens(lab: &mut Lab<'_>) -> Result<()> {
    let answer = Keys::ensure()?.answer("basalt")?.text
        + &format!("\n[data]\nencryption = \"tpm\"\nrecovery_key = \"{KEY}\"\n");
    let attempt = Attempt {
        answer: Some(&answer),
        firmware: Firmware::Secure,
        ..Attempt::default()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    machine.node.set_firmware(Firmware::Secure, true);
    let iso = &lab.shared.built.iso;
    if let Outcome::Failed(why) = install::attempt(&mut machine.node, iso, &attempt, accel)? {
        bail!("not installed: {why}");
    }
    machine.power_on()?;
    machine.healthy()?;
    let ssh = machine.ssh();
    ssh.run("systemctl start basalt-seal.service")?;
    let keys = ssh.run("systemd-cryptenroll /dev/disk/by-partlabel/basalt-data")?;
    ensure!(
        keys.contains("tpm2") && !keys.lines().any(|line| line.trim_start().starts_with("1 ")),
        "the data opens by {keys}"
    );
    ssh.run(&format!("echo {SECRET} > {FILE} && sync"))?;

    machine.reboot().context("with nobody there")?;
    let read = format!("cat {FILE}");
    ensure!(
        machine.ssh().run(&read)? == SECRET,
        "the data is another one"
    );
    machine.node.kill();
    let disk = machine.node.dir().join(DISK);
    ensure!(contains(&disk, PUBLIC)?, "the disk was not read");
    ensure!(!contains(&disk, SECRET)?, "the secret is on the disk");

    // A TPM that knows nothing: what a thief has who took the disk.
    fs::remove_dir_all(machine.node.dir().join("tpm"))?;
    machine.power_on()?;
    let mut person = Person::at(&machine, machine.limit())?;
    person.sees("The TPM does not give the key")?;
    person.answers("Recovery key: ", "not this one")?;
    person.sees("This is not the recovery key")?;
    person.answers("Recovery key: ", KEY)?;
    person.sees("Opened.")?;
    drop(person);
    machine.healthy()?;
    ensure!(
        machine.ssh().run(&read)? == SECRET,
        "the data is another one"
    );
    machine.done();
    Ok(())
}

/// Whether a file has these words somewhere.
fn contains(file: &Path, words: &str) -> Result<bool> {
    let mut input = File::open(file)?;
    let mut kept = Vec::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = input.read(&mut buffer)?;
        if length == 0 {
            return Ok(false);
        }
        kept.extend_from_slice(&buffer[..length]);
        let found = kept
            .windows(words.len())
            .any(|window| window == words.as_bytes());
        if found {
            return Ok(true);
        }
        // The words may begin in this piece and end in the next one.
        kept.drain(..kept.len().saturating_sub(words.len()));
    }
}

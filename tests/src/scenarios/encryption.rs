//! Data that only its own machine opens, or whoever has the recovery key.

use super::mirror::{self, SECOND, SECOND_SERIAL};
use super::update;
use crate::appliance::Appliance;
use crate::lab::{Guarded, Lab};
use crate::person::Person;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::{Keys, SYSTEM_SERIAL};
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::qemu::Firmware;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The owner's key.
const KEY: &str = "a key of the owner, kept in a safe place";

/// Where something is written that nobody else may read, and what: among the data, and in the pool.
const FILE: &str = "/var/lib/vz/secret";
const SECRET: &str = "a7c1-nobody-else-may-read-this-5e90";
const POOL_SECRET: &str = "b3d9-nor-what-a-guest-has-written-77a2";

/// Something that lies on the disk for everybody to read: the boot loader's configuration.
const PUBLIC: &str = "console-mode keep";

/// How much of a disk is looked at at a time, in bytes.
const CHUNK: usize = 4 << 20;

/// A host is installed with encrypted data and pool on a machine with a TPM. It boots with nobody there,
/// after the key for the first boot is gone, and after an update. What it writes cannot be read from its
/// disk, and the TPM tells the key to nobody after the boot. With another TPM the host asks for the recovery
/// key, which opens it, and by which the new TPM learns to.
pub fn opens(lab: &mut Lab<'_>) -> Result<()> {
    let bundle = update::build_other()?.bundle;
    let mut machine = installed(
        lab,
        &Attempt::default(),
        "storage = \"lvm-thin\"\nsystem_size = \"6 GiB\"\n",
    )?;
    machine.power_on()?;
    machine.healthy()?;
    let device = sealed(&machine)?;
    let ask = format!(
        "cryptsetup open --test-passphrase --token-only --token-type systemd-tpm2 {device}"
    );
    let told = machine.ssh().output(&ask)?;
    ensure!(!told.status.success(), "the TPM still tells root the key");
    machine.ssh().run(&format!(
        "echo {SECRET} > {FILE} && dmsetup table basalt-pool | grep -q crypt && \
         group=$(vgs --noheadings --options vg_name | tr -d ' ') && \
         lvcreate --yes --virtualsize 64M --thinpool $group/data --name probe && \
         echo {POOL_SECRET} > /dev/$group/probe && sync"
    ))?;

    machine.reboot().context("with nobody there")?;
    reads(&machine)?;
    machine.copy_in(&bundle, "/var/tmp/update.bundle")?;
    let install = "/usr/lib/basalt/basalt-update install /var/tmp/update.bundle";
    machine.ssh().run(install)?;
    machine.reboot().context("after an update")?;
    let version = update::running_version(&machine)?;
    ensure!(version == update::VERSION, "{version} runs");
    reads(&machine)?;
    machine.node.kill();
    let disk = machine.node.dir().join(DISK);
    ensure!(contains(&disk, PUBLIC)?, "the disk was not read");
    for secret in [SECRET, POOL_SECRET] {
        ensure!(!contains(&disk, secret)?, "{secret} is on the disk");
    }

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
    reads(&machine)?;
    let anew = format!("echo '{KEY}' | /usr/lib/basalt/basalt-init seal --anew");
    machine.ssh().run(&anew)?;
    machine.reboot().context("with the new TPM")?;
    reads(&machine)?;
    machine.done();
    Ok(())
}

/// A host on two disks, with encrypted data in their array and a mirrored pool that ZFS encrypts. It boots
/// with nobody there from both, and from the second alone.
pub fn mirrored(lab: &mut Lab<'_>) -> Result<()> {
    let attempt = Attempt {
        second: Some(SECOND),
        ..Attempt::default()
    };
    let more = "storage = \"zfs\"\nsystem_size = \"6 GiB\"\n";
    let mut machine = installed(lab, &attempt, more)?;
    let first = mirror::disk(DISK, SYSTEM_SERIAL);
    let second = mirror::disk(SECOND, SECOND_SERIAL);
    mirror::boot(&mut machine, &[first, second.clone()], "mirror: whole")?;
    sealed(&machine)?;
    machine
        .ssh()
        .run(&format!("echo {SECRET} > {FILE} && sync"))?;
    machine.node.kill();

    let alone = "degraded: the data is on vda6 alone";
    mirror::boot(&mut machine, &[second], alone).context("from the second disk")?;
    let read = machine.ssh().run(&format!("cat {FILE}"))?;
    ensure!(read == SECRET, "the data is another one");
    let pool = machine
        .ssh()
        .run("zfs get -H -o value encryption,keystatus $(zpool list -H -o name)")?;
    let words: Vec<&str> = pool.split_whitespace().collect();
    ensure!(words == ["aes-256-gcm", "available"], "the pool is {pool}");
    machine.done();
    Ok(())
}

/// A machine that is off, with Secure Boot and a TPM, on which Basalt was installed with encryption;
/// `data` are further keys of that table.
fn installed(lab: &mut Lab<'_>, attempt: &Attempt<'_>, data: &str) -> Result<Guarded> {
    let mut answer = Keys::ensure()?.answer("basalt")?.text;
    if attempt.second.is_some() {
        answer += &format!("\n[mirror]\nserial = \"{SECOND_SERIAL}\"\n");
    }
    answer += &format!("\n[data]\n{data}encryption = \"tpm\"\nrecovery_key = \"{KEY}\"\n");
    let attempt = Attempt {
        answer: Some(&answer),
        firmware: Firmware::Secure,
        ..attempt.clone()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    machine.node.set_firmware(Firmware::Secure, true);
    let iso = &lab.shared.built.iso;
    match install::attempt(&mut machine.node, iso, &attempt, accel)? {
        Outcome::Installed => Ok(machine),
        Outcome::Failed(why) => bail!("not installed: {why}"),
    }
}

/// Waits until the key for the first boot is gone and the TPM has one; says what the data lies on.
fn sealed(machine: &Appliance) -> Result<String> {
    let ssh = machine.ssh();
    ssh.run("systemctl start basalt-seal.service")?;
    let device =
        ssh.run("cryptsetup status basalt-data | sed -n 's/^ *device: *//p' | tr -d '\\n'")?;
    let keys = ssh.run(&format!("systemd-cryptenroll {device}"))?;
    let has_first = keys.lines().any(|line| line.trim_start().starts_with("1 "));
    ensure!(
        keys.contains("tpm2") && !has_first,
        "the data opens by {keys}"
    );
    let header = ssh.run(&format!("cryptsetup luksDump {device}"))?;
    ensure!(!header.contains("first-boot"), "{header}");
    Ok(device)
}

/// What was written is there: among the data, and in the pool.
fn reads(machine: &Appliance) -> Result<()> {
    let ssh = machine.ssh();
    let read = ssh.run(&format!("cat {FILE}"))?;
    ensure!(read == SECRET, "the data is another one");
    let length = POOL_SECRET.len();
    let read = ssh.run(&format!(
        "group=$(vgs --noheadings --options vg_name | tr -d ' ') && \
         lvchange --activate y $group/probe && head -c {length} /dev/$group/probe"
    ))?;
    ensure!(read == POOL_SECRET, "the pool is another one");
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

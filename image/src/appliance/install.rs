//! Installed disks: the ISO and an answer file become a disk once, and a base for many nodes.

use super::accel::Accel;
use super::answer::{self, Answer};
use super::health;
use super::node::{DISK, Node, Start};
use super::qemu::{Disk, FIRMWARE_VARS, Firmware, Format, Memory, VARS};
use super::{poll, root, say};
use crate::build::Emulator;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Size of the virtual disk; the image grows only as it is written.
const DISK_SIZE: &str = "32G";
/// How long an installation may take with hardware virtualisation.
pub const LIMIT: Duration = Duration::from_secs(240);
/// What the installer says on the console when it has finished.
pub const FINISHED: &str = "Basalt is installed";
/// How the installer begins the line that says why it gave up.
pub const FAILED: &str = "Installation failed";

/// An installed disk that has never booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its folder, named by what it was made from.
    pub dir: PathBuf,
}

impl Base {
    /// The disk image; only ever a backing file.
    pub fn disk(&self) -> PathBuf {
        self.dir.join(DISK)
    }

    /// Everything the installation did to the disk, when it was to be kept.
    pub fn log(&self) -> PathBuf {
        self.dir.join("writes.log")
    }

    /// The UEFI variables the installation left.
    pub fn vars(&self) -> PathBuf {
        self.dir.join(VARS)
    }
}

/// What is kept of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The disk.
    Disk,
    /// The disk, and the log of everything that was done to it.
    DiskAndLog,
}

/// The base for this ISO and answer, installed now unless it was before.
pub fn ensure(iso: &Path, answer: &Answer, key: &Path, accel: Accel, keep: Keep) -> Result<Base> {
    let bases = root().join(".bases");
    fs::create_dir_all(&bases)?;
    let dir = bases.join(base_key(iso, &answer.text, keep)?);
    let lock = File::create(dir.with_extension("lock"))?;
    lock.lock()?;
    if !dir.exists() {
        let partial = dir.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        install(iso, answer, key, accel, keep, &partial)?;
        fs::rename(&partial, &dir)?;
    }
    Ok(Base { dir })
}

/// Names what goes into a base. An ISO is named by its content's hash, so that a rebuild that
/// changes nothing reinstalls nothing.
fn base_key(iso: &Path, answer: &str, keep: Keep) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(file_hash(iso)?);
    hash.update(answer);
    hash.update(DISK_SIZE);
    // The firmware's variables belong to the firmware.
    hash.update(Emulator::ensure()?.key()?);
    if keep == Keep::DiskAndLog {
        hash.update("log");
    }
    Ok(hex::encode(hash.finalize())[..16].to_owned())
}

/// SHA-256 of a file.
fn file_hash(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash)?;
    Ok(hash.finalize().into())
}

fn install(
    iso: &Path,
    answer: &Answer,
    key: &Path,
    accel: Accel,
    keep: Keep,
    dir: &Path,
) -> Result<()> {
    let began = Instant::now();
    let mut node = Node::new(dir, key, &answer.hostname)?;
    say(&format!(
        "installing {} (once per image and answer file; serial log: {})",
        answer.hostname,
        node.log().path().display()
    ));
    let log = Base { dir: dir.into() }.log();
    let machine = Attempt {
        answer: Some(&answer.text),
        log: (keep == Keep::DiskAndLog).then_some(&log),
        ..Attempt::default()
    };
    let outcome = attempt(&mut node, iso, &machine, accel)?;
    if let Outcome::Failed(why) = outcome {
        bail!("{why}\n{}", health::last_words(&node));
    }
    let mut permissions = fs::metadata(dir.join(DISK))?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(dir.join(DISK), permissions)?;
    say(&format!("installed in {} s", began.elapsed().as_secs()));
    Ok(())
}

/// How an attempt to install ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The machine switched itself off after the installer had finished.
    Installed,
    /// What the installer (or the machine) said.
    Failed(String),
}

/// The machine that an installation is attempted on.
#[derive(Debug, Clone)]
pub struct Attempt<'a> {
    /// The answer file on a volume of its own; without one the installer asks.
    pub answer: Option<&'a str>,
    /// Size of the empty disk, as `qemu-img` reads it.
    pub size: &'a str,
    /// Whether there is a network card.
    pub network: bool,
    /// A raw image of what is on the disk already; it is only read.
    pub found: Option<&'a Path>,
    /// Where everything done to the disk is recorded.
    pub log: Option<&'a Path>,
    /// What starts the machine.
    pub firmware: Firmware,
    /// Whether the medium is a USB stick and no disc.
    pub stick: bool,
    /// Another empty disk of the same size beside it.
    pub second: Option<&'a str>,
    /// More such disks: file and serial number.
    pub further: &'a [(&'a str, &'static str)],
    /// The node has a disk already, which is kept as it is.
    pub used: bool,
    /// Words for the kernel's command line.
    pub kernel_arguments: Option<&'a str>,
    /// How the installer comes over the network, when there is no medium.
    pub netboot: Option<Netboot<'a>>,
}

/// What fetches the installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Netboot<'a> {
    /// The iPXE of the network card, with the script at this address.
    Ipxe(&'a str),
    /// The firmware, from where its variables say.
    Firmware,
}

impl Default for Attempt<'_> {
    fn default() -> Self {
        Self {
            answer: None,
            size: DISK_SIZE,
            network: true,
            found: None,
            log: None,
            firmware: Firmware::Uefi,
            stick: false,
            second: None,
            further: &[],
            used: false,
            kernel_arguments: None,
            netboot: None,
        }
    }
}

/// Boots the ISO on the machine that is meant, and waits for the end. The node's folder keeps
/// disk and logs whatever the outcome.
pub fn attempt(
    node: &mut Node,
    iso: &Path,
    attempt: &Attempt<'_>,
    accel: Accel,
) -> Result<Outcome> {
    begin(node, iso, attempt, accel)?;
    let outcome = wait(node, LIMIT * accel.patience());
    node.kill();
    outcome
}

/// Boots the ISO on the machine that is meant, and leaves it running.
pub fn begin(node: &mut Node, iso: &Path, attempt: &Attempt<'_>, accel: Accel) -> Result<()> {
    if !attempt.used {
        new_disk(&node.dir().join(DISK), attempt)?;
        node.copy_vars(&Emulator::ensure()?.file(FIRMWARE_VARS))?;
    }
    if let Some(log) = attempt.log {
        File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
    }
    let disk = |file: &str, serial| Disk {
        file: file.into(),
        format: Format::Qcow2,
        readonly: false,
        serial,
        log: None,
    };
    let mut disks = vec![Disk {
        log: attempt.log.map(Path::to_owned),
        ..disk(DISK, answer::SYSTEM_SERIAL)
    }];
    let second = attempt.second.map(|file| (file, "basalt-second"));
    let empty = Attempt {
        found: None,
        ..attempt.clone()
    };
    for (file, serial) in second.iter().chain(attempt.further) {
        new_disk(&node.dir().join(file), &empty)?;
        disks.push(disk(file, serial));
    }
    if let Some(text) = attempt.answer {
        let volume = node.dir().join("answer.img");
        answer::volume(text, &volume)?;
        disks.push(answer::disk(&volume));
    }
    let start = Start {
        accel,
        memory_mib: 2048,
        memory: Memory::Plain,
        port: None,
        private: None,
        detached: false,
    };
    node.start_with(&start, |machine| {
        machine.disks.clone_from(&disks);
        let medium = if attempt.stick {
            &mut machine.stick
        } else {
            &mut machine.cdrom
        };
        if attempt.netboot.is_none() {
            *medium = Some(iso.into());
        }
        if let Some(Netboot::Ipxe(script)) = attempt.netboot {
            machine.ipxe_script = Some(script.to_owned());
        }
        machine.firmware = attempt.firmware;
        machine.kernel_arguments = attempt.kernel_arguments.map(str::to_owned);
        machine.exit_on_reboot = true;
        if !attempt.network {
            machine.forwards = None;
        }
    })
}

/// Waits until the installer has said how it ended, and after a success for the power-off that
/// proves that everything is on the disk.
pub fn wait(node: &Node, limit: Duration) -> Result<Outcome> {
    let ended = poll::until(limit, Duration::from_millis(500), || {
        let running = node.running();
        Ok::<_, anyhow::Error>(judge(&node.log().text(), node.log().fatal(), running))
    })?;
    Ok(ended.unwrap_or_else(|| {
        Outcome::Failed(format!(
            "the installation has not ended after {} s",
            limit.as_secs()
        ))
    }))
}

fn judge(log: &str, fatal: Option<String>, running: bool) -> Option<Outcome> {
    if let Some(line) = log
        .lines()
        .find_map(|line| line.find(FAILED).map(|at| &line[at..]))
    {
        return Some(Outcome::Failed(line.trim().to_owned()));
    }
    if let Some(line) = fatal {
        return Some(Outcome::Failed(format!(
            "the installer's system died: {line}"
        )));
    }
    match (running, log.contains(FINISHED)) {
        (true, _) => None,
        (false, true) => Some(Outcome::Installed),
        (false, false) => Some(Outcome::Failed(
            "the machine ended before the installer".to_owned(),
        )),
    }
}

fn new_disk(file: &Path, attempt: &Attempt<'_>) -> Result<()> {
    let mut command = Emulator::ensure()?.command("qemu-img");
    command.args(["create", "-q", "-f", "qcow2"]);
    if let Some(found) = attempt.found {
        command.args(["-F", "raw", "-b"]).arg(found);
    }
    let output = command
        .arg(file)
        .arg(attempt.size)
        .output()
        .context("cannot run qemu-img")?;
    if !output.status.success() {
        bail!(
            "qemu-img: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Removes bases that are not in `used`.
pub fn collect_garbage(used: &[PathBuf]) -> Result<()> {
    let Ok(entries) = fs::read_dir(root().join(".bases")) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() || path.extension().is_some() || used.contains(&path) {
            continue;
        }
        let lock = File::create(path.with_extension("lock"))?;
        if lock.try_lock().is_ok() {
            fs::remove_dir_all(&path)?;
            fs::remove_file(path.with_extension("lock"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_counts_once_the_machine_is_off() {
        let done = format!("x\n{FINISHED}\n");
        assert_eq!(judge(&done, None, true), None);
        assert_eq!(judge(&done, None, false), Some(Outcome::Installed));
    }

    #[test]
    fn a_failure_is_reported_in_the_installers_words() {
        let log = format!("[1.0] x: {FAILED}: disk: too small\nmore");
        let why = format!("{FAILED}: disk: too small");
        assert_eq!(judge(&log, None, true), Some(Outcome::Failed(why)));
        assert!(matches!(judge("", None, false), Some(Outcome::Failed(_))));
        assert!(matches!(
            judge("", Some("panic".into()), true),
            Some(Outcome::Failed(_))
        ));
    }

    #[test]
    fn a_base_is_named_by_iso_and_answer() {
        let iso = tempfile::NamedTempFile::new().unwrap();
        fs::write(iso.path(), "iso").unwrap();
        let key = |answer| base_key(iso.path(), answer, Keep::Disk).unwrap();
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }
}

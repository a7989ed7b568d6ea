//! Power cuts at every instant of an update and of an installation.
//!
//! By default a few dozen instants are looked at and some of them booted. With
//! `BASALT_EVERY_INSTANT=1` every flush boundary is, and hundreds of instants between them. A
//! failing instant is named by entries of the log and a seed; `BASALT_POWER_SEED` chooses the same
//! instants again in the same recording, and `BASALT_POWER_BOOTS` says how many are booted.

use super::update::{build_other, running_version, state};
use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::blocklog::cuts::{self, Cut, Wanted};
use crate::blocklog::disk::{Bootable, Image, Judge};
use crate::blocklog::gpt;
use crate::blocklog::log::{self, Log};
use crate::blocklog::replay::Replay;
use crate::guest::Guest;
use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::{poll, snapshot};
use basalt_image::build::{Artifacts, Emulator};
use basalt_layout::disk::DATA_LABEL;
use basalt_model::host::HostConfig;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The guest whose configuration and disk must survive.
const VMID: u32 = 100;
/// Its disk on the data partition.
const GUEST_DISK: &str = "/lib/vz/images/100/vm-100-disk-0.raw";
/// How much of it has been written.
const GUEST_BYTES: u64 = 8 << 20;
/// How many failures are told before the rest is left.
const MOST_FAILURES: usize = 10;

/// How much is looked at.
struct Extent {
    update: Wanted,
    boots: usize,
    installation: Wanted,
    second_installations: usize,
    seed: u64,
}

impl Extent {
    fn chosen() -> Self {
        let seed = number("BASALT_POWER_SEED").unwrap_or_else(rand::random);
        let boots = number("BASALT_POWER_BOOTS").and_then(|boots| usize::try_from(boots).ok());
        let wanted = |boundaries, between| Wanted {
            boundaries,
            between,
        };
        if std::env::var_os("BASALT_EVERY_INSTANT").is_some() {
            Self {
                update: wanted(usize::MAX, 300),
                boots: boots.unwrap_or(20),
                installation: wanted(usize::MAX, 100),
                second_installations: 50,
                seed,
            }
        } else {
            Self {
                update: wanted(20, 30),
                boots: boots.unwrap_or(2),
                installation: wanted(8, 12),
                second_installations: 0,
                seed,
            }
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// At every instant of an update, its reboot and its first boot, the slot that would be booted is
/// whole, and what was acknowledged is there.
pub fn update(lab: &mut Lab<'_>) -> Result<()> {
    let extent = Extent::chosen();
    let bundle = build_other()?;
    let log = lab.work().join("writes.log");
    let recording = record(lab, &bundle, &log)?;
    let log = Log::open(&log)?;
    let disk = lab.work().join("replayed.raw");
    convert(&lab.shared.snapshot.disk(), &disk)?;

    let busy = data_partition(&disk)?;
    let cuts = cuts::choose(&log, recording.from, extent.update, busy, extent.seed);
    let booted = spread(&cuts, extent.boots);
    let mut replay = Replay::new(&log, &disk)?;
    let images = vec![Image::of(&lab.shared.built)?, Image::of(&bundle)?];
    let mut judge = Judge::new(images, lab.work());
    let mut report = Report::new("update", extent.seed, &log, cuts.len());
    for cut in &cuts {
        replay.cut(cut)?;
        let judged = recording.check(&mut judge, &replay, cut, lab.work());
        let boots = booted.contains(cut);
        let result = judged.and_then(|bootable| {
            report.count(&bootable.uki.to_string());
            if boots {
                recording
                    .boot(lab, replay.path(), cut, &bootable)
                    .context("really booted")?;
            }
            Ok(())
        });
        report.note(cut, result)?;
    }
    report.end(&format!("{} of them booted", booted.len()))
}

/// An installation that is interrupted at any instant leaves a disk that does not boot, on which a
/// second installation succeeds, or one that is installed.
pub fn installation(lab: &mut Lab<'_>) -> Result<()> {
    let extent = Extent::chosen();
    let log = Log::open(&lab.shared.snapshot.base().log())?;
    let disk = lab.work().join("replayed.raw");
    let size = log.entries().iter().map(|entry| entry.range().end).max();
    File::create(&disk)?.set_len(size.context("nothing was written")?)?;

    let cuts = cuts::choose(&log, 0, extent.installation, 0..0, extent.seed);
    let again = spread(&cuts, extent.second_installations);
    let mut replay = Replay::new(&log, &disk)?;
    let mut judge = Judge::new(vec![Image::of(&lab.shared.built)?], lab.work());
    let mut report = Report::new("installation", extent.seed, &log, cuts.len());
    let mut installed = false;
    for cut in &cuts {
        replay.cut(cut)?;
        let result = judge.bootable(&replay).and_then(|bootable| {
            installed = bootable.is_some();
            report.count(if installed {
                "installed"
            } else {
                "not bootable"
            });
            if let Some(bootable) = &bootable {
                let text = judge.data(&replay, bootable)?.host_config()?;
                serde_json::from_slice::<HostConfig>(&text).context("host.json")?;
            }
            if again.contains(cut) {
                install_over(lab, replay.path()).context("installed once more")?;
            }
            Ok(())
        });
        report.note(cut, result)?;
    }
    ensure!(installed, "the whole installation does not boot");
    report.end(&format!("{} of them installed once more", again.len()))
}

/// What was promised while the writes were recorded.
struct Recording {
    /// The entry before which the update had not begun.
    from: usize,
    /// From which entry on which number must be in the guest's configuration.
    promised: Vec<(usize, u64)>,
    /// The last number that was asked for.
    asked: u64,
    host: Vec<u8>,
    guest_disk: String,
}

fn record(lab: &mut Lab<'_>, bundle: &Artifacts, log: &Path) -> Result<Recording> {
    let mut appliance = lab.recorded_appliance(log)?;
    let api = appliance.api()?;
    Guest::create_vm(&api, VMID, &[("virtio0", "local:1")])?;
    let mib = GUEST_BYTES >> 20;
    appliance.ssh().run(&format!(
        "dd if=/dev/urandom of=/var{GUEST_DISK} bs=1M count={mib} conv=notrunc,fsync status=none"
    ))?;
    let guest_disk = guest_digest(&appliance)?;
    // In memory: what is recorded is the update, not its way onto the host.
    appliance.copy_in(&bundle.bundle, "/run/update.bundle")?;
    let host = appliance.ssh().run("cat /var/lib/basalt/host.json")?;
    let from = log::recorded(log)?;

    let (port, password) = (appliance.node.state().port, appliance.password().to_owned());
    let done = AtomicBool::new(false);
    let (promised, asked) = thread::scope(|scope| {
        let changes = scope.spawn(|| keep_changing(port, &password, log, &done));
        let updated = update_and_commit(&mut appliance);
        done.store(true, Ordering::SeqCst);
        let changes = changes.join();
        updated?;
        match changes {
            Ok(changes) => changes,
            Err(_) => bail!("the configuration's writer panicked"),
        }
    })?;
    appliance.ssh().run("sync")?;
    appliance.done();
    ensure!(
        promised.len() > 3,
        "only {} changes were made",
        promised.len()
    );
    Ok(Recording {
        from,
        promised,
        asked,
        host: host.trim().into(),
        guest_disk,
    })
}

fn update_and_commit(appliance: &mut Appliance) -> Result<()> {
    appliance
        .ssh()
        .run("/usr/lib/basalt/basalt-update install /run/update.bundle")?;
    appliance.reboot()?;
    let kept = poll::until(Duration::from_secs(120), Duration::from_secs(1), || {
        Ok::<_, anyhow::Error>((state(appliance, "2.0.0")? == "good").then_some(()))
    })?;
    kept.context("the update was not committed")
}

/// Writes ever larger numbers into the guest's configuration until `done`, over the reboot too.
/// Returns from which entry of the log on each number must be there, and the last one tried.
fn keep_changing(
    port: u16,
    password: &str,
    log: &Path,
    done: &AtomicBool,
) -> Result<(Vec<(usize, u64)>, u64)> {
    let (mut promised, mut asked, mut session) = (Vec::new(), 0, None);
    let path = format!("/nodes/{NODE}/qemu/{VMID}/config");
    poll::until(Duration::MAX, Duration::from_secs(1), || {
        if done.load(Ordering::SeqCst) {
            return Ok(Some(()));
        }
        // Nobody answers while the machine reboots.
        let Some(api) = session.take().or_else(|| Api::login(port, password).ok()) else {
            return Ok(None);
        };
        asked += 1;
        if api
            .put(&path, &[("description", &asked.to_string())])
            .is_ok()
        {
            promised.push((log::recorded(log)?, asked));
            session = Some(api);
        }
        Ok::<_, anyhow::Error>(None)
    })?;
    Ok((promised, asked))
}

impl Recording {
    /// The numbers that may be in the guest's configuration after a cut.
    fn possible(&self, cut: &Cut) -> std::ops::RangeInclusive<u64> {
        let promised = self.promised.iter().filter(|(end, _)| *end <= cut.flushed);
        promised.map(|(_, number)| *number).max().unwrap_or(0)..=self.asked
    }

    /// Judges the disk without booting it.
    fn check(
        &self,
        judge: &mut Judge,
        replay: &Replay<'_>,
        cut: &Cut,
        work: &Path,
    ) -> Result<Bootable> {
        let bootable = judge.bootable(replay)?.context("nothing boots")?;
        let data = judge.data(replay, &bootable)?;
        ensure!(
            data.host_config()?.trim_ascii() == self.host,
            "host.json has changed"
        );
        let found = data.description(VMID, &work.join("store"))?;
        ensure!(
            self.possible(cut).contains(&found),
            "{found} is configured instead of {:?}",
            self.possible(cut)
        );
        let digest = Sha256::digest(data.file(GUEST_DISK, GUEST_BYTES)?);
        ensure!(
            hex::encode(digest) == self.guest_disk,
            "the guest's disk has changed"
        );
        Ok(bootable)
    }

    /// Boots the disk and asks the host itself.
    fn boot(&self, lab: &mut Lab<'_>, disk: &Path, cut: &Cut, expected: &Bootable) -> Result<()> {
        let mut appliance = lab.appliance_with(disk)?;
        appliance.power_on()?;
        appliance.healthy()?;
        let version = running_version(&appliance)?;
        ensure!(
            version == expected.uki.version.to_string(),
            "{version} runs instead of {}",
            expected.uki.version
        );
        let api = appliance.api_again(appliance.limit())?;
        let config = api.get(&format!("/nodes/{NODE}/qemu/{VMID}/config"))?;
        let found = config["description"]
            .as_str()
            .unwrap_or("0")
            .trim()
            .parse()?;
        ensure!(
            self.possible(cut).contains(&found),
            "{found} is configured instead of {:?}",
            self.possible(cut)
        );
        ensure!(
            guest_digest(&appliance)? == self.guest_disk,
            "the guest's disk has changed"
        );
        appliance.done();
        Ok(())
    }
}

/// SHA-256 of what was written to the guest's disk, in hex.
fn guest_digest(appliance: &Appliance) -> Result<String> {
    appliance.ssh().run(&format!(
        "head -c {GUEST_BYTES} /var{GUEST_DISK} | sha256sum | cut -d' ' -f1"
    ))
}

fn install_over(lab: &mut Lab<'_>, disk: &Path) -> Result<()> {
    let answer = Keys::ensure()?.answer(snapshot::HOSTNAME)?;
    let mut machine = lab.bare_machine()?;
    let attempt = Attempt {
        answer: Some(&answer.text),
        found: Some(disk),
        ..Attempt::default()
    };
    let accel = lab.shared.snapshot.accel();
    match install::attempt(&mut machine.node, &lab.shared.built.iso, &attempt, accel)? {
        Outcome::Installed => machine.done(),
        Outcome::Failed(why) => bail!("{why}"),
    }
    Ok(())
}

fn convert(image: &Path, raw: &Path) -> Result<()> {
    let output = Emulator::ensure()?
        .command("qemu-img")
        .args(["convert", "-O", "raw"])
        .args([image, raw])
        .output()
        .context("cannot run qemu-img")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "qemu-img: {}", said.trim());
    Ok(())
}

fn data_partition(disk: &Path) -> Result<Range<u64>> {
    let partitions = gpt::read(&File::open(disk)?)?.context("no partition table")?;
    let data = partitions.into_iter().find(|part| part.label == DATA_LABEL);
    Ok(data.context("no data partition")?.range)
}

/// Evenly spread cuts, of those between flushes.
fn spread(cuts: &[Cut], wanted: usize) -> Vec<Cut> {
    let between: Vec<&Cut> = cuts.iter().filter(|cut| cut.seen > cut.flushed).collect();
    let wanted = wanted.min(between.len());
    (0..wanted)
        .map(|number| *between[(2 * number + 1) * between.len() / (2 * wanted)])
        .collect()
}

/// Counts outcomes, and collects what went wrong.
struct Report {
    what: &'static str,
    cuts: usize,
    seed: u64,
    outcomes: std::collections::BTreeMap<String, usize>,
    failures: Vec<String>,
}

impl Report {
    fn new(what: &'static str, seed: u64, log: &Log, cuts: usize) -> Self {
        eprintln!(
            "         {what}: {} entries in the log, {cuts} instants, BASALT_POWER_SEED={seed}",
            log.entries().len()
        );
        Self {
            what,
            cuts,
            seed,
            outcomes: std::collections::BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    fn count(&mut self, outcome: &str) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    fn note(&mut self, cut: &Cut, result: Result<()>) -> Result<()> {
        if let Err(error) = result {
            eprintln!("         power cut at {cut}: {error:#}");
            self.failures.push(format!("at {cut}: {error:#}"));
        }
        if self.failures.len() >= MOST_FAILURES {
            bail!("{}", self.summary());
        }
        Ok(())
    }

    fn summary(&self) -> String {
        format!(
            "{} of the {}'s instants fail (BASALT_POWER_SEED={}): {}",
            self.failures.len(),
            self.what,
            self.seed,
            self.failures.join("; ")
        )
    }

    fn end(&self, more: &str) -> Result<()> {
        ensure!(self.failures.is_empty(), "{}", self.summary());
        eprintln!(
            "         {}: {} instants survived, {more}: {:?}",
            self.what, self.cuts, self.outcomes
        );
        Ok(())
    }
}

//! `basalt-init health`: the gate a boot has to pass before it counts as good.
//!
//! Every check is asked again until it passes or the time is up. While the version is on trial, a
//! failed gate starts the machine again, and the boot loader leaves the version behind after its
//! tries. A version that has proved itself before, or has nothing to fall back to, keeps running:
//! starting it again and again would help nobody. Then the gate shows what is wrong and stays
//! shut until it is put right.

mod http;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use basalt_layout::{SlotLabel, UkiName, Version};
use basalt_model::host::HostConfig;
use basalt_update::block::Blocks;
use basalt_update::bootloader;
use basalt_update::files::write_atomic;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::paths::Paths;
use crate::record;
use crate::run::state;

/// Pause between two rounds of checks.
const PAUSE: Duration = Duration::from_millis(500);

/// Pause between two rounds once the time is up.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// File of this boot that says what the gate found.
pub const RESULT: &str = "basalt/health.json";

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// All checks passed.
    pub healthy: bool,
    /// The checks that did not.
    pub reasons: Vec<String>,
}

impl Health {
    fn of(reasons: Vec<String>) -> Self {
        Self {
            healthy: reasons.is_empty(),
            reasons,
        }
    }
}

/// Runs the gate; returns when it has opened, or when another boot may be better.
pub async fn gate(paths: &Paths, patience: Duration) -> ExitCode {
    let mut health = wait(paths, patience, PAUSE).await;
    report(paths, &health);
    while !health.healthy {
        if falls_back(paths) {
            tracing::error!("this version is on trial; starting the machine again");
            return ExitCode::FAILURE;
        }
        // A pause between two looks: nothing tells when an outside thing gets well.
        tokio::time::sleep(LONG_PAUSE).await;
        let now = Health::of(check(paths).await);
        if now != health {
            report(paths, &now);
            health = now;
        }
    }
    ExitCode::SUCCESS
}

fn report(paths: &Paths, health: &Health) {
    if health.healthy {
        tracing::info!("healthy");
    }
    for reason in &health.reasons {
        tracing::error!("not healthy: {reason}");
    }
    publish(paths, health);
    if let Err(error) = record::end_boot(paths, &health.reasons, has_address(paths)) {
        tracing::warn!("the outcome of this boot is not recorded: {error:#}");
    }
}

fn publish(paths: &Paths, health: &Health) {
    let path = paths.run(RESULT);
    let written = serde_json::to_vec(health)
        .map_err(std::io::Error::from)
        .and_then(|text| {
            fs::create_dir_all(paths.run("basalt"))?;
            write_atomic(&path, &text, 0o644)
        });
    if let Err(error) = written {
        tracing::warn!(%error, "the result of the health checks is not published");
    }
}

async fn wait(paths: &Paths, patience: Duration, pause: Duration) -> Health {
    let end = Instant::now() + patience;
    let mut shown = Vec::new();
    loop {
        let reasons = check(paths).await;
        if reasons.is_empty() || Instant::now() >= end {
            return Health::of(reasons);
        }
        if reasons != shown {
            tracing::info!(waiting_for = reasons.join("; "), "not healthy yet");
            shown = reasons;
        }
        // A pause between two looks.
        tokio::time::sleep(pause).await;
    }
}

/// One round of all checks; what did not pass.
async fn check(paths: &Paths) -> Vec<String> {
    let node = async {
        let asked = http::node(&paths.run("basalt/node.sock")).await;
        asked.map_err(|error| with_last_words(paths, error))
    };
    let gateway = async { http::gateway(&paths.state("tls/cert.pem")).await };
    let (node, gateway) = tokio::join!(node, gateway);
    [
        ("node", node),
        ("gateway", gateway),
        ("network", network(paths)),
        ("storage", state_is_writable(paths)),
    ]
    .into_iter()
    .filter_map(|(what, result)| result.err().map(|error| format!("{what}: {error:#}")))
    .collect()
}

/// A node that could not start has left the reason behind.
fn with_last_words(paths: &Paths, error: anyhow::Error) -> anyhow::Error {
    match fs::read_to_string(paths.run("basalt/node.error")) {
        Ok(words) if !words.trim().is_empty() => error.context(words.trim().to_owned()),
        _ => error,
    }
}

/// The bridge has to be there. A missing DHCP server or an unplugged cable is no fault of the
/// image and would be none the better for another boot; but a version on trial must bring up what
/// the version before it did.
fn network(paths: &Paths) -> anyhow::Result<()> {
    let bridge = bridge(paths);
    let folder = paths.sys().join("class/net").join(&bridge);
    anyhow::ensure!(folder.exists(), "{bridge} does not exist");
    let flags = fs::read_to_string(folder.join("flags")).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    anyhow::ensure!(flags & 1 != 0, "{bridge} is not up");
    if counted(paths).is_some() && record::had_address(paths) {
        anyhow::ensure!(
            !state::addresses(&bridge).is_empty(),
            "{bridge} has no address, and it had one before this version was tried"
        );
    }
    Ok(())
}

/// Whether the bridge can be reached from elsewhere.
pub fn has_address(paths: &Paths) -> bool {
    !state::addresses(&bridge(paths)).is_empty()
}

fn bridge(paths: &Paths) -> String {
    fs::read(paths.state("host.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<HostConfig>(&text).ok())
        .unwrap_or_else(HostConfig::fallback)
        .network
        .bridge
        .to_string()
}

/// The kernel image of this boot, when its tries are counted: the version is on trial.
fn counted(paths: &Paths) -> Option<UkiName> {
    bootloader::counted_boot(&paths.sys(), &paths.at("/proc/cmdline"))
}

fn state_is_writable(paths: &Paths) -> anyhow::Result<()> {
    let probe = paths.state("boot/probe");
    fs::create_dir_all(paths.state("boot"))?;
    write_atomic(&probe, b"", 0o600)?;
    fs::remove_file(&probe)?;
    Ok(())
}

/// Whether another boot could lead to something better.
fn falls_back(paths: &Paths) -> bool {
    let Some(counted) = counted(paths) else {
        return false;
    };
    let tries_left = counted.tries.is_some_and(|tries| tries.left > 0);
    tries_left || has_other_version(&Blocks::at(&paths.sys()), &counted.version)
}

fn has_other_version(blocks: &Blocks, running: &Version) -> bool {
    let names = blocks.names().unwrap_or_default();
    names.iter().filter_map(|name| blocks.partition(name)?.label).any(|label| {
        matches!(SlotLabel::parse(&label), Some(SlotLabel::Root(version)) if version != *running)
    })
}

/// What the gate said at this boot; `None` while it is still waiting.
pub fn result(run: &Path) -> Option<Health> {
    serde_json::from_slice(&fs::read(run.join(RESULT)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        fs::create_dir_all(paths.at("/usr/lib")).unwrap();
        fs::write(paths.at("/usr/lib/os-release"), "IMAGE_VERSION=0.2.0\n").unwrap();
        fs::create_dir_all(paths.at("/sys/firmware/efi/efivars")).unwrap();
        fs::create_dir_all(paths.at("/sys/class/block")).unwrap();
        (dir, paths)
    }

    fn count(paths: &Paths, name: &str) {
        let mut bytes = vec![7, 0, 0, 0];
        bytes.extend(
            format!("\\EFI\\Linux\\{name}\0")
                .encode_utf16()
                .flat_map(u16::to_le_bytes),
        );
        let variable = "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
        fs::write(paths.at("/sys/firmware/efi/efivars").join(variable), bytes).unwrap();
    }

    /// The gate's answer; `None` when it stays shut and waits.
    async fn answer(paths: &Paths) -> Option<ExitCode> {
        let gate = gate(paths, Duration::ZERO);
        tokio::time::timeout(Duration::from_millis(500), gate)
            .await
            .ok()
    }

    #[tokio::test]
    async fn reasons_are_named_and_recorded() {
        let (_dir, paths) = tree();
        assert_eq!(answer(&paths).await, None, "nothing to fall back to");
        let health = result(&paths.run("")).unwrap();
        assert!(!health.healthy);
        for what in ["node: ", "gateway: ", "network: vmbr0 does not exist"] {
            assert!(
                health.reasons.iter().any(|r| r.starts_with(what)),
                "{:?}",
                health.reasons
            );
        }
        assert!(!health.reasons.iter().any(|r| r.starts_with("storage")));
        let last = fs::read_to_string(paths.state("boot/last.json")).unwrap();
        assert!(last.contains("failed") && last.contains("vmbr0"));
    }

    #[tokio::test]
    async fn a_version_on_trial_is_left_behind() {
        let (_dir, paths) = tree();
        count(&paths, "basalt_0.2.0+2-1.efi");
        assert_eq!(answer(&paths).await, Some(ExitCode::FAILURE));
        // After the last try there must be something else to boot.
        count(&paths, "basalt_0.2.0+0-3.efi");
        assert_eq!(answer(&paths).await, None);
        let disk = paths.at("/sys/devices/vda/vda2");
        fs::create_dir_all(&disk).unwrap();
        fs::write(disk.join("partition"), "2").unwrap();
        fs::write(disk.join("uevent"), "PARTNAME=basalt_0.1.0\n").unwrap();
        std::os::unix::fs::symlink(&disk, paths.at("/sys/class/block/vda2")).unwrap();
        assert_eq!(answer(&paths).await, Some(ExitCode::FAILURE));
    }

    #[test]
    fn a_node_that_could_not_start_has_said_why() {
        let (_dir, paths) = tree();
        let error = || anyhow::anyhow!("does not answer");
        assert_eq!(
            with_last_words(&paths, error()).to_string(),
            "does not answer"
        );
        fs::create_dir_all(paths.run("basalt")).unwrap();
        fs::write(paths.run("basalt/node.error"), "the store is damaged\n").unwrap();
        let told = format!("{:#}", with_last_words(&paths, error()));
        assert_eq!(told, "the store is damaged: does not answer");
    }

    #[test]
    fn a_version_on_trial_brings_up_the_address_there_was() {
        let (_dir, paths) = tree();
        let bridge = paths.at("/sys/class/net/vmbr0");
        fs::create_dir_all(&bridge).unwrap();
        fs::write(bridge.join("flags"), "0x1003\n").unwrap();
        record::end_boot(&paths, &[], true).unwrap();
        assert!(network(&paths).is_ok(), "this version has proved itself");
        count(&paths, "basalt_0.3.0+2-1.efi");
        let error = network(&paths).unwrap_err().to_string();
        assert!(error.contains("vmbr0 has no address"), "{error}");
    }

    #[test]
    fn a_bridge_without_address_is_good_enough() {
        let (_dir, paths) = tree();
        let bridge = paths.at("/sys/class/net/vmbr0");
        fs::create_dir_all(&bridge).unwrap();
        fs::write(bridge.join("flags"), "0x1002\n").unwrap();
        assert!(network(&paths).is_err());
        fs::write(bridge.join("flags"), "0x1003\n").unwrap();
        assert!(network(&paths).is_ok());
    }
}

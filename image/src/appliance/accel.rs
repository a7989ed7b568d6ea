//! Hardware virtualisation when it truly works, emulation otherwise.
//!
//! A `/dev/kvm` that opens proves little: nested or paravirtual hosts offer one that cannot run a
//! stock kernel. So the probe boots the appliance's own kernel without a root file system for a
//! few seconds and believes only a kernel that got as far as missing its root. The answer is kept
//! until the host reboots or changes its QEMU.

use super::uki;
use crate::build::Emulator;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How QEMU runs the appliance's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The host's hardware virtualisation.
    Kvm,
    /// Emulation, which offers the appliance an emulated SVM for its own guests.
    Tcg,
}

/// Longest time a kernel may take to miss its root file system under working KVM.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

impl Accel {
    /// Value of `-accel`.
    pub fn qemu_accel(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=multi,tb-size=512",
        }
    }

    /// Value of `-cpu`. Five-level paging costs emulation a fifth table walk and serves nobody.
    /// Emulated `cmpxchg16b` of QEMU 7.2 leaves garbage in EFLAGS, which panics about one boot in
    /// three; a kernel that does not see the instruction never uses it.
    pub fn qemu_cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg => "max,la57=off,-cx16",
        }
    }

    /// Number of virtual CPUs. Emulated ones race where real ones do not: a kernel that patches itself
    /// was seen to run stale code, and one that runs virtual machines to lose its stack. With one
    /// there is nobody to race with, and several appliances share the host's cores anyway.
    pub fn cpus(self) -> u8 {
        match self {
            Self::Kvm => 2,
            Self::Tcg => 1,
        }
    }

    /// How many times longer than hardware everything may take.
    pub fn patience(self) -> u32 {
        match self {
            Self::Kvm => 1,
            Self::Tcg => 4,
        }
    }

    /// Chooses for this host. `cache_dir` keeps the probe's answer; `uki` holds the kernel to try.
    pub fn choose(cache_dir: &Path, uki: &Path) -> Result<Self> {
        let host = Host::current()?;
        let cache = cache_dir.join("accel.json");
        if let Some(known) = read_cache(&cache)
            && known.host == host
        {
            return Ok(known.accel);
        }
        let accel = probe(uki, cache_dir)?;
        fs::create_dir_all(cache_dir)?;
        fs::write(&cache, serde_json::to_string(&Known { host, accel })?)?;
        Ok(accel)
    }
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Host {
    boot_id: String,
    qemu: String,
}

#[derive(Serialize, Deserialize)]
struct Known {
    host: Host,
    accel: Accel,
}

impl Host {
    fn current() -> Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self {
            boot_id: boot_id.trim().into(),
            qemu: Emulator::ensure()?.key()?,
        })
    }
}

fn read_cache(cache: &Path) -> Option<Known> {
    serde_json::from_str(&fs::read_to_string(cache).ok()?).ok()
}

fn probe(uki: &Path, cache_dir: &Path) -> Result<Accel> {
    let usable = File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    if !usable || !nested() {
        return Ok(Accel::Tcg);
    }
    fs::create_dir_all(cache_dir)?;
    let kernel = tempfile::NamedTempFile::new_in(cache_dir)?;
    fs::write(kernel.path(), uki::section(&fs::read(uki)?, ".linux")?)?;
    let works = kernel_boots(kernel.path())?;
    eprintln!(
        "KVM {}",
        if works {
            "works"
        } else {
            "cannot run a stock kernel: emulating (TCG)"
        }
    );
    Ok(if works { Accel::Kvm } else { Accel::Tcg })
}

/// The appliance runs virtual machines itself, so the host's KVM must nest.
fn nested() -> bool {
    ["kvm_intel", "kvm_amd"].iter().any(|module| {
        fs::read_to_string(format!("/sys/module/{module}/parameters/nested"))
            .is_ok_and(|value| matches!(value.trim(), "Y" | "1"))
    })
}

fn kernel_boots(kernel: &Path) -> Result<bool> {
    let mut qemu = Emulator::ensure()?
        .command("qemu-system-x86_64")
        .args([
            "-accel",
            "kvm",
            "-cpu",
            "host",
            "-machine",
            "q35",
            "-m",
            "512M",
            "-no-reboot",
        ])
        .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 panic=-1", "-kernel"])
        .arg(kernel)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start QEMU")?;
    let output = qemu.stdout.take().context("QEMU has no output")?;
    let booted = says(output, "not syncing: VFS", PROBE_LIMIT);
    // It may have ended by itself; either way it must be gone before we go on.
    let _ = qemu.kill();
    qemu.wait()?;
    Ok(booted)
}

/// Whether `text` turns up in `output` before the limit.
fn says(mut output: impl Read + Send + 'static, text: &'static str, limit: Duration) -> bool {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut chunk) {
            if sender.send(chunk[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + limit;
    let mut seen = Vec::new();
    while let Ok(chunk) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        seen.extend(chunk);
        if String::from_utf8_lossy(&seen).contains(text) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_searched_across_chunks_until_its_end() {
        let limit = Duration::from_secs(5);
        assert!(says(
            "Kernel panic - not syncing: VFS: no root".as_bytes(),
            "not syncing: VFS",
            limit
        ));
        assert!(!says(
            "KVM internal error".as_bytes(),
            "not syncing: VFS",
            limit
        ));
    }
}

//! The unified kernel image: kernel, initial RAM disk and command line in one signed EFI program.

use super::command::{self, step};
use super::error::Result;
use super::stage::Stage;
use super::stamp::{Hash, Stamp};
use super::{Artifacts, sign, tree};
use std::path::{Path, PathBuf};

/// What each boot tells the kernel, besides the root hash.
///
/// The last console is where programs write, so a serial port sees all. A machine that hangs or
/// crashes starts again, and the boot loader counts it as a failed try. The image carries no fstab,
/// swap or state of the package system for systemd to look for.
///
/// Locked down, not even root changes the running kernel: no foreign modules, no unsigned kernel by
/// kexec, no writing to its memory, whether or not Secure Boot is on.
const CMDLINE: &str = "console=tty0 console=ttyS0,115200 quiet loglevel=4 panic=10 audit=0 \
                       systemd.crash_action=reboot systemd.gpt_auto=0 systemd.condition_needs_update=0 \
                       systemd.firstboot=0 lockdown=integrity module.sig_enforce=1";

/// What only the installer's medium adds. It has no use for a disk's EFI system partition, and must not
/// wait for one.
pub(super) const INSTALL: &str = "basalt.mode=install systemd.mask=efi.mount";

/// The kernel inside the base system.
const KERNEL: &str = "usr/lib/basalt-kernel/vmlinuz";
/// systemd's EFI programs.
pub(super) const STUBS: &str = "usr/lib/systemd/boot/efi";

/// Makes the image, unless nothing changed.
pub(super) fn make(
    stage: &Stage,
    system: &Path,
    initrd: &Path,
    artifacts: &Artifacts,
) -> Result<()> {
    let cmdline = format!("roothash={} {CMDLINE}", artifacts.roothash);
    let kernel = system.join(KERNEL);
    let mut key = Hash::new();
    key.text(&cmdline);
    key.text(&artifacts.version);
    stage.toolbox.add_to(&mut key);
    key.file(&kernel)?;
    key.file(initrd)?;
    sign::add_to(stage, &mut key)?;
    let stamp = Stamp::new(
        &stage.out,
        &format!("uki-{}", artifacts.version),
        &key,
        &[&artifacts.uki],
    );
    if stamp.is_fresh() {
        return Ok(());
    }
    stamp.clear()?;
    step("making the kernel image");
    let os_release = stage.work()?.join("layer/usr/lib/os-release");
    let unsigned = stage.work()?.join("unsigned.efi");
    let mut ukify = ukify(stage, &[system], &cmdline, "linuxx64.efi.stub", &unsigned);
    ukify.arg(format!("--linux={}", kernel.display()));
    ukify.arg(format!("--initrd={}", initrd.display()));
    ukify.arg(format!("--os-release=@{}", os_release.display()));
    command::run(&mut ukify)?;
    sign::sign(stage, &unsigned, &artifacts.uki)?;
    tree::remove(&unsigned)?;
    stamp.set()
}

/// Makes a signed add-on that adds `cmdline` to the command line of the images beside it.
pub(super) fn make_addon(stage: &Stage, cmdline: &str) -> Result<PathBuf> {
    let addon = stage.work()?.join("install.addon.efi");
    let unsigned = stage.work()?.join("unsigned.addon.efi");
    let stub = "addonx64.efi.stub";
    command::run(&mut ukify(stage, &[], cmdline, stub, &unsigned))?;
    sign::sign(stage, &unsigned, &addon)?;
    Ok(addon)
}

fn ukify(
    stage: &Stage,
    dirs: &[&Path],
    cmdline: &str,
    stub: &str,
    output: &Path,
) -> std::process::Command {
    let dirs: Vec<&Path> = dirs.iter().copied().chain([stage.out.as_path()]).collect();
    // Left over from an interrupted build; ukify would replace it anyway.
    let _ = tree::remove(output);
    let mut ukify = stage.toolbox.command(&dirs, "ukify");
    ukify.env("SOURCE_DATE_EPOCH", stage.epoch.to_string());
    ukify.args(["build", "--efi-arch=x64"]);
    ukify.arg(format!("--cmdline={cmdline}"));
    ukify.arg(format!("--stub=/{STUBS}/{stub}"));
    ukify.arg(format!("--output={}", output.display()));
    ukify
}

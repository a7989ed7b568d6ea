//! The unified kernel image: kernel, initial RAM disk and command line in one signed EFI program.

use super::command::{self, step};
use super::error::{At, Result};
use super::stage::Stage;
use super::stamp::{Hash, Stamp};
use super::{Artifacts, sign, tree};
use basalt_layout::mode;
use std::fs;
use std::path::{Path, PathBuf};

/// What each boot tells the kernel, besides the root hash.
///
/// The last console is where programs write, so a serial port sees all. A machine that hangs or
/// crashes starts again, and the boot loader counts it as a failed try. The image carries no fstab,
/// swap or state of the package system for systemd to look for.
///
/// The initial RAM disk locks the kernel down (`image/initrd/src/lockdown.rs`): it has modules to load
/// before, which the kernel trusts only when Secure Boot is on.
const CMDLINE: &str = "console=tty0 console=ttyS0,115200 quiet loglevel=4 panic=10 audit=0 \
                       systemd.crash_action=reboot systemd.gpt_auto=0 systemd.condition_needs_update=0 \
                       systemd.firstboot=0";

/// Another way to start the same image: an entry of its own in the boot loader's menu, under the same
/// name, version and signature, and behind every image itself ([`SORT_KEY`]), so that only a person
/// takes it.
struct Profile {
    id: &'static str,
    title: &'static str,
    /// What it adds to the command line.
    words: &'static str,
}

const PROFILES: [Profile; 2] = [
    Profile {
        id: "rescue",
        title: "Rescue shell",
        words: mode::RESCUE,
    },
    Profile {
        id: "reset",
        title: "Factory reset",
        words: mode::RESET,
    },
];

/// What systemd-boot sorts profiles by, in place of the images' `IMAGE_ID`; it takes what sorts first.
///
/// It has to sort behind that: of a file with a count of tries, the boot loader gives the profiles the
/// same name as the image itself, so that neither a default nor a wish for the next boot can tell them
/// apart, and by their file name alone they would come first.
const SORT_KEY: &str = "basalt-menu";

impl Profile {
    /// The section that describes it.
    fn section(&self) -> String {
        format!("ID={}\nTITLE={}\n", self.id, self.title)
    }
}

/// The section that describes the image itself, when it is started as it is.
const MAIN: &str = "ID=main\n";

/// The kernel inside the base system.
const KERNEL: &str = "usr/lib/basalt-kernel/vmlinuz";
/// systemd's EFI programs.
pub(super) const STUBS: &str = "usr/lib/systemd/boot/efi";
/// The one that kernel images begin with.
pub(super) const STUB: &str = "linuxx64.efi.stub";
/// The one of programs that only carry sections.
const ADDON_STUB: &str = "addonx64.efi.stub";

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
    key.text(MAIN);
    key.text(SORT_KEY);
    for profile in &PROFILES {
        key.text(&profile.section());
        key.text(profile.words);
    }
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
    let profiles = PROFILES
        .iter()
        .map(|profile| make_profile(stage, profile, &cmdline, &os_release))
        .collect::<Result<Vec<_>>>()?;
    let mut ukify = ukify(stage, &[system], &cmdline, STUB, &unsigned);
    ukify.arg(format!("--linux={}", kernel.display()));
    ukify.arg(format!("--initrd={}", initrd.display()));
    ukify.arg(format!("--os-release=@{}", os_release.display()));
    ukify.arg(format!("--profile={MAIN}"));
    for profile in &profiles {
        ukify.arg(format!("--join-profile={}", profile.display()));
    }
    command::run(&mut ukify)?;
    sign::sign(stage, &unsigned, &artifacts.uki)?;
    for made in profiles.iter().chain([&unsigned]) {
        tree::remove(made)?;
    }
    stamp.set()
}

/// Makes the sections by which a profile differs from the image itself.
fn make_profile(
    stage: &Stage,
    profile: &Profile,
    cmdline: &str,
    os_release: &Path,
) -> Result<PathBuf> {
    let made = stage.work()?.join(format!("{}.profile.efi", profile.id));
    let cmdline = format!("{cmdline} {}", profile.words);
    let text = fs::read_to_string(os_release).at("read", os_release)?;
    let mut ukify = ukify(stage, &[], &cmdline, ADDON_STUB, &made);
    ukify.arg(format!("--profile={}", profile.section()));
    ukify.arg(format!("--os-release={}", sorted_behind(&text)));
    command::run(&mut ukify)?;
    Ok(made)
}

/// The description of a system, with another sort key: of two lines with one name the last one counts.
fn sorted_behind(os_release: &str) -> String {
    format!("{os_release}IMAGE_ID={SORT_KEY}\n")
}

/// Makes a signed add-on that adds `cmdline` to the command line of the images beside it.
pub(super) fn make_addon(stage: &Stage, cmdline: &str) -> Result<PathBuf> {
    let addon = stage.work()?.join("install.addon.efi");
    let unsigned = stage.work()?.join("unsigned.addon.efi");
    command::run(&mut ukify(stage, &[], cmdline, ADDON_STUB, &unsigned))?;
    sign::sign(stage, &unsigned, &addon)?;
    Ok(addon)
}

/// A command that makes an image with this command line, from files in `dirs`.
pub(super) fn ukify(
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

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_layout::IMAGE_ID;

    #[test]
    fn nothing_of_the_menu_sorts_before_an_image() {
        assert!(SORT_KEY > IMAGE_ID);
        let text = sorted_behind(&format!("PRETTY_NAME=\"Basalt 1\"\nIMAGE_ID={IMAGE_ID}\n"));
        let last = text.lines().rfind(|line| line.starts_with("IMAGE_ID="));
        assert_eq!(last, Some("IMAGE_ID=basalt-menu"));
    }
}

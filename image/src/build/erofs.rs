//! The root file system: base system, our files and programs, as one erofs image with its hash tree.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::stage::Stage;
use super::stamp::{Hash, Stamp};
use super::{sbom, sign, tree, verity, zfs};
use basalt_layout::Version;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where our programs go; the command line tool goes where users look.
const PROGRAMS: &str = "usr/lib/basalt";
/// The firmware of virtual machines that boot by UEFI: where the appliance has it, and which of the
/// package's files it is. The code with Secure Boot, and the variables with the keys that most operating
/// systems are signed with, are for machines with system management mode.
const FIRMWARE: &str = "usr/share/basalt/firmware";
const FIRMWARE_FILES: [&str; 4] = [
    "OVMF_CODE_4M.fd",
    "OVMF_VARS_4M.fd",
    "OVMF_CODE_4M.secboot.fd",
    "OVMF_VARS_4M.ms.fd",
];
/// Where the package has them, and its copyright file.
const FIRMWARE_SOURCE: &str = "usr/share/OVMF";
const FIRMWARE_COPYRIGHT: &str = "usr/share/doc/ovmf/copyright";
/// The program users type, and what it writes itself: its manual pages and its completion for the
/// shells here.
const TOOL: &str = "basalt";
const MANUAL: &str = "usr/share/man/man1";
const COMPLETION: [(&str, &str); 2] = [
    ("bash", "usr/share/basalt/completion.bash"),
    ("zsh", "usr/share/zsh/vendor-completions/_basalt"),
];

/// Makes root image and hash tree, unless nothing changed; returns the root hash.
pub(super) fn make(stage: &Stage, system: &Path, version: &Version) -> Result<String> {
    let file = |suffix: &str| stage.out.join(format!("basalt_{version}.{suffix}"));
    let (root, verity, roothash) = (file("root"), file("verity"), file("roothash"));
    let files = file("files");
    let key = key(stage, system, version)?;
    let stamp = Stamp::new(
        &stage.out,
        &format!("root-{version}"),
        &key,
        &[&root, &files, &verity, &roothash],
    );
    if !stamp.is_fresh() {
        stamp.clear()?;
        step("making the root file system");
        let layer = layer(stage, system, version)?;
        compose(stage, system, &layer, &root, &files, &uuid(version, "root"))?;
        let hash = verity::format(stage, &root, &verity, version)?;
        fs::write(&roothash, &hash).at("write", &roothash)?;
        stamp.set()?;
    }
    let hash = fs::read_to_string(&roothash).at("read", &roothash)?;
    Ok(hash.trim().to_owned())
}

fn key(stage: &Stage, system: &Path, version: &Version) -> Result<Hash> {
    let mut key = Hash::new();
    key.text(&system.to_string_lossy());
    stage.toolbox.add_to(&mut key);
    key.text(&version.to_string());
    key.file(&stage.script("finish-root"))?;
    for dir in layers(stage) {
        key.tree(&dir)?;
    }
    for program in &stage.programs.appliance {
        key.text(&program.file_name().unwrap_or_default().to_string_lossy());
        key.file(program)?;
    }
    if let Some(web) = &stage.programs.web {
        key.tree(web)?;
    }
    sign::add_public_to(stage, &mut key)?;
    // Its name says what is in it.
    key.text(&stage.firmware.to_string_lossy());
    zfs::add_to(stage, &mut key)?;
    for component in &stage.components {
        key.text(&format!("{component:?}"));
    }
    Ok(key)
}

/// The folders laid over the base system, in order.
fn layers(stage: &Stage) -> Vec<PathBuf> {
    let image = stage.image();
    let variant = image.join(format!("rootfs-{}", stage.options.variant.as_str()));
    let mut layers = vec![image.join("rootfs"), variant];
    layers.extend(stage.options.overlay.clone());
    layers
}

/// Puts all that is ours into one folder.
fn layer(stage: &Stage, system: &Path, version: &Version) -> Result<PathBuf> {
    let layer = stage.work()?.join("layer");
    tree::fresh_dir(&layer)?;
    let mut dirs = layers(stage);
    let overlay = stage
        .options
        .overlay
        .is_some()
        .then(|| dirs.pop())
        .flatten();
    for dir in &dirs {
        tree::lay_over(dir, &layer)?;
    }
    for program in &stage.programs.appliance {
        add_program(stage, program, &layer)?;
        if program.ends_with(TOOL) {
            add_manual(program, &layer)?;
        }
    }
    if let Some(web) = &stage.programs.web {
        tree::lay_over(web, &layer.join("usr/share/basalt/web"))?;
    }
    for file in FIRMWARE_FILES {
        let source = stage.firmware.join(FIRMWARE_SOURCE).join(file);
        tree::copy(&source, &layer.join(FIRMWARE).join(file))?;
    }
    let copyright = stage.firmware.join(FIRMWARE_COPYRIGHT);
    tree::copy(&copyright, &layer.join(FIRMWARE_COPYRIGHT))?;
    sbom::write(
        &stage.components,
        &[system, &layer],
        &layer,
        &version.to_string(),
        stage.epoch,
    )?;
    let os_release = layer.join("usr/lib/os-release");
    fs::write(&os_release, self::os_release(stage, version)).at("write", &os_release)?;
    tree::set_mode(&os_release, 0o644)?;
    sign::lay_public(stage, &layer)?;
    zfs::lay(stage, system, &layer)?;
    if let Some(overlay) = overlay {
        tree::lay_over(&overlay, &layer)?;
    }
    Ok(layer)
}

fn add_program(stage: &Stage, program: &Path, layer: &Path) -> Result<()> {
    let name = program
        .file_name()
        .ok_or_else(|| Error::Invalid(format!("{} is no program", program.display())))?;
    let dir = if name == TOOL { "usr/bin" } else { PROGRAMS };
    let target = layer.join(dir).join(name);
    tree::copy(program, &target)?;
    tree::set_mode(&target, 0o755)?;
    strip(stage, &target)
}

/// Lets the tool write what is derived from its own commands.
fn add_manual(tool: &Path, layer: &Path) -> Result<()> {
    let pages = layer.join(MANUAL);
    tree::make_dir(&pages)?;
    command::run(Command::new(tool).arg("man").arg(&pages))?;
    for page in tree::list(&pages)? {
        tree::set_mode(&pages.join(page), 0o644)?;
    }
    for (shell, file) in COMPLETION {
        let completion = layer.join(file);
        tree::make_dir(completion.parent().unwrap_or(layer))?;
        let script = command::output(Command::new(tool).args(["completion", shell]))?;
        fs::write(&completion, script).at("write", &completion)?;
        tree::set_mode(&completion, 0o644)?;
    }
    Ok(())
}

/// Removes symbols and debug information from a program in place, and with them what tells of the
/// machine it was made on: the build identity is a hash that includes the debug information of C
/// code, which has its folders, and the comment names the linking C compiler.
pub(super) fn strip(stage: &Stage, program: &Path) -> Result<()> {
    let dir = program.parent().unwrap_or(program);
    let mut strip = stage.toolbox.command(&[dir], "strip");
    strip.args(["--strip-all", "--remove-section=.note.gnu.build-id"]);
    command::run(strip.arg("--remove-section=.comment").arg(program))
}

fn os_release(stage: &Stage, version: &Version) -> String {
    let variant = stage.options.variant.as_str();
    format!(
        "NAME=\"Basalt\"\nPRETTY_NAME=\"Basalt {version}\"\nID=basalt\nID_LIKE=debian\n\
         VERSION_ID={version}\nVARIANT_ID={variant}\nIMAGE_ID={}\nIMAGE_VERSION={version}\n",
        basalt_layout::IMAGE_ID
    )
}

/// Runs `finish-root`, which joins base and layer and writes the image.
fn compose(
    stage: &Stage,
    system: &Path,
    layer: &Path,
    root: &Path,
    files: &Path,
    uuid: &str,
) -> Result<()> {
    let work = stage.work()?;
    for name in ["changes", "scratch", "merged"] {
        tree::fresh_dir(&work.join(name))?;
    }
    let image = stage.image();
    let script = stage.script("finish-root").to_string_lossy().into_owned();
    let mut finish = stage
        .toolbox
        .command(&[&image, system, &stage.out], &script);
    finish.arg(system).arg(layer).arg(&work).arg(root).arg(uuid);
    finish.arg(stage.epoch.to_string()).arg(files);
    command::run(&mut finish)
}

/// A UUID that follows from the version and a purpose, so that equal inputs give equal images.
pub(super) fn uuid(version: &Version, purpose: &str) -> String {
    let mut hash = Hash::new();
    hash.text(purpose);
    hash.text(&version.to_string());
    let hex = hash.hex();
    // The fixed digits mark a UUID of version 8, one that its maker defines.
    format!(
        "{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_follow_version_and_purpose() {
        let (one, two): (Version, Version) = ("0.1.0".parse().unwrap(), "0.2.0".parse().unwrap());
        assert_eq!(uuid(&one, "root"), uuid(&one, "root"));
        assert_ne!(uuid(&one, "root"), uuid(&two, "root"));
        assert_ne!(uuid(&one, "root"), uuid(&one, "verity"));
        let parts: Vec<usize> = uuid(&one, "root").split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
    }
}

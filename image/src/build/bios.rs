//! GRUB for machines that boot by legacy BIOS: one core for disks, one for the installer's medium.
//!
//! Each core carries all modules it needs and reads one file, its configuration from `image/bios`.

use super::command;
use super::error::{At, Error, Result};
use super::stage::Stage;
use super::stamp::Hash;
use super::tree;
use basalt_layout::bios;
use basalt_layout::mode::{INSTALL, RESCUE, RESET};
use basalt_update::pe;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the toolbox has GRUB's parts.
const PARTS: &str = "usr/lib/grub/i386-pc";

/// Modules that both cores need.
const MODULES: [&str; 10] = [
    "biosdisk",
    "part_gpt",
    "part_msdos",
    "normal",
    "echo",
    "linux",
    "reboot",
    "sleep",
    "serial",
    "terminal",
];

/// Feeds everything that the cores are made of into a step's key.
pub(super) fn add_to(stage: &Stage, key: &mut Hash) -> Result<()> {
    key.file(&stage.script("make-grub"))?;
    key.file(&config(stage, "disk.cfg"))?;
    key.file(&config(stage, "medium.cfg"))?;
    key.text(&MODULES.join(" "));
    key.text(&modes());
    Ok(())
}

/// One of GRUB's parts that are used as they are shipped.
fn part(stage: &Stage, name: &str) -> PathBuf {
    stage.toolbox.file(PARTS).join(name)
}

/// The same, as programs in the toolbox see it.
pub(super) fn part_inside(name: &str) -> PathBuf {
    Path::new("/").join(PARTS).join(name)
}

/// Puts into the EFI system partition `esp` what the installer makes disks bootable with. GRUB looks
/// only at that partition of the disk it was started from, so each of several disks boots by itself.
pub(super) fn disk(stage: &Stage, esp: &Path) -> Result<()> {
    let shipped = config(stage, "disk.cfg");
    let rules = fs::read_to_string(&shipped).at("read", &shipped)?;
    let config = esp.join(bios::CONFIG);
    tree::make_dir(&esp.join(bios::FOLDER))?;
    fs::write(&config, format!("{}{rules}", modes())).at("write", &config)?;
    tree::copy(&part(stage, "boot.img"), &esp.join(bios::BOOT_CODE))?;
    make(
        stage,
        &Core {
            format: "i386-pc",
            prefix: "(,gpt1)/basalt",
            config: &config,
            modules: &[
                "fat",
                "configfile",
                "test",
                "regexp",
                "loadenv",
                "loopback",
                "probe",
            ],
            to: &esp.join(bios::CORE),
        },
    )
}

/// Tells GRUB what the entries of its menu add to the command line.
fn modes() -> String {
    format!("set rescue='{RESCUE}'\nset reset='{RESET}'\n")
}

/// Fills the medium's folder `boot` with core, kernel and initial RAM disk: GRUB cannot look into
/// the EFI system partition of a disc.
pub(super) fn medium(stage: &Stage, uki: &Path, boot: &Path) -> Result<()> {
    let image = fs::read(uki).at("read", uki)?;
    let section = |name: &str| {
        pe::content(&image, name)
            .ok_or_else(|| Error::Invalid(format!("{} has no section {name}", uki.display())))
    };
    for (name, file) in [(".linux", "linux"), (".initrd", "initrd")] {
        let file = boot.join(file);
        fs::write(&file, section(name)?).at("write", &file)?;
    }
    let cmdline = String::from_utf8_lossy(section(".cmdline")?);
    let cmdline = format!("{} {INSTALL}", cmdline.trim_matches(['\0', '\n', ' ']));
    if cmdline.contains('\'') {
        return Err(Error::Invalid(format!("GRUB cannot quote {cmdline:?}")));
    }
    let shipped = config(stage, "medium.cfg");
    let text = fs::read_to_string(&shipped).at("read", &shipped)?;
    let whole = boot.join("grub.cfg");
    fs::write(&whole, format!("set cmdline='{cmdline}'\n{text}")).at("write", &whole)?;
    make(
        stage,
        &Core {
            format: "i386-pc-eltorito",
            prefix: "/boot",
            config: &whole,
            modules: &["iso9660"],
            to: &boot.join("bios.img"),
        },
    )
}

/// What a core is made of.
struct Core<'a> {
    format: &'a str,
    prefix: &'a str,
    config: &'a Path,
    modules: &'a [&'a str],
    to: &'a Path,
}

fn make(stage: &Stage, core: &Core<'_>) -> Result<()> {
    let script = stage.script("make-grub");
    let mut make = stage
        .toolbox
        .command(&[&stage.image(), &stage.out], &script.to_string_lossy());
    make.args([core.format, core.prefix])
        .arg(core.config)
        .arg(core.to)
        .args(MODULES)
        .args(core.modules);
    command::run(&mut make)
}

fn config(stage: &Stage, name: &str) -> PathBuf {
    stage.image().join("bios").join(name)
}

//! The installer's medium: an ISO that boots the very root image it installs.
//!
//! Its GPT has an EFI system partition with boot loader, kernel image and an add-on that asks for the
//! installer, then hash tree and root, found by the same UUIDs as on an installed disk. Machines
//! without UEFI find GRUB, the same kernel and the same initial RAM disk in the ISO file system,
//! whether the medium is a disc or a USB stick.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::gpt::{self, Identity};
use super::stage::Stage;
use super::stamp::{Hash, Stamp};
use super::uki::{STUBS, make_addon};
use super::{Artifacts, bios, erofs, sign, tree};
use basalt_layout::mode::INSTALL;
use basalt_layout::slot::UKI_FOLDER;
use basalt_layout::{PartitionType, RootHash, SlotLabel, UkiName, Version};
use std::fs;
use std::path::PathBuf;

/// Partition label of the medium's EFI system partition, so that nobody takes it for a disk's.
const ESP_LABEL: &str = "basalt-install";

/// Numbers of the medium's partitions; the first is the ISO file system.
const ESP: u32 = 2;
const VERITY: u32 = 3;
const ROOT: u32 = 4;

/// Makes the ISO, unless nothing changed.
pub(super) fn make(stage: &Stage, artifacts: &Artifacts, version: &Version) -> Result<()> {
    let mut key = Hash::new();
    key.text(&artifacts.roothash);
    key.text(INSTALL);
    stage.toolbox.add_to(&mut key);
    key.file(&stage.script("make-iso"))?;
    bios::add_to(stage, &mut key)?;
    key.file(&artifacts.uki)?;
    key.file(&stage.image().join("iso/loader.conf"))?;
    sign::add_to(stage, &mut key)?;
    sign::add_public_to(stage, &mut key)?;
    let stamp = Stamp::new(
        &stage.out,
        &format!("iso-{version}"),
        &key,
        &[&artifacts.iso],
    );
    if stamp.is_fresh() {
        return Ok(());
    }
    stamp.clear()?;
    step("making the ISO");
    let esp = esp_content(stage, artifacts, version)?;
    let content = iso_content(stage, artifacts)?;
    let script = stage.script("make-iso");
    let mut make = stage
        .toolbox
        .command(&[&stage.image(), &stage.out], &script.to_string_lossy());
    make.arg(stage.work()?)
        .arg(&esp)
        .arg(&content)
        .arg(bios::part_inside("boot_hybrid.img"))
        .arg(&artifacts.verity)
        .arg(&artifacts.root);
    make.arg(&artifacts.iso)
        .arg(stage.epoch.to_string())
        .arg(erofs::uuid(version, "iso"));
    command::run(&mut make)?;
    gpt::identify(&artifacts.iso, &identities(artifacts, version)?)?;
    stamp.set()
}

/// The files of the medium's EFI system partition.
fn esp_content(stage: &Stage, artifacts: &Artifacts, version: &Version) -> Result<PathBuf> {
    let esp = stage.work()?.join("esp");
    tree::fresh_dir(&esp)?;
    let unsigned = stage.work()?.join("systemd-bootx64.efi");
    tree::copy(
        &stage.toolbox.file(STUBS).join("systemd-bootx64.efi"),
        &unsigned,
    )?;
    tree::make_dir(&esp.join("EFI/BOOT"))?;
    sign::sign(stage, &unsigned, &esp.join("EFI/BOOT/BOOTX64.EFI"))?;
    sign::lay_enrolment(stage, &esp)?;
    let kernel = UkiName::good(version.clone()).to_string();
    let folder = esp.join(UKI_FOLDER);
    tree::copy(&artifacts.uki, &folder.join(&kernel))?;
    let addon = make_addon(stage, INSTALL)?;
    tree::copy(
        &addon,
        &folder
            .join(format!("{kernel}.extra.d"))
            .join("install.addon.efi"),
    )?;
    tree::copy(
        &stage.image().join("iso/loader.conf"),
        &esp.join("loader/loader.conf"),
    )?;
    bios::disk(stage, &esp)?;
    Ok(esp)
}

/// The files of the ISO file system itself.
fn iso_content(stage: &Stage, artifacts: &Artifacts) -> Result<PathBuf> {
    let content = stage.work()?.join("iso");
    let boot = content.join("boot");
    tree::fresh_dir(&content)?;
    tree::make_dir(&boot)?;
    let readme = content.join("README.TXT");
    let text = "This medium installs Basalt. Start a computer from it.\n";
    fs::write(&readme, text).at("write", &readme)?;
    bios::medium(stage, &artifacts.uki, &boot)?;
    Ok(content)
}

/// What the writer of the ISO cannot set itself.
fn identities(artifacts: &Artifacts, version: &Version) -> Result<Vec<Identity>> {
    let hash: RootHash = artifacts
        .roothash
        .parse()
        .map_err(|error| Error::Invalid(format!("{error}")))?;
    let identity = |number, kind: PartitionType, uuid: String, label: String| Identity {
        number,
        kind: kind.guid(),
        uuid,
        label,
        read_only: true,
    };
    let esp = erofs::uuid(version, "iso-esp");
    Ok(vec![
        identity(ESP, PartitionType::Esp, esp, ESP_LABEL.to_owned()),
        identity(
            VERITY,
            PartitionType::Verity,
            hash.verity_partuuid(),
            SlotLabel::Verity(version.clone()).to_string(),
        ),
        identity(
            ROOT,
            PartitionType::Root,
            hash.root_partuuid(),
            SlotLabel::Root(version.clone()).to_string(),
        ),
    ])
}

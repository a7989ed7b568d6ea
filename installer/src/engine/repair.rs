//! Works on a disk that already holds a Basalt: writes boot files and one slot anew, and keeps the
//! data partition.
//!
//! At every instant the disk boots what it booted before or what is written now. A slot that
//! already holds this very version is written over with the same bytes; otherwise the slot that is
//! empty, or holds the older version, is given up first, and nothing can boot it until it is whole.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use basalt_layout::disk::{
    BIOS_PARTITION, DATA_PARTITION, ESP_FS_LABEL, ESP_PARTITION, ROOT_SIZE, Slot, VERITY_SIZE,
    partition_path,
};
use basalt_layout::slot::SlotLabel;
use basalt_layout::{UkiName, Version};
use basalt_update::claim::Claim;
use basalt_update::command;
use basalt_update::esp::Esp;
use basalt_update::table::{Table, fresh_id};

use super::{copy, files, flush};
use crate::plan::{Mode, Plan};
use crate::report::Report;
use crate::secure_boot;
use crate::source::{BootFiles, Source};

/// Room beside the boot files that an EFI system partition must have.
const SPARE: u64 = 1 << 20;

/// Repairs, or installs and keeps the data, as the plan says.
pub fn run(plan: &Plan, source: &Source, report: &mut Report) -> anyhow::Result<()> {
    let boot_files = source.boot_files()?;
    let disk = &plan.disk.path;
    let _claim = Claim::take(disk)?;
    let partition = |number| PathBuf::from(partition_path(&disk.to_string_lossy(), number));
    let data = partition(DATA_PARTITION);
    let mut table = Table::read(disk)?;
    check(&table)?;
    if plan.mode == Mode::KeepData {
        files::check_state(&data)?;
    }
    let (root_uuid, verity_uuid) = (
        source.root_hash.root_partuuid(),
        source.root_hash.verity_partuuid(),
    );
    let slot = match table.slot_of(&root_uuid) {
        Some(slot) => slot,
        None => {
            let slot = spare_slot(&table);
            for number in [slot.root_partition(), slot.verity_partition()] {
                table.rename(number, &SlotLabel::Empty, &fresh_id());
            }
            table.write()?;
            slot
        }
    };
    report.line(&format!(
        "Copying Basalt {} into slot {}",
        source.version,
        slot.letter()
    ));
    let (root, verity) = (slot.root_partition(), slot.verity_partition());
    copy("root", &source.root, &partition(root), report)?;
    copy("hash tree", &source.verity, &partition(verity), report)?;
    let version = &source.version;
    table.rename(root, &SlotLabel::Root(version.clone()), &root_uuid);
    table.rename(verity, &SlotLabel::Verity(version.clone()), &verity_uuid);
    table.write()?;
    if plan.mode == Mode::KeepData {
        report.line("Writing the host's configuration");
        files::rewrite_state(&data, &plan.host, &report.log())?;
    }
    report.line("Writing the boot loaders");
    if table.entry(BIOS_PARTITION).is_ok() {
        boot_files.bios.install(disk)?;
    } else {
        report.line("The disk has no room for legacy BIOS: it boots by UEFI only");
    }
    write_esp(
        &partition(ESP_PARTITION),
        plan,
        version,
        &boot_files,
        report,
    )?;
    flush(disk)?;
    secure_boot::enrol(plan.secure_boot, &boot_files.certificates, report);
    Ok(())
}

/// The partitions must be where this version expects them.
fn check(table: &Table) -> anyhow::Result<()> {
    for slot in Slot::ALL {
        for (number, size) in [
            (slot.root_partition(), ROOT_SIZE),
            (slot.verity_partition(), VERITY_SIZE),
        ] {
            let entry = table.entry(number)?;
            ensure!(
                entry.size >= size && SlotLabel::parse(&entry.label).is_some(),
                "existing.action: partition {number} is none of Basalt's; only `wipe` is possible"
            );
        }
    }
    Ok(())
}

/// The slot that is worth less: empty, or with the older version.
fn spare_slot(table: &Table) -> Slot {
    match (table.content_of(Slot::A), table.content_of(Slot::B)) {
        (Some(a), Some(b)) if b < a => Slot::B,
        (Some(_), None) => Slot::B,
        _ => Slot::A,
    }
}

fn write_esp(
    device: &Path,
    plan: &Plan,
    version: &Version,
    files: &BootFiles,
    report: &mut Report,
) -> anyhow::Result<()> {
    let needed = (files.loader.len() * 2 + files.uki.len()) as u64 + SPARE;
    match usable(device, needed) {
        Ok(()) => {}
        Err(error) => {
            report.line(&format!("The EFI system partition is made anew: {error:#}"));
            let device = device.to_string_lossy();
            command::run("mkfs.vfat", &["-F", "32", "-n", ESP_FS_LABEL, &device], "")?;
        }
    }
    files::write_esp(device, version, files, plan.secure_boot)?;
    remove_others(&Esp::mount(device)?, version)
}

/// Whether the file system can take the new boot files beside the old ones.
fn usable(device: &Path, needed: u64) -> anyhow::Result<()> {
    let text = device.to_string_lossy();
    // What it could not put in order shows when it is mounted.
    if let Err(error) = command::run("fsck.vfat", &["-a", &text], "") {
        tracing::info!(%error, "EFI system partition");
    }
    let esp = Esp::mount(device)?;
    let probe = esp.path().join(".probe");
    std::fs::write(&probe, b"").context("it cannot be written to")?;
    std::fs::remove_file(&probe).context("it cannot be written to")?;
    let room = esp.room()?;
    ensure!(room >= needed, "it has only {} MiB left", room >> 20);
    Ok(())
}

/// Removes this version's other kernel images: one that the boot loader had given up must not stay.
fn remove_others(esp: &Esp, version: &Version) -> anyhow::Result<()> {
    let new = UkiName::good(version.clone());
    for uki in esp.ukis()? {
        if uki.name.version == *version && uki.name != new {
            esp.remove(&uki)?;
        }
    }
    esp.sync().context("flushing the EFI system partition")
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_layout::disk::{MIN_DISK_SIZE, Shares, install_script};
    use std::fs::{self, File};

    fn table(dir: &Path) -> Table {
        let disk = dir.join("disk");
        File::create(&disk).unwrap().set_len(MIN_DISK_SIZE).unwrap();
        let ids = basalt_update::table::fresh_ids();
        let hash = "ab".repeat(32).parse().unwrap();
        let script = install_script(&ids, &"0.1.0".parse().unwrap(), &hash, &Shares::DATA_ALONE);
        command::run("sfdisk", &["--quiet", &disk.to_string_lossy()], &script).unwrap();
        Table::read(&disk).unwrap()
    }

    #[test]
    fn the_better_slot_is_never_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = table(dir.path());
        check(&table).unwrap();
        assert_eq!(spare_slot(&table), Slot::B, "empty");
        let mut fill = |slot: Slot, version: &str| {
            let version: Version = version.parse().unwrap();
            let id = fresh_id();
            table.rename(
                slot.root_partition(),
                &SlotLabel::Root(version.clone()),
                &id,
            );
            table.rename(slot.verity_partition(), &SlotLabel::Verity(version), &id);
            spare_slot(&table)
        };
        assert_eq!(fill(Slot::B, "0.2.0"), Slot::A, "older");
        assert_eq!(fill(Slot::A, "0.3.0"), Slot::B, "older");
    }

    #[test]
    fn another_layout_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        File::create(&disk).unwrap().set_len(64 << 20).unwrap();
        let script = "label: gpt\nsize=1MiB\nsize=1MiB, name=\"basalt_0.1.0\"\nsize=1MiB\n";
        command::run("sfdisk", &["--quiet", &disk.to_string_lossy()], script).unwrap();
        let error = check(&Table::read(&disk).unwrap()).unwrap_err().to_string();
        assert!(error.contains("only `wipe` is possible"), "{error}");
    }

    #[test]
    fn a_given_up_kernel_of_this_version_goes() {
        let dir = tempfile::tempdir().unwrap();
        let esp = Esp::folder(dir.path());
        fs::create_dir_all(esp.uki_folder()).unwrap();
        for name in [
            "basalt_0.2.0+0-3.efi",
            "basalt_0.2.0.efi",
            "basalt_0.1.0.efi",
        ] {
            fs::write(esp.uki_folder().join(name), "").unwrap();
        }
        remove_others(&esp, &"0.2.0".parse().unwrap()).unwrap();
        let left: Vec<String> = esp
            .ukis()
            .unwrap()
            .iter()
            .map(|uki| uki.name.to_string())
            .collect();
        assert_eq!(left, ["basalt_0.2.0.efi", "basalt_0.1.0.efi"]);
    }
}

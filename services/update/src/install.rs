//! Installing a bundle into the slot that does not run.
//!
//! The order of the steps is what keeps the machine bootable at every instant:
//!
//! 1. the whole bundle is read and checked, its signature first; until here nothing has changed;
//! 2. the other slot's kernel image is removed: what it boots is about to vanish;
//! 3. the slot's partitions are marked empty and lose their identity;
//! 4. root and hash tree are written and flushed, their digests checked once more;
//! 5. the partitions get the new identity, both in one write of the table;
//! 6. the kernel image is written under a name the boot loader does not look at, flushed, and
//!    renamed: only now the new version exists.
//!
//! Another system disk follows afterwards ([`crate::mirror`]); until then it boots what it booted.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use basalt_layout::{Slot, SlotLabel, UkiName, Version};

use crate::bundle::{self, Nothing, PartKind, Sink};
use crate::esp::{Esp, Uki};
use crate::host::Target;
use crate::observer::Span;
use crate::table::{Table, fresh_id};
use crate::{Error, Host, Manifest, Observer, bios, files, formats};

/// Room left free in the EFI system partition.
const ESP_RESERVE: u64 = 1 << 20;

/// How an installation may deviate from the rule.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Also installs a version older than the running one.
    pub allow_downgrade: bool,
}

/// What has been installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The version.
    pub version: Version,
    /// Where it is.
    pub slot: Slot,
}

/// Installs a bundle; the next boot tries it.
pub fn install(
    host: &Host,
    path: &Path,
    options: Options,
    span: Span,
    observer: &mut dyn Observer,
) -> Result<Installed, Error> {
    let _lock = host.lock()?;
    host.others.check_leading()?;
    let keys = host.keys()?;
    let manifest = bundle::manifest(path, &keys)?;
    let mut table = Table::read(&host.disk)?;
    let slot = host.running_slot(&table)?.other();
    let esp = host.open_esp()?;
    check(host, &table, slot, &esp, &manifest, options)?;
    let half = span.from + (span.to - span.from) / 2;
    observer.say("checking the bundle");
    let first = Span { to: half, ..span };
    bundle::read(path, &keys, &mut Nothing, first, observer)?;

    observer.say(&format!(
        "writing version {} to slot {}",
        manifest.version,
        slot.letter()
    ));
    esp.settle()?;
    for uki in esp.ukis()?.iter().filter(|uki| !host.runs(&uki.name)) {
        esp.remove(uki)?;
    }
    empty_slot(&mut table, slot)?;
    let mut writer = SlotWriter {
        root: host.target(&table, slot.root_partition())?,
        verity: host.target(&table, slot.verity_partition())?,
        uki: esp.uki_folder().join("basalt-update.new"),
        current: None,
    };
    formats::remember(host, &manifest)?;
    let second = Span { from: half, ..span };
    let written = bundle::read(path, &keys, &mut writer, second, observer)
        .and_then(|again| same(&manifest, &again))
        .and_then(|()| name_slot(&mut table, slot, &manifest))
        .and_then(|()| publish(&esp, &writer.uki, &manifest.version));
    if let Err(error) = written {
        // Whatever is left is not bootable; the half-written image only takes room.
        let _ = files::remove_if_there(&writer.uki);
        return Err(error);
    }
    drop(esp);
    choose(host, &manifest.version)?;
    host.others.follow(host);
    let _ = files::remove_if_there(&host.failure_record);
    Ok(Installed {
        version: manifest.version,
        slot,
    })
}

/// Everything that can be refused by the manifest alone, before a byte is fetched or written.
pub(crate) fn check(
    host: &Host,
    table: &Table,
    slot: Slot,
    esp: &Esp,
    manifest: &Manifest,
    options: Options,
) -> Result<(), Error> {
    let version = &manifest.version;
    if *version == host.version {
        return Err(Error::AlreadyRunning(version.clone()));
    }
    if *version < host.version && !options.allow_downgrade {
        return Err(Error::Older {
            offered: version.clone(),
            running: host.version.clone(),
        });
    }
    formats::check(host, manifest)?;
    let same_image = table.content_of(slot).as_ref() == Some(version)
        && table.slot_of(&manifest.root_hash.root_partuuid()) == Some(slot);
    let works = |uki: &Uki| uki.name.version == *version && uki.boots();
    if same_image && esp.ukis()?.iter().any(works) {
        return Err(Error::AlreadyInstalled {
            version: version.clone(),
            slot: slot.letter(),
        });
    }
    check_sizes(host, table, slot, esp, manifest)
}

fn check_sizes(
    host: &Host,
    table: &Table,
    slot: Slot,
    esp: &Esp,
    manifest: &Manifest,
) -> Result<(), Error> {
    let parts = &manifest.parts;
    for (what, part, number) in [
        ("the root file system", &parts.root, slot.root_partition()),
        ("the hash tree", &parts.verity, slot.verity_partition()),
    ] {
        let room = host.target(table, number)?.size;
        if part.size > room {
            let place = format!("slot {}", slot.letter());
            return Err(Error::TooLarge {
                what,
                needed: part.size,
                place,
                room,
            });
        }
    }
    let freed: u64 = esp
        .ukis()?
        .iter()
        .filter(|uki| !host.runs(&uki.name))
        .map(|uki| uki.size)
        .sum();
    let room = esp
        .room()?
        .saturating_add(freed)
        .saturating_sub(ESP_RESERVE);
    if parts.uki.size > room {
        return Err(Error::TooLarge {
            what: "the kernel image",
            needed: parts.uki.size,
            place: "the EFI system partition".to_owned(),
            room,
        });
    }
    Ok(())
}

/// The bundle must not change between checking and writing.
fn same(checked: &Manifest, written: &Manifest) -> Result<(), Error> {
    if checked == written {
        Ok(())
    } else {
        Err(Error::Bundle(
            "it changed while it was being installed".to_owned(),
        ))
    }
}

fn empty_slot(table: &mut Table, slot: Slot) -> Result<(), Error> {
    for number in [slot.root_partition(), slot.verity_partition()] {
        table.rename(number, &SlotLabel::Empty, &fresh_id());
    }
    table.write()
}

fn name_slot(table: &mut Table, slot: Slot, manifest: &Manifest) -> Result<(), Error> {
    let version = &manifest.version;
    let hash = &manifest.root_hash;
    let root = SlotLabel::Root(version.clone());
    table.rename(slot.root_partition(), &root, &hash.root_partuuid());
    let verity = SlotLabel::Verity(version.clone());
    table.rename(slot.verity_partition(), &verity, &hash.verity_partuuid());
    table.write()
}

fn publish(esp: &Esp, new: &Path, version: &Version) -> Result<(), Error> {
    let name = UkiName::fresh(version.clone()).to_string();
    let path = esp.uki_folder().join(name);
    bios::write_entry(esp, version, new)?;
    std::fs::rename(new, &path).map_err(|e| Error::io(&path, e))?;
    esp.sync()
}

/// A newer version is what the boot loader takes by itself; an older one has to be asked for, and
/// only once: it stays only after it has proved itself.
fn choose(host: &Host, version: &Version) -> Result<(), Error> {
    if *version < host.version {
        return host.loader.set_next(version);
    }
    match host
        .loader
        .clear_default()
        .and_then(|()| host.loader.clear_next())
    {
        // Without variables there is nothing that could stand in the way.
        Err(Error::Firmware(reason)) => {
            tracing::debug!(reason, "boot variables not cleared");
            Ok(())
        }
        other => other,
    }
}

/// Writes each part to its place.
struct SlotWriter {
    root: Target,
    verity: Target,
    uki: PathBuf,
    current: Option<(File, PathBuf)>,
}

impl Sink for SlotWriter {
    fn begin(&mut self, part: PartKind) -> Result<(), Error> {
        let (file, path) = match part {
            PartKind::Blocks => return Ok(()),
            PartKind::Root => (open_target(&self.root), &self.root.path),
            PartKind::Verity => (open_target(&self.verity), &self.verity.path),
            PartKind::Uki => (File::create(&self.uki), &self.uki),
        };
        let file = file.map_err(|e| Error::io(path, e))?;
        self.current = Some((file, path.clone()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.current {
            Some((file, path)) => file.write_all(bytes).map_err(|e| Error::io(path, e)),
            None => Ok(()),
        }
    }

    fn end(&mut self, _: PartKind) -> Result<(), Error> {
        match self.current.take() {
            Some((file, path)) => file.sync_all().map_err(|e| Error::io(&path, e)),
            None => Ok(()),
        }
    }
}

fn open_target(target: &Target) -> std::io::Result<File> {
    let mut file = File::options().write(true).open(&target.path)?;
    file.seek(SeekFrom::Start(target.offset))?;
    Ok(file)
}

#[cfg(test)]
mod tests;

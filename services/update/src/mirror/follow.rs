//! Brings a disk's slots and boot files up to what another disk has.
//!
//! The order keeps the disk bootable by itself at every instant. A slot is rewritten like in an
//! update: its kernel image goes first, then its identity, then its content; the new kernel image
//! comes last. The slot that nothing boots from is rewritten first, so that there is a whole version
//! before the other one is touched.

use std::fs;
use std::path::{Path, PathBuf};

use basalt_layout::slot::UKI_FOLDER;
use basalt_layout::{Slot, SlotLabel, Version, bios};

use super::{SystemDisk, copy};
use crate::bios::BootCode;
use crate::block::Blocks;
use crate::claim::Claim;
use crate::esp::{Esp, Uki};
use crate::host::target;
use crate::table::{Table, fresh_id};
use crate::{Error, files};

/// Name of a kernel image until it is whole; no boot loader looks at it.
const NEW_IMAGE: &str = "basalt-mirror.new";

/// How far a disk has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has what the other one has.
    Wholly,
    /// The running system is in a slot that would have to be rewritten.
    Partly,
}

/// Makes the disk `to` boot what the disk `from` boots.
pub fn follow(from: &SystemDisk, to: &SystemDisk) -> Result<Outcome, Error> {
    // Held until the last of its partitions is closed.
    let _claim = Claim::take(&to.path)?;
    let mut work = Work {
        from_table: Table::read(&from.path)?,
        table: Table::read(&to.path)?,
        from_esp: from.esp.open()?,
        esp: to.esp.open_beside()?,
        from,
        to,
    };
    work.esp.settle()?;
    work.make_folders()?;
    let mut outcome = Outcome::Wholly;
    for slot in work.order()? {
        if work.is_same(slot) {
            continue;
        }
        if work.is_in_use(slot) {
            outcome = Outcome::Partly;
            continue;
        }
        work.rewrite(slot)?;
    }
    work.copy_images()?;
    work.copy_others()?;
    work.copy_boot_code()?;
    Ok(outcome)
}

struct Work<'a> {
    from: &'a SystemDisk,
    to: &'a SystemDisk,
    from_table: Table,
    table: Table,
    from_esp: Esp,
    esp: Esp,
}

impl Work<'_> {
    fn make_folders(&self) -> Result<(), Error> {
        let folder = self.esp.uki_folder();
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))
    }

    /// The slots, those first that nothing boots from.
    fn order(&self) -> Result<Vec<Slot>, Error> {
        let ukis = self.esp.ukis()?;
        let boots = |slot: &Slot| {
            let version = self.table.content_of(*slot);
            let works = |uki: &Uki| Some(&uki.name.version) == version.as_ref();
            ukis.iter().any(|uki| works(uki) && uki.boots())
        };
        let mut slots = Slot::ALL.to_vec();
        slots.sort_by_key(boots);
        Ok(slots)
    }

    /// Whether a slot holds what it should: identities follow from contents, and are given last.
    fn is_same(&self, slot: Slot) -> bool {
        self.from_table.content_of(slot).is_none()
            || parts(slot).iter().all(|number| {
                let entries = (self.from_table.entry(*number), self.table.entry(*number));
                matches!(entries, (Ok(a), Ok(b)) if a.uuid == b.uuid && a.label == b.label)
            })
    }

    fn is_in_use(&self, slot: Slot) -> bool {
        let disk = self
            .to
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        parts(slot).iter().any(|number| {
            let name = basalt_layout::disk::partition_path(&disk, *number);
            !Blocks::default().holders(&name).is_empty()
        })
    }

    fn rewrite(&mut self, slot: Slot) -> Result<(), Error> {
        let version = self.from_table.content_of(slot);
        let path = self.to.path.display();
        tracing::info!(disk = %path, slot = %slot.letter(), version = ?version.as_ref().map(ToString::to_string), "copying a slot");
        if let Some(old) = self.table.content_of(slot) {
            for uki in self
                .esp
                .ukis()?
                .iter()
                .filter(|uki| uki.name.version == old)
            {
                self.esp.remove(uki)?;
            }
        }
        for number in parts(slot) {
            self.table.rename(number, &SlotLabel::Empty, &fresh_id());
        }
        self.table.write()?;
        self.copy_slot(slot)?;
        for number in parts(slot) {
            let entry = self.from_table.entry(number)?;
            if let Some(label) = SlotLabel::parse(&entry.label) {
                self.table.rename(number, &label, &entry.uuid);
            }
        }
        self.table.write()?;
        for uki in self.from_esp.ukis()? {
            if uki.whole && Some(&uki.name.version) == version.as_ref() {
                self.copy_image(&uki)?;
            }
        }
        Ok(())
    }

    fn copy_slot(&self, slot: Slot) -> Result<(), Error> {
        let source = |number| target(&self.from.path, &self.from_table, number);
        let goal = |number| target(&self.to.path, &self.table, number);
        let (root, verity) = (
            source(slot.root_partition())?,
            source(slot.verity_partition())?,
        );
        let size = copy::root_size(&verity, root.size)?;
        copy::copy(&root, &goal(slot.root_partition())?, size)?;
        copy::copy(&verity, &goal(slot.verity_partition())?, verity.size)
    }

    /// Gives the disk the other one's kernel images, under their names and so with their tries.
    fn copy_images(&self) -> Result<(), Error> {
        let wanted = self.from_esp.ukis()?;
        for uki in wanted.iter().filter(|uki| uki.whole) {
            if self.holds(&uki.name.version) {
                self.copy_image(uki)?;
            }
        }
        for uki in self.esp.ukis()? {
            let is_wanted = |other: &Uki| other.name.version == uki.name.version;
            let stays_bootable = self.esp.ukis()?.iter().any(|other| {
                other.path != uki.path
                    && other.boots()
                    && wanted.iter().any(|w| w.name == other.name)
            });
            if !wanted.iter().any(is_wanted) && stays_bootable {
                self.esp.remove(&uki)?;
            }
        }
        Ok(())
    }

    /// Whether a slot of the disk holds a version.
    fn holds(&self, version: &Version) -> bool {
        Slot::ALL
            .into_iter()
            .any(|slot| self.is_same(slot) && self.table.content_of(slot).as_ref() == Some(version))
    }

    fn copy_image(&self, uki: &Uki) -> Result<(), Error> {
        let place = self.esp.uki_folder().join(uki.name.to_string());
        let ours = self.esp.ukis()?;
        let same = |other: &&Uki| {
            other.name.version == uki.name.version
                && other.size == uki.size
                && is_equal(&other.path, &uki.path)
        };
        if let Some(found) = ours.iter().find(same) {
            if found.path != place {
                fs::rename(&found.path, &place).map_err(|e| Error::io(&place, e))?;
                self.esp.sync()?;
            }
            return Ok(());
        }
        let new = self.esp.uki_folder().join(NEW_IMAGE);
        fs::copy(&uki.path, &new).map_err(|e| Error::io(&new, e))?;
        if self
            .from_esp
            .path()
            .join(bios::entry_file(&uki.name.version))
            .exists()
        {
            self.copy_file(&PathBuf::from(bios::entry_file(&uki.name.version)))?;
        }
        self.esp.sync()?;
        fs::rename(&new, &place).map_err(|e| Error::io(&place, e))?;
        self.esp.sync()
    }

    /// Everything on the EFI system partition that is no kernel image.
    fn copy_others(&self) -> Result<(), Error> {
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = self.from_esp.path().join(&folder);
            for entry in fs::read_dir(&path).map_err(|e| Error::io(&path, e))? {
                let entry = entry.map_err(|e| Error::io(&path, e))?;
                let relative = folder.join(entry.file_name());
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && relative != Path::new(UKI_FOLDER) {
                    folders.push(relative);
                } else if !is_folder && !is_version_file(&relative) {
                    self.copy_file(&relative)?;
                }
            }
        }
        self.esp.sync()
    }

    fn copy_file(&self, relative: &Path) -> Result<(), Error> {
        let (from, to) = (
            self.from_esp.path().join(relative),
            self.esp.path().join(relative),
        );
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let content = fs::read(&from).map_err(|e| Error::io(&from, e))?;
        if fs::read(&to).is_ok_and(|old| old == content) {
            return Ok(());
        }
        files::write_atomic(&to, &content, 0o600).map_err(|e| Error::io(&to, e))
    }

    fn copy_boot_code(&self) -> Result<(), Error> {
        if !self.from_esp.path().join(bios::CORE).exists()
            || self
                .table
                .entry(basalt_layout::disk::BIOS_PARTITION)
                .is_err()
        {
            return Ok(());
        }
        BootCode::read(self.from_esp.path())?.install(&self.to.path)
    }
}

/// A slot's partitions.
fn parts(slot: Slot) -> [u32; 2] {
    [slot.root_partition(), slot.verity_partition()]
}

/// The files by which GRUB finds a version come and go with its kernel image.
fn is_version_file(relative: &Path) -> bool {
    relative.parent() == Some(Path::new(bios::FOLDER))
        && relative
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().parse::<Version>().is_ok())
}

fn is_equal(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests;

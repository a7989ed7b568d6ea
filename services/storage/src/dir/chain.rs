//! Disks that share what they have: snapshots of a qcow2 image, and clones of a template.
//!
//! `vm-100-disk-0.qcow2` is what is written. `vm-100-disk-0.qcow2@before` is what it was at the
//! snapshot `before`, and `vm-101-disk-0.qcow2@__base.raw` a second name (a hard link) of the template's
//! image that the disk was cloned from; the template may go before its clones do. Each of them names
//! the one below it in its header. Such a name is followed only if it is one of these: the header is
//! written by a machine's monitor, and what it says may reach nothing but the disk's own past.
//!
//! A small raw image, such as the variables of firmware, is copied for a snapshot.
//!
//! Every change ends with one rename or one write of a header, so an interruption leaves the disk as it
//! was or as it should become. What it leaves besides is found by name when the change is repeated.

use super::{Inner, layout};
use crate::error::{Context, Result, StorageError};
use crate::open::{beneath, locked};
use crate::qcow2::{self, chain};
use crate::{Access, Image, Layer, Snapshots, copy};
use basalt_model::disk::{ImageFormat, MAX_BACKING};
use basalt_model::storage::{ContentKind, SnapshotName, VolumeId};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;

/// What a template's image is called below a clone.
const BASE: &str = "__base";
/// An image that is not yet in its place.
const NEW: &str = "__new";

/// Largest raw image that is copied for a snapshot, in bytes. Copying more would take its time.
const SMALL: u64 = 64 << 20;

/// The directory of a disk, and the disk in it.
struct Place<'a> {
    volume: &'a VolumeId,
    directory: OwnedFd,
    format: ImageFormat,
}

impl Place<'_> {
    fn name(&self) -> &str {
        self.volume.name()
    }

    /// The name of an image below the disk.
    fn layer(&self, what: impl std::fmt::Display) -> String {
        format!("{}@{what}", self.name())
    }

    /// What a name in a header means; none if it is not one of the disk's own images.
    fn format_of(&self, layer: &str) -> Option<ImageFormat> {
        match layer.strip_prefix(self.name())?.strip_prefix('@')? {
            "__base.raw" => Some(ImageFormat::Raw),
            "__base.qcow2" => Some(ImageFormat::Qcow2),
            other => other
                .parse::<SnapshotName>()
                .ok()
                .map(|_| ImageFormat::Qcow2),
        }
    }

    fn open(&self, name: &str, access: Access) -> Result<File> {
        locked(&self.directory, name, self.volume, access)
    }

    /// Opens a file to look at it.
    fn open_unlocked(&self, name: &str) -> Result<File> {
        let opened = beneath(&self.directory, name, OFlags::RDONLY | OFlags::NONBLOCK);
        Ok(File::from(
            opened.context(format!("opening {}", self.volume))?,
        ))
    }

    /// The number of a file that is there.
    fn inode(&self, name: &str) -> Result<Option<u64>> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error).context(format!("looking at {}", self.volume)),
        }
    }

    /// Removes a name; one that is not there is fine.
    fn unlink(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context(format!("removing {name}")),
        }
    }

    fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.directory).context(format!("writing {}", self.volume))
    }

    /// The names of the images below the disk that are there, with what stands after the disk's.
    fn layers(&self) -> Result<Vec<(String, String)>> {
        let what = || format!("listing the images of {}", self.volume);
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.directory).context(what())? {
            let entry = entry.context(what())?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let rest = name.strip_prefix(self.name());
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('@')) {
                found.push((name.to_owned(), rest.to_owned()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The images below `top`, nearest first, with their names.
    fn below(&self, top: &File) -> Result<Vec<(String, Layer)>> {
        let what = || format!("reading {}", self.volume);
        let mut found = Vec::new();
        let mut name = chain::below(top).context(what())?;
        while let Some(below) = name.take() {
            let format = self.format_of(&below).ok_or_else(|| {
                unfit(
                    self.volume,
                    "it names an image below it that is not its own",
                )
            })?;
            if found.len() >= MAX_BACKING {
                let reason = format!("more than {MAX_BACKING} images lie below it");
                return Err(unfit(self.volume, reason));
            }
            let file = self.open(&below, Access::Read)?;
            if format == ImageFormat::Qcow2 {
                name = chain::below(&file).context(what())?;
            }
            found.push((below, Layer { file, format }));
        }
        Ok(found)
    }

    /// Puts an image in the disk's place that differs in nothing from `layer`, of a disk of `size` bytes.
    fn put_on(&self, layer: &str, size: u64, flags: RenameFlags) -> Result<()> {
        let what = || format!("making {}", self.volume);
        let new = self.layer(NEW);
        self.unlink(&new)?;
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let file = rustix::fs::openat(&self.directory, &new, create, mode).context(what())?;
        let format = self
            .format_of(layer)
            .ok_or_else(|| unfit(self.volume, "it cannot lie on that image"))?;
        let made = chain::create_on(&File::from(file), size, layer, format)
            .context(what())
            .and_then(|()| {
                let to = self.name();
                match rustix::fs::renameat_with(&self.directory, &new, &self.directory, to, flags) {
                    Err(Errno::EXIST) => Err(StorageError::Exists(self.volume.clone())),
                    renamed => renamed.context(what()),
                }
            });
        if made.is_err() {
            self.unlink(&new)?;
        }
        made
    }

    /// Puts a copy of an image in the place of another, or where none is.
    fn put_copy(&self, from: &File, to: &str, flags: RenameFlags) -> Result<()> {
        let what = || format!("copying {}", self.volume);
        let new = self.layer(NEW);
        self.unlink(&new)?;
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let file = rustix::fs::openat(&self.directory, &new, create, mode).context(what())?;
        let file = File::from(file);
        let size = from.metadata().context(what())?.len();
        let made = file
            .set_len(size)
            .context(what())
            .and_then(|()| copy::fill(from, &file, &mut |_, _| true))
            .and_then(|()| {
                rustix::fs::renameat_with(&self.directory, &new, &self.directory, to, flags)
                    .context(what())
            });
        if made.is_err() {
            self.unlink(&new)?;
        }
        made
    }

    /// Refuses a raw image that is too large to be copied for a snapshot.
    fn check_small(&self, image: &File) -> Result<()> {
        let size = image
            .metadata()
            .context(format!("looking at {}", self.volume))?;
        if size.len() <= SMALL {
            return Ok(());
        }
        Err(unfit(
            self.volume,
            "a raw image in a directory has no snapshots: use qcow2, or a pool of LVM or ZFS",
        ))
    }

    /// Takes into an image all that only the one below it has, and no longer needs that one.
    fn let_go_of_nearest(&self, image: &File) -> Result<()> {
        let what = || format!("merging images of {}", self.volume);
        let (names, layers): (Vec<_>, Vec<_>) = self.below(image)?.into_iter().unzip();
        chain::absorb(image, &layers).context(what())?;
        let next = names.get(1).map(String::as_str).zip(layers.get(1));
        let next = next.map(|(name, layer)| (name, layer.format));
        chain::set_below(image, next).context(what())
    }
}

impl Inner {
    fn place<'a>(&self, volume: &'a VolumeId) -> Result<Place<'a>> {
        let missing = || StorageError::NoVolume(volume.clone());
        let (content, path) = layout::locate(volume)?;
        if content != ContentKind::Images {
            return Err(unfit(volume, "it is no guest's disk"));
        }
        let format = match layout::format(content, volume.name()) {
            Some("qcow2") => ImageFormat::Qcow2,
            Some(_) => ImageFormat::Raw,
            None => return Err(missing()),
        };
        let (parent, _) = path.rsplit_once('/').ok_or_else(missing)?;
        match self.directory(parent) {
            Ok(directory) => Ok(Place {
                volume,
                directory,
                format,
            }),
            Err(Errno::NOENT) => Err(missing()),
            Err(error) => Err(error).context(format!("opening {volume}")),
        }
    }

    /// When a disk can have snapshots made.
    pub(super) fn snapshots_of(&self, volume: &VolumeId) -> Snapshots {
        let small = |place: &Place<'_>| {
            let image = place.open_unlocked(volume.name());
            image.is_ok_and(|image| place.check_small(&image).is_ok())
        };
        match self.place(volume) {
            Ok(place) if place.format == ImageFormat::Qcow2 || small(&place) => {
                Snapshots::WhenUnused
            }
            _ => Snapshots::Never,
        }
    }

    /// The images below `top`, which is the disk's own.
    pub(super) fn layers(&self, volume: &VolumeId, top: &File) -> Result<Vec<Layer>> {
        let place = self.place(volume)?;
        if place.format == ImageFormat::Raw {
            return Ok(Vec::new());
        }
        let below = place.below(top)?;
        Ok(below.into_iter().map(|(_, layer)| layer).collect())
    }

    /// The images below a disk that somebody may have open.
    pub(super) fn layers_of(&self, volume: &VolumeId) -> Result<Vec<Layer>> {
        let (content, path) = layout::locate(volume)?;
        if content != ContentKind::Images {
            return Ok(Vec::new());
        }
        let top = beneath(&self.root, &path, OFlags::RDONLY | OFlags::NONBLOCK);
        let top = File::from(top.context(format!("opening {volume}"))?);
        self.layers(volume, &top)
    }

    pub(super) fn image(
        &self,
        volume: &VolumeId,
        snapshot: Option<&SnapshotName>,
    ) -> Result<Image> {
        let place = self.place(volume)?;
        let name = match snapshot {
            None => volume.name().to_owned(),
            Some(snapshot) => {
                let name = place.layer(snapshot);
                if place.inode(&name)?.is_none() {
                    return Err(no_snapshot(volume, snapshot));
                }
                name
            }
        };
        let file = place.open(&name, Access::Read)?;
        let below = self.layers(volume, &file)?;
        let format = place.format;
        Ok(Image {
            top: Layer { file, format },
            below,
        })
    }

    pub(super) fn snapshots(&self, volume: &VolumeId) -> Result<Vec<SnapshotName>> {
        let layers = self.place(volume)?.layers()?;
        let names = layers.into_iter().filter_map(|(_, rest)| rest.parse().ok());
        Ok(names.collect())
    }

    pub(super) fn snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let place = self.place(volume)?;
        let held = place.open(volume.name(), Access::Write)?;
        let layer = place.layer(snapshot);
        if place.format == ImageFormat::Raw {
            place.check_small(&held)?;
            if place.inode(&layer)?.is_some() {
                return Err(StorageError::Exists(volume.clone()));
            }
            place.put_copy(&held, &layer, RenameFlags::NOREPLACE)?;
            return place.sync();
        }
        match place.inode(&layer)? {
            None => {}
            // An interruption gave the disk a second name and nothing else.
            found if found == place.inode(volume.name())? => place.unlink(&layer)?,
            Some(_) => return Err(StorageError::Exists(volume.clone())),
        }
        if place.below(&held)?.len() >= MAX_BACKING {
            let reason = format!("{MAX_BACKING} images lie below it: remove snapshots first");
            return Err(unfit(volume, reason));
        }
        let size = size(&held, volume)?;
        let (from, directory) = (volume.name(), &place.directory);
        rustix::fs::linkat(directory, from, directory, &layer, AtFlags::empty())
            .context(format!("keeping {volume}"))?;
        let put = place.put_on(&layer, size, RenameFlags::empty());
        if put.is_err() {
            place.unlink(&layer)?;
        }
        put?;
        place.sync()
    }

    pub(super) fn roll_back(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let place = self.place(volume)?;
        let layer = place.layer(snapshot);
        let found = place.inode(&layer)?;
        if found.is_none() {
            return Err(no_snapshot(volume, snapshot));
        }
        let _held = match place.open(volume.name(), Access::Write) {
            Err(StorageError::NoVolume(_)) => None,
            held => Some(held?),
        };
        if found == place.inode(volume.name())? {
            return Err(no_snapshot(volume, snapshot));
        }
        let image = place.open(&layer, Access::Read)?;
        match place.format {
            ImageFormat::Raw => place.put_copy(&image, volume.name(), RenameFlags::empty())?,
            ImageFormat::Qcow2 => {
                place.put_on(&layer, size(&image, volume)?, RenameFlags::empty())?;
            }
        }
        place.sync()
    }

    pub(super) fn remove_snapshot(&self, volume: &VolumeId, snapshot: &SnapshotName) -> Result<()> {
        let place = self.place(volume)?;
        let doomed = place.layer(snapshot);
        let found = place.inode(&doomed)?;
        if found.is_none() {
            return Err(no_snapshot(volume, snapshot));
        }
        let held = place.open(volume.name(), Access::Write)?;
        let alone = place.format == ImageFormat::Raw || found == place.inode(volume.name())?;
        if !alone {
            let lies_on_it = |image: &File| {
                let below = chain::below(image).context(format!("reading {volume}"))?;
                Ok::<_, StorageError>(below.as_ref() == Some(&doomed))
            };
            if lies_on_it(&held)? {
                place.let_go_of_nearest(&held)?;
            }
            for other in self.snapshots(volume)? {
                let name = place.layer(&other);
                if name != doomed && lies_on_it(&place.open(&name, Access::Read)?)? {
                    place.let_go_of_nearest(&place.open(&name, Access::Write)?)?;
                }
            }
        }
        place.unlink(&doomed)?;
        place.sync()
    }

    pub(super) fn make_base(&self, volume: &VolumeId) -> Result<VolumeId> {
        let base = volume
            .as_base()
            .ok_or_else(|| unfit(volume, "only a disk like vm-100-disk-0 can be a template's"))?;
        let place = self.place(volume)?;
        if place.inode(volume.name())?.is_none() && place.inode(base.name())?.is_some() {
            return Ok(base);
        }
        let held = place.open(volume.name(), Access::Write)?;
        if let Some(snapshot) = self.snapshots(volume)?.first() {
            let reason = format!("it has the snapshot '{snapshot}': remove that first");
            return Err(unfit(volume, reason));
        }
        // Clones of it lie on one image, which needs no other.
        while place.format == ImageFormat::Qcow2 && !place.below(&held)?.is_empty() {
            place.let_go_of_nearest(&held)?;
        }
        let (directory, to) = (&place.directory, base.name());
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(directory, volume.name(), directory, to, flags) {
            Err(Errno::EXIST) => return Err(StorageError::Exists(base)),
            renamed => renamed.context(format!("renaming {volume}"))?,
        }
        self.remove_layers(volume)?;
        place.sync()?;
        Ok(base)
    }

    pub(super) fn copy(&self, source: &VolumeId, target: &VolumeId) -> Result<()> {
        let from = self.place(source)?;
        if !source.is_base() {
            let reason = "only the disk of a template can be shared: copy it in full";
            return Err(unfit(source, reason));
        }
        let image = from.open(source.name(), Access::Read)?;
        let size = match from.format {
            ImageFormat::Qcow2 => size(&image, source)?,
            ImageFormat::Raw => image.metadata().context(format!("reading {source}"))?.len(),
        };
        self.make_directory(target)?;
        let to = self.place(target)?;
        if to.format == ImageFormat::Raw {
            return Err(unfit(
                target,
                "a disk that shares is called like vm-100-disk-0.qcow2",
            ));
        }
        if to.inode(target.name())?.is_some() {
            return Err(StorageError::Exists(target.clone()));
        }
        let ending = match from.format {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        };
        let layer = to.layer(format_args!("{BASE}.{ending}"));
        // An interruption may have left one.
        to.unlink(&layer)?;
        let flags = AtFlags::empty();
        rustix::fs::linkat(&from.directory, source.name(), &to.directory, &layer, flags)
            .context(format!("sharing {source}"))?;
        let put = to.put_on(&layer, size, RenameFlags::NOREPLACE);
        if put.is_err() {
            to.unlink(&layer)?;
        }
        put?;
        to.sync()
    }

    /// Removes the images below a disk that goes or that needs none.
    pub(super) fn remove_layers(&self, volume: &VolumeId) -> Result<()> {
        let place = match self.place(volume) {
            // Files that are no disks have none.
            Err(StorageError::NoVolume(_) | StorageError::Unfit { .. }) => return Ok(()),
            place => place?,
        };
        let layers = place.layers()?;
        layers.iter().try_for_each(|(name, _)| place.unlink(name))
    }
}

/// The size of the disk in an image in bytes.
fn size(image: &File, volume: &VolumeId) -> Result<u64> {
    let header = qcow2::header(image).context(format!("reading {volume}"))?;
    let header = header.ok_or_else(|| unfit(volume, "it is no qcow2 image"))?;
    Ok(header.size)
}

fn unfit(volume: &VolumeId, reason: impl Into<String>) -> StorageError {
    StorageError::Unfit {
        volume: volume.clone(),
        reason: reason.into(),
    }
}

fn no_snapshot(volume: &VolumeId, snapshot: &SnapshotName) -> StorageError {
    StorageError::NoSnapshot {
        volume: volume.clone(),
        snapshot: snapshot.clone(),
    }
}

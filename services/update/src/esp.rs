//! The EFI system partition: which kernel images the boot loader will find there.
//!
//! It is mounted only while somebody works on it, so that a power cut rarely meets it dirty.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use basalt_layout::slot::UKI_FOLDER;
use basalt_layout::{UkiName, Version, bios};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::environment::Environment;
use crate::{Error, files, pe};

/// Where the partition is mounted while it is used.
const MOUNT_POINT: &str = "/run/basalt/esp";

/// The partition's files.
#[derive(Debug)]
pub struct Esp {
    folder: PathBuf,
    mounted: bool,
}

/// A kernel image on the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uki {
    /// What its file name says, boots included that GRUB has begun since.
    pub name: UkiName,
    /// Its file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether all of it is there. No firmware starts what is not.
    pub whole: bool,
}

impl Uki {
    /// Whether the boot loader can still start it.
    pub fn boots(&self) -> bool {
        self.whole && !self.name.is_exhausted()
    }
}

impl Esp {
    /// Mounts a partition until the value is dropped.
    pub fn mount(device: &Path) -> Result<Self, Error> {
        Self::mount_at(device, Path::new(MOUNT_POINT), MountFlags::empty())
    }

    /// Mounts a partition at a folder of the caller's choice, until the value is dropped.
    pub fn mount_at(device: &Path, folder: &Path, flags: MountFlags) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        // FAT knows no owners: without this everybody could read what lies there.
        let options = c"umask=0077,errors=remount-ro";
        let flags = flags | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        mount(device, folder, "vfat", flags, options)
            .map_err(|errno| Error::io(device, errno.into()))?;
        Ok(Self {
            folder: folder.to_owned(),
            mounted: true,
        })
    }

    /// Uses a folder that is already there.
    pub fn folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            mounted: false,
        }
    }

    /// The partition's root folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder with the kernel images.
    pub fn uki_folder(&self) -> PathBuf {
        self.folder.join(UKI_FOLDER)
    }

    /// GRUB's environment block.
    pub fn environment(&self) -> Result<Environment, Error> {
        Environment::read(&self.folder.join(bios::ENVIRONMENT))
    }

    /// Writes GRUB's environment block.
    pub fn write_environment(&self, environment: &Environment) -> Result<(), Error> {
        environment.write(&self.folder.join(bios::ENVIRONMENT))
    }

    /// Moves the boots that GRUB has begun into the file names, where tries are counted.
    pub fn settle(&self) -> Result<(), Error> {
        let mut environment = self.environment()?;
        for uki in self.ukis()? {
            self.rename(&uki, &uki.name)?;
        }
        if environment.unset(bios::COUNTED) | environment.unset(bios::BOOTS) {
            self.write_environment(&environment)?;
        }
        Ok(())
    }

    /// Keeps a kernel image for good: no tries are counted any more.
    pub fn bless(&self, version: &Version) -> Result<(), Error> {
        let ukis = self.ukis()?;
        match ukis.iter().find(|uki| uki.name.version == *version) {
            Some(uki) => self.rename(uki, &UkiName::good(version.clone())),
            None => Ok(()),
        }
    }

    fn rename(&self, uki: &Uki, name: &UkiName) -> Result<(), Error> {
        let target = self.uki_folder().join(name.to_string());
        if target == uki.path {
            return Ok(());
        }
        fs::rename(&uki.path, &target).map_err(|e| Error::io(&target, e))?;
        self.sync()
    }

    /// Our kernel images under the names that tell their tries, newest version first.
    pub fn ukis(&self) -> Result<Vec<Uki>, Error> {
        let folder = self.uki_folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&folder, error)),
        };
        let environment = self.environment()?;
        let mut ukis = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(&folder, e))?;
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            let Ok(name) = file_name.parse::<UkiName>() else {
                continue;
            };
            let size = entry
                .metadata()
                .map_err(|e| Error::io(&entry.path(), e))?
                .len();
            let path = entry.path();
            // What cannot even be read is not whole either.
            let whole = pe::headers(&path).is_ok_and(|headers| pe::is_whole(&headers, size));
            ukis.push(Uki {
                name: environment.count(&file_name, name),
                path,
                size,
                whole,
            });
        }
        ukis.sort_by(|a, b| b.name.version.cmp(&a.name.version));
        Ok(ukis)
    }

    /// Free bytes.
    pub fn room(&self) -> Result<u64, Error> {
        let stat = rustix::fs::statvfs(&self.folder)
            .map_err(|errno| Error::io(&self.folder, errno.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Removes a kernel image for good.
    pub fn remove(&self, uki: &Uki) -> Result<(), Error> {
        files::remove_if_there(&uki.path).map_err(|e| Error::io(&uki.path, e))?;
        self.sync()?;
        let version = &uki.name.version;
        if self.ukis()?.iter().any(|uki| uki.name.version == *version) {
            return Ok(());
        }
        crate::bios::remove_entry(self, version)
    }

    /// Flushes everything to the disk.
    pub fn sync(&self) -> Result<(), Error> {
        let flush = || rustix::fs::syncfs(File::open(&self.folder)?).map_err(io::Error::from);
        flush().map_err(|e| Error::io(&self.folder, e))
    }
}

impl Drop for Esp {
    fn drop(&mut self) {
        if self.mounted
            && let Err(errno) = unmount(&self.folder, UnmountFlags::empty())
        {
            tracing::warn!(folder = %self.folder.display(), %errno, "not unmounted");
        }
    }
}

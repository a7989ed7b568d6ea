//! What the updater knows of the machine it runs on. Tests build one from plain files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use basalt_layout::disk::{self, ESP_PARTITION};
use basalt_layout::{RootHash, Slot, UkiName, Version};
use rustix::fs::{FlockOperation, flock};
use rustix::mount::MountFlags;

use crate::Error;
use crate::block::Blocks;
use crate::bootloader::Bootloader;
use crate::esp::Esp;
use crate::mirror::{SystemDisk, SystemDisks};
use crate::signature::{self, Keys};
use crate::table::Table;
use crate::web::Web;

/// Where a failed attempt at another version is recorded, for the status screen.
pub const FAILURE_RECORD: &str = "/var/lib/basalt/boot/failure.json";

/// The folder of downloads and of what is remembered about versions.
pub const STATE: &str = "/var/lib/basalt/update";

/// The configuration store.
pub const STORE: &str = "/var/lib/basalt/store.db";

/// An installed host.
#[derive(Debug, Clone)]
pub struct Host {
    /// The disk with the slots: a block device, or an image file.
    pub disk: PathBuf,
    /// Where the EFI system partition's files are.
    pub esp: EspPlace,
    /// The other system disks.
    pub others: SystemDisks,
    /// The version that runs.
    pub version: Version,
    /// The root hash of what runs.
    pub root_hash: RootHash,
    /// What starts this machine.
    pub loader: Bootloader,
    /// Held while something changes.
    pub lock: PathBuf,
    /// See [`FAILURE_RECORD`].
    pub failure_record: PathBuf,
    /// Folder of the public keys that sign updates: [`signature::KEYS`].
    pub keys: PathBuf,
    /// See [`STATE`].
    pub state: PathBuf,
    /// See [`STORE`].
    pub store: PathBuf,
    /// Certificates (PEM) of authorities that vouch for web servers, besides those of the image.
    pub authorities: String,
}

/// Where the EFI system partition of another system disk is mounted meanwhile.
const SECOND_MOUNT_POINT: &str = "/run/basalt/esp-second";

/// How to reach the EFI system partition.
#[derive(Debug, Clone)]
pub enum EspPlace {
    /// Mount this device for as long as it is needed.
    Device(PathBuf),
    /// It is already here.
    Folder(PathBuf),
}

impl EspPlace {
    /// Opens the EFI system partition.
    pub fn open(&self) -> Result<Esp, Error> {
        match self {
            Self::Device(device) => Esp::mount(device),
            Self::Folder(folder) => Ok(Esp::folder(folder)),
        }
    }

    /// Opens it beside that of another disk, which is open already.
    pub fn open_beside(&self) -> Result<Esp, Error> {
        match self {
            Self::Device(device) => {
                Esp::mount_at(device, Path::new(SECOND_MOUNT_POINT), MountFlags::empty())
            }
            Self::Folder(_) => self.open(),
        }
    }
}

/// Where a partition's bytes are written: a device, or a stretch of an image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The device or file.
    pub path: PathBuf,
    /// First byte.
    pub offset: u64,
    /// Room in bytes.
    pub size: u64,
}

/// A file that one updater at a time holds.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock of a file, or says that somebody else has it.
    pub(crate) fn take(file: File) -> Result<Self, Error> {
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::Busy)?;
        Ok(Self(file))
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started may hold a copy for a moment.
        if let Err(errno) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%errno, "not unlocked");
        }
    }
}

/// The version and root hash of the running image.
pub fn running() -> Result<(Version, RootHash), Error> {
    let not_installed = |reason: &str| Error::NotInstalled {
        reason: reason.to_owned(),
    };
    let path = Path::new("/usr/lib/os-release");
    let release = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let version = release_value(&release, "IMAGE_VERSION")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| not_installed("os-release carries no image version"))?;
    let path = Path::new("/proc/cmdline");
    let cmdline = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let root_hash = RootHash::from_cmdline(&cmdline)
        .ok_or_else(|| not_installed("the kernel was started without a root hash"))?;
    Ok((version, root_hash))
}

/// The value of one key of an os-release file.
pub fn release_value(release: &str, key: &str) -> Option<String> {
    release.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix('=')?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    })
}

/// Where the bytes of a disk's partition go.
pub(crate) fn target(disk: &Path, table: &Table, number: u32) -> Result<Target, Error> {
    use std::os::unix::fs::FileTypeExt;
    let entry = table.entry(number)?;
    let meta = fs::metadata(disk).map_err(|e| Error::io(disk, e))?;
    let (path, offset) = if meta.file_type().is_block_device() {
        let path = disk::partition_path(&disk.to_string_lossy(), number);
        (PathBuf::from(path), 0)
    } else {
        (disk.to_owned(), entry.offset)
    };
    Ok(Target {
        path,
        offset,
        size: entry.size,
    })
}

impl Host {
    /// Looks at the machine this program runs on.
    pub fn detect() -> Result<Self, Error> {
        let (version, root_hash) = running()?;
        let blocks = Blocks::default();
        // Of a mirror's disks the one booted from counts, unless it has died since.
        let mut disks = blocks
            .running_roots()?
            .into_iter()
            .map(|root| root.disk_path());
        let disk = match disks.find(|disk| Table::read(disk).is_ok()) {
            Some(disk) => disk,
            None => blocks.running_root()?.disk_path(),
        };
        let esp = disk::partition_path(&disk.to_string_lossy(), ESP_PARTITION);
        let esp = EspPlace::Device(PathBuf::from(esp));
        let host = Self {
            others: SystemDisks::detect(&blocks, &disk)?,
            disk,
            loader: Bootloader::detect(&esp),
            esp,
            version,
            root_hash,
            lock: PathBuf::from("/run/lock/basalt-update.lock"),
            failure_record: PathBuf::from(FAILURE_RECORD),
            keys: PathBuf::from(signature::KEYS),
            state: PathBuf::from(STATE),
            store: PathBuf::from(STORE),
            authorities: String::new(),
        };
        host.running_slot(&Table::read(&host.disk)?)?;
        Ok(host)
    }

    /// Also trusts these authorities.
    pub fn trusting(self, authorities: String) -> Self {
        Self {
            authorities,
            ..self
        }
    }

    /// A client for web servers.
    pub(crate) fn web(&self) -> Web {
        Web::new(&self.authorities)
    }

    /// Opens the EFI system partition.
    pub fn open_esp(&self) -> Result<Esp, Error> {
        self.esp.open()
    }

    /// The keys that sign updates for this host.
    pub fn keys(&self) -> Result<Keys, Error> {
        Keys::read(&self.keys)
    }

    /// The slot that runs.
    pub fn running_slot(&self, table: &Table) -> Result<Slot, Error> {
        table
            .slot_of(&self.root_hash.root_partuuid())
            .ok_or_else(|| Error::NotInstalled {
                reason: format!("no slot of {} holds the running root", self.disk.display()),
            })
    }

    /// Where the bytes of a partition go.
    pub fn target(&self, table: &Table, number: u32) -> Result<Target, Error> {
        target(&self.disk, table, number)
    }

    /// The disk this host was started from.
    pub fn as_disk(&self) -> SystemDisk {
        SystemDisk {
            path: self.disk.clone(),
            esp: self.esp.clone(),
        }
    }

    /// Keeps every other updater out until the value is dropped.
    pub fn lock(&self) -> Result<Lock, Error> {
        let open = || {
            if let Some(folder) = self.lock.parent() {
                fs::create_dir_all(folder)?;
            }
            File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.lock)
        };
        let file = open().map_err(|e| Error::io(&self.lock, e))?;
        Lock::take(file)
    }

    /// True for the kernel image of the running version.
    pub fn runs(&self, name: &UkiName) -> bool {
        name.version == self.version
    }
}

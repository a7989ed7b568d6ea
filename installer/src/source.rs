//! The image the installer runs from, which is also the one it installs.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::Context;
use basalt_layout::{RootHash, SlotLabel, UkiName, Version, bios};
use basalt_update::bios::BootCode;
use basalt_update::block::Blocks;
use basalt_update::esp::Esp;
use basalt_update::host;
use basalt_update::secureboot::Enrolment;
use rustix::mount::MountFlags;

use crate::secure_boot;

/// Where the medium's EFI system partition is looked at.
const MOUNT_POINT: &str = "/run/basalt-installer/medium";

/// The running image.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its version.
    pub version: Version,
    /// Its root hash.
    pub root_hash: RootHash,
    /// The root file system, read through dm-verity: what is read is what was built.
    pub root: PathBuf,
    /// The hash tree.
    pub verity: PathBuf,
    /// The EFI system partition with boot loader and kernel image.
    pub esp: PathBuf,
}

/// What the boot loader needs, taken from the medium.
#[derive(Debug)]
pub struct BootFiles {
    /// The boot loader.
    pub loader: Vec<u8>,
    /// The kernel image.
    pub uki: Vec<u8>,
    /// The certificates that both are signed for.
    pub certificates: Vec<Enrolment>,
    /// What takes the boot loader's part on legacy BIOS.
    pub bios: BootCode,
    /// The configuration of that.
    pub bios_config: Vec<u8>,
}

impl Source {
    /// Finds the image this system runs from.
    pub fn running() -> anyhow::Result<Self> {
        let (version, root_hash) = host::running()?;
        let blocks = Blocks::default();
        let root = blocks.running_root()?;
        let label = SlotLabel::Verity(version.clone()).to_string();
        let verity = blocks
            .below_mapped("root")?
            .into_iter()
            .find(|partition| partition.label.as_ref() == Some(&label))
            .context("the medium's hash tree is missing")?;
        let esp = blocks
            .partitions(&root.disk)?
            .into_iter()
            .find(is_esp)
            .context("the medium has no EFI system partition")?;
        Ok(Self {
            version,
            root_hash,
            root: mapped("root")?,
            verity: verity.path(),
            esp: esp.path(),
        })
    }

    /// Reads boot loader and kernel image from the medium.
    pub fn boot_files(&self) -> anyhow::Result<BootFiles> {
        let esp = Esp::mount_at(&self.esp, MOUNT_POINT.as_ref(), MountFlags::RDONLY)?;
        let loader = esp.path().join("EFI/BOOT/BOOTX64.EFI");
        let name = UkiName::good(self.version.clone());
        let uki = esp
            .ukis()?
            .into_iter()
            .find(|uki| uki.name.version == self.version)
            .with_context(|| format!("the medium has no kernel image {name}"))?;
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| path.display().to_string());
        Ok(BootFiles {
            loader: read(&loader)?,
            uki: read(&uki.path)?,
            certificates: secure_boot::certificates()?,
            bios: BootCode::read(esp.path())?,
            bios_config: read(&esp.path().join(bios::CONFIG))?,
        })
    }

    /// Reads a text file beside the boot loader on the medium, if somebody put it there.
    pub fn file(&self, name: &str, limit: u64) -> anyhow::Result<Option<String>> {
        let esp = Esp::mount_at(&self.esp, MOUNT_POINT.as_ref(), MountFlags::RDONLY)?;
        crate::answers::read_file(&esp.path().join(name), limit)
    }

    /// Size of the root file system in bytes.
    pub fn root_size(&self) -> anyhow::Result<u64> {
        device_size(&self.root)
    }

    /// Size of the hash tree in bytes.
    pub fn verity_size(&self) -> anyhow::Result<u64> {
        device_size(&self.verity)
    }
}

/// An EFI system partition is known by its boot sector: the kernel does not tell types.
fn is_esp(partition: &basalt_update::block::Partition) -> bool {
    let mut sector = [0; 512];
    let read = File::open(partition.path())
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut sector));
    let is_fat = &sector[54..57] == b"FAT" || &sector[82..85] == b"FAT";
    read.is_ok() && is_fat && sector[510..] == [0x55, 0xaa]
}

/// The device node of a mapped device.
fn mapped(name: &str) -> anyhow::Result<PathBuf> {
    let blocks = Blocks::default();
    blocks
        .names()?
        .into_iter()
        .find(|device| blocks.attribute(device, "dm/name").as_deref() == Some(name))
        .map(|device| PathBuf::from("/dev").join(device))
        .with_context(|| format!("there is no device /dev/mapper/{name}"))
}

/// Size of a block device or file.
pub fn device_size(path: &PathBuf) -> anyhow::Result<u64> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let end = rustix::fs::seek(file.as_fd(), rustix::fs::SeekFrom::End(0))
        .with_context(|| path.display().to_string())?;
    Ok(end)
}

//! The guests of the tests: Debian's stock kernel, and a root file system made by mmdebstrap.
//!
//! `image/guests/customize` settles the root and derives a disk for a virtual machine and a
//! template for a container from it.

use super::recipe::Recipe;
use anyhow::Result;
use std::path::PathBuf;

const RECIPE: Recipe = Recipe {
    name: "guests",
    packages: "systemd-sysv,udev,dbus,e2fsprogs,iproute2,iputils-ping,login,passwd,kmod,busybox-static,systemd-boot-efi,qemu-guest-agent,linux-image-cloud-amd64",
    results: &[
        "kernel",
        "initrd",
        "disk.raw",
        "uefi.raw",
        "signed.raw",
        "template.tar.zst",
    ],
};

/// Files for one virtual machine and one container.
#[derive(Debug, Clone)]
pub struct Guests {
    dir: PathBuf,
}

impl Guests {
    /// The guests of the current recipe, made now unless the cache has them.
    pub fn ensure() -> Result<Self> {
        let dir = RECIPE.ensure()?;
        Ok(Self { dir })
    }

    /// Names the recipe they were made by.
    pub fn key(&self) -> String {
        self.dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Debian's kernel.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    /// An initial RAM disk that hands over to `/dev/vda`.
    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }

    /// A raw ext4 image of the root file system.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.raw")
    }

    /// A raw disk that boots by UEFI, with the same root file system.
    pub fn uefi_disk(&self) -> PathBuf {
        self.dir.join("uefi.raw")
    }

    /// A raw file system from which firmware with Secure Boot starts that root, on a disk before it.
    pub fn signed_disk(&self) -> PathBuf {
        self.dir.join("signed.raw")
    }

    /// The root file system as an archive.
    pub fn template(&self) -> PathBuf {
        self.dir.join("template.tar.zst")
    }
}

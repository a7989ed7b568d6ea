//! Debian as people bring it to a host: a disk for clouds, with Debian's own kernel, boot loader and
//! cloud-init, and Debian's installer.
//!
//! `image/debian/customize` says what each file is.

use super::recipe::Recipe;
use anyhow::Result;
use std::path::PathBuf;

const RECIPE: Recipe = Recipe {
    name: "debian",
    packages: "systemd-sysv,udev,dbus,libpam-systemd,e2fsprogs,iproute2,iputils-ping,login,kmod,sudo,openssh-server,cloud-init,netplan.io,systemd-boot-efi,initramfs-tools,zstd,linux-image-cloud-amd64,fio,qemu-utils,debian-installer-13-netboot-amd64",
    results: &[
        "kernel",
        "initrd",
        "cloud.raw",
        "installer-kernel",
        "installer-initrd",
        "installer.iso",
        "installer.bgf",
    ],
};

/// The files.
#[derive(Debug, Clone)]
pub struct Debian {
    dir: PathBuf,
}

impl Debian {
    /// Those of the current recipe, made now unless the cache has them.
    pub fn ensure() -> Result<Self> {
        let dir = RECIPE.ensure()?;
        Ok(Self { dir })
    }

    /// A raw disk that boots by UEFI and waits for cloud-init; its root is `LABEL=debian`.
    pub fn cloud_disk(&self) -> PathBuf {
        self.dir.join("cloud.raw")
    }

    /// The kernel on that disk.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    /// The initial RAM disk on that disk.
    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }

    /// The installer's kernel.
    pub fn installer_kernel(&self) -> PathBuf {
        self.dir.join("installer-kernel")
    }

    /// The installer's initial RAM disk.
    pub fn installer_initrd(&self) -> PathBuf {
        self.dir.join("installer-initrd")
    }

    /// The font in which the installer writes.
    pub fn installer_font(&self) -> PathBuf {
        self.dir.join("installer.bgf")
    }

    /// A disc that boots the installer by UEFI.
    pub fn installer_disc(&self) -> PathBuf {
        self.dir.join("installer.iso")
    }
}

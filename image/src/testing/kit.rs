//! What benchmarks need beside the appliance: QEMU, fio and iperf3 from Debian, in one image that
//! guests boot and in which the host runs QEMU. None of it is in the product.

use super::recipe::Recipe;
use anyhow::Result;
use std::path::PathBuf;

const RECIPE: Recipe = Recipe {
    name: "bench",
    packages: "busybox-static,fio,iperf3,kmod,linux-image-cloud-amd64,python3,qemu-system-x86,qemu-utils",
    results: &["kernel", "initrd", "kit.raw"],
};

/// The files.
#[derive(Debug, Clone)]
pub struct Kit {
    dir: PathBuf,
}

impl Kit {
    /// The kit of the current recipe, made now unless the cache has it.
    pub fn ensure() -> Result<Self> {
        let dir = RECIPE.ensure()?;
        Ok(Self { dir })
    }

    /// Debian's kernel.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    /// An initial RAM disk that hands over to the image.
    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }

    /// A raw ext4 image of the root.
    pub fn image(&self) -> PathBuf {
        self.dir.join("kit.raw")
    }
}

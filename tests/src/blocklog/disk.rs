//! Judges a disk as firmware, boot loader, kernel and node would, without booting it.

use super::data::Data;
use super::esp::{Esp, LOADER};
use super::gpt::{self, Partition};
use super::replay::Replay;
use super::verity;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::uki;
use basalt_image::build::Artifacts;
use basalt_layout::disk::{DATA_LABEL, PartitionType};
use basalt_layout::{RootHash, UkiName, Version};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An image that may be on the disk.
#[derive(Debug, Clone)]
pub struct Image {
    version: Version,
    uki: [u8; 32],
}

impl Image {
    /// What a build has made.
    pub fn of(built: &Artifacts) -> Result<Self> {
        let uki = std::fs::read(&built.uki)
            .with_context(|| format!("cannot read {}", built.uki.display()))?;
        Ok(Self {
            version: built.version.parse()?,
            uki: Sha256::digest(uki).into(),
        })
    }
}

/// What boots from a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootable {
    /// The kernel image that the boot loader takes.
    pub uki: UkiName,
    /// The data partition.
    pub data: Range<u64>,
}

/// A root file system and its hash tree, where they lie on the disk.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Root {
    root: Range<u64>,
    tree: Range<u64>,
    root_hash: String,
}

/// Judges the states of one disk, and remembers what it found where nothing has changed since.
#[derive(Debug)]
pub struct Judge {
    images: Vec<Image>,
    work: PathBuf,
    /// Digest of the boot loader where it was first found; it is never written twice.
    loader: Option<[u8; 32]>,
    verified: HashMap<Root, (u64, u64)>,
    kernels: HashMap<String, (u64, RootHash)>,
}

impl Judge {
    /// One that knows these images and may use the folder `work`.
    pub fn new(images: Vec<Image>, work: &Path) -> Self {
        Self {
            images,
            work: work.to_owned(),
            loader: None,
            verified: HashMap::new(),
            kernels: HashMap::new(),
        }
    }

    /// What the machine would boot: `None` when firmware or boot loader find nothing of ours.
    /// Anything that is found must be whole: kernel image, root file system, partitions.
    pub fn bootable(&mut self, replay: &Replay<'_>) -> Result<Option<Bootable>> {
        let Some(partitions) = gpt::read(replay.disk())? else {
            return Ok(None);
        };
        let Some(esp_partition) = find(&partitions, |p| p.kind == PartitionType::Esp.guid()) else {
            return Ok(None);
        };
        let esp = Esp::new(replay.path(), esp_partition);
        // Without a file system there, mtools fail: the firmware finds no boot loader either.
        let Ok(loader) = esp.file(LOADER) else {
            return Ok(None);
        };
        let digest = Sha256::digest(&loader).into();
        ensure!(
            *self.loader.get_or_insert(digest) == digest,
            "the boot loader is damaged"
        );
        let stamp = replay.stamp(&esp_partition.range);
        let Some((name, root_hash)) = self.kernel(&esp, stamp)? else {
            return Ok(None);
        };
        self.root(replay, &partitions, &root_hash)
            .with_context(|| format!("the root of {}", name.version))?;
        let data = find(&partitions, |p| p.label == DATA_LABEL).context("no data partition")?;
        Ok(Some(Bootable {
            uki: name,
            data: data.range.clone(),
        }))
    }

    /// The data partition, repaired.
    pub fn data(&self, replay: &Replay<'_>, bootable: &Bootable) -> Result<Data> {
        Data::repaired(replay.disk(), &bootable.data, &self.work.join("data.raw"))
            .context("the data partition")
    }

    /// The kernel image that will be booted, which must be one of ours byte for byte, and its root
    /// hash. Like the boot loader this passes over files that are no images: Linux renames on FAT
    /// such that a file is empty for a moment.
    fn kernel(&mut self, esp: &Esp, stamp: u64) -> Result<Option<(UkiName, RootHash)>> {
        for name in esp.entries().unwrap_or_default() {
            let path = Esp::path(&name);
            if let Some((when, root_hash)) = self.kernels.get(&path)
                && *when == stamp
            {
                return Ok(Some((name, *root_hash)));
            }
            let bytes = esp.file(&path)?;
            if uki::section(&bytes, ".osrel").is_err() {
                continue;
            }
            let root_hash = self
                .root_hash(&name, &bytes)
                .with_context(|| format!("the kernel image {name}"))?;
            self.kernels.insert(path, (stamp, root_hash));
            return Ok(Some((name, root_hash)));
        }
        Ok(None)
    }

    fn root_hash(&self, name: &UkiName, kernel: &[u8]) -> Result<RootHash> {
        let known = self
            .images
            .iter()
            .find(|image| image.version == name.version);
        let image = known.with_context(|| format!("version {} was never there", name.version))?;
        ensure!(
            <[u8; 32]>::from(Sha256::digest(kernel)) == image.uki,
            "it is damaged"
        );
        let cmdline = String::from_utf8_lossy(uki::section(kernel, ".cmdline")?).into_owned();
        RootHash::from_cmdline(&cmdline).context("it names no root hash")
    }

    fn root(
        &mut self,
        replay: &Replay<'_>,
        partitions: &[Partition],
        root_hash: &RootHash,
    ) -> Result<()> {
        let by_uuid = |uuid: String| {
            let found = find(partitions, |p| p.uuid == uuid);
            found.with_context(|| format!("no partition is called {uuid}"))
        };
        let root = by_uuid(root_hash.root_partuuid())?.range.clone();
        let tree = by_uuid(root_hash.verity_partuuid())?.range.clone();
        let stamps = (replay.stamp(&root), replay.stamp(&tree));
        let key = Root {
            root,
            tree,
            root_hash: root_hash.to_string(),
        };
        if self.verified.get(&key) != Some(&stamps) {
            verity::verify(replay.disk(), &key.root, &key.tree, root_hash)?;
            self.verified.insert(key, stamps);
        }
        Ok(())
    }
}

fn find(partitions: &[Partition], is: impl Fn(&Partition) -> bool) -> Option<&Partition> {
    partitions.iter().find(|partition| is(partition))
}

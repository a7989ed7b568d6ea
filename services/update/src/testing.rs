//! Hosts and bundles made of plain files, for tests.

use std::path::{Path, PathBuf};

use basalt_layout::disk::{FreshIds, MIN_DISK_SIZE, install_script};
use basalt_layout::slot::UKI_FOLDER;
use basalt_layout::{RootHash, UkiName, Version};
use sha2::Digest;
use tempfile::{NamedTempFile, TempDir};

use crate::efivars::EfiVars;
use crate::host::EspPlace;
use crate::manifest::{MANIFEST_FILE, Manifest, Part, Parts, Sha256};
use crate::{Host, command};

/// A sparse disk image with version 0.1.0 in slot A.
pub fn blank_disk() -> NamedTempFile {
    let disk = NamedTempFile::new().unwrap();
    disk.as_file().set_len(MIN_DISK_SIZE).unwrap();
    let uuid = || uuid::Uuid::new_v4().to_string();
    let ids = FreshIds {
        disk: uuid(),
        esp: uuid(),
        data: uuid(),
        empty_root: uuid(),
        empty_verity: uuid(),
    };
    let script = install_script(&ids, &"0.1.0".parse().unwrap(), &hash_of("0.1.0"));
    let path = disk.path().to_string_lossy().into_owned();
    command::run("sfdisk", &["--quiet", &path], &script).unwrap();
    disk
}

/// A root hash that belongs to a version.
pub fn hash_of(version: &str) -> RootHash {
    hex::encode(sha2::Sha256::digest(version)).parse().unwrap()
}

/// An installed host that runs 0.1.0.
pub struct FakeHost {
    pub host: Host,
    pub dir: TempDir,
    _disk: NamedTempFile,
}

pub fn host() -> FakeHost {
    let disk = blank_disk();
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let esp = folder("esp");
    std::fs::create_dir_all(esp.join(UKI_FOLDER)).unwrap();
    let host = Host {
        disk: disk.path().to_owned(),
        esp: EspPlace::Folder(esp),
        version: "0.1.0".parse().unwrap(),
        root_hash: hash_of("0.1.0"),
        efivars: EfiVars::at(&folder("efivars")),
        lock: dir.path().join("lock"),
        failure_record: dir.path().join("failure.json"),
    };
    let fake = FakeHost {
        host,
        dir,
        _disk: disk,
    };
    fake.put_uki(&UkiName::good("0.1.0".parse().unwrap()));
    fake
}

impl FakeHost {
    pub fn put_uki(&self, name: &UkiName) {
        let folder = self.dir.path().join("esp").join(UKI_FOLDER);
        std::fs::write(folder.join(name.to_string()), b"kernel").unwrap();
    }

    /// Names in the folder the boot loader reads.
    pub fn boot_files(&self) -> Vec<String> {
        let folder = self.dir.path().join("esp").join(UKI_FOLDER);
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Everything that decides what boots: slots, ESP, variables.
    pub fn fingerprint(&self) -> String {
        let table = crate::table::Table::read(&self.host.disk).unwrap();
        format!(
            "{table:?} {:?} {:?}",
            self.boot_files(),
            self.host.efivars.default_entry()
        )
    }
}

/// The content of a test bundle, open to changes before it is written.
pub struct BundleBuilder {
    pub manifest: Manifest,
    pub files: Vec<(String, Vec<u8>)>,
}

pub fn bundle(version: &str) -> BundleBuilder {
    let version: Version = version.parse().unwrap();
    let content = |what: &str, size: usize| {
        let seed = format!("{what} of {version}; ");
        seed.bytes().cycle().take(size).collect::<Vec<u8>>()
    };
    let files = vec![
        (Parts::root_file(&version), content("root", 3_000_000)),
        (Parts::verity_file(&version), content("verity", 40_000)),
        (Parts::uki_file(&version), content("uki", 100_000)),
    ];
    let part = |index: usize| {
        let (file, bytes): &(String, Vec<u8>) = &files[index];
        Part {
            file: file.clone(),
            size: bytes.len() as u64,
            sha256: Sha256(sha2::Sha256::digest(bytes).into()),
        }
    };
    let parts = Parts {
        root: part(0),
        verity: part(1),
        uki: part(2),
    };
    let manifest = Manifest::new(version.clone(), hash_of(&version.to_string()), parts);
    BundleBuilder { manifest, files }
}

impl BundleBuilder {
    pub fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join("bundle.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&path).unwrap());
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let all = [(MANIFEST_FILE.to_owned(), manifest)];
        for (name, bytes) in all.iter().chain(&self.files) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, name, bytes.as_slice())
                .unwrap();
        }
        builder.finish().unwrap();
        path
    }
}

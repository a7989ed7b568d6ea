//! Hosts and bundles made of plain files, for tests.

use std::path::{Path, PathBuf};

use basalt_layout::disk::{MIN_DISK_SIZE, Shares, install_script};
use basalt_layout::slot::UKI_FOLDER;
use basalt_layout::{RootHash, UkiName, Version};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::{Signer, SigningKey};
use sha2::Digest;
use tempfile::{NamedTempFile, TempDir};

use crate::bootloader::Bootloader;
use crate::efivars::EfiVars;
use crate::host::EspPlace;
use crate::manifest::{MANIFEST_FILE, Manifest, Part, Parts, SIGNATURE_FILE, Sha256};
use crate::mirror::SystemDisks;
use crate::observer::Span;
use crate::{Host, Observer, blocks, command};

/// A sparse disk image with version 0.1.0 in slot A.
pub fn blank_disk() -> NamedTempFile {
    let disk = NamedTempFile::new().unwrap();
    disk.as_file().set_len(MIN_DISK_SIZE).unwrap();
    let ids = crate::table::fresh_ids();
    let script = install_script(
        &ids,
        &"0.1.0".parse().unwrap(),
        &hash_of("0.1.0"),
        &Shares::DATA_ALONE,
    );
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
        others: SystemDisks::Leading(Vec::new()),
        version: "0.1.0".parse().unwrap(),
        root_hash: hash_of("0.1.0"),
        loader: Bootloader::SystemdBoot(EfiVars::at(&folder("efivars"))),
        lock: dir.path().join("lock"),
        failure_record: dir.path().join("failure.json"),
        keys: folder("keys"),
        state: dir.path().join("state"),
        store: dir.path().join("store.db"),
        authorities: String::new(),
    };
    put_key(&host.keys, "development", KEY);
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
        std::fs::write(folder.join(name.to_string()), kernel(b"kernel")).unwrap();
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

    /// The version the boot loader always takes, as the firmware keeps it.
    pub fn default_entry(&self) -> Option<String> {
        EfiVars::at(&self.dir.path().join("efivars")).default_entry()
    }

    /// Everything that decides what boots: slots, ESP, variables.
    pub fn fingerprint(&self) -> String {
        let table = crate::table::Table::read(&self.host.disk).unwrap();
        format!(
            "{table:?} {:?} {:?}",
            self.boot_files(),
            self.default_entry()
        )
    }
}

/// A kernel image with this kernel.
pub fn kernel(content: &[u8]) -> Vec<u8> {
    crate::pe::tests::image(&[(".linux", content)])
}

/// The key that test bundles are signed with, and test hosts trust.
pub const KEY: u8 = 1;

/// A private key made from a number.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Puts a public key into a folder.
pub fn put_key(folder: &Path, name: &str, seed: u8) {
    let text = key(seed)
        .verifying_key()
        .to_public_key_pem(Default::default())
        .unwrap();
    std::fs::write(folder.join(format!("{name}.pub")), text).unwrap();
}

/// What a test hears of an installation; it can ask to stop at a word.
#[derive(Default)]
pub struct Ears {
    pub said: Vec<String>,
    pub stop_at: Option<&'static str>,
}

impl Observer for Ears {
    fn say(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }

    fn cancelled(&self) -> bool {
        self.stop_at
            .is_some_and(|word| self.said.iter().any(|text| text.contains(word)))
    }
}

/// The whole of an installation.
pub const ALL: Span = Span { from: 0, to: 100 };

/// The content of a test bundle, open to changes before it is written.
pub struct BundleBuilder {
    pub manifest: Manifest,
    pub files: Vec<(String, Vec<u8>)>,
    /// The key's number; none leaves the bundle unsigned.
    pub key: Option<u8>,
}

pub fn bundle(version: &str) -> BundleBuilder {
    let text = format!("root of {version}; ");
    bundle_with(version, text.bytes().cycle().take(3_000_000).collect())
}

/// A bundle with this root file system.
pub fn bundle_with(version: &str, root: Vec<u8>) -> BundleBuilder {
    let version: Version = version.parse().unwrap();
    let content = |what: &str, size: usize| {
        let seed = format!("{what} of {version}; ");
        seed.bytes().cycle().take(size).collect::<Vec<u8>>()
    };
    let verity = content("verity", 40_000);
    let uki = kernel(&content("uki", 100_000));
    let mut list = Vec::new();
    for part in [&root, &verity, &uki] {
        blocks::append(&mut list, part.as_slice()).unwrap();
    }
    let files = vec![
        (Parts::blocks_file(&version), list),
        (Parts::root_file(&version), root),
        (Parts::verity_file(&version), verity),
        (Parts::uki_file(&version), uki),
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
        blocks: part(0),
        root: part(1),
        verity: part(2),
        uki: part(3),
    };
    let manifest = Manifest::new(version.clone(), hash_of(&version.to_string()), parts);
    BundleBuilder {
        manifest,
        files,
        key: Some(KEY),
    }
}

impl BundleBuilder {
    pub fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join("bundle.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&path).unwrap());
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let signature = self.key.map(|seed| key(seed).sign(&manifest).to_vec());
        let mut all = vec![(MANIFEST_FILE.to_owned(), manifest)];
        all.extend(signature.map(|bytes| (SIGNATURE_FILE.to_owned(), bytes)));
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

//! The update bundle: what an installed host needs to fill its other slot.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::stage::Stage;
use super::stamp::{Hash, Stamp, sha256_file};
use super::{Artifacts, tree};
use crate::keys::{Keys, UpdateKey};
use basalt_layout::Version;
use basalt_update::blocks;
use basalt_update::manifest::{MANIFEST_FILE, Manifest, Part, Parts, SIGNATURE_FILE};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

/// Makes the bundle, unless nothing changed.
pub(super) fn make(stage: &Stage, artifacts: &Artifacts, version: &Version) -> Result<()> {
    let signer = signer()?;
    let mut key = Hash::new();
    key.text(&artifacts.roothash);
    key.text(&hex::encode(signer.public().as_bytes()));
    stage.toolbox.add_to(&mut key);
    key.file(&artifacts.uki)?;
    let stamp = Stamp::new(
        &stage.out,
        &format!("bundle-{version}"),
        &key,
        &[&artifacts.bundle],
    );
    if stamp.is_fresh() {
        return Ok(());
    }
    stamp.clear()?;
    step("making the update bundle");
    let work = stage.work()?;
    let head = head(artifacts, version, &work, &signer)?;
    tree::remove(&artifacts.bundle)?;
    let mut tar = stage.toolbox.command(&[&stage.out], "tar");
    tar.args([
        "--create",
        "--format=ustar",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ]);
    tar.arg("--mode=0644")
        .arg(format!("--mtime=@{}", stage.epoch));
    tar.arg("--file").arg(&artifacts.bundle);
    tar.arg("--directory").arg(&work);
    tar.args([MANIFEST_FILE, SIGNATURE_FILE, &head.parts.blocks.file]);
    tar.arg("--directory").arg(&stage.out);
    tar.args(head.parts.in_order()[1..].iter().map(|part| &part.file));
    command::run(&mut tar)?;
    stamp.set()
}

/// The key that hosts with this image trust.
fn signer() -> Result<UpdateKey> {
    Ok(Keys::ensure()?.update_key()?)
}

/// Writes what stands before the parts: list of blocks, manifest and its signature.
fn head(
    artifacts: &Artifacts,
    version: &Version,
    work: &Path,
    signer: &UpdateKey,
) -> Result<Manifest> {
    let list = work.join(Parts::blocks_file(version));
    let mut digests = Vec::new();
    for path in [&artifacts.root, &artifacts.verity, &artifacts.uki] {
        let file = File::open(path).at("read", path)?;
        blocks::append(&mut digests, BufReader::new(file)).at("read", path)?;
    }
    fs::write(&list, digests).at("write", &list)?;
    let manifest = manifest(artifacts, &list, version)?;
    let path = work.join(MANIFEST_FILE);
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
    fs::write(&path, &text).at("write", &path)?;
    let path = work.join(SIGNATURE_FILE);
    fs::write(&path, signer.sign(text.as_bytes())?).at("write", &path)?;
    Ok(manifest)
}

fn manifest(artifacts: &Artifacts, list: &Path, version: &Version) -> Result<Manifest> {
    let parts = Parts {
        blocks: part(list, Parts::blocks_file(version))?,
        root: part(&artifacts.root, Parts::root_file(version))?,
        verity: part(&artifacts.verity, Parts::verity_file(version))?,
        uki: part(&artifacts.uki, Parts::uki_file(version))?,
    };
    let invalid = |error| Error::Invalid(format!("{error}"));
    let root_hash = artifacts.roothash.parse().map_err(invalid)?;
    Ok(Manifest::new(version.clone(), root_hash, parts))
}

fn part(path: &Path, file: String) -> Result<Part> {
    let size = fs::metadata(path).at("read", path)?.len();
    let sha256 = sha256_file(path)?;
    let sha256 = sha256
        .parse()
        .map_err(|error| Error::Invalid(format!("{error}")))?;
    Ok(Part { file, size, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    #[test]
    fn the_manifest_describes_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            path
        };
        let artifacts = Artifacts {
            version: "0.1.0".to_owned(),
            roothash: "ab".repeat(32),
            root: file("root"),
            files: file("files"),
            verity: file("verity"),
            uki: file("efi"),
            iso: file("iso"),
            netboot: file("netboot.efi"),
            bundle: file("bundle"),
        };
        let signer = UpdateKey::Here(SigningKey::from_bytes(&[1; 32]));
        let version = "0.1.0".parse().unwrap();
        let manifest = head(&artifacts, &version, dir.path(), &signer).unwrap();
        let names: Vec<_> = manifest
            .parts
            .in_order()
            .map(|part| part.file.clone())
            .into();
        assert_eq!(
            names,
            [
                "basalt_0.1.0.blocks",
                "basalt_0.1.0.root",
                "basalt_0.1.0.verity",
                "basalt_0.1.0.efi"
            ]
        );
        assert_eq!(manifest.parts.uki.size, 3);
        assert_eq!(manifest.parts.blocks.size, 3 * 16);
        assert_eq!(blocks::list_size(&manifest.parts), 3 * 16);
        let text = fs::read(dir.path().join(MANIFEST_FILE)).unwrap();
        let signature = fs::read(dir.path().join(SIGNATURE_FILE)).unwrap();
        let signature = signature.as_slice().try_into().unwrap();
        signer.public().verify_strict(&text, &signature).unwrap();
    }
}

//! The update bundle: what an installed host needs to fill its other slot.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::stage::Stage;
use super::stamp::{Hash, Stamp, sha256_file};
use super::{Artifacts, tree};
use basalt_layout::Version;
use basalt_update::manifest::{MANIFEST_FILE, Manifest, Part, Parts};
use std::fs;
use std::path::Path;

/// Makes the bundle, unless nothing changed.
pub(super) fn make(stage: &Stage, artifacts: &Artifacts, version: &Version) -> Result<()> {
    let mut key = Hash::new();
    key.text(&artifacts.roothash);
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
    let manifest = manifest(artifacts, version)?;
    let path = stage.work()?.join(MANIFEST_FILE);
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
    fs::write(&path, text).at("write", &path)?;
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
    tar.arg("--directory").arg(stage.work()?).arg(MANIFEST_FILE);
    tar.arg("--directory").arg(&stage.out);
    tar.args(manifest.parts.in_order().map(|part| &part.file));
    command::run(&mut tar)?;
    stamp.set()
}

fn manifest(artifacts: &Artifacts, version: &Version) -> Result<Manifest> {
    let parts = Parts {
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
            bundle: file("bundle"),
        };
        let manifest = manifest(&artifacts, &"0.1.0".parse().unwrap()).unwrap();
        let names: Vec<_> = manifest
            .parts
            .in_order()
            .map(|part| part.file.clone())
            .into();
        assert_eq!(
            names,
            [
                "basalt_0.1.0.root",
                "basalt_0.1.0.verity",
                "basalt_0.1.0.efi"
            ]
        );
        assert_eq!(manifest.parts.uki.size, 3);
    }
}

//! `basalt-init open-pool`: opens an encrypted pool of LVM by the key that the data has.
//!
//! Only the data says which pool is the host's: a disk of another host may have one of the same label,
//! which this key does not open.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use basalt_layout::disk::POOL_LABEL;
use basalt_layout::encryption::{self, POOL_KEY};
use basalt_update::block::{Blocks, Partition};
use basalt_update::command;

use crate::paths::Paths;

/// Where the data is.
const DATA: &str = "/var";

/// Opens the pool, if it is encrypted and not open yet.
pub fn open(paths: &Paths) -> anyhow::Result<()> {
    if Path::new(&encryption::opened(encryption::POOL)).exists() {
        return Ok(());
    }
    let found = encrypted(&Blocks::at(&paths.sys()), &paths.at("/dev"))?;
    // A pool of ZFS opens by itself.
    if found.is_empty() {
        return Ok(());
    }
    let key = paths.at(DATA).join(POOL_KEY);
    let mut reasons = Vec::new();
    for partition in &found {
        let device = partition.path();
        let arguments = [
            "open",
            "--type",
            "luks2",
            "--key-file",
            &key.to_string_lossy(),
            &device.to_string_lossy(),
            encryption::POOL,
        ];
        match command::run("cryptsetup", &arguments, "") {
            Ok(_) => return Ok(()),
            Err(error) => reasons.push(format!("{}: {error}", device.display())),
        }
    }
    bail!("the pool does not open: {}", reasons.join("; "))
}

/// The partitions for a pool that are encrypted.
fn encrypted(blocks: &Blocks, dev: &Path) -> anyhow::Result<Vec<Partition>> {
    let is_pool = |partition: &Partition| partition.label.as_deref() == Some(POOL_LABEL);
    let names = blocks.names().context("looking at disks")?;
    Ok(names
        .iter()
        .filter_map(|name| blocks.partition(name))
        .filter(is_pool)
        .filter(|partition| begins_encrypted(&dev.join(&partition.name)))
        .collect())
}

fn begins_encrypted(device: &Path) -> bool {
    let mut beginning = [0; 16];
    File::open(device)
        .and_then(|mut file| file.read_exact(&mut beginning))
        .is_ok_and(|()| encryption::is_encrypted(&beginning))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_encrypted_partitions_for_a_pool_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        fs::create_dir_all(sys.join("class/block")).unwrap();
        fs::create_dir_all(&dev).unwrap();
        let luks = b"LUKS\xba\xbe\0\x02--------".as_slice();
        for (name, label, beginning) in [
            ("vda6", "basalt-data", luks),
            ("vda8", POOL_LABEL, luks),
            ("vdb8", POOL_LABEL, &[0; 16]),
        ] {
            let real = sys.join("devices").join(&name[..3]).join(name);
            fs::create_dir_all(&real).unwrap();
            fs::write(real.join("partition"), &name[3..]).unwrap();
            fs::write(real.join("uevent"), format!("PARTNAME={label}\n")).unwrap();
            symlink(&real, sys.join("class/block").join(name)).unwrap();
            fs::write(dev.join(name), beginning).unwrap();
        }
        let found = encrypted(&Blocks::at(&sys), &dev).unwrap();
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["vda8"]);
    }
}

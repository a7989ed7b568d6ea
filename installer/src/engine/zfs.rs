//! A pool of ZFS for guests' disks: beside the system, on both disks as a mirror, or on disks of its
//! own.
//!
//! Its name has a part drawn by chance, as a pool of another host may be put into this one. The host
//! finds it again by its label on the partitions; nothing else has to say where it is.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_layout::disk::{POOL_LABEL, PartitionType};
use basalt_layout::encryption::POOL_KEY;
use basalt_model::host::Pool;
use basalt_model::host::answer::PoolLevel;
use basalt_model::storage::ZfsName;
use basalt_update::command;
use basalt_update::files::{remove_if_there, write_atomic};
use basalt_update::table::fresh_id;

/// The dataset that volumes lie in: the pool's own root stays free of them.
const DATASET: &str = "data";

/// Number of the pool's partition on a disk that it has for itself.
pub const OWN_PARTITION: u32 = 1;

/// The `sfdisk` script for a disk that a pool has for itself. A partition says what is on it, to us and
/// to others.
pub fn partition_script() -> String {
    let kind = PartitionType::Zfs.guid();
    format!("label: gpt\n{OWN_PARTITION} : type={kind}, name=\"{POOL_LABEL}\"\n")
}

/// Where the data partition is mounted on the host, whose file with the key the pool remembers. In the
/// installer it is memory.
const DATA: &str = "/var";

/// Makes a pool of `devices`, and lets go of them again. With a key it is encrypted.
pub fn make(level: PoolLevel, devices: &[PathBuf], key: Option<&str>) -> anyhow::Result<Pool> {
    let part: String = fresh_id().chars().take(8).collect();
    let pool: ZfsName = format!("basalt_{part}/{DATASET}")
        .parse()
        .map_err(anyhow::Error::msg)?;
    let devices: Vec<String> = devices
        .iter()
        .map(|device| device.to_string_lossy().into_owned())
        .collect();
    let file = Path::new(DATA).join(POOL_KEY);
    if let Some(key) = key {
        write_key(&file, key)?;
    }
    let made = make_with(
        &pool,
        &create(pool.pool(), level, &devices, key.map(|_| file.as_path())),
    );
    if key.is_some() {
        remove_if_there(&file).context("the pool's key")?;
    }
    made?;
    Ok(Pool::Zfs { pool })
}

fn write_key(file: &Path, key: &str) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(file);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| folder.display().to_string())?;
    write_atomic(file, key.as_bytes(), 0o600).context("the pool's key")
}

fn make_with(pool: &ZfsName, arguments: &[String]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    command::run("zpool", &arguments, "").context("making the pool for guests' disks")?;
    let made = command::run("zfs", &["create", "-u", pool.as_str()], "");
    // Whatever happens, the disks are free afterwards: they may be installed on once more.
    command::run("zpool", &["export", pool.pool()], "").context("letting go of the pool")?;
    made.map(drop).context("making the place for guests' disks")
}

/// What makes a pool that is good for the disks of today and tomorrow, whatever sectors they tell of.
/// Nothing of it is mounted: the host's own file systems are elsewhere. With a file that has a key it is
/// encrypted; everything in it inherits that.
fn create(pool: &str, level: PoolLevel, devices: &[String], key: Option<&Path>) -> Vec<String> {
    let options = [
        "create",
        // Disks need not have equal sizes.
        "-f",
        "-o",
        "ashift=12",
        "-o",
        "autotrim=on",
        "-o",
        "cachefile=none",
        "-O",
        "compression=lz4",
        "-O",
        "mountpoint=none",
        "-O",
        "atime=off",
        "-O",
        "acltype=posixacl",
        "-O",
        "xattr=sa",
    ];
    let encrypted = key.map(|file| {
        let place = format!("keylocation=file://{}", file.display());
        ["encryption=aes-256-gcm", "keyformat=passphrase", &place]
            .map(|option| ["-O".to_owned(), option.to_owned()])
    });
    let kind = (level != PoolLevel::Single).then_some(level.as_str());
    options
        .into_iter()
        .map(str::to_owned)
        .chain(encrypted.into_iter().flatten().flatten())
        .chain([pool.to_owned()])
        .chain(kind.map(str::to_owned))
        .chain(devices.iter().cloned())
        .collect()
}

/// Takes ZFS's labels away, of which there are also two at a device's end. A device without any is fine.
pub fn clear(devices: &[PathBuf]) {
    for device in devices.iter().filter(|device| has_label(device)) {
        let path = device.to_string_lossy();
        if let Err(error) = command::run("zpool", &["labelclear", "-f", &path], "") {
            // Who is in the way says so when the disk is written.
            tracing::warn!(%error, device = %path, "labels of ZFS stay");
        }
    }
}

fn has_label(device: &Path) -> bool {
    let path = device.to_string_lossy();
    let options = ["--probe", "--match-types", "zfs_member", &path];
    command::run("blkid", &options, "").is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_level_stands_before_the_devices() {
        let devices = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let one = create(
            "basalt_1",
            PoolLevel::Single,
            &devices(&["/dev/vda8"]),
            None,
        );
        assert!(one.ends_with(&devices(&["basalt_1", "/dev/vda8"])));
        let two = devices(&["/dev/vda8", "/dev/vdb8"]);
        let two = create("basalt_1", PoolLevel::Mirror, &two, None);
        assert!(two.ends_with(&devices(&["basalt_1", "mirror", "/dev/vda8", "/dev/vdb8"])));
        let three = devices(&["/dev/vdc1", "/dev/vdd1", "/dev/vde1"]);
        let words = create("basalt_1", PoolLevel::Raidz, &three, None);
        assert!(words.ends_with(&three) && words.contains(&"raidz".to_owned()));
    }
    #[test]
    fn an_encrypted_pool_knows_where_the_host_has_its_key() {
        let file = Path::new(DATA).join(POOL_KEY);
        let devices = ["/dev/vda8".to_owned()];
        let words = create("basalt_1", PoolLevel::Single, &devices, Some(&file));
        let place = "keylocation=file:///var/lib/basalt/pool.key".to_owned();
        let at = words.iter().position(|word| *word == place).unwrap();
        assert_eq!(words[at - 1], "-O");
        assert!(words.contains(&"encryption=aes-256-gcm".to_owned()));
        assert_eq!(words[at + 1..], ["basalt_1", "/dev/vda8"]);
    }

    #[test]
    fn a_key_is_written_for_root_alone_and_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(POOL_KEY);
        write_key(&file, "the key").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"the key");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

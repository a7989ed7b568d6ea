//! Turns a plan into an installed disk.
//!
//! The kernel image is written last and under its final name only when it is whole: an
//! installation that is interrupted leaves a disk that does not boot, and can simply be repeated.

pub mod encryption;
mod files;
mod pool;
mod repair;
mod zfs;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_layout::Slot;
use basalt_layout::disk::{
    self, DATA_LABEL, DATA_PARTITION, ESP_FS_LABEL, ESP_PARTITION, POOL_PARTITION, PartitionType,
    PoolShare, Shares, install_script,
};
use basalt_layout::mirror;
use basalt_model::host::answer::{EncryptionChoice, GuestStorage};
use basalt_update::claim::{self, Claim};
use basalt_update::command;
use basalt_update::mirror::array::Mirror;
use basalt_update::table::fresh_ids;

use crate::plan::{Mode, Plan, PoolPlan};
use crate::report::Report;
use crate::secure_boot;
use crate::source::Source;
use encryption::Opened;

/// Bytes copied at a time.
const CHUNK: usize = 4 << 20;

/// Installs; the disk is bootable when this returns, and not a moment before.
pub fn install(plan: &Plan, source: &Source, report: &mut Report) -> anyhow::Result<()> {
    let outcome = match plan.mode {
        Mode::Fresh => install_afresh(plan, source, report),
        Mode::KeepData | Mode::Repair => repair::run(plan, source, report),
    };
    let disk = &plan.disk.path;
    // Whatever failed first, this is what somebody has to look after.
    outcome.with_context(|| {
        if is_alive(disk) {
            format!("installing on {}", disk.display())
        } else {
            format!("the disk {} is gone or broken", disk.display())
        }
    })
}

/// Whether a disk is there and can be read, at a place that is hardly in memory.
fn is_alive(disk: &Path) -> bool {
    let read = || {
        let mut file = File::open(disk)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(end / 2))?;
        file.read_exact(&mut [0; 4096])
    };
    read().is_ok()
}

fn install_afresh(plan: &Plan, source: &Source, report: &mut Report) -> anyhow::Result<()> {
    let boot_files = source.boot_files()?;
    let mut disks = vec![plan.disk.path.as_path()];
    if let Some(second) = &plan.mirror {
        disks.push(&second.path);
    }
    let own = plan.pool.as_ref().map_or(&[][..], PoolPlan::own_disks);
    let apart = own.iter().map(|disk| disk.path.as_path());
    let _claims: Vec<Claim> = disks
        .iter()
        .copied()
        .chain(apart.clone())
        .map(Claim::take)
        .collect::<Result<_, _>>()?;
    let shares = shares(plan);
    for disk in &disks {
        report.line(&format!("Partitioning {}", disk.display()));
        pool::clear(disk)?;
        partition_disk(disk, source, &shares)?;
        let mut numbers: Vec<u32> = (ESP_PARTITION..=DATA_PARTITION).collect();
        numbers.extend(shares.pool.map(|_| POOL_PARTITION));
        wait_for_partitions(disk, &numbers)?;
        make_esp(&partition(disk, ESP_PARTITION))?;
    }
    for disk in apart {
        report.line(&format!("Partitioning {}", disk.display()));
        pool::clear(disk)?;
        run_sfdisk(disk, &zfs::partition_script())?;
        wait_for_partitions(disk, &[zfs::OWN_PARTITION])?;
    }
    let mut data = Data::make(plan)?;
    let opened = data.encrypt(plan, report)?;
    let key = opened.as_ref().map(Opened::key);
    make_data(&data.device)?;
    let mut host = plan.host.clone();
    if let Some(wish) = &plan.pool {
        report.line("Making the pool for guests' disks");
        host.pool = pool::make(wish, &data.pool, key)?;
    }
    for disk in &disks {
        report.line(&format!(
            "Copying Basalt {} to {}",
            source.version,
            disk.display()
        ));
        copy_image(disk, source, report)?;
    }
    report.line("Writing the host's configuration");
    files::write_state(&data.device, &host, &report.log(), key)?;
    opened.map(Opened::close).transpose()?;
    data.close()?;
    report.line("Writing the boot loaders");
    for disk in &disks {
        boot_files.bios.install(disk)?;
        files::write_esp(
            &partition(disk, ESP_PARTITION),
            &source.version,
            &boot_files,
            plan.secure_boot,
        )?;
        flush(disk)?;
    }
    secure_boot::enrol(plan.secure_boot, &boot_files.certificates, report);
    Ok(())
}

fn partition(disk: &Path, number: u32) -> PathBuf {
    PathBuf::from(disk::partition_path(&disk.to_string_lossy(), number))
}

/// How the room behind the slots is shared on each disk. A mirror is one partition there, and what is
/// in it is shared inside; but ZFS mirrors by itself.
fn shares(plan: &Plan) -> Shares {
    let whole = plan.mirror.as_ref().map(|second| Shares {
        data: Some(disk::data_size(plan.disk.size.min(second.size))),
        pool: None,
    });
    match (&plan.pool, whole) {
        (
            Some(PoolPlan::Beside {
                storage, data_size, ..
            }),
            mirrored,
        ) if mirrored.is_none() || *storage == GuestStorage::Zfs => Shares {
            data: Some(*data_size),
            pool: pool::partition_type(*storage).map(|kind| PoolShare { kind, size: None }),
        },
        (_, whole) => whole.unwrap_or(Shares::DATA_ALONE),
    }
}

/// What the data's file system, and the pool for guests' disks, are made on.
struct Data {
    device: PathBuf,
    pool: Vec<PathBuf>,
    mirror: Option<Mirror>,
}

impl Data {
    fn make(plan: &Plan) -> anyhow::Result<Self> {
        let first = &plan.disk.path;
        let Some(second) = &plan.mirror else {
            return Ok(Self {
                device: partition(first, DATA_PARTITION),
                pool: pool_partitions(plan),
                mirror: None,
            });
        };
        let members = [
            partition(first, DATA_PARTITION),
            partition(&second.path, DATA_PARTITION),
        ];
        let mirror = Mirror::create(&members)?;
        let array = mirror.device().to_owned();
        // An array that lay here before may have been divided; it begins at the very same place.
        pool::clear(&array)?;
        let inside = match plan.pool {
            Some(PoolPlan::Beside {
                storage: GuestStorage::LvmThin,
                data_size,
                ..
            }) => data_size,
            _ => {
                return Ok(Self {
                    device: array,
                    pool: pool_partitions(plan),
                    mirror: Some(mirror),
                });
            }
        };
        let script = mirror::partition_script(&fresh_ids(), inside, PartitionType::Lvm);
        run_sfdisk(&array, &script)?;
        let numbers = [mirror::DATA_PARTITION, mirror::POOL_PARTITION];
        wait_for_partitions(&array, &numbers)?;
        let [device, pool] = numbers.map(|number| partition(&array, number));
        Ok(Self {
            device,
            pool: vec![pool],
            mirror: Some(mirror),
        })
    }

    /// Encrypts the data and a pool of LVM, if that is planned; from then on the opened devices take
    /// their place. In a mirror they lie in the array: what mirrors knows nothing of it.
    fn encrypt(&mut self, plan: &Plan, report: &mut Report) -> anyhow::Result<Option<Opened>> {
        let EncryptionChoice::Tpm(key) = &plan.encryption else {
            return Ok(None);
        };
        report.line("Encrypting the data");
        let mut opened = Opened::new(key);
        self.device = opened.add_data(&self.device)?;
        if plan.pool.as_ref().map(PoolPlan::storage) == Some(GuestStorage::LvmThin) {
            for device in &mut self.pool {
                *device = opened.add_pool(device)?;
            }
        }
        Ok(Some(opened))
    }

    fn close(self) -> anyhow::Result<()> {
        match self.mirror {
            None => Ok(()),
            Some(mirror) => Ok(mirror.stop()?),
        }
    }
}

/// The partitions of a pool that lies on disks, not in an array.
fn pool_partitions(plan: &Plan) -> Vec<PathBuf> {
    match &plan.pool {
        None => Vec::new(),
        Some(PoolPlan::Apart { disks, .. }) => disks
            .iter()
            .map(|disk| partition(&disk.path, zfs::OWN_PARTITION))
            .collect(),
        Some(PoolPlan::Beside { .. }) => [&plan.disk]
            .into_iter()
            .chain(&plan.mirror)
            .map(|disk| partition(&disk.path, POOL_PARTITION))
            .collect(),
    }
}

fn copy_image(disk: &Path, source: &Source, report: &mut Report) -> anyhow::Result<()> {
    let slot = Slot::A;
    let (root, verity) = (slot.root_partition(), slot.verity_partition());
    copy("root", &source.root, &partition(disk, root), report)?;
    copy(
        "hash tree",
        &source.verity,
        &partition(disk, verity),
        report,
    )
}

fn partition_disk(disk: &Path, source: &Source, shares: &Shares) -> anyhow::Result<()> {
    let script = install_script(&fresh_ids(), &source.version, &source.root_hash, shares);
    run_sfdisk(disk, &script)
}

fn run_sfdisk(disk: &Path, script: &str) -> anyhow::Result<()> {
    let disk = disk.to_string_lossy();
    let arguments = [
        "--quiet",
        "--wipe",
        "always",
        "--wipe-partitions",
        "always",
        &disk,
    ];
    command::run("sfdisk", &arguments, script)?;
    Ok(())
}

fn wait_for_partitions(disk: &Path, numbers: &[u32]) -> anyhow::Result<()> {
    for number in numbers {
        claim::wait_for(&partition(disk, *number))?;
    }
    Ok(())
}

fn make_esp(esp: &Path) -> anyhow::Result<()> {
    let arguments = ["-F", "32", "-n", ESP_FS_LABEL, &esp.to_string_lossy()];
    command::run("mkfs.vfat", &arguments, "")?;
    Ok(())
}

fn make_data(data: &Path) -> anyhow::Result<()> {
    let data = data.to_string_lossy();
    command::run(
        "mkfs.ext4",
        &["-q", "-F", "-L", DATA_LABEL, "-m", "1", &data],
        "",
    )?;
    Ok(())
}

/// Copies a whole device onto the beginning of another and flushes it.
fn copy(what: &str, from: &Path, to: &Path, report: &mut Report) -> anyhow::Result<()> {
    let reading = || format!("reading the medium ({})", from.display());
    let writing = || format!("writing {}", to.display());
    let total = crate::source::device_size(&from.to_owned())?;
    let mut source = File::open(from).with_context(reading)?;
    let mut target = File::options().write(true).open(to).with_context(writing)?;
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < total {
        let want = usize::try_from(total - done).map_or(CHUNK, |left| left.min(CHUNK));
        source
            .read_exact(&mut buffer[..want])
            .with_context(reading)?;
        target.write_all(&buffer[..want]).with_context(writing)?;
        done += want as u64;
        report.progress(what, done, total);
    }
    target.sync_all().with_context(writing)
}

fn flush(disk: &Path) -> anyhow::Result<()> {
    File::open(disk)
        .and_then(|file| file.sync_all())
        .context("flushing the disk")?;
    rustix::fs::sync();
    Ok(())
}

/// A mounted file system, unmounted when dropped.
struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    fn new(device: &Path, folder: &str, kind: &str) -> anyhow::Result<Self> {
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let flags = rustix::mount::MountFlags::NODEV | rustix::mount::MountFlags::NOSUID;
        rustix::mount::mount(device, &folder, kind, flags, None::<&std::ffi::CStr>)
            .with_context(|| format!("mounting {}", device.display()))?;
        Ok(Self { folder })
    }

    /// Unmounts and says whether everything was written.
    fn close(self) -> anyhow::Result<()> {
        File::open(&self.folder)
            .and_then(|file| Ok(rustix::fs::syncfs(file)?))
            .context("flushing the data partition")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::empty();
        if let Err(errno) = rustix::mount::unmount(&self.folder, flags) {
            tracing::warn!(folder = %self.folder.display(), %errno, "not unmounted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copying_moves_every_byte_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let bytes: Vec<u8> = (0..CHUNK + 12_345).map(|i| (i % 251) as u8).collect();
        fs::write(&from, &bytes).unwrap();
        fs::write(&to, vec![7; CHUNK + 20_000]).unwrap();
        copy("test", &from, &to, &mut Report::new(&[])).unwrap();
        let copied = fs::read(&to).unwrap();
        assert_eq!(copied[..bytes.len()], bytes);
        assert!(copied[bytes.len()..].iter().all(|byte| *byte == 7));
    }
}

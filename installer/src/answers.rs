//! Finds the answer file of an unattended installation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use basalt_layout::disk::{ANSWER_FILE, ANSWER_LABEL};
use basalt_model::host::answer::AnswerFile;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Where its medium is looked at.
const MOUNT_POINT: &str = "/run/basalt-installer/answers";

/// Longest answer file that is read.
const MAX_SIZE: u64 = 1 << 20;

/// Reads the answer file, if there is a medium labelled for it.
pub fn find() -> anyhow::Result<Option<AnswerFile>> {
    let device = Path::new("/dev/disk/by-label").join(ANSWER_LABEL);
    if !device.exists() {
        return Ok(None);
    }
    let text = read(&device)?;
    Ok(Some(AnswerFile::parse(&text)?))
}

fn read(device: &Path) -> anyhow::Result<String> {
    let folder = PathBuf::from(MOUNT_POINT);
    fs::create_dir_all(&folder).context(MOUNT_POINT)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    let mounted = ["vfat", "iso9660", "ext4"]
        .iter()
        .any(|kind| mount(device, &folder, *kind, flags, None::<&std::ffi::CStr>).is_ok());
    if !mounted {
        bail!("the volume {ANSWER_LABEL} cannot be read: make it vfat, iso9660 or ext4");
    }
    let text = read_file(&folder.join(ANSWER_FILE));
    unmount(&folder, UnmountFlags::DETACH).context(MOUNT_POINT)?;
    text
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let meta = fs::metadata(path)
        .with_context(|| format!("the volume {ANSWER_LABEL} has no file {ANSWER_FILE}"))?;
    if meta.len() > MAX_SIZE {
        bail!("{ANSWER_FILE} is larger than 1 MiB");
    }
    fs::read_to_string(path).with_context(|| format!("{ANSWER_FILE} is not UTF-8 text"))
}

//! The mounts that the running system finds: root, state, and an `/etc` that forgets.

use crate::cmdline::Mode;
use crate::error::{At, Error, Result};
use crate::reset;
use basalt_layout::disk::DATA_LABEL;
use basalt_layout::mirror::ROOT_PARTITION;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

/// Where the root is mounted until it is the root.
pub const SYSROOT: &str = "/sysroot";

/// Writes a line to the console, where an administrator and a serial log see it.
pub fn say(text: &str) {
    // There is no one to tell when the console refuses.
    let _ = writeln!(std::io::stderr(), "basalt: {text}");
}

/// Mounts what the kernel shows of itself.
pub fn mount_kernel_interfaces() -> Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (kind, target, flags, options) in [
        ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=0755"),
        ("proc", "/proc", quiet, c""),
        ("sysfs", "/sys", quiet, c""),
        (
            "tmpfs",
            "/run",
            MountFlags::NOSUID | MountFlags::NODEV,
            c"mode=0755,size=20%,nr_inodes=800k",
        ),
    ] {
        fs::create_dir_all(target).at("make", target)?;
        mount(kind, target, kind, flags, options).at("mount", target)?;
    }
    Ok(())
}

/// Mounts the verified root.
pub fn mount_root(device: &Path) -> Result<()> {
    fs::create_dir_all(SYSROOT).at("make", SYSROOT)?;
    mount(device, SYSROOT, "erofs", MountFlags::RDONLY, c"").at("mount", device)
}

/// Mounts what the host remembers, or for the installer an empty memory, on `/var`.
pub fn mount_state(data: Option<&Path>, mode: Mode) -> Result<()> {
    let var = Path::new(SYSROOT).join("var");
    match (mode, data) {
        (Mode::Install, _) => {
            mount(
                "tmpfs",
                &var,
                "tmpfs",
                MountFlags::NOSUID | MountFlags::NODEV,
                c"mode=0755",
            )
            .at("mount", &var)?;
        }
        (Mode::Host, None) => return Err(Error::NoData(DATA_LABEL)),
        (Mode::Host, Some(device)) => {
            check(device);
            mount(
                device,
                &var,
                "ext4",
                MountFlags::NOSUID | MountFlags::NODEV,
                c"",
            )
            .at("mount", device)?;
            reset::finish(&var)?;
        }
    }
    copy_missing(&Path::new(SYSROOT).join("usr/share/factory/var"), &var)?;
    keep_machine_id(&var.join("lib/basalt"))
}

/// Repairs what power loss has left; ext4's journal makes this a matter of milliseconds.
fn check(device: &Path) {
    for option in ["-p", "-y"] {
        let status = Command::new("/usr/sbin/e2fsck")
            .arg(option)
            .arg(device)
            .status();
        match status.map(|status| status.code()) {
            // 1 and 2 say that errors were found and corrected.
            Ok(Some(0..=2)) => return,
            Ok(code) => say(&format!("e2fsck {option} ended with {code:?}")),
            Err(error) => return say(&format!("cannot start e2fsck: {error}")),
        }
    }
}

/// Copies what the image ships for `/var` and is not there yet.
fn copy_missing(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).at("read", from)? {
        let entry = entry.at("read", from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&source).at("read", &source)?;
        let is_new = fs::symlink_metadata(&target).is_err();
        if meta.is_symlink() && is_new {
            let link = fs::read_link(&source).at("read", &source)?;
            symlink(link, &target).at("link", &target)?;
            lchown(&target, Some(meta.uid()), Some(meta.gid())).at("own", &target)?;
        } else if meta.is_file() && is_new {
            fs::copy(&source, &target).at("copy", &source)?;
            own(&target, &meta)?;
        } else if meta.is_dir() {
            if is_new {
                fs::create_dir(&target).at("make", &target)?;
                own(&target, &meta)?;
            }
            copy_missing(&source, &target)?;
        }
    }
    Ok(())
}

fn own(target: &Path, meta: &fs::Metadata) -> Result<()> {
    chown(target, Some(meta.uid()), Some(meta.gid())).at("own", target)?;
    let permissions = fs::Permissions::from_mode(meta.mode() & 0o7777);
    fs::set_permissions(target, permissions).at("set the mode of", target)
}

/// Makes the machine id at the first boot; it identifies this host's journal and DHCP leases.
fn keep_machine_id(state: &Path) -> Result<()> {
    let path = state.join("machine-id");
    if fs::read_to_string(&path).is_ok_and(|id| is_machine_id(&id)) {
        return Ok(());
    }
    if !state.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .at("make", state)?;
    }
    let mut bytes = [0; 16];
    let source = "/dev/urandom";
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at("read", source)?;
    // Marked as a random UUID, as the format asks.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let partial = state.join("machine-id.new");
    let write = || {
        let mut file = fs::File::create(&partial)?;
        file.write_all(format!("{id}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, &path)
    };
    write().at("write", &path)
}

fn is_machine_id(text: &str) -> bool {
    let id = text.trim_end();
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Lays a memory over the image's `/etc`: changes work, and are gone at the next boot.
pub fn mount_etc() -> Result<()> {
    let (etc, layer) = (Path::new(SYSROOT).join("etc"), "/etc-changes");
    fs::create_dir_all(layer).at("make", layer)?;
    mount(
        "tmpfs",
        layer,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        c"mode=0755,size=64M",
    )
    .at("mount", layer)?;
    for name in ["upper", "work"] {
        let path = Path::new(layer).join(name);
        fs::create_dir(&path).at("make", &path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .at("set the mode of", &path)?;
    }
    let options = c"lowerdir=/sysroot/etc,upperdir=/etc-changes/upper,workdir=/etc-changes/work";
    mount(
        "overlay",
        &etc,
        "overlay",
        MountFlags::NOSUID | MountFlags::NODEV,
        options,
    )
    .at("mount", &etc)?;
    // The overlay holds on to its layer; nobody else needs to see it.
    unmount(layer, UnmountFlags::DETACH).at("unmount", layer)?;
    let kept = Path::new(SYSROOT).join("var/lib/basalt/machine-id");
    let id = fs::read(&kept).at("read", &kept)?;
    let target = etc.join("machine-id");
    fs::write(&target, id).at("write", &target)?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o444)).at("set the mode of", &target)
}

/// Tells the running system which of two equal roots is on the disk it was started from.
pub fn name_boot_disk(root: &Path) -> Result<()> {
    let path = Path::new("/run").join(ROOT_PARTITION);
    let name = root.file_name().unwrap_or_default();
    fs::write(&path, name.as_encoded_bytes()).at("write", &path)
}

/// Tells systemd which devices its mounts are about: with two system disks, their labels do not.
pub fn name_devices(mirror: Option<&Path>, esp: Option<&Path>) -> Result<()> {
    for (unit, device) in [("var.mount", mirror), ("efi.mount", esp)] {
        if let Some(device) = device {
            let folder = Path::new("/run/systemd/system").join(format!("{unit}.d"));
            name_device(&folder, device)?;
        }
    }
    Ok(())
}

fn name_device(folder: &Path, device: &Path) -> Result<()> {
    fs::create_dir_all(folder).at("make", folder)?;
    let path = folder.join("10-device.conf");
    let text = format!("[Mount]\nWhat={}\n", device.display());
    fs::write(&path, text).at("write", &path)
}

/// Makes the mounted root the root, and frees the RAM disk's memory.
pub fn switch() -> Result<()> {
    for name in ["dev", "proc", "sys", "run"] {
        let (from, to) = (Path::new("/").join(name), Path::new(SYSROOT).join(name));
        mount_move(&from, &to).at("move", &from)?;
    }
    free_ram_disk(Path::new("/"));
    std::env::set_current_dir(SYSROOT).at("enter", SYSROOT)?;
    mount_move(".", "/").at("move", SYSROOT)?;
    rustix::process::chroot(".").at("change root to", SYSROOT)?;
    std::env::set_current_dir("/").at("enter", "/")
}

/// Removes the files of the RAM disk, and never anything on another file system.
fn free_ram_disk(dir: &Path) {
    let Ok(own) = fs::symlink_metadata("/").map(|meta| meta.dev()) else {
        return;
    };
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.dev() != own {
            continue;
        }
        if meta.is_dir() {
            free_ram_disk(&path);
        } else {
            // What cannot be removed only costs memory.
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_id_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("lib/basalt");
        keep_machine_id(&state).unwrap();
        let id = fs::read_to_string(state.join("machine-id")).unwrap();
        assert!(is_machine_id(&id));
        keep_machine_id(&state).unwrap();
        assert_eq!(fs::read_to_string(state.join("machine-id")).unwrap(), id);
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_machine_id_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("machine-id"), "").unwrap();
        keep_machine_id(dir.path()).unwrap();
        assert!(is_machine_id(
            &fs::read_to_string(dir.path().join("machine-id")).unwrap()
        ));
    }

    #[test]
    fn systemd_is_told_of_devices() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("efi.mount.d");
        name_device(&folder, Path::new("/dev/vda1")).unwrap();
        let text = fs::read_to_string(folder.join("10-device.conf")).unwrap();
        assert_eq!(text, "[Mount]\nWhat=/dev/vda1\n");
    }

    #[test]
    fn the_factory_fills_gaps_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir_all(to.join("a")).unwrap();
        fs::write(from.join("a/kept"), "new").unwrap();
        fs::write(to.join("a/kept"), "old").unwrap();
        fs::write(from.join("a/b/f"), "f").unwrap();
        fs::set_permissions(from.join("a/b/f"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("/run", from.join("run")).unwrap();
        copy_missing(&from, &to).unwrap();
        copy_missing(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/kept")).unwrap(), "old");
        assert_eq!(
            fs::metadata(to.join("a/b/f")).unwrap().mode() & 0o777,
            0o640
        );
        assert_eq!(fs::read_link(to.join("run")).unwrap(), Path::new("/run"));
    }
}

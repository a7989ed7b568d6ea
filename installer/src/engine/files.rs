//! The files of an installed host: its configuration on the data partition, and what the firmware
//! and the boot loader read.

use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, ensure};
use basalt_layout::disk::ZFS_WANTED;
use basalt_layout::encryption::{POOL_KEY, is_encrypted};
use basalt_layout::slot::UKI_FOLDER;
use basalt_layout::{UkiName, Version, bios};
use basalt_model::host::answer::Enrol;
use basalt_model::host::{HostConfig, Pool};
use basalt_update::bios::write_entry;
use basalt_update::environment::Environment;
use basalt_update::esp::Esp;
use basalt_update::files::write_atomic;
use basalt_update::secureboot::LOADER_FOLDER;

use super::Mounted;
use crate::secure_boot;
use crate::source::BootFiles;

const DATA_MOUNT: &str = "/run/basalt-installer/data";

/// Name of the kernel image until it is whole; no boot loader looks at it.
const NEW_IMAGE: &str = "basalt-install.new";

/// No menu unless a key is held; nobody edits a kernel command line in passing.
const LOADER_CONFIG: &str = "timeout 0\nconsole-mode keep\neditor no\n";

/// Writes what the data partition has to hold before the first boot; `key` is that of an encrypted host.
pub fn write_state(
    data: &Path,
    host: &HostConfig,
    log: &str,
    key: Option<&str>,
) -> anyhow::Result<()> {
    let mounted = Mounted::new(data, DATA_MOUNT, "ext4")?;
    write_state_files(&mounted.folder, host, log)?;
    if let (Some(key), Some(_)) = (key, &host.pool) {
        let file = mounted.folder.join(POOL_KEY);
        write_atomic(&file, key.as_bytes(), 0o600).context("the pool's key")?;
    }
    mounted.close()
}

/// Writes the host's configuration anew; the pool that was made for the old host stays the new one's.
pub fn rewrite_state(data: &Path, host: &HostConfig, log: &str) -> anyhow::Result<()> {
    let mounted = Mounted::new(data, DATA_MOUNT, "ext4")?;
    let mut host = host.clone();
    host.pool = kept_pool(&mounted.folder);
    write_state_files(&mounted.folder, &host, log)?;
    mounted.close()
}

/// The pool of the host whose data this is. The storage that uses it is in the configuration store,
/// which stays; so a file that cannot be read loses nothing.
fn kept_pool(var: &Path) -> Option<Pool> {
    let text = fs::read(var.join("lib/basalt/host.json")).ok()?;
    serde_json::from_slice::<HostConfig>(&text).ok()?.pool
}

fn write_state_files(var: &Path, host: &HostConfig, log: &str) -> anyhow::Result<()> {
    let make = |path: &str, mode| {
        let folder = var.join(path);
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&folder)
            .with_context(|| folder.display().to_string())?;
        anyhow::Ok(folder)
    };
    make("lib", 0o755)?;
    let state = make("lib/basalt", 0o700)?;
    let mut config = serde_json::to_vec_pretty(host).context("host.json")?;
    config.push(b'\n');
    write_atomic(&state.join("host.json"), &config, 0o600).context("host.json")?;
    if matches!(host.pool, Some(Pool::Zfs { .. })) {
        // The disks of the pool may show later than those that the host boots from.
        write_atomic(&state.join(ZFS_WANTED), b"", 0o600).context(ZFS_WANTED)?;
    }
    make("log", 0o755)?;
    let logs = make("log/basalt", 0o755)?;
    write_atomic(&logs.join("install.log"), log.as_bytes(), 0o640).context("install.log")
}

/// Whether a data partition that is to be kept can take the host's configuration.
pub fn check_state(data: &Path) -> anyhow::Result<()> {
    let mut beginning = [0; 16];
    let read = File::open(data).and_then(|mut file| file.read_exact(&mut beginning));
    read.with_context(|| data.display().to_string())?;
    ensure!(
        !is_encrypted(&beginning),
        "existing.action: the data partition is encrypted, so the host cannot be configured anew; \
         `repair` keeps it as it is"
    );
    Mounted::new(data, DATA_MOUNT, "ext4")
        .and_then(Mounted::close)
        .context("existing.action: the data partition cannot be kept")
}

/// Writes boot loader and kernel image, the latter last; and for legacy BIOS what GRUB needs beside
/// them.
pub fn write_esp(
    device: &Path,
    version: &Version,
    files: &BootFiles,
    wish: Enrol,
) -> anyhow::Result<()> {
    let esp = Esp::mount(device)?;
    write_esp_files(&esp, version, files, wish)
}

fn write_esp_files(
    esp: &Esp,
    version: &Version,
    files: &BootFiles,
    wish: Enrol,
) -> anyhow::Result<()> {
    for folder in [
        "EFI/BOOT",
        "EFI/systemd",
        LOADER_FOLDER,
        UKI_FOLDER,
        bios::FOLDER,
    ] {
        let path = esp.path().join(folder);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    let write = |name: &str, bytes: &[u8]| {
        write_atomic(&esp.path().join(name), bytes, 0o600).with_context(|| name.to_owned())
    };
    write("EFI/BOOT/BOOTX64.EFI", &files.loader)?;
    write("EFI/systemd/systemd-bootx64.efi", &files.loader)?;
    for certificate in &files.certificates {
        let name = format!("{LOADER_FOLDER}/{}.auth", certificate.variable);
        write(&name, &certificate.bytes)?;
    }
    let config = format!("{LOADER_CONFIG}{}", secure_boot::loader_option(wish));
    write("loader/loader.conf", config.as_bytes())?;
    write(bios::BOOT_CODE, &files.bios.code)?;
    write(bios::CORE, &files.bios.core)?;
    write(bios::CONFIG, &files.bios_config)?;
    esp.write_environment(&Environment::default())?;
    let new = esp.uki_folder().join(NEW_IMAGE);
    fs::write(&new, &files.uki).with_context(|| new.display().to_string())?;
    write_entry(esp, version, &new)?;
    esp.sync().context("flushing the EFI system partition")?;
    // Without a count of tries: there is no other version to return to, and a successful first boot
    // would rename the disk's only kernel image, which on FAT leaves a moment in which there is none.
    let name = UkiName::good(version.clone()).to_string();
    fs::rename(&new, esp.uki_folder().join(&name)).context(name)?;
    esp.sync().context("flushing the EFI system partition")
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_update::bios::BootCode;
    use basalt_update::secureboot::Enrolment;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_host_finds_its_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostConfig {
            pool: Some(Pool::LvmThin {
                vgname: "basalt_1".parse().unwrap(),
                thinpool: "data".parse().unwrap(),
            }),
            ..HostConfig::fallback()
        };
        assert_eq!(kept_pool(dir.path()), None);
        write_state_files(dir.path(), &host, "said\n").unwrap();
        assert_eq!(kept_pool(dir.path()), host.pool);
        let text = fs::read(dir.path().join("lib/basalt/host.json")).unwrap();
        assert_eq!(serde_json::from_slice::<HostConfig>(&text).unwrap(), host);
        let mode = |path: &str| {
            fs::metadata(dir.path().join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode("lib/basalt"), 0o700);
        assert_eq!(mode("lib/basalt/host.json"), 0o600);
        assert_eq!(
            fs::read(dir.path().join("log/basalt/install.log")).unwrap(),
            b"said\n"
        );
    }

    /// A PE file with the three sections that GRUB is told about.
    fn kernel_image() -> Vec<u8> {
        let mut image = vec![0; 2048];
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x46] = 3;
        let sections = [
            (".cmdline", &b"quiet"[..]),
            (".linux", b"l"),
            (".initrd", b"i"),
        ];
        for (index, (name, content)) in sections.into_iter().enumerate() {
            let start = 512 * (index + 1);
            image[start..start + content.len()].copy_from_slice(content);
            let entry = &mut image[0x58 + 40 * index..][..40];
            entry[..name.len()].copy_from_slice(name.as_bytes());
            entry[8] = content.len() as u8;
            entry[17] = 2;
            entry[20..22].copy_from_slice(&(start as u16).to_le_bytes());
        }
        image
    }

    #[test]
    fn the_firmware_finds_loader_and_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let esp = Esp::folder(dir.path());
        let files = BootFiles {
            loader: b"loader".to_vec(),
            uki: kernel_image(),
            certificates: vec![Enrolment {
                variable: "PK",
                bytes: b"platform".to_vec(),
            }],
            bios: BootCode {
                code: b"code".to_vec(),
                core: b"core".to_vec(),
            },
            bios_config: b"rules".to_vec(),
        };
        write_esp_files(&esp, &"0.1.0".parse().unwrap(), &files, Enrol::Leave).unwrap();
        assert_eq!(
            fs::read(dir.path().join("EFI/BOOT/BOOTX64.EFI")).unwrap(),
            b"loader"
        );
        let names: Vec<_> = fs::read_dir(dir.path().join(UKI_FOLDER))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["basalt_0.1.0.efi"]);
        let config = fs::read_to_string(dir.path().join("loader/loader.conf")).unwrap();
        assert!(config.ends_with("secure-boot-enroll manual\n"), "{config}");
        let key = fs::read(dir.path().join("loader/keys/auto/PK.auth")).unwrap();
        assert_eq!(key, b"platform");
        assert!(dir.path().join("loader/loader.conf").exists());
        let grub = |name: &str| fs::read_to_string(dir.path().join("basalt").join(name)).unwrap();
        assert_eq!(grub("bios-core.img"), "core");
        assert_eq!(grub("grub.cfg"), "rules");
        assert_eq!(grub("grubenv").len(), 1024);
        assert!(grub("0.1.0.cfg").contains("cmdline='quiet'"));
    }
}

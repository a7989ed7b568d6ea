//! What the boot loader finds on the EFI system partition, and which kernel image it takes.
//!
//! The rule is systemd-boot's (systemd-boot(7), "Boot counting"): entries without tries left come
//! last, otherwise the newest version comes first.

use super::gpt::Partition;
use anyhow::{Context, Result, ensure};
use basalt_layout::UkiName;
use basalt_layout::slot::UKI_FOLDER;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that the firmware starts on any disk.
pub const LOADER: &str = "EFI/BOOT/BOOTX64.EFI";

/// An EFI system partition inside a disk's image.
#[derive(Debug, Clone)]
pub struct Esp {
    /// The image and the offset in it, as mtools want it.
    place: String,
}

impl Esp {
    /// The partition of a disk.
    pub fn new(disk: &Path, partition: &Partition) -> Self {
        Self {
            place: format!("{}@@{}", disk.display(), partition.range.start),
        }
    }

    /// A file's content.
    pub fn file(&self, path: &str) -> Result<Vec<u8>> {
        self.mtools("mcopy", &["-n"], &[path, "-"])
    }

    /// Every kernel image of ours, the one that will be booted first.
    pub fn entries(&self) -> Result<Vec<UkiName>> {
        let listing = self.mtools("mdir", &["-b"], &[UKI_FOLDER])?;
        let listing = String::from_utf8(listing).context("a file name is no text")?;
        let mut names: Vec<UkiName> = listing
            .lines()
            .filter_map(|line| line.rsplit('/').next()?.trim().parse().ok())
            .collect();
        sort(&mut names);
        Ok(names)
    }

    /// The file of a kernel image.
    pub fn path(name: &UkiName) -> String {
        format!("{UKI_FOLDER}/{name}")
    }

    fn mtools(&self, command: &str, options: &[&str], paths: &[&str]) -> Result<Vec<u8>> {
        let paths: Vec<PathBuf> = paths
            .iter()
            .map(|path| {
                if *path == "-" {
                    "-".into()
                } else {
                    format!("::/{path}").into()
                }
            })
            .collect();
        let output = Command::new(command)
            .env("MTOOLS_SKIP_CHECK", "1")
            .args(["-i", &self.place])
            .args(options)
            .args(&paths)
            .output()
            .with_context(|| format!("cannot run {command}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{command} {paths:?}: {}",
            said.trim()
        );
        Ok(output.stdout)
    }
}

fn sort(names: &mut [UkiName]) {
    names.sort_by(|a, b| {
        (a.is_exhausted().cmp(&b.is_exhausted())).then_with(|| b.version.cmp(&a.version))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_with_tries_left_is_booted() {
        for (files, first) in [
            (
                ["basalt_1.0.0.efi", "basalt_2.0.0+3.efi"],
                "basalt_2.0.0+3.efi",
            ),
            (
                ["basalt_1.0.0.efi", "basalt_2.0.0+0-3.efi"],
                "basalt_1.0.0.efi",
            ),
            (
                ["basalt_1.0.0+0-3.efi", "basalt_2.0.0+0-3.efi"],
                "basalt_2.0.0+0-3.efi",
            ),
            (
                ["basalt_2.0.0.efi", "basalt_2.0.0~rc1+3.efi"],
                "basalt_2.0.0.efi",
            ),
        ] {
            let mut names = files.map(|file| file.parse().unwrap());
            sort(&mut names);
            assert_eq!(names[0].to_string(), first);
        }
    }

    #[test]
    fn files_are_read_inside_an_image() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, file) = (dir.path().join("disk"), dir.path().join("file"));
        std::fs::write(&file, "kernel").unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).status().unwrap();
            assert!(status.success(), "{program} {arguments:?}");
        };
        let path = disk.to_str().unwrap();
        run("truncate", &["-s", "40M", path]);
        run("/usr/sbin/mkfs.vfat", &["--offset", "2048", path]);
        let place = format!("{path}@@{}", 1 << 20);
        run("mmd", &["-i", &place, "::/EFI", "::/EFI/Linux"]);
        for name in ["basalt_1.0.0.efi", "basalt_2.0.0+2-1.efi", "other.efi"] {
            let target = format!("::/EFI/Linux/{name}");
            run("mcopy", &["-i", &place, file.to_str().unwrap(), &target]);
        }
        let esp = Esp { place };
        let entries = esp.entries().unwrap();
        let names: Vec<_> = entries.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["basalt_2.0.0+2-1.efi", "basalt_1.0.0.efi"]);
        assert_eq!(esp.file(&Esp::path(&entries[0])).unwrap(), b"kernel");
        assert!(esp.file(LOADER).is_err());
    }
}

//! Disks and their partitions, and what is on them.

use super::{Tree, attribute, names};
use basalt_api::methods::hardware::{DiskFilter, DiskHealth, DiskInfo, Wearout};
use std::collections::BTreeMap;
use std::path::Path;

/// The kernel counts sizes in these, whatever the disk does.
const SECTOR: u64 = 512;
/// Devices that are no disks of the host's: made by the kernel, of other devices or far away.
const NO_DISKS: [&str; 11] = [
    "loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "zd", "rbd", "drbd",
];

impl Tree {
    /// Disks, and their partitions if wanted.
    pub fn disks(&self, filter: Option<DiskFilter>, partitions: bool) -> Vec<DiskInfo> {
        let mounted = self.in_use();
        let mut found = Vec::new();
        for name in self.names("block") {
            if NO_DISKS.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let folder = self.sys.join("block").join(&name);
            let parts = self.partitions(&folder, &name, &mounted);
            let Some(disk) = self.disk(&folder, &name, &parts, &mounted) else {
                continue;
            };
            match filter {
                Some(DiskFilter::Unused) if disk.used.is_some() => continue,
                Some(DiskFilter::JournalDisks) if !disk.gpt => continue,
                _ => found.push(disk),
            }
            if partitions {
                found.extend(parts);
            }
        }
        found
    }

    /// Devices that something is mounted from, or swapped to.
    fn in_use(&self) -> Vec<String> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let text = read(&self.mounts) + &read(&self.swaps);
        let first = text.lines().filter_map(|line| line.split(' ').next());
        let devices = first.filter(|device| device.starts_with("/dev/"));
        devices.map(str::to_owned).collect()
    }

    fn size(folder: &Path) -> Option<u64> {
        let sectors: u64 = attribute(folder, "size")?.parse().ok()?;
        sectors.checked_mul(SECTOR).filter(|size| *size > 0)
    }

    fn found_out(&self, folder: &Path) -> BTreeMap<String, String> {
        let number = attribute(folder, "dev").unwrap_or_default();
        self.udev(&format!("b{number}"))
    }

    fn disk(
        &self,
        folder: &Path,
        name: &str,
        parts: &[DiskInfo],
        mounted: &[String],
    ) -> Option<DiskInfo> {
        let size = Self::size(folder)?;
        let udev = self.found_out(folder);
        let turns = attribute(folder, "queue/rotational").as_deref() == Some("1");
        let kind = match (udev.get("ID_BUS").map(String::as_str), turns) {
            _ if name.starts_with("nvme") => "nvme",
            (Some("usb"), _) => "usb",
            (_, false) => "ssd",
            (_, true) => "hdd",
        };
        let devpath = format!("/dev/{name}");
        let itself = contents(folder, &udev, mounted.contains(&devpath));
        let used = itself.or_else(|| (!parts.is_empty()).then(|| "partitions".to_owned()));
        Some(DiskInfo {
            mounted: mounted.contains(&devpath) || parts.iter().any(|part| part.mounted),
            gpt: udev
                .get("ID_PART_TABLE_TYPE")
                .is_some_and(|kind| kind == "gpt"),
            // udev has no spaces in a value.
            model: udev
                .get("ID_MODEL")
                .map(|model| model.replace('_', " "))
                .or_else(|| attribute(folder, "device/model")),
            serial: udev
                .get("ID_SERIAL_SHORT")
                .cloned()
                .or_else(|| attribute(folder, "device/serial"))
                .or_else(|| attribute(folder, "serial")),
            vendor: attribute(folder, "device/vendor"),
            wwn: udev.get("ID_WWN").cloned(),
            by_id_link: self.by_id(folder),
            rpm: match (turns, udev.get("ID_ATA_ROTATION_RATE_RPM")) {
                (false, _) => 0,
                (true, Some(rpm)) => rpm.parse().unwrap_or(-1),
                (true, None) => -1,
            },
            used,
            ..bare(devpath, size, kind)
        })
    }

    fn partitions(&self, disk: &Path, name: &str, mounted: &[String]) -> Vec<DiskInfo> {
        let children = names(disk).into_iter();
        let parts = children.filter(|child| disk.join(child).join("partition").exists());
        let describe = |child: String| {
            let folder = disk.join(&child);
            let devpath = format!("/dev/{child}");
            let udev = self.found_out(&folder);
            let is_mounted = mounted.contains(&devpath);
            Some(DiskInfo {
                used: contents(&folder, &udev, is_mounted),
                mounted: is_mounted,
                gpt: udev
                    .get("ID_PART_ENTRY_SCHEME")
                    .is_some_and(|kind| kind == "gpt"),
                by_id_link: self.by_id(&folder),
                parent: Some(format!("/dev/{name}")),
                ..bare(devpath, Self::size(&folder)?, "partition")
            })
        };
        parts.filter_map(describe).collect()
    }

    /// The name of a device that stays with it, as udev links it.
    fn by_id(&self, folder: &Path) -> Option<String> {
        let number = attribute(folder, "dev")?;
        let text = std::fs::read_to_string(self.udev.join(format!("b{number}"))).ok()?;
        let links = text.lines().filter_map(|line| line.strip_prefix("S:"));
        let link = links.filter(|link| link.starts_with("disk/by-id/")).min()?;
        Some(format!("/dev/{link}"))
    }
}

fn bare(devpath: String, size: u64, kind: &str) -> DiskInfo {
    DiskInfo {
        devpath,
        size,
        kind: kind.to_owned(),
        used: None,
        mounted: false,
        gpt: false,
        model: None,
        serial: None,
        vendor: None,
        wwn: None,
        by_id_link: None,
        rpm: 0,
        parent: None,
        health: DiskHealth::Unknown,
        wearout: Wearout::UNKNOWN,
        osd_id: -1,
    }
}

/// What is on a device, in clients' words; none when nothing is.
fn contents(folder: &Path, udev: &BTreeMap<String, String>, mounted: bool) -> Option<String> {
    let kind = udev.get("ID_FS_TYPE").map(String::as_str);
    let word = match kind {
        Some("LVM2_member") => "LVM",
        Some("zfs_member") => "ZFS",
        Some("linux_raid_member") => "RAID",
        Some(other) => other,
        None if mounted => "mounted",
        None if !names(&folder.join("holders")).is_empty() => "Device Mapper",
        None => return None,
    };
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tree, write};
    use super::*;

    #[test]
    fn disks_say_what_is_on_them() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let block = folder.path().join("sys/block");
        write(
            &block.join("vda"),
            &[
                ("size", "2048\n"),
                ("dev", "254:0\n"),
                ("queue/rotational", "1\n"),
                ("vda1/partition", "1\n"),
                ("vda1/size", "1024\n"),
                ("vda1/dev", "254:1\n"),
            ],
        );
        write(
            &block.join("nvme0n1"),
            &[("size", "8\n"), ("dev", "259:0\n")],
        );
        write(&block.join("loop0"), &[("size", "8\n")]);
        write(&block.join("sdz"), &[("size", "0\n")]);
        write(&block.join("zd0"), &[("size", "8\n")]);
        let data = "S:disk/by-id/virtio-x\nE:ID_PART_TABLE_TYPE=gpt\nE:ID_SERIAL_SHORT=x\n\
                    E:ID_MODEL=WDC_WD40\n";
        let part = "E:ID_FS_TYPE=ext4\nE:ID_PART_ENTRY_SCHEME=gpt\n";
        write(
            &folder.path().join("udev"),
            &[("b254:0", data), ("b254:1", part)],
        );
        write(folder.path(), &[("mounts", "/dev/vda1 / ext4 rw 0 0\n")]);

        let all = tree.disks(None, true);
        let paths: Vec<&str> = all.iter().map(|disk| disk.devpath.as_str()).collect();
        assert_eq!(paths, ["/dev/nvme0n1", "/dev/vda", "/dev/vda1"]);
        let (nvme, disk, part) = (&all[0], &all[1], &all[2]);
        assert_eq!((nvme.kind.as_str(), &nvme.used), ("nvme", &None));
        assert_eq!((disk.size, disk.kind.as_str()), (1 << 20, "hdd"));
        assert_eq!(disk.used.as_deref(), Some("partitions"));
        assert!(disk.mounted && disk.gpt && disk.serial.as_deref() == Some("x"));
        assert_eq!(disk.by_id_link.as_deref(), Some("/dev/disk/by-id/virtio-x"));
        assert_eq!(disk.model.as_deref(), Some("WDC WD40"));
        assert_eq!(part.used.as_deref(), Some("ext4"));
        assert_eq!(part.parent.as_deref(), Some("/dev/vda"));
        let unused = tree.disks(Some(DiskFilter::Unused), false);
        assert_eq!(unused.len(), 1);
        let journal = tree.disks(Some(DiskFilter::JournalDisks), false);
        assert_eq!(journal[0].devpath, "/dev/vda");
    }
}

//! PCI devices.

use super::{Tree, attribute};
use basalt_api::methods::hardware::PciDevice;
use std::path::Path;

/// Classes that are left out unless the caller names others: memory, bridges, processors.
const DULL: &str = "05;06;0b";

impl Tree {
    /// PCI devices but those whose class begins with one of `without`; with all that is known, or
    /// the addresses alone.
    pub fn pci(&self, without: Option<&str>, verbose: bool) -> Vec<PciDevice> {
        let without = without.unwrap_or(DULL).split([';', ',', ' ']);
        let without: Vec<String> = without
            .map(|class| class.trim().trim_start_matches("0x").to_ascii_lowercase())
            .filter(|class| !class.is_empty())
            .collect();
        let folder = self.sys.join("bus/pci/devices");
        let devices = self.names("bus/pci/devices").into_iter();
        let described = devices.map(|id| self.device(&folder.join(&id), id));
        let wanted = described.filter(|device| {
            let class = device.class.as_deref().unwrap_or_default();
            let class = class.trim_start_matches("0x");
            !without
                .iter()
                .any(|begin| class.starts_with(begin.as_str()))
        });
        let brief = |device: PciDevice| match verbose {
            true => device,
            false => PciDevice {
                id: device.id,
                ..PciDevice::default()
            },
        };
        wanted.map(brief).collect()
    }

    fn device(&self, folder: &Path, id: String) -> PciDevice {
        let mut names = self.udev(&format!("+pci:{id}"));
        let group = std::fs::read_link(folder.join("iommu_group")).ok();
        let group = group.and_then(|path| path.file_name()?.to_str()?.parse().ok());
        PciDevice {
            class: attribute(folder, "class"),
            vendor: attribute(folder, "vendor"),
            device: attribute(folder, "device"),
            subsystem_vendor: attribute(folder, "subsystem_vendor"),
            subsystem_device: attribute(folder, "subsystem_device"),
            vendor_name: names.remove("ID_VENDOR_FROM_DATABASE"),
            device_name: names.remove("ID_MODEL_FROM_DATABASE"),
            iommugroup: Some(group.unwrap_or(-1)),
            mdev: folder.join("mdev_supported_types").exists().then_some(true),
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tree, write};

    #[test]
    fn dull_classes_are_left_out_unless_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let devices = folder.path().join("sys/bus/pci/devices");
        for (id, class) in [
            ("0000:00:00.0", "0x060000\n"),
            ("0000:00:02.0", "0x030000\n"),
        ] {
            write(
                &devices.join(id),
                &[("class", class), ("vendor", "0x8086\n")],
            );
        }
        let names = "E:ID_VENDOR_FROM_DATABASE=Maker\nE:ID_MODEL_FROM_DATABASE=Card\n";
        write(&folder.path().join("udev"), &[("+pci:0000:00:02.0", names)]);
        let found = tree.pci(None, true);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].vendor.as_deref(), Some("0x8086"));
        assert_eq!(found[0].vendor_name.as_deref(), Some("Maker"));
        assert_eq!(found[0].iommugroup, Some(-1));
        let ids = |without| {
            let found = tree.pci(Some(without), false).into_iter();
            found
                .map(|device| (device.id, device.class))
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("03"), [("0000:00:00.0".to_owned(), None)]);
        assert_eq!(ids("").len(), 2);
    }
}

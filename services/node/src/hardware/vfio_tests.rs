//! Which devices can be given away, and what that does.

use super::super::testing::write;
use super::testing::{CARD, Host, SOUND, VIDEO, host};
use super::*;
use std::os::unix::fs::symlink;

impl Host {
    fn free(&self, addresses: &str) -> Result<Vec<Function>, VfioError> {
        let functions = self.tree.functions(&addresses.parse().unwrap())?;
        self.tree.check_free(&functions, &[])
    }
}

#[test]
fn all_functions_of_a_device_are_given_away_together() {
    let host = host();
    let functions = host.free("01:00").unwrap();
    assert_eq!(functions.len(), 2);
    assert_eq!(
        (functions[1].address.as_str(), functions[1].group),
        (SOUND, 1)
    );
    let error = host.free("01:00.0").unwrap_err().to_string();
    assert!(
        error.contains(SOUND) && error.contains("snd_hda_intel"),
        "{error}"
    );
    host.drive(SOUND, DRIVER);
    assert_eq!(host.free("01:00.0").unwrap().len(), 1);
}

#[test]
fn what_is_not_there_or_cannot_be_is_named() {
    let host = host();
    let error = |addresses: &str| host.free(addresses).unwrap_err().to_string();
    assert!(error("01:00;09:00.0").contains("09:00.0"));
    assert!(error("00:01.0").contains("bridge"));
    assert!(error("02:00;0000:02:00.0").contains("already"));
    std::fs::remove_file(host.sys.join("devices").join(CARD).join("iommu_group")).unwrap();
    assert!(error("02:00").contains("IOMMU"));
}

#[test]
fn what_the_host_works_with_stays_its_own() {
    let host = host();
    let device = host.sys.join("devices").join(CARD);
    write(&device.join("net/eno1"), &[("flags", "0x1003\n")]);
    std::fs::create_dir_all(host.sys.join("class/net")).unwrap();
    symlink(device.join("net/eno1"), host.sys.join("class/net/eno1")).unwrap();
    let error = host.free("02:00.0").unwrap_err().to_string();
    assert!(error.contains(CARD) && error.contains("eno1"), "{error}");
    write(&device.join("net/eno1"), &[("flags", "0x1002\n")]);
    assert!(host.free("02:00.0").is_ok());
    write(
        &device.join("block/nvme0n1/nvme0n1p1"),
        &[("start", "2048")],
    );
    std::fs::create_dir_all(host.sys.join("class/block")).unwrap();
    let part = device.join("block/nvme0n1/nvme0n1p1");
    symlink(part, host.sys.join("class/block/nvme0n1p1")).unwrap();
    std::fs::write(&host.tree.mounts, "/dev/nvme0n1p1 /mnt ext4 rw 0 0\n").unwrap();
    let error = host.free("02:00.0").unwrap_err().to_string();
    assert!(error.contains("nvme0n1p1"), "{error}");
    // Once it is bound, the host cannot work with it.
    host.drive(CARD, DRIVER);
    assert!(host.free("02:00.0").is_ok());
}

#[test]
fn binding_takes_a_device_from_its_driver() {
    let host = host();
    host.tree.bind(CARD).unwrap();
    let read = |path: &str| std::fs::read_to_string(host.sys.join(path)).unwrap();
    let device = format!("devices/{CARD}");
    assert_eq!(read(&format!("{device}/driver_override")), DRIVER);
    assert_eq!(read("bus/pci/drivers/e1000e/unbind"), CARD);
    assert_eq!(read("bus/pci/drivers_probe"), CARD);
    let error = host.tree.check_bound(CARD).unwrap_err().to_string();
    assert!(error.contains("e1000e"), "{error}");
    host.drive(CARD, DRIVER);
    assert!(host.tree.check_bound(CARD).is_ok());
    std::fs::remove_file(host.sys.join("bus/pci/drivers_probe")).unwrap();
    host.tree.bind(CARD).unwrap();
    assert!(
        !host.sys.join("bus/pci/drivers_probe").exists(),
        "it is bound"
    );
}

#[test]
fn a_mapping_is_compared_with_what_is_there() {
    let host = host();
    let check = |text: &str| {
        let entry: PciMapEntry = text.parse().unwrap();
        host.tree.check_mapping(&entry, VIDEO)
    };
    assert!(check("id=10DE:2204,iommugroup=1,node=a,path=01:00").is_ok());
    let wrong = check("id=10de:1234,node=a,path=01:00").unwrap_err();
    assert!(wrong.to_string().contains("10de:2204"));
    assert!(check("id=10de:2204,iommugroup=7,node=a,path=01:00").is_err());
}

#[test]
fn groups_are_opened_once_and_all_or_none() {
    let host = host();
    let folder = host.groups(&["1", "vfio"]);
    let function = |address: &str, group| Function {
        address: address.to_owned(),
        group,
    };
    let mut groups = Groups::default();
    let both = [function(VIDEO, 1), function(SOUND, 1)];
    groups.open_all(&folder, &both).unwrap();
    assert!(groups.open_all(&folder, &[function(CARD, 2)]).is_err());
    assert_eq!((groups.place(1), groups.place(2)), (Some(0), None));
    assert_eq!(groups.into_files().len(), 1);
    assert!(container(&folder).is_ok());
}

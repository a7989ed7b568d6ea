//! What a node is made of, and what it can give to guests.

use super::NodePath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{SysAudit, SysModify};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which disks to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DiskQuery {
    /// Name of the node.
    pub node: String,
    /// With partitions (default no).
    pub include_partitions: Option<bool>,
    /// Without asking disks for their health (default no).
    #[serde(rename = "skipsmart")]
    pub skip_smart: Option<bool>,
    /// Only those that are this.
    #[serde(rename = "type")]
    pub kind: Option<DiskFilter>,
}

/// Kinds of disk to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskFilter {
    /// Nothing is on it.
    Unused,
    /// Whole disks that a journal could lie on: those with a table of partitions.
    JournalDisks,
}

/// A disk or partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DiskInfo {
    /// Path of the device.
    pub devpath: String,
    /// Size in bytes.
    pub size: u64,
    /// Kind: ssd, hdd, nvme, usb, partition or unknown.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is on it: partitions, LVM, a file system, …; absent when nothing is.
    pub used: Option<String>,
    /// Whether it, or a part of it, is mounted.
    pub mounted: bool,
    /// Whether it has a GUID partition table.
    pub gpt: bool,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Maker.
    pub vendor: Option<String>,
    /// World-wide name.
    pub wwn: Option<String>,
    /// A name that stays with the device.
    #[serde(rename = "by_id_link")]
    pub by_id_link: Option<String>,
    /// Rotations a minute: 0 for what does not turn, -1 when not known.
    pub rpm: i64,
    /// The disk of a partition.
    pub parent: Option<String>,
    /// What it says of itself.
    pub health: DiskHealth,
    /// How much of its life is left, in percent.
    pub wearout: Wearout,
    /// Always -1: there is no Ceph.
    #[serde(rename = "osdid")]
    pub osd_id: i64,
}

/// What a disk says of itself (SMART).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DiskHealth {
    /// It is well.
    Passed,
    /// It is failing, or about to.
    Failed,
    /// It says nothing, sleeps, or was not asked.
    Unknown,
}

/// How much of a disk's life is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Wearout {
    /// So many percent; 0 when it has done all that its maker promised.
    Left(u8),
    /// It does not wear out, or does not say.
    Unknown(NotAvailable),
}

impl Wearout {
    /// Not known.
    pub const UNKNOWN: Self = Self::Unknown(NotAvailable::NotAvailable);
}

/// Stands where there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NotAvailable {
    /// The only word.
    #[serde(rename = "N/A")]
    NotAvailable,
}

/// Which disk to ask how it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SmartQuery {
    /// Name of the node.
    pub node: String,
    /// Path of the disk, `/dev/sda`.
    pub disk: String,
    /// Whether it is well and nothing else (default no).
    #[serde(rename = "healthonly")]
    pub health_only: Option<bool>,
}

/// How a disk is, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SmartReport {
    /// Whether it is well.
    pub health: DiskHealth,
    /// How the rest is told.
    #[serde(rename = "type")]
    pub kind: Option<SmartKind>,
    /// What an ATA disk counts.
    pub attributes: Option<Vec<SmartAttribute>>,
    /// What another disk counts, as text for people.
    pub text: Option<String>,
    /// How much of its life is left, in percent.
    pub wearout: Option<u8>,
}

/// How a disk tells what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmartKind {
    /// As attributes.
    Ata,
    /// As text.
    Text,
}

/// Something that an ATA disk counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SmartAttribute {
    /// Its number, right-aligned in three characters.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Letters for its kinds: P (of the health), O, S, R, C, K; a dash where one is not.
    pub flags: String,
    /// How good it is: the less, the worse.
    pub value: u64,
    /// The same.
    pub normalized: u64,
    /// How bad it was at worst.
    pub worst: u64,
    /// At this value, or below, the disk is failing.
    pub threshold: u64,
    /// When it was at the threshold: `NOW`, `Past`, or `-` for never.
    pub fail: String,
    /// What is counted, as its maker counts.
    pub raw: String,
}

/// Which PCI devices to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PciQuery {
    /// Name of the node.
    pub node: String,
    /// Classes to leave out, as the beginning of their hexadecimal number, separated by ';'
    /// (default `05;06;0b`: memory, bridges and processors).
    pub pci_class_blacklist: Option<String>,
    /// With everything that is known, rather than the id alone (default yes).
    pub verbose: Option<bool>,
}

/// A PCI device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PciDevice {
    /// Address, `0000:00:02.0`.
    pub id: String,
    /// Class in hexadecimal.
    pub class: Option<String>,
    /// Vendor in hexadecimal.
    pub vendor: Option<String>,
    /// Device in hexadecimal.
    pub device: Option<String>,
    /// Vendor of the card in hexadecimal.
    pub subsystem_vendor: Option<String>,
    /// Card in hexadecimal.
    pub subsystem_device: Option<String>,
    /// Name of the vendor.
    pub vendor_name: Option<String>,
    /// Name of the device.
    pub device_name: Option<String>,
    /// Devices of one group can be given away only together; -1 without an IOMMU.
    pub iommugroup: Option<i64>,
    /// Whether it can be divided among guests.
    pub mdev: Option<bool>,
}

/// A PCI device, or a mapping of some.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PciPath {
    /// Name of the node.
    pub node: String,
    /// Address of the device, `0000:01:00.0`, or name of a mapping.
    pub pci_id_or_mapping: String,
}

/// What can be asked about a PCI device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PciMethod {
    /// The last part of the path.
    pub method: String,
}

/// A kind of parts into which a device can be divided among guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MdevType {
    /// Its name for the kernel.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many more there can be.
    pub available: u64,
    /// What it is.
    pub description: String,
    /// Its name for people.
    pub name: Option<String>,
}

/// A USB device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsbDevice {
    /// Number of the bus.
    pub busnum: u32,
    /// Number on the bus.
    pub devnum: u32,
    /// Class.
    pub class: u32,
    /// Depth below the root.
    pub level: u32,
    /// Port of the hub.
    pub port: u32,
    /// Where it is plugged in, e.g. `1.2`; a root hub is nowhere.
    pub usbpath: Option<String>,
    /// Vendor in hexadecimal.
    pub vendid: String,
    /// Product in hexadecimal.
    pub prodid: String,
    /// Megabits a second.
    pub speed: String,
    /// Name of the maker.
    pub manufacturer: Option<String>,
    /// Name of the product.
    pub product: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

/// Capabilities of a node for an architecture.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityQuery {
    /// Name of the node.
    pub node: String,
    /// Architecture (default x86_64).
    pub arch: Option<Architecture>,
}

/// Architecture of virtual machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86,
    /// 64-bit ARM; machines of this node cannot be.
    #[serde(rename = "aarch64")]
    Arm,
}

/// What a move to another node takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MigrationAbility {
    /// Whether it can be the state of the host's firewall; it cannot.
    pub has_dbus_vmstate: bool,
}

/// A processor that a virtual machine can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuModel {
    /// Name.
    pub name: String,
    /// Maker.
    pub vendor: String,
    /// Whether somebody here made it up.
    pub custom: bool,
}

/// A feature that the processors of a virtual machine can have beside those of their model, or lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuFeature {
    /// Name.
    pub name: String,
    /// What it is.
    pub description: String,
}

/// A machine that a virtual machine can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineModel {
    /// Name.
    pub id: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Version.
    pub version: String,
}

endpoints! {
    /// Lists the disks of a node.
    DiskList: Get "/nodes/{node}/disks/list" {
        params: DiskQuery,
        output: Vec<DiskInfo>,
        permission: Permission::Any(&[perm("/", &[SysAudit]), perm("/nodes/{node}", &[SysAudit])]),
        cli: "disk list",
    }

    /// Asks a disk of a node how it is (SMART).
    DiskSmart: Get "/nodes/{node}/disks/smart" {
        params: SmartQuery,
        output: SmartReport,
        permission: perm("/", &[SysAudit]),
        cli: "disk smart",
    }

    /// Lists the PCI devices of a node.
    PciList: Get "/nodes/{node}/hardware/pci" {
        params: PciQuery,
        output: Vec<PciDevice>,
        permission: perm("/", &[SysAudit, SysModify]),
        cli: "hardware pci",
    }

    /// Lists what can be asked about a PCI device.
    PciIndex: Get "/nodes/{node}/hardware/pci/{pci-id-or-mapping}" {
        params: PciPath,
        output: Vec<PciMethod>,
        permission: Permission::AnyUser,
    }

    /// Lists the kinds of parts into which a PCI device can be divided among guests.
    MdevTypes: Get "/nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev" {
        params: PciPath,
        output: Vec<MdevType>,
        permission: perm("/", &[SysAudit, SysModify]),
        cli: "hardware mdev",
    }

    /// Lists the USB devices of a node.
    UsbList: Get "/nodes/{node}/hardware/usb" {
        params: NodePath,
        output: Vec<UsbDevice>,
        permission: perm("/", &[SysModify]),
        cli: "hardware usb",
    }

    /// Lists the processors that virtual machines of a node can have.
    CpuModels: Get "/nodes/{node}/capabilities/qemu/cpu" {
        params: CapabilityQuery,
        output: Vec<CpuModel>,
        permission: Permission::AnyUser,
    }

    /// Lists the features of processors that virtual machines can have beside those of their model.
    CpuFlags: Get "/nodes/{node}/capabilities/qemu/cpu-flags" {
        params: CapabilityQuery,
        output: Vec<CpuFeature>,
        permission: Permission::AnyUser,
    }

    /// Says what of a virtual machine's state a move to another node could take along.
    MigrationCapabilities: Get "/nodes/{node}/capabilities/qemu/migration" {
        params: NodePath,
        output: MigrationAbility,
        permission: perm("/nodes/{node}", &[SysAudit]),
    }

    /// Lists the machines that virtual machines of a node can be.
    MachineModels: Get "/nodes/{node}/capabilities/qemu/machines" {
        params: CapabilityQuery,
        output: Vec<MachineModel>,
        permission: Permission::AnyUser,
    }
}

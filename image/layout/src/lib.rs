//! The disk layout of an installed host, written down once: partitions, slots, names, versions.
//!
//! The image builder, the installer, the updater and the supervisor all take their numbers and
//! names from here; nothing in this crate does I/O. Start reading at [`disk`] for what lies where
//! on the disk, then [`slot`] for how a slot's partitions and its kernel image are named; [`store`]
//! says which format the configuration on the data partition has. [`bios`]
//! names what the EFI system partition carries for machines without UEFI, [`encryption`] by which keys
//! data opens that is encrypted.
//!
//! ```text
//! 7  basalt-bios               1 MiB         GRUB's core, for legacy BIOS; before all others
//! 1  basalt-esp              512 MiB  vfat   systemd-boot, EFI/Linux/basalt_<version>.efi
//! 2  basalt_<version>        1.5 GiB  erofs  slot A: root          (or "_empty")
//! 3  basalt_<version>_verity  64 MiB         slot A: hash tree     (or "_empty")
//! 4  basalt_<version>        1.5 GiB  erofs  slot B: root          (or "_empty")
//! 5  basalt_<version>_verity  64 MiB         slot B: hash tree     (or "_empty")
//! 6  basalt-data             rest     ext4   /var     (or a member of a RAID 1 with it: [`mirror`])
//! 8  basalt-pool             rest     LVM    guests' disks, where that was chosen: then data has a size
//! ```

pub mod bios;
pub mod disk;
pub mod encryption;
pub mod hash;
pub mod mirror;
pub mod mode;
pub mod slot;
pub mod store;
pub mod version;

pub use disk::{PartitionType, Slot};
pub use hash::RootHash;
pub use slot::{SlotLabel, Tries, UkiName};
pub use version::Version;

/// The product's name as it stands in partition labels, file names and os-release's `IMAGE_ID`.
pub const IMAGE_ID: &str = "basalt";

/// The architecture an update bundle is made for.
pub const ARCHITECTURE: &str = "x86_64";

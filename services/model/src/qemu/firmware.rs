//! What boots a machine and what it says it is: UEFI firmware with its variables, the trusted platform
//! module, SMBIOS.

use super::{DiskFormat, checked_text};
use crate::storage::{DiskSize, VolumeId, VolumeSource};
use crate::words;
use serde_json::json;
use std::fmt;
use std::str::FromStr;

words! {
    /// What boots a machine that has no kernel of its own.
    pub enum Bios {
        /// A PC BIOS; taken for UEFI.
        Seabios = "seabios",
        /// UEFI.
        Ovmf = "ovmf",
    }
}

crate::propstring! {
    /// Where UEFI firmware keeps its variables.
    pub struct EfiDisk {
        /// The volume.
        default file "file": VolumeSource,
        /// Size of the flash memory; only `4m`.
        efitype "efitype": EfiType,
        /// Image format; only `raw`.
        format "format": DiskFormat,
        /// Volume whose variables a new one starts with.
        import_from "import-from": VolumeId,
        /// Whether the machine has Secure Boot, and a new volume starts with the usual keys for it.
        pre_enrolled_keys "pre-enrolled-keys": bool,
        /// Size of the volume.
        size "size": DiskSize,
    }
}

impl EfiDisk {
    /// Whether the machine has Secure Boot, and the system management mode that guards its variables.
    pub fn has_secure_boot(&self) -> bool {
        self.pre_enrolled_keys == Some(true)
    }
}

words! {
    /// Size of the flash memory with firmware and variables.
    pub enum EfiType {
        /// 4 MiB.
        FourMiB = "4m",
    }
}

crate::propstring! {
    /// Where a trusted platform module keeps what it must not forget.
    pub struct TpmState {
        /// The volume.
        default file "file": VolumeSource,
        /// Image format; only `raw`.
        format "format": DiskFormat,
        /// Volume whose state a new one starts with.
        import_from "import-from": VolumeId,
        /// Size of the volume.
        size "size": DiskSize,
        /// Version of the module (default v2.0); only `v2.0`.
        version "version": TpmVersion,
    }
}

words! {
    /// Version of a trusted platform module.
    pub enum TpmVersion {
        /// TPM 2.0.
        V2 = "v2.0",
    }
}

crate::propstring! {
    /// What a machine says it is (SMBIOS type 1).
    pub struct Smbios {
        /// UUID.
        required uuid "uuid": SystemUuid,
        /// The texts are base64.
        base64 "base64": bool,
        /// Product family.
        family "family": SmbiosText,
        /// Manufacturer.
        manufacturer "manufacturer": SmbiosText,
        /// Product.
        product "product": SmbiosText,
        /// Serial number.
        serial "serial": SmbiosText,
        /// Stock keeping unit.
        sku "sku": SmbiosText,
        /// Version of the product.
        version "version": SmbiosText,
    }
}

/// A UUID, written in groups of 8, 4, 4, 4 and 12 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemUuid(pub [u8; 16]);

impl fmt::Display for SystemUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&i) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for SystemUuid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no UUID, like 3b1f8e70-9c2a-4d5e-8f60-718293a4b5c6");
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        let digits: Vec<u32> = text
            .chars()
            .filter(|c| *c != '-')
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        if groups != [8, 4, 4, 4, 12] || digits.len() != 32 {
            return Err(wrong());
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Ok(Self(bytes))
    }
}

crate::text_field!(
    SystemUuid,
    "SystemUuid",
    json!({"type": "string", "format": "uuid"})
);

checked_text!(
    /// A text of SMBIOS, plain or in base64.
    SmbiosText,
    |text| text.len() <= 256 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b','),
    "use at most 256 printable ASCII characters without ','"
);

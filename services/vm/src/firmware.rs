//! The UEFI firmware of machines that have no kernel of their own: Debian's OVMF, as the appliance
//! has it.

use crate::error::{Result, io};
use basalt_model::field::FieldErrors;
use basalt_model::machine::SystemInfo;
use basalt_model::qemu::{QemuConfig, SmbiosText};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The firmware of machines without Secure Boot.
pub const CODE: &str = "/usr/share/basalt/firmware/OVMF_CODE_4M.fd";
/// The firmware of machines with Secure Boot; it needs system management mode.
pub const SECURE_CODE: &str = "/usr/share/basalt/firmware/OVMF_CODE_4M.secboot.fd";
/// Variables with the keys of Secure Boot that most operating systems are signed with: with them that
/// firmware starts nothing else.
pub const SECURE_VARS: &str = "/usr/share/basalt/firmware/OVMF_VARS_4M.ms.fd";
/// Variables of a machine that was never started.
pub const VARS: &str = "/usr/share/basalt/firmware/OVMF_VARS_4M.fd";
/// Bytes of variables: what the code leaves of 4 MiB.
pub const VARS_SIZE: u64 = 528 << 10;
/// Least memory of a machine that boots firmware, in MiB.
pub const LEAST_MEMORY_MIB: u64 = 128;

/// A copy of the fresh variables without a name, in `directory`'s file system.
pub(crate) fn fresh_variables(directory: &Path) -> Result<File> {
    copy(Path::new(VARS), directory)
}

fn copy(template: &Path, directory: &Path) -> Result<File> {
    let what = || format!("copying {} to {}", template.display(), directory.display());
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(io(what()))?;
    let mut from = File::open(template).map_err(io(what()))?;
    let mut to = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE)
        .open(directory)
        .map_err(io(what()))?;
    std::io::copy(&mut from, &mut to).map_err(io(what()))?;
    Ok(to)
}

/// What the machine says it is.
pub(crate) fn system(config: &QemuConfig) -> std::result::Result<SystemInfo, FieldErrors> {
    let Some(smbios) = &config.smbios1 else {
        return Ok(SystemInfo::default());
    };
    let text = |text: &Option<SmbiosText>| -> std::result::Result<_, FieldErrors> {
        let Some(text) = text else { return Ok(None) };
        if smbios.base64 != Some(true) {
            return Ok(Some(text.to_string()));
        }
        let wrong = || FieldErrors::one("smbios1", format!("'{text}' is no text in base64"));
        let bytes = STANDARD.decode(text.as_str()).map_err(|_| wrong())?;
        String::from_utf8(bytes).map(Some).map_err(|_| wrong())
    };
    Ok(SystemInfo {
        uuid: smbios.uuid.0,
        manufacturer: text(&smbios.manufacturer)?,
        product: text(&smbios.product)?,
        version: text(&smbios.version)?,
        serial: text(&smbios.serial)?,
        sku: text(&smbios.sku)?,
        family: text(&smbios.family)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{Read, Seek};

    fn config(smbios: &str) -> QemuConfig {
        serde_json::from_value(json!({"smbios1": smbios})).unwrap()
    }

    #[test]
    fn texts_are_read_plain_and_in_base64() {
        let uuid = "uuid=00112233-4455-6677-8899-aabbccddeeff";
        let plain = system(&config(&format!("{uuid},product=Router"))).unwrap();
        assert_eq!(plain.uuid[..4], [0, 0x11, 0x22, 0x33]);
        assert_eq!(plain.product.as_deref(), Some("Router"));
        let coded = format!("{uuid},base64=1,product=Um91dGVyIDE=");
        let coded = system(&config(&coded)).unwrap();
        assert_eq!(coded.product.as_deref(), Some("Router 1"));
        let wrong = config(&format!("{uuid},base64=1,product=%%%"));
        assert!(system(&wrong).unwrap_err().0.contains_key("smbios1"));
        assert_eq!(
            system(&QemuConfig::default()).unwrap(),
            SystemInfo::default()
        );
    }

    #[test]
    fn fresh_variables_have_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let template = dir.path().join("vars");
        std::fs::write(&template, b"variables").unwrap();
        let run = dir.path().join("run");
        let mut file = copy(&template, &run).unwrap();
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "variables");
        assert_eq!(std::fs::read_dir(&run).unwrap().count(), 0);
    }
}

//! `basalt-init seal`: tells the TPM what the host is, once it has proved itself.
//!
//! The installer cannot do it: what it sees of Secure Boot is not what the host sees, for it may set it
//! up. Until this has run, encrypted data opens by a key that lies beside the lock
//! ([`basalt_layout::encryption`]); here that key goes. Interrupted at any instant, the data still opens
//! by one of them, and the next boot goes on.

use std::path::Path;

use anyhow::Context;
use basalt_layout::encryption::{self, FirstBoot, PCRS};
use basalt_update::command;
use basalt_update::files::{remove_if_there, write_atomic};
use basalt_update::secureboot::{Firmware, SecureBoot};

use crate::paths::Paths;

/// The key while a tool reads it, below `/run`.
const KEY: &str = "basalt-first-boot-key";

/// Seals whatever is open and not sealed yet.
pub fn run(paths: &Paths) -> anyhow::Result<()> {
    for name in [encryption::DATA, encryption::POOL] {
        if Path::new(&encryption::opened(name)).exists() {
            let status = command::run("cryptsetup", &["status", name], "")?;
            let device = device(&status).with_context(|| format!("{name} lies on no device"))?;
            seal(paths, device).with_context(|| device.to_owned())?;
        }
    }
    Ok(())
}

/// The device below an opened one, as `cryptsetup status` tells it.
fn device(status: &str) -> Option<&str> {
    let line = |line: &'_ str| line.trim_start().starts_with("device:");
    Some(
        status
            .lines()
            .find(|text| line(text))?
            .split_once(':')?
            .1
            .trim(),
    )
}

fn seal(paths: &Paths, device: &str) -> anyhow::Result<()> {
    let token = FirstBoot::TOKEN.to_string();
    let export = ["token", "export", "--token-id", &token, device];
    // Without the token there is nothing left to do.
    let Some(first) = command::run("cryptsetup", &export, "")
        .ok()
        .and_then(|text| FirstBoot::parse(&text))
    else {
        return Ok(());
    };
    let test = ["open", "--test-passphrase", "--key-file", "-", device];
    // When it opens nothing any more, only its removal was interrupted.
    if command::run("cryptsetup", &test, first.key()).is_ok() {
        let file = paths.run(KEY);
        write_atomic(&file, first.key().as_bytes(), 0o600).context("the key")?;
        let enrolled = enrol(device, &file);
        remove_if_there(&file).context("the key")?;
        enrolled?;
        if Firmware::default().state() != SecureBoot::Enabled {
            tracing::warn!(
                "Secure Boot is off: this machine's TPM opens the data for whatever is started on it"
            );
        }
        tracing::info!(device, "the TPM opens it from now on");
    }
    if command::run("cryptsetup", &export, "").is_ok() {
        let remove = ["token", "remove", "--token-id", &token, device];
        command::run("cryptsetup", &remove, "")?;
    }
    Ok(())
}

/// Adds the TPM, and takes away the first boot's key and whatever an interrupted run has added.
fn enrol(device: &str, key: &Path) -> anyhow::Result<()> {
    let arguments = [
        format!("--unlock-key-file={}", key.display()),
        "--tpm2-device=auto".to_owned(),
        format!("--tpm2-pcrs={PCRS}"),
        format!("--wipe-slot=tpm2,{}", FirstBoot::SLOT),
        device.to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    command::run("systemd-cryptenroll", &arguments, "")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_below_is_found() {
        let status = "/dev/mapper/basalt-data is active and is in use.\n  type:    LUKS2\n  \
                      cipher:  aes-xts-plain64\n  device:  /dev/vda6\n  sector size:  512\n";
        assert_eq!(device(status), Some("/dev/vda6"));
        assert_eq!(device("/dev/mapper/basalt-data is inactive.\n"), None);
    }
}

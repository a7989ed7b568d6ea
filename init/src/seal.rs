//! `basalt-init seal`: tells the TPM what the host is, once it has proved itself.
//!
//! The installer cannot do it: what it sees of Secure Boot is not what the host sees, for it may set it
//! up. Until this has run, encrypted data opens by a key that lies beside the lock
//! ([`basalt_layout::encryption`]); here that key goes. Interrupted at any instant, the data still opens
//! by one of them, and the next boot goes on.
//!
//! When the machine has changed for good, `seal --anew` does the same with the recovery key.

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, ensure};
use basalt_layout::encryption::{self, FirstBoot, SEALED_PCRS};
use basalt_update::command;
use basalt_update::files::{remove_if_there, write_atomic};
use basalt_update::secureboot::{Firmware, SecureBoot};

use crate::paths::Paths;

/// The key while a tool reads it, below `/run`.
const KEY: &str = "basalt-unlock-key";

/// Seals the data, if it is encrypted and not sealed yet.
pub fn run(paths: &Paths) -> anyhow::Result<()> {
    let device = data()?;
    let token = FirstBoot::TOKEN.to_string();
    let export = ["token", "export", "--token-id", &token, &device];
    // Without the token there is nothing left to do.
    let exported = command::run("cryptsetup", &export, "").ok();
    let Some(first) = exported.and_then(|text| FirstBoot::parse(&text)) else {
        return Ok(());
    };
    // When it opens nothing any more, only its removal was interrupted.
    if opens(&device, first.key()) {
        enrol(paths, &device, first.key(), &FirstBoot::SLOT.to_string())?;
    }
    // It went with its key slot, unless that was long ago.
    if command::run("cryptsetup", &export, "").is_ok() {
        let remove = ["token", "remove", "--token-id", &token, &device];
        command::run("cryptsetup", &remove, "")?;
    }
    Ok(())
}

/// Seals the data to the machine as it is now. Reads the recovery key from the standard input.
pub fn run_anew(paths: &Paths) -> anyhow::Result<()> {
    let device = data()?;
    eprint!("Recovery key: ");
    let mut typed = String::new();
    let input = std::io::stdin().lock().read_line(&mut typed);
    input.context("reading the recovery key")?;
    let key = encryption::typed_recovery_key(&typed);
    ensure!(opens(&device, &key), "this is not the recovery key");
    // An equal machine with another TPM: systemd-cryptenroll would take what the old one sealed for what
    // it is asked to make.
    command::run("systemd-cryptenroll", &["--wipe-slot=tpm2", &device], "")?;
    enrol(paths, &device, &key, "")
}

/// The device below the opened data.
fn data() -> anyhow::Result<String> {
    let name = encryption::DATA;
    ensure!(
        Path::new(&encryption::opened(name)).exists(),
        "the data of this host is not encrypted"
    );
    let status = command::run("cryptsetup", &["status", name], "")?;
    let device = device(&status).with_context(|| format!("{name} lies on no device"))?;
    Ok(device.to_owned())
}

/// The device below an opened one, as `cryptsetup status` tells it.
fn device(status: &str) -> Option<&str> {
    let mut lines = status.lines();
    lines.find_map(|line| Some(line.trim_start().strip_prefix("device:")?.trim()))
}

fn opens(device: &str, key: &str) -> bool {
    let test = ["open", "--test-passphrase", "--key-file", "-", device];
    command::run("cryptsetup", &test, key).is_ok()
}

/// Adds the TPM, and takes away what it opened by before, and the key slot `gone`.
fn enrol(paths: &Paths, device: &str, key: &str, gone: &str) -> anyhow::Result<()> {
    let file = paths.run(KEY);
    write_atomic(&file, key.as_bytes(), 0o600).context("the key")?;
    let arguments = arguments(device, &file, gone);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let enrolled = command::run("systemd-cryptenroll", &arguments, "");
    remove_if_there(&file).context("the key")?;
    enrolled?;
    if Firmware::default().state() != SecureBoot::Enabled {
        tracing::warn!(
            "Secure Boot is off: this machine's TPM opens the data for whatever is started on it"
        );
    }
    tracing::info!(device, "the TPM opens the data from now on");
    Ok(())
}

fn arguments(device: &str, key: &Path, gone: &str) -> [String; 5] {
    let comma = if gone.is_empty() { "" } else { "," };
    [
        format!("--unlock-key-file={}", key.display()),
        "--tpm2-device=auto".to_owned(),
        format!("--tpm2-pcrs={SEALED_PCRS}"),
        format!("--wipe-slot=tpm2{comma}{gone}"),
        device.to_owned(),
    ]
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

    #[test]
    fn what_opened_before_goes_and_the_key_is_no_argument() {
        let first = arguments("/dev/vda6", Path::new("/run/key"), "1");
        assert_eq!(first[0], "--unlock-key-file=/run/key");
        assert_eq!(first[3], "--wipe-slot=tpm2,1");
        let anew = arguments("/dev/vda6", Path::new("/run/key"), "");
        assert_eq!(anew[3], "--wipe-slot=tpm2");
    }
}

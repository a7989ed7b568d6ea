//! Encrypts what the data, and the pool beside it, are made on.
//!
//! [`basalt_layout::encryption`] says by which keys they open. Here they get two of them: the owner's, and
//! the one for the first boot, at which the host tells its TPM.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_layout::encryption::{self, FirstBoot, RECOVERY_SLOT, opened};
use basalt_model::host::answer::RecoveryKey;
use basalt_update::command;
use basalt_update::files::write_atomic;
use rand::distributions::Alphanumeric;
use rand::{Rng, RngCore};

/// Where keys are while tools read them: memory that only root can read.
const KEYS: &str = "/run/basalt-installer/keys";

/// Length of the key for the first boot in characters.
const FIRST_BOOT_LENGTH: usize = 43;

/// The TPM, as the kernel shares it among programs.
const TPM: &str = "/dev/tpmrm0";

/// Whether this machine has what opens the data by itself.
pub fn check() -> anyhow::Result<()> {
    anyhow::ensure!(
        Path::new(TPM).exists(),
        "data.encryption: this machine has no TPM 2.0, or its firmware has switched it off; say `none`"
    );
    Ok(())
}

/// A recovery key drawn by chance, for whoever is asked to keep it.
pub fn fresh_recovery_key() -> String {
    let mut random = [0; 32];
    rand::thread_rng().fill_bytes(&mut random);
    encryption::recovery_key(&random)
}

/// Encrypted devices that are open; closed when dropped.
#[derive(Default)]
pub struct Opened {
    names: Vec<&'static str>,
}

impl Opened {
    /// Encrypts a device, which loses what it holds, and opens it under a name.
    pub fn add(
        &mut self,
        device: &Path,
        name: &'static str,
        key: &RecoveryKey,
    ) -> anyhow::Result<PathBuf> {
        format(device, key.as_str()).with_context(|| format!("encrypting {}", device.display()))?;
        let path = device.to_string_lossy();
        // Blocks that are free may be told to the disk: it lasts longer, and a pool needs it. What that
        // shows is how full the disk is.
        cryptsetup(
            &[
                "open",
                "--type",
                "luks2",
                "--allow-discards",
                "--persistent",
                "--key-file",
                "-",
                &path,
                name,
            ],
            key.as_str(),
        )?;
        self.names.push(name);
        Ok(PathBuf::from(opened(name)))
    }

    /// Closes all of them.
    pub fn close(mut self) -> anyhow::Result<()> {
        while let Some(name) = self.names.pop() {
            cryptsetup(&["close", name], "")?;
        }
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        for name in self.names.iter().rev() {
            if let Err(error) = cryptsetup(&["close", name], "") {
                tracing::warn!(name, "not closed: {error:#}");
            }
        }
    }
}

fn format(device: &Path, key: &str) -> anyhow::Result<()> {
    let path = device.to_string_lossy();
    let slot = RECOVERY_SLOT.to_string();
    // The key may be one that somebody has thought up. The work is fixed: a machine is not asked how
    // fast it is, for it may be another one that has to open it.
    cryptsetup(
        &[
            "luksFormat",
            "--batch-mode",
            "--type",
            "luks2",
            "--key-slot",
            &slot,
            "--pbkdf",
            "argon2id",
            "--pbkdf-memory",
            "65536",
            "--pbkdf-parallel",
            "1",
            "--pbkdf-force-iterations",
            "4",
            "--key-file",
            "-",
            &path,
        ],
        key,
    )?;
    let text = rand::thread_rng()
        .sample_iter(Alphanumeric)
        .take(FIRST_BOOT_LENGTH)
        .map(char::from)
        .collect();
    let first = FirstBoot::new(text).context("no key for the first boot")?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(KEYS)
        .context(KEYS)?;
    let file = Path::new(KEYS).join("first-boot");
    write_atomic(&file, first.key().as_bytes(), 0o600).context("the key for the first boot")?;
    let added = add_first_boot(&path, key, &first, &file);
    fs::remove_file(&file).with_context(|| file.display().to_string())?;
    added
}

fn add_first_boot(path: &str, key: &str, first: &FirstBoot, file: &Path) -> anyhow::Result<()> {
    let (slot, token) = (FirstBoot::SLOT.to_string(), FirstBoot::TOKEN.to_string());
    let file = file.to_string_lossy();
    cryptsetup(
        &[
            "luksAddKey",
            "--batch-mode",
            "--key-slot",
            &slot,
            // There is nothing to guess: it lies beside the lock.
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
            "--key-file",
            "-",
            path,
            &file,
        ],
        key,
    )?;
    let import = [
        "token",
        "import",
        "--token-id",
        &token,
        "--json-file",
        "-",
        path,
    ];
    cryptsetup(&import, &first.token())
}

fn cryptsetup(arguments: &[&str], input: &str) -> anyhow::Result<()> {
    command::run("cryptsetup", arguments, input)?;
    Ok(())
}

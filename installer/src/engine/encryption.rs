//! Encrypts what the data, and the pool beside it, are made on.
//!
//! [`basalt_layout::encryption`] says by which keys they open. Here they get the owner's, and the data the
//! one for the first boot, at which the host tells its TPM. A pool of ZFS encrypts by itself
//! ([`super::zfs`]), so that disks that come and go in it need nothing more.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_layout::encryption::{self, FirstBoot, RECOVERY_SLOT, opened};
use basalt_model::host::answer::RecoveryKey;
use basalt_update::command;
use basalt_update::files::{remove_if_there, write_atomic};
use rand::distributions::Alphanumeric;
use rand::rngs::OsRng;
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
    OsRng.fill_bytes(&mut random);
    encryption::recovery_key(&random)
}

/// What is encrypted by one key, and open; closed when dropped.
pub struct Opened {
    key: String,
    names: Vec<&'static str>,
}

impl Opened {
    /// Nothing yet; `key` will open it all.
    pub fn new(key: &RecoveryKey) -> Self {
        Self {
            // As whoever types it will be understood.
            key: encryption::typed_recovery_key(key.as_str()),
            names: Vec::new(),
        }
    }

    /// The key in the very bytes that open everything.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Encrypts the data's device, which loses what it holds, and opens it. The first boot opens it too.
    pub fn add_data(&mut self, device: &Path) -> anyhow::Result<PathBuf> {
        self.format(device)?;
        add_first_boot(device, &self.key)?;
        self.open(device, encryption::DATA)
    }

    /// Encrypts the device of a pool of LVM, which loses what it holds, and opens it.
    pub fn add_pool(&mut self, device: &Path) -> anyhow::Result<PathBuf> {
        self.format(device)?;
        self.open(device, encryption::POOL)
    }

    fn open(&mut self, device: &Path, name: &'static str) -> anyhow::Result<PathBuf> {
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
            &self.key,
        )
        .with_context(|| format!("opening {path}"))?;
        self.names.push(name);
        Ok(PathBuf::from(opened(name)))
    }

    fn format(&self, device: &Path) -> anyhow::Result<()> {
        let path = device.to_string_lossy();
        let slot = RECOVERY_SLOT.to_string();
        // The key may be one that somebody has thought up. The work is fixed: a machine is not asked how
        // fast it is, for it may be another one that has to open it.
        let arguments = [
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
        ];
        cryptsetup(&arguments, &self.key).with_context(|| format!("encrypting {path}"))
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

/// Gives the data's device the key that opens it until the TPM does.
fn add_first_boot(device: &Path, key: &str) -> anyhow::Result<()> {
    let path = device.to_string_lossy();
    let text = OsRng
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
    let (slot, token) = (FirstBoot::SLOT.to_string(), FirstBoot::TOKEN.to_string());
    let file_text = file.to_string_lossy();
    let add = [
        "luksAddKey",
        "--batch-mode",
        "--new-key-slot",
        &slot,
        // There is nothing to guess: it lies beside the lock.
        "--pbkdf",
        "pbkdf2",
        "--pbkdf-force-iterations",
        "1000",
        "--key-file",
        "-",
        &path,
        &file_text,
    ];
    let added = cryptsetup(&add, key);
    remove_if_there(&file).context("the key for the first boot")?;
    added?;
    let import = [
        "token",
        "import",
        "--token-id",
        &token,
        "--json-file",
        "-",
        &path,
    ];
    cryptsetup(&import, &first.token())
}

fn cryptsetup(arguments: &[&str], input: &str) -> anyhow::Result<()> {
    command::run("cryptsetup", arguments, input)?;
    Ok(())
}

//! The answer file of an unattended installation, and the volume it travels on.

use super::{qemu, root};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use basalt_model::host::answer::AnswerFile;
use rand::Rng;
use rand::distributions::Alphanumeric;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// Serial number of the disk that appliances are installed on.
pub const SYSTEM_SERIAL: &str = "basalt-system";
/// Label of the volume an installer looks for.
const VOLUME_LABEL: &str = "BASALT-ANS";
/// Hardware address of the card that becomes the port of `vmbr0`.
const CARD: &str = "52:54:00:ba:5a:00";

/// What a node is installed with, and how to log in afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text of `answer.toml`.
    pub text: String,
    /// The host's name.
    pub hostname: String,
    /// Root's password, when the answer file gives it in plain text.
    pub password: Option<String>,
}

/// The key and the password of appliances that are installed without a person's answer file.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Private SSH key.
    pub private: PathBuf,
    public: String,
    password: String,
}

impl Keys {
    /// Reads them, or makes them once.
    pub fn ensure() -> Result<Self> {
        let dir = root().join(".keys");
        let private = dir.join("id_ed25519");
        let password = dir.join("password");
        if !password.exists() {
            tools::ensure(&[Tool::Ssh])?;
            make_keys(&dir, &private, &password).context("cannot make keys for appliances")?;
        }
        Ok(Self {
            public: fs::read_to_string(private.with_extension("pub"))?
                .trim()
                .to_owned(),
            password: fs::read_to_string(password)?.trim().to_owned(),
            private,
        })
    }

    /// An answer file for the host `hostname`, and nothing that needs a decision.
    pub fn answer(&self, hostname: &str) -> Result<Answer> {
        let mut table = Table::new();
        table.insert("hostname".into(), hostname.into());
        table.insert("root_password".into(), self.password.as_str().into());
        let network = Table::from_iter([("port".to_owned(), Value::from(CARD))]);
        table.insert("network".into(), network.into());
        let disk = Table::from_iter([("serial".to_owned(), Value::from(SYSTEM_SERIAL))]);
        table.insert("disk".into(), disk.into());
        self.complete(table)
    }

    /// A person's answer file. With a `node` number, the host name gets it as a suffix.
    pub fn from_file(&self, file: &Path, node: Option<usize>) -> Result<Answer> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        AnswerFile::parse(&text).with_context(|| format!("{}", file.display()))?;
        let mut table: Table = toml::from_str(&text)?;
        if let Some(node) = node {
            let name = table
                .get("hostname")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let (short, domain) = name
                .split_once('.')
                .map_or((name, None), |(s, d)| (s, Some(d)));
            let domain = domain
                .map(|domain| format!(".{domain}"))
                .unwrap_or_default();
            table.insert("hostname".into(), format!("{short}-{node}{domain}").into());
        }
        self.complete(table)
    }

    /// Adds our key, and the power-off by which the end of an installation is seen.
    fn complete(&self, mut table: Table) -> Result<Answer> {
        let keys = table
            .entry("root_ssh_keys")
            .or_insert_with(|| Value::Array(Vec::new()));
        let keys = keys.as_array_mut().context("`root_ssh_keys` is no list")?;
        keys.push(self.public.as_str().into());
        table.insert("after".into(), "poweroff".into());
        let text = toml::to_string(&table)?;
        let checked = AnswerFile::parse(&text)?;
        let password = table
            .get("root_password")
            .and_then(Value::as_str)
            .map(str::to_owned);
        Ok(Answer {
            text,
            hostname: checked.hostname.as_str().to_owned(),
            password,
        })
    }
}

fn make_keys(dir: &Path, private: &Path, password: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    // A key without a password file was left by an interrupted first run.
    for half_made in [private.to_owned(), private.with_extension("pub")] {
        if half_made.exists() {
            fs::remove_file(half_made)?;
        }
    }
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "cargo-image", "-f"])
        .arg(private)
        .output()?;
    if !output.status.success() {
        bail!(
            "ssh-keygen: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text: String = rand::thread_rng()
        .sample_iter(Alphanumeric)
        .take(16)
        .map(char::from)
        .collect();
    fs::write(password, text)?;
    Ok(())
}

/// Makes a small vfat volume with `text` as `answer.toml`.
pub fn volume(text: &str, file: &Path) -> Result<()> {
    tools::ensure(&[Tool::MkfsVfat, Tool::Mtools])?;
    let answer = tempfile::NamedTempFile::new()?;
    fs::write(answer.path(), text)?;
    fs::File::create(file)?.set_len(4 << 20)?;
    quietly(
        Command::new(tool("mkfs.vfat")?)
            .args(["-n", VOLUME_LABEL])
            .arg(file),
    )?;
    quietly(
        Command::new("mcopy")
            .arg("-i")
            .arg(file)
            .arg(answer.path())
            .arg("::answer.toml"),
    )
}

/// The answer volume as a disk of the machine.
pub fn disk(volume: &Path) -> qemu::Disk {
    qemu::Disk {
        file: volume.into(),
        format: qemu::Format::Raw,
        readonly: true,
        serial: "basalt-answer",
        log: None,
    }
}

fn tool(name: &str) -> Result<PathBuf> {
    tools::find(name).with_context(|| format!("{name} is not installed"))
}

fn quietly(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let blob = "AAAAC3NzaC1lZDI1NTE5AAAAIEJhc2FsdEJhc2FsdEJhc2FsdEJhc2FsdEJhc2FsdDAw";
        Keys {
            private: "/k".into(),
            public: format!("ssh-ed25519 {blob} cargo-image"),
            password: "a-long-password".into(),
        }
    }

    #[test]
    fn our_own_answer_is_valid_and_powers_off() {
        let answer = keys().answer("basalt").unwrap();
        let parsed = AnswerFile::parse(&answer.text).unwrap();
        assert_eq!(parsed.root_ssh_keys.len(), 1);
        assert_eq!(parsed.after, basalt_model::host::answer::After::Poweroff);
        assert_eq!(answer.password.as_deref(), Some("a-long-password"));
    }

    #[test]
    fn a_persons_answers_are_kept_and_completed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            "hostname = 'big.example.org'\nroot_password = 'something'\n",
        )
        .unwrap();
        let answer = keys().from_file(file.path(), Some(2)).unwrap();
        assert_eq!(answer.hostname, "big-2.example.org");
        assert_eq!(answer.password.as_deref(), Some("something"));
        assert!(answer.text.contains("cargo-image"));
    }

    #[test]
    fn a_wrong_answer_file_is_refused_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            "hostname = 'a b'\nroot_password = 'something'\n",
        )
        .unwrap();
        let error = format!("{:#}", keys().from_file(file.path(), None).unwrap_err());
        assert!(error.contains("line 1"), "{error}");
    }
}

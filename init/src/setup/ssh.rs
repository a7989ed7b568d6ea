//! What the SSH server needs of this host: a host key that stays, and who may log in. Its
//! configuration is part of the image.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use basalt_model::host::HostConfig;
use basalt_update::files::{remove_if_there, sync_folder, write_if_changed};

use crate::paths::Paths;

const KEY: &str = "ssh_host_ed25519_key";

/// Makes the host key if there is none, and writes root's keys.
pub fn write(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let folder = paths.state("ssh");
    make_folder(&folder, 0o700)?;
    ensure_key(&folder)?;

    let keys: String = config
        .root_ssh_keys
        .iter()
        .map(|key| format!("{key}\n"))
        .collect();
    let keys_folder = paths.etc("ssh/authorized_keys.d");
    make_folder(&keys_folder, 0o755)?;
    write_if_changed(&keys_folder.join("root"), keys.as_bytes(), 0o644)
        .context("root's SSH keys")?;

    Ok(())
}

fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| path.display().to_string())
}

fn ensure_key(folder: &Path) -> anyhow::Result<()> {
    let key = folder.join(KEY);
    if is_key(&key) {
        return Ok(());
    }
    let new = folder.join(".new");
    let new_public = folder.join(".new.pub");
    remove_if_there(&new)
        .and_then(|()| remove_if_there(&new_public))
        .context("old leftovers")?;
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&new)
        .output()
        .context("ssh-keygen cannot be started")?;
    anyhow::ensure!(
        output.status.success(),
        "ssh-keygen: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    for file in [&new, &new_public] {
        fs::File::open(file)
            .and_then(|file| file.sync_all())
            .context("new SSH key")?;
    }
    // The private half last: it is what says that there is a key.
    fs::rename(&new_public, folder.join(format!("{KEY}.pub"))).context("new SSH key")?;
    fs::rename(&new, &key).context("new SSH key")?;
    sync_folder(folder).context("new SSH key")
}

fn is_key(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| {
        text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
            && text
                .trim_end()
                .ends_with("-----END OPENSSH PRIVATE KEY-----")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_key_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY);
        fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\ncut off").unwrap();
        ensure_key(dir.path()).unwrap();
        assert!(is_key(&path));
        assert!(
            fs::read_to_string(dir.path().join(format!("{KEY}.pub")))
                .unwrap()
                .starts_with("ssh-ed25519 ")
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

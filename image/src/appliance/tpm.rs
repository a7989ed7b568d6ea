//! A TPM 2.0 for one node: a process beside QEMU, with its state in the node's folder.

use super::qemu::TPM_SOCKET;
use super::{poll, process};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// What the TPM remembers.
const STATE: &str = "tpm";
const LOG: &str = "tpm.log";

/// Starts the TPM of the node in `dir`. It ends with QEMU's connection.
pub fn start(dir: &Path, detached: bool) -> Result<()> {
    tools::ensure(&[Tool::Swtpm, Tool::Setpriv])?;
    fs::create_dir_all(dir.join(STATE))?;
    let socket = dir.join(TPM_SOCKET);
    if socket.exists() {
        fs::remove_file(&socket)?;
    }
    let log = File::create(dir.join(LOG))?;
    let mut child = process::apart(detached)
        .args(["swtpm", "socket", "--tpm2", "--terminate"])
        .arg(format!("--tpmstate=dir={STATE}"))
        .arg(format!("--ctrl=type=unixio,path={TPM_SOCKET}"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start swtpm")?;
    let listens = poll::until(Duration::from_secs(20), Duration::from_millis(20), || {
        if child.try_wait()?.is_some() {
            let said = fs::read_to_string(dir.join(LOG)).unwrap_or_default();
            bail!("swtpm ended at once: {}", said.trim());
        }
        Ok(socket.exists().then_some(()))
    })?;
    listens.context("swtpm does not listen")
}

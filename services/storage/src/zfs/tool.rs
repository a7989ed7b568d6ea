//! Calling `zfs`.

use super::report::{self, Dataset, PROPERTIES};
use crate::error::{Context, Result, StorageError};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// It is there while the kernel has ZFS.
const MODULE: &str = "/sys/module/zfs";

/// How long others may keep a volume that is to be changed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether the kernel has ZFS.
pub fn is_loaded() -> bool {
    Path::new(MODULE).exists()
}

/// Runs `zfs` with `arguments`, and returns what it prints.
pub async fn run(arguments: &[&str]) -> Result<String> {
    run_tool("zfs", arguments).await
}

/// Runs `zfs` or `zpool`.
pub async fn run_tool(tool: &'static str, arguments: &[&str]) -> Result<String> {
    let failed = |text: &str| StorageError::Tool {
        tool,
        text: text.to_owned(),
    };
    if !is_loaded() {
        return Err(failed(
            "this kernel has not loaded ZFS; it is loaded when the host starts with a pool: restart it",
        ));
    }
    let output = tokio::process::Command::new(tool)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context(format!("starting {tool}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim()))
}

/// Like [`run`], for what ZFS refuses while a volume is open. Who has it for long was found before; udev
/// looks at each for a moment when it was closed.
pub async fn run_when_free(arguments: &[&str]) -> Result<String> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        match run(arguments).await {
            Err(StorageError::Tool { text, .. })
                if text.contains("is busy") && tokio::time::Instant::now() < end =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// `root`, and with `depth` also what lies so many levels below it.
pub async fn list(root: &str, depth: u8) -> Result<Vec<Dataset>> {
    let depth = depth.to_string();
    let arguments = [
        "list",
        "-t",
        "filesystem,volume,snapshot",
        "--json",
        "--json-int",
        "-d",
        &depth,
        "-o",
        PROPERTIES,
        root,
    ];
    report::parse(&run(&arguments).await?)
}

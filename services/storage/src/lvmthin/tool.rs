//! Running LVM's own tools: without a shell, and with arguments that were checked before.

use crate::error::{Context, Result, StorageError};
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// So long a question about volumes may take: a disk that hangs must not hang who asks.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is always asked of [`super::report`]'s format: bytes, and times in seconds.
const FORMAT: [&str; 8] = [
    "--reportformat",
    "json_std",
    "--units",
    "b",
    "--nosuffix",
    "--noheadings",
    "--config",
    r#"report/time_format="%s""#,
];

/// Runs a tool that changes something. It is never stopped halfway, not even when nobody waits
/// for it any more.
pub async fn change(tool: &'static str, arguments: &[&str]) -> Result<()> {
    let output = command(tool, arguments).output().await;
    said(tool, output.context(format!("starting {tool}"))?).map(drop)
}

/// Asks for the logical volumes of a group.
pub async fn volumes(vgname: &str) -> Result<String> {
    let columns = "lv_name,lv_size,pool_lv,data_percent,metadata_percent,lv_time";
    let said = ask("lvs", columns, &[vgname]).await?;
    said.ok_or_else(|| StorageError::Tool {
        tool: "lvs",
        text: "LVM is not installed".to_owned(),
    })
}

/// Asks a tool for some columns of what it lists, narrowed by `arguments`; nothing where there is no such
/// tool.
pub async fn ask(tool: &'static str, columns: &str, arguments: &[&str]) -> Result<Option<String>> {
    let arguments = [&FORMAT[..], &["--options", columns], arguments].concat();
    let asked = command(tool, &arguments).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Ok(output) => said(tool, output.context(format!("starting {tool}"))?).map(Some),
        Err(_) => Err(StorageError::Tool {
            tool,
            text: format!("no answer within {} s", PATIENCE.as_secs()),
        }),
    }
}

fn command(tool: &'static str, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool);
    command
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

fn said(tool: &'static str, output: std::process::Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = words.lines().map(str::trim).collect();
    let text = match words.is_empty() {
        true => output.status.to_string(),
        false => words.join("; "),
    };
    Err(StorageError::Tool { tool, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_that_fails_tells_why() {
        let error = change("ls", &["--", "/nowhere"]).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("ls failed: ") && text.contains("/nowhere"),
            "{text}"
        );
        let missing = change("basalt-no-such-tool", &[]).await.unwrap_err();
        assert!(missing.to_string().contains("starting"), "{missing}");
        let nothing = ask("basalt-no-such-tool", "name", &[]).await.unwrap();
        assert_eq!(nothing, None);
    }
}

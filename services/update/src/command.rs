//! Running the host's own disk tools.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::Error;

/// Runs a tool to its end, gives it `input`, and returns what it printed.
///
/// # Errors
/// When it cannot be started or fails; its own words are in the message.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, Error> {
    let failed = |reason: String| Error::Tool {
        program: program.to_owned(),
        reason,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that fails early closes its input; its exit status tells more than our error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    Err(failed(if said.is_empty() {
        output.status.to_string()
    } else {
        said
    }))
}

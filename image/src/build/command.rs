//! Running programs, with errors that show the command line and its last words.

use super::error::{Error, Result};
use std::process::{Command, Output, Stdio};

/// How many lines of a failed program's output its error repeats.
const LAST_LINES: usize = 20;

/// Runs to the end and returns what was printed on standard output.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = finish(command)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end with its messages shown as they come, and returns what it printed as a result.
pub(super) fn output_with_messages(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start {
            command: line(command),
            source,
        })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(Error::Command {
        command: line(command),
        status: output.status,
        output: last_lines(&said, LAST_LINES),
    })
}

/// Runs to the end, in silence unless it fails.
pub(super) fn run(command: &mut Command) -> Result<()> {
    finish(command).map(drop)
}

/// Runs to the end with its messages shown as they come, for steps that take long.
pub(super) fn run_visibly(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|source| Error::Start {
            command: line(command),
            source,
        })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: line(command),
        status,
        output: "see above".to_owned(),
    })
}

fn finish(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start {
            command: line(command),
            source,
        })?;
    if output.status.success() {
        return Ok(output);
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Command {
        command: line(command),
        status: output.status,
        output: last_lines(&said, LAST_LINES),
    })
}

/// The command as one would type it, cut to a readable length.
fn line(command: &Command) -> String {
    const LONGEST: usize = 300;
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST).chain("…".chars()).collect();
    }
    line
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Tells the user which step is running.
pub(super) fn step(text: &str) {
    eprintln!("image: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_repeats_the_last_lines() {
        let error = run(Command::new("sh").args(["-c", "seq 1 50; echo why >&2; exit 3"]))
            .expect_err("it exits with 3");
        let text = error.to_string();
        assert!(text.contains("`sh -c seq 1 50"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.ends_with("50\nwhy"), "{text}");
        assert!(!text.contains("\n10\n"), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).expect_err("it is missing");
        assert!(
            error
                .to_string()
                .starts_with("cannot start `no-such-program-here`")
        );
    }
}

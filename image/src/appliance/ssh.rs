//! Commands on an appliance over SSH, all through one shared connection per node.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

/// Name of the shared connection's socket inside a node's folder.
const CONTROL: &str = "ssh.sock";

/// How to reach one node as root.
#[derive(Debug, Clone)]
pub struct Ssh {
    dir: PathBuf,
    port: u16,
    key: PathBuf,
}

impl Ssh {
    /// Root on the forwarded `port`, with the private `key`; the shared connection lives in `dir`.
    pub fn new(dir: &Path, port: u16, key: &Path) -> Self {
        Self {
            dir: dir.into(),
            port,
            key: key.into(),
        }
    }

    /// The command line a person would type.
    pub fn display(&self) -> String {
        format!(
            "ssh -i {} -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1",
            quote(&self.key.to_string_lossy()),
            self.port
        )
    }

    /// `ssh` with everything but the remote command.
    pub fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        // The socket's path is relative: Unix sockets allow 107 bytes, a checkout may lie deeper.
        command
            .current_dir(&self.dir)
            .args(["-F", "/dev/null", "-i"])
            .arg(&self.key);
        command.args([
            "-p",
            &self.port.to_string(),
            "-o",
            &format!("ControlPath={CONTROL}"),
        ]);
        for option in [
            "ControlMaster=auto",
            "ControlPersist=120",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=30",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
        ] {
            command.args(["-o", option]);
        }
        command.arg("root@127.0.0.1");
        command
    }

    /// Runs a command with our standard streams; a terminal is passed on when we have one.
    pub fn interactive(&self, words: &[String]) -> Result<ExitStatus> {
        let mut command = self.command();
        if rustix::termios::isatty(std::io::stdin()) {
            command.arg("-t");
        }
        command.arg("--").arg(remote_line(words));
        command.status().context("cannot run ssh")
    }

    /// Runs a line of shell and returns everything it said.
    pub fn output(&self, line: &str) -> Result<Output> {
        self.command()
            .args([OsStr::new("--"), OsStr::new(line)])
            .stdin(Stdio::null())
            .output()
            .context("cannot run ssh")
    }

    /// Runs a line of shell that must succeed; returns its standard output without the last newline.
    pub fn run(&self, line: &str) -> Result<String> {
        checked(line, &self.output(line)?)
    }

    /// Runs a line of shell that reads `input`, and must succeed.
    pub fn feed(&self, line: &str, input: &[u8]) -> Result<String> {
        let mut child = self
            .command()
            .args(["--", line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ssh")?;
        let written = child
            .stdin
            .take()
            .context("ssh has no input")?
            .write_all(input);
        let text = checked(line, &child.wait_with_output()?)?;
        written.with_context(|| format!("`{line}` did not read its input"))?;
        Ok(text)
    }

    /// Ends the shared connection, which outlives neither a reboot nor a new appliance.
    pub fn close(&self) {
        if self.dir.join(CONTROL).exists() {
            let end = self
                .command()
                .args(["-O", "exit"])
                .stdin(Stdio::null())
                .output();
            if !end.is_ok_and(|output| output.status.success()) {
                // Nobody listens on the socket any more; it only stands in the next one's way.
                let _ = std::fs::remove_file(self.dir.join(CONTROL));
            }
        }
    }
}

fn checked(line: &str, output: &Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "on the appliance, `{line}` failed ({}): {}",
            output.status,
            said.trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// One word is a line for the remote shell; several are a command and its arguments, kept apart.
pub fn remote_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words
            .iter()
            .map(|word| quote(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Quotes one word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_words_stay_apart_and_one_word_is_a_line() {
        let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        assert_eq!(remote_line(&words(&["ls | wc"])), "ls | wc");
        assert_eq!(
            remote_line(&words(&["echo", "a b", "it's", ""])),
            r"echo 'a b' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let word = "a'b\"c $HOME `id` \\ *";
        let output = Command::new("sh")
            .args(["-c", &format!("printf %s {}", quote(word))])
            .output();
        assert_eq!(output.unwrap().stdout, word.as_bytes());
    }
}

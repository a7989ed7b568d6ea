//! Asks for a secret on the terminal, without showing it; a pipe gives it as its first line.

use anyhow::{Context, Result, bail};
use rustix::termios::{self, LocalModes, OptionalActions};
use std::io::{IsTerminal, Write};

/// Asks for the secret that a parameter is.
pub fn ask(name: &str) -> Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return line();
    }
    let first = hidden(&format!("{name}: "))?;
    let again = hidden(&format!("{name} again: "))?;
    if first != again {
        bail!("{name}: the two are not the same");
    }
    Ok(first)
}

fn hidden(prompt: &str) -> Result<String> {
    let input = std::io::stdin();
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let before = termios::tcgetattr(&input)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(&input, OptionalActions::Flush, &silent)?;
    let typed = line();
    let restored = termios::tcsetattr(&input, OptionalActions::Flush, &before);
    eprintln!();
    restored?;
    typed
}

fn line() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_line(&mut text)
        .context("cannot read the secret")?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

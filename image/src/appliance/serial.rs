//! What an appliance's serial log tells: whether it died, and its last lines for an error message.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Signs in a serial log that an appliance will not become healthy by waiting.
const FATAL: [&str; 4] = [
    "Kernel panic - not syncing",
    "You are in emergency mode",
    "Entering emergency mode",
    "No bootable option or device was found",
];

/// Reads a serial log from where it stood when the appliance was started.
#[derive(Debug, Clone)]
pub struct SerialLog {
    path: PathBuf,
    from: u64,
}

impl SerialLog {
    /// Everything written to `path` from now on.
    pub fn from_now(path: &Path) -> Self {
        let from = path.metadata().map_or(0, |meta| meta.len());
        Self {
            path: path.into(),
            from,
        }
    }

    /// Everything ever written to `path`.
    pub fn whole(path: &Path) -> Self {
        Self {
            path: path.into(),
            from: 0,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text so far, without terminal control sequences.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        // A log that is not there yet says nothing yet.
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.from))?;
            file.read_to_end(&mut bytes)
        });
        read.map_or_else(
            |_| String::new(),
            |_| plain(&String::from_utf8_lossy(&bytes)),
        )
    }

    /// The line that says the appliance has died, if there is one.
    pub fn fatal(&self) -> Option<String> {
        let text = self.text();
        text.lines()
            .find(|line| FATAL.iter().any(|sign| line.contains(sign)))
            .map(|l| l.trim().into())
    }

    /// The last `count` lines that are not blank, each indented for an error message.
    pub fn tail(&self, count: usize) -> String {
        let text = self.text();
        let lines: Vec<_> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let first = lines.len().saturating_sub(count);
        lines[first..]
            .iter()
            .map(|line| format!("    {line}\n"))
            .collect()
    }
}

/// Removes escape sequences and carriage returns.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {}
            '\x1b' => skip_sequence(&mut chars),
            c => out.push(c),
        }
    }
    out
}

/// Skips the rest of an escape sequence: CSI up to its final letter, OSC up to its end, else one. A
/// program that empties the terminal's buffer may cut one off: what cannot belong to it is text again.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            while chars.next_if(|c| ('\x20'..='\x3f').contains(c)).is_some() {}
            let _ = chars.next_if(|c| ('\x40'..='\x7e').contains(c));
        }
        Some(']' | 'P' | '^' | '_') => {
            while chars.next_if(|c| !c.is_control()).is_some() {}
            if chars.next_if_eq(&'\x07').is_none() && chars.next_if_eq(&'\x1b').is_some() {
                skip_sequence(chars);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> (tempfile::TempDir, SerialLog) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("serial.log");
        std::fs::write(&path, text).unwrap();
        (dir, SerialLog::whole(&path))
    }

    #[test]
    fn control_sequences_are_removed() {
        assert_eq!(
            plain("\x1b[0;32m OK \x1b[0m\r\n\x1b]3008;start=x\x1b\\$ "),
            " OK \n$ "
        );
    }

    #[test]
    fn a_sequence_that_was_cut_off_takes_no_text_along() {
        assert_eq!(plain("\x1b]3008;st\r\nhealthy\r\n"), "\nhealthy\n");
        assert_eq!(plain("\x1bP+q\x1b[1mhealthy\n"), "healthy\n");
        assert_eq!(plain("\x1b[0;3\r\nhealthy"), "\nhealthy");
    }

    #[test]
    fn finds_what_is_fatal() {
        let (_dir, panicked) = log("a\n[ 1.0] \x1b[31mKernel panic - not syncing: x\x1b[0m\nb\n");
        assert_eq!(
            panicked.fatal().unwrap(),
            "[ 1.0] Kernel panic - not syncing: x"
        );
        assert!(log("all is well").1.fatal().is_none());
    }

    #[test]
    fn only_what_came_after_the_start_counts() {
        let (_dir, whole) = log("Kernel panic - not syncing: earlier\n");
        assert!(SerialLog::from_now(whole.path()).fatal().is_none());
    }

    #[test]
    fn the_tail_leaves_out_blank_lines() {
        let (_dir, log) = log("1\n\n2\n\n3\n");
        assert_eq!(log.tail(2), "    2\n    3\n");
    }
}

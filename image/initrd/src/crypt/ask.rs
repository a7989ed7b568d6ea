//! Asks for the recovery key on every console at once; the first line typed anywhere counts.
//!
//! Nobody may sit there: a host that waited for ever could not return to the version that worked, so
//! after a while the boot fails like any other.

use crate::error::{At, Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long somebody may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How long nothing is done but waiting for a line.
const LOOK: Duration = Duration::from_secs(1);

/// Names of the kernel's consoles.
const CONSOLES: &str = "/sys/class/tty/console/active";

/// A question that stands on the consoles.
pub struct Question {
    consoles: Vec<File>,
    lines: Receiver<String>,
    end: Instant,
}

impl Question {
    /// Shows why the key is needed.
    pub fn new(why: &str) -> Result<Self> {
        let names = fs::read_to_string(CONSOLES).at("read", CONSOLES)?;
        let (sender, lines) = channel();
        let mut consoles = Vec::new();
        for path in names.split_ascii_whitespace().map(device) {
            let Ok(console) = OpenOptions::new().read(true).write(true).open(&path) else {
                continue;
            };
            let input = console.try_clone().at("read", &path)?;
            consoles.push(console);
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(input).lines().map_while(std::io::Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        let mut question = Self {
            consoles,
            lines,
            end: Instant::now() + PATIENCE,
        };
        let minutes = PATIENCE.as_secs() / 60;
        question.say(&format!(
            "\r\nThe data of this host is encrypted.\r\n{why}\r\n\
             The recovery key that was shown at the installation opens it.\r\n\
             Without it this machine starts again after {minutes} minutes."
        ));
        Ok(question)
    }

    /// The next line that somebody types. Calls `meanwhile` now and then.
    pub fn answer(&mut self, mut meanwhile: impl FnMut()) -> Result<String> {
        self.write("Recovery key: ");
        while Instant::now() < self.end {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => return Ok(line),
                Err(_) => meanwhile(),
            }
        }
        Err(Error::NoKey)
    }

    /// Says something everywhere.
    pub fn say(&mut self, text: &str) {
        self.write(&format!("{text}\r\n"));
    }

    fn write(&mut self, text: &str) {
        for console in &mut self.consoles {
            // One that is gone cannot be told.
            let _ = console.write_all(text.as_bytes());
        }
    }
}

/// The current virtual terminal is read as the first one: nobody has switched yet.
fn device(name: &str) -> PathBuf {
    let name = if name == "tty0" { "tty1" } else { name };
    Path::new("/dev").join(name)
}

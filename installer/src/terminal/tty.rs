//! A console as lines: written, asked for, and asked for in secret.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use rustix::termios::{InputModes, LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr};

use super::dialog::Talk;
use super::stop::Stop;

/// Opening a console must never make it ours: a hang-up on it would end the installer.
const NOCTTY: i32 = rustix::fs::OFlags::NOCTTY.bits() as i32;

/// An open console.
pub struct Tty {
    input: BufReader<File>,
    output: File,
    stop: Stop,
}

impl Tty {
    /// Opens a console and makes sure it edits lines.
    pub fn open(path: &str, stop: &Stop) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(NOCTTY)
            .open(path)?;
        let mut modes = tcgetattr(&file)?;
        modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHOE;
        modes.input_modes |= InputModes::ICRNL;
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        tcsetattr(&file, OptionalActions::Now, &modes)?;
        Ok(Self {
            input: BufReader::new(file.try_clone()?),
            output: file,
            stop: stop.clone(),
        })
    }

    fn echo(&self, on: bool) -> io::Result<()> {
        let mut modes = tcgetattr(&self.output)?;
        modes.local_modes.set(LocalModes::ECHO, on);
        tcsetattr(&self.output, OptionalActions::Now, &modes)?;
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        if self.input.buffer().is_empty() {
            self.stop.wait_readable(self.input.get_ref().as_fd())?;
        }
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Talk for Tty {
    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.output, "{text}")
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        write!(self.output, "{question}")?;
        self.output.flush()?;
        self.line()
    }

    fn ask_secret(&mut self, question: &str) -> io::Result<String> {
        write!(self.output, "{question}")?;
        self.output.flush()?;
        self.echo(false)?;
        let line = self.line();
        // Also after a stop: the next dialog is to be seen again.
        self.echo(true)?;
        writeln!(self.output)?;
        line
    }
}

/// Whether there is a terminal behind this path.
pub fn can_open(path: &str) -> bool {
    File::options()
        .read(true)
        .write(true)
        .custom_flags(NOCTTY)
        .open(path)
        .is_ok_and(|file| tcgetattr(&file).is_ok())
}

/// Writes to a console in passing; one that is gone or held back is left alone.
pub fn write(path: &str, text: &str) {
    let flags = NOCTTY | rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let written = File::options()
        .write(true)
        .custom_flags(flags)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(path, %error, "not shown");
    }
}

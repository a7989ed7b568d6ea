//! Passes on between our streams and the program's: a terminal's two sides, or pipes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{self, OptionalActions, Termios};

use crate::sys;

/// Bytes that are passed on at a time.
const CHUNK: usize = 64 * 1024;

/// Our side of the program's streams.
#[derive(Debug)]
pub enum Streams {
    /// A terminal that the program's process still has to open.
    Terminal,
    /// The other side of the program's terminal.
    Joined(OwnedFd),
    /// Pipes to its input, from its output, from its errors.
    Pipes([OwnedFd; 3]),
}

/// The program's side of pipes: input, output, errors.
#[derive(Debug)]
pub struct Ends([OwnedFd; 3]);

impl Ends {
    /// Makes them the standard streams of this process.
    pub fn use_as_streams(&self) -> io::Result<()> {
        let [input, output, errors] = &self.0;
        rustix::stdio::dup2_stdin(input)?;
        rustix::stdio::dup2_stdout(output)?;
        Ok(rustix::stdio::dup2_stderr(errors)?)
    }
}

impl Streams {
    /// Both sides.
    pub fn make(on_terminal: bool) -> io::Result<(Self, Option<Ends>)> {
        if on_terminal {
            return Ok((Self::Terminal, None));
        }
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let (input, to_input) = pipe()?;
        let (from_output, output) = pipe()?;
        let (from_errors, errors) = pipe()?;
        let ours = [to_input, from_output, from_errors];
        Ok((Self::Pipes(ours), Some(Ends([input, output, errors]))))
    }

    /// Passes on until the program, known by `ended`, has ended and has said all.
    pub fn pass(self, ended: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::Terminal => Ok(()),
            Self::Joined(terminal) => join(&terminal, ended),
            Self::Pipes([input, output, errors]) => {
                // Ends with the program or with this process: what is typed too late is for nobody.
                thread::spawn(move || copy(io::stdin(), File::from(input)));
                let errors = thread::spawn(move || copy(File::from(errors), io::stderr()));
                copy(File::from(output), io::stdout())?;
                errors.join().unwrap_or(Ok(()))
            }
        }
    }
}

/// Copies until the end; a reader that went away is one.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match to.write_all(&buffer[..count]).and_then(|()| to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}

/// Our terminal without its own treatment of keys; as before when dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // When the terminal is gone there is nothing to put back.
        let _gone = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

fn join(terminal: &OwnedFd, ended: BorrowedFd<'_>) -> io::Result<()> {
    let resized = sys::window_changes()?;
    take_size(terminal)?;
    let _raw = Raw::enter()?;
    let input = io::stdin();
    let mut typing = true;
    loop {
        let mut fds = vec![
            PollFd::new(terminal, PollFlags::IN),
            PollFd::from_borrowed_fd(ended, PollFlags::IN),
            PollFd::new(&resized, PollFlags::IN),
        ];
        if typing {
            fds.push(PollFd::new(&input, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] && !pass_some(terminal.as_fd(), &mut io::stdout())? {
            return Ok(());
        }
        // What it said last has been read before: while there is more, the terminal is ready.
        if ready[1] && !ready[0] {
            return Ok(());
        }
        if ready[2] {
            rustix::io::read(&resized, &mut [0_u8; 128][..])?;
            take_size(terminal)?;
        }
        if ready.get(3) == Some(&true) {
            let mut to = File::from(terminal.try_clone()?);
            typing = pass_some(input.as_fd(), &mut to)?;
        }
    }
}

/// Passes on what is there; false at the end. A terminal whose last user left says EIO.
fn pass_some(from: BorrowedFd<'_>, to: &mut impl Write) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    match rustix::io::read(from, &mut buffer) {
        Ok(0) | Err(rustix::io::Errno::IO) => Ok(false),
        Ok(count) => {
            to.write_all(&buffer[..count])?;
            to.flush()?;
            Ok(true)
        }
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn take_size(terminal: &OwnedFd) -> io::Result<()> {
    let size = termios::tcgetwinsize(io::stdin())?;
    Ok(termios::tcsetwinsize(terminal, size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_ends_with_its_source_and_with_its_reader() {
        let mut out = Vec::new();
        copy(&b"all of it"[..], &mut out).unwrap();
        assert_eq!(out, b"all of it");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        copy(&b"nobody reads"[..], writer).unwrap();
    }
}

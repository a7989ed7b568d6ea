//! The conversation with `swtpm`: requests on its control channel (`tpm_ioctl.h` of that program; numbers
//! are big endian), commands and answers of the module on the data channel.
//!
//! The emulator is a process of its own and not believed: what it says is bounded, and one that says
//! nothing for too long is out of order.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::crb::{BUFFER_SIZE, HEADER, length};
use super::store::MAX_STATE;

/// How long the emulator may take for a request. It may have to make a module first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take for a command: the longest that the profile knows, making a key.
const COMMAND_PATIENCE: Duration = Duration::from_secs(300);

const INIT: u32 = 2;
const GET_STATE: u32 = 12;
const SET_STATE: u32 = 13;
const STOP: u32 = 14;
const SET_BUFFER_SIZE: u32 = 17;
/// The volatile state is used up by the start.
const DELETE_VOLATILE: u32 = 1;
/// `TPM2_Shutdown(TPM_SU_CLEAR)`.
const SHUTDOWN: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0];

/// A part of the emulator's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    /// What a module keeps without power.
    Permanent = 1,
    /// What it has beside while it runs.
    Volatile = 2,
}

/// A connected emulator.
pub struct Emulator {
    control: File,
    data: File,
    /// The starter's request for the data channel was answered.
    connected: bool,
}

impl Emulator {
    /// An emulator behind two sockets, the first of which has an answer to come.
    pub fn new(control: UnixStream, data: UnixStream) -> io::Result<Self> {
        for (socket, patience) in [(&control, PATIENCE), (&data, COMMAND_PATIENCE)] {
            socket.set_nonblocking(false)?;
            socket.set_read_timeout(Some(patience))?;
            socket.set_write_timeout(Some(PATIENCE))?;
        }
        // As files they are read and written by the calls that every thread may make.
        let file = |socket: UnixStream| File::from(OwnedFd::from(socket));
        Ok(Self {
            control: file(control),
            data: file(data),
            connected: false,
        })
    }

    /// The sockets.
    pub fn sockets(&self) -> [&File; 2] {
        [&self.control, &self.data]
    }

    /// Switches the module on, from the state that is given or else the emulator's own.
    pub fn start(&mut self, state: &[(Part, &[u8])]) -> io::Result<()> {
        if !self.connected {
            self.result("connect")?;
            self.connected = true;
        }
        self.request(STOP, &[], "stop")?;
        let size = BUFFER_SIZE as u32;
        self.request(
            SET_BUFFER_SIZE,
            &size.to_be_bytes(),
            "set its buffer's size",
        )?;
        // Size in use, least, most.
        self.control.read_exact(&mut [0; 12])?;
        for (part, bytes) in state {
            let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            let mut message = Vec::with_capacity(12 + bytes.len());
            for number in [0, *part as u32, len] {
                message.extend(number.to_be_bytes());
            }
            message.extend(*bytes);
            self.request(SET_STATE, &message, "take its state")?;
        }
        let volatile = state.iter().any(|(part, _)| *part == Part::Volatile);
        let flags = if volatile { DELETE_VOLATILE } else { 0 };
        self.request(INIT, &flags.to_be_bytes(), "start")
    }

    /// A part of the running module's state.
    pub fn state(&mut self, part: Part) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        for number in [0, part as u32, 0] {
            message.extend(number.to_be_bytes());
        }
        self.send(GET_STATE, &message)?;
        let code = self.number()?;
        let (_flags, _total, len) = (self.number()?, self.number()?, self.number()?);
        if code != 0 {
            return Err(refused("give its state", code));
        }
        let len = len as usize;
        if len > MAX_STATE {
            return Err(io::Error::other("the emulator's state is too long"));
        }
        let mut state = vec![0; len];
        self.control.read_exact(&mut state)?;
        Ok(state)
    }

    /// Has the module carry out a command, whose length is right.
    pub fn execute(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.data.write_all(command)?;
        let mut answer = vec![0; HEADER];
        self.data.read_exact(&mut answer)?;
        let len = length(&answer).filter(|len| *len <= BUFFER_SIZE);
        let len = len.ok_or_else(|| io::Error::other("the emulator's answer has no length"))?;
        answer.resize(len, 0);
        self.data.read_exact(&mut answer[HEADER..])?;
        Ok(answer)
    }

    /// Tells the module that its power goes, as an operating system does: otherwise it takes that for an
    /// attempt to guess.
    pub fn shut_down(&mut self) -> io::Result<()> {
        self.execute(&SHUTDOWN).map(drop)
    }

    fn send(&mut self, request: u32, message: &[u8]) -> io::Result<()> {
        let mut bytes = request.to_be_bytes().to_vec();
        bytes.extend(message);
        self.control.write_all(&bytes)
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.control.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn result(&mut self, what: &'static str) -> io::Result<()> {
        match self.number()? {
            0 => Ok(()),
            code => Err(refused(what, code)),
        }
    }

    fn request(&mut self, request: u32, message: &[u8], what: &'static str) -> io::Result<()> {
        self.send(request, message)?;
        self.result(what)
    }
}

fn refused(what: &str, code: u32) -> io::Error {
    io::Error::other(format!("the emulator does not {what}: code {code:#x}"))
}

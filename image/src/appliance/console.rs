//! `cargo image console`: this terminal becomes the appliance's serial console.

use super::node::Node;
use super::qemu::SERIAL_SOCKET;
use super::{qmp, say};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, Read, Write};

/// Ctrl-], as in telnet.
const LEAVE: u8 = 0x1d;

/// Connects the terminal and the node's serial port until Ctrl-] or either one's end.
pub fn attach(node: &Node) -> Result<()> {
    let mut serial = qmp::connect_in(node.dir(), SERIAL_SOCKET)?;
    say(&format!("console of {}; Ctrl-] leaves", node.state().name));
    let raw = RawTerminal::enter()?;
    let mut from_us = io::stdin().lock();
    let mut to_us = io::stdout().lock();
    let mut buffer = [0; 4096];
    loop {
        let (typed, said) = {
            let mut ready = [
                PollFd::new(&from_us, PollFlags::IN),
                PollFd::new(&serial, PollFlags::IN),
            ];
            poll(&mut ready, None)?;
            (
                !ready[0].revents().is_empty(),
                !ready[1].revents().is_empty(),
            )
        };
        if said {
            let count = serial.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            to_us.write_all(&buffer[..count])?;
            to_us.flush()?;
        }
        if typed {
            let count = from_us.read(&mut buffer)?;
            let leave = buffer[..count].iter().position(|&byte| byte == LEAVE);
            serial.write_all(&buffer[..leave.unwrap_or(count)])?;
            if count == 0 || leave.is_some() {
                break;
            }
        }
    }
    drop(raw);
    say("");
    Ok(())
}

/// A terminal that passes every key on; as it was once dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Result<Self> {
        let stdin = io::stdin();
        if !isatty(&stdin) {
            return Ok(Self(None));
        }
        let before = tcgetattr(&stdin).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // If the terminal is gone there is nothing to restore.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

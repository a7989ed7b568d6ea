//! Ports between the guest and the host (virtio 1.2 section 5.3, with `MULTIPORT`): the console
//! (`hvc0`) as port 0, and the guest agent's channel as port 1.
//!
//! Port 0 has queues 0 and 1, the control messages queues 2 and 3, port 1 queues 4 and 5; of each
//! pair the first leads to the guest. A driver without `MULTIPORT` has the console alone.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::console::Line;
use super::worker::{Backend, BrokenQueue, Live, Stopped};
use super::{Description, Kind};
use crate::channel::{Channel, LARGEST};
use crate::event::Signal;
use crate::terminal::Terminal;

/// Name by which the guest agent of QEMU finds its port.
pub const AGENT_NAME: &str = "org.qemu.guest_agent.0";

/// The device has several ports and queues for control messages.
const F_MULTIPORT: u64 = 1 << 1;

const CONSOLE_PORT: u32 = 0;
const AGENT_PORT: u32 = 1;
const PORTS: u32 = 2;

const CONSOLE_TO_GUEST: usize = 0;
const CONSOLE_FROM_GUEST: usize = 1;
const CONTROL_TO_GUEST: usize = 2;
const CONTROL_FROM_GUEST: usize = 3;
const AGENT_TO_GUEST: usize = 4;
const AGENT_FROM_GUEST: usize = 5;

/// Most bytes moved at a time.
const CHUNK: usize = 4096;
/// Control messages that wait for the driver's buffers; when there are more, its own wait.
const MOST_MESSAGES: usize = 32;
/// A control message without what may follow it.
const MESSAGE: usize = 8;

/// Events of control messages (section 5.3.6.2).
mod event {
    pub const DEVICE_READY: u16 = 0;
    pub const DEVICE_ADD: u16 = 1;
    pub const PORT_READY: u16 = 3;
    pub const CONSOLE_PORT: u16 = 4;
    pub const PORT_OPEN: u16 = 6;
    pub const PORT_NAME: u16 = 7;
}

/// What the transport needs to know.
pub fn description() -> Description {
    let mut config = vec![0; 12];
    config[4..8].copy_from_slice(&PORTS.to_le_bytes());
    Description {
        kind: Kind::Console,
        features: F_MULTIPORT,
        queues: vec![64; 6],
        config,
    }
}

/// The device.
pub struct Ports {
    console: Option<Line>,
    channel: Arc<Channel>,
    /// The other side of the console or the channel changed.
    changed: Arc<Signal>,
    /// Control messages for the driver.
    messages: VecDeque<Vec<u8>>,
    /// The driver knows the agent's port.
    ready: bool,
    /// The driver was told that the host is there.
    told: bool,
}

impl Ports {
    /// The agent's `channel`, and a console on `terminal`.
    pub fn new(terminal: Option<Arc<Terminal>>, channel: Arc<Channel>) -> io::Result<Self> {
        let changed = Arc::new(Signal::new()?);
        let wake = changed.clone();
        channel.on_change(Arc::new(move || wake.raise()));
        Ok(Self {
            console: terminal.map(|terminal| Line::new(terminal, changed.clone())),
            channel,
            changed,
            messages: VecDeque::new(),
            ready: false,
            told: false,
        })
    }

    fn send(&mut self, port: u32, event: u16, value: u16, text: &str) {
        let mut message = Vec::with_capacity(MESSAGE + text.len());
        message.extend(port.to_le_bytes());
        message.extend(event.to_le_bytes());
        message.extend(value.to_le_bytes());
        message.extend(text.as_bytes());
        self.messages.push_back(message);
    }

    /// A message of the driver. What makes no sense is left alone.
    fn obey(&mut self, message: [u8; MESSAGE]) {
        let [a, b, c, d, event_low, event_high, value_low, value_high] = message;
        let port = u32::from_le_bytes([a, b, c, d]);
        let event = u16::from_le_bytes([event_low, event_high]);
        let good = u16::from_le_bytes([value_low, value_high]) == 1;
        match (event, port) {
            (event::DEVICE_READY, _) if good => {
                if self.console.is_some() {
                    self.send(CONSOLE_PORT, event::DEVICE_ADD, 1, "");
                }
                self.send(AGENT_PORT, event::DEVICE_ADD, 1, "");
            }
            (event::PORT_READY, CONSOLE_PORT) if good && self.console.is_some() => {
                self.send(CONSOLE_PORT, event::CONSOLE_PORT, 1, "");
                self.send(CONSOLE_PORT, event::PORT_OPEN, 1, "");
            }
            (event::PORT_READY, AGENT_PORT) if good => {
                self.send(AGENT_PORT, event::PORT_NAME, 1, AGENT_NAME);
                self.ready = true;
                self.told = false;
            }
            (event::PORT_OPEN, AGENT_PORT) => self.channel.set_guest(good),
            _ => {}
        }
    }

    /// Takes the driver's messages, as long as there is room for what they are answered by.
    fn listen(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(CONTROL_FROM_GUEST, |live| {
            loop {
                if self.messages.len() >= MOST_MESSAGES {
                    return Ok(Stopped::Early);
                }
                let Some(chain) = live.pop(CONTROL_FROM_GUEST)? else {
                    return Ok(Stopped::Empty);
                };
                let mut message = [0; MESSAGE];
                if chain.readable.read(&live.memory, &mut message) == MESSAGE {
                    self.obey(message);
                }
                live.push(CONTROL_FROM_GUEST, chain.head, 0)?;
            }
        })
    }

    /// Sends what waits for the driver.
    fn speak(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        let host = self.channel.host_listens();
        if self.ready && self.told != host && self.messages.len() < MOST_MESSAGES {
            self.send(AGENT_PORT, event::PORT_OPEN, u16::from(host), "");
            self.told = host;
        }
        live.drain(CONTROL_TO_GUEST, |live| {
            while let Some(message) = self.messages.front() {
                let Some(chain) = live.pop(CONTROL_TO_GUEST)? else {
                    return Ok(Stopped::Empty);
                };
                let written = chain.writable.write(&live.memory, message);
                self.messages.pop_front();
                live.push(CONTROL_TO_GUEST, chain.head, written)?;
            }
            Ok(Stopped::Early)
        })
    }

    fn control(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        if !live.has(F_MULTIPORT) {
            return Ok(());
        }
        // Answers that are taken make room for more messages.
        loop {
            self.listen(live)?;
            let full = self.messages.len() >= MOST_MESSAGES;
            self.speak(live)?;
            if !full || self.messages.len() >= MOST_MESSAGES {
                return Ok(());
            }
        }
    }

    /// From the guest's agent to the host.
    fn take(&self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(AGENT_FROM_GUEST, |live| {
            loop {
                if self.channel.room() == 0 {
                    return Ok(Stopped::Early);
                }
                let Some(mut chain) = live.pop(AGENT_FROM_GUEST)? else {
                    return Ok(Stopped::Empty);
                };
                // A buffer is taken as a whole, so that none is half done when the machine is saved.
                let mut left = LARGEST;
                while !chain.readable.is_empty() && left > 0 {
                    let mut bytes = vec![0; chain.readable.len().min(CHUNK).min(left)];
                    let part = chain.readable.take_front(bytes.len()).ok_or(BrokenQueue)?;
                    part.read(&live.memory, &mut bytes);
                    self.channel.give(&bytes);
                    left -= bytes.len();
                }
                live.push(AGENT_FROM_GUEST, chain.head, 0)?;
            }
        })
    }

    /// From the host to the guest's agent.
    fn feed(&self, live: &mut Live) -> Result<(), BrokenQueue> {
        live.drain(AGENT_TO_GUEST, |live| {
            loop {
                if !self.channel.has_input() {
                    return Ok(Stopped::Early);
                }
                let Some(chain) = live.pop(AGENT_TO_GUEST)? else {
                    return Ok(Stopped::Empty);
                };
                let bytes = self.channel.take(chain.writable.len());
                let written = chain.writable.write(&live.memory, &bytes);
                live.push(AGENT_TO_GUEST, chain.head, written)?;
            }
        })
    }
}

impl Backend for Ports {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        self.messages.clear();
        self.ready = false;
        self.told = false;
        self.channel.set_guest(false);
        Ok(())
    }

    fn deactivated(&mut self) {
        self.channel.set_guest(false);
    }

    fn kicked(&mut self, live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        let several = live.has(F_MULTIPORT);
        match queue {
            CONTROL_TO_GUEST | CONTROL_FROM_GUEST => return self.control(live),
            AGENT_TO_GUEST if several => return self.feed(live),
            AGENT_FROM_GUEST if several => return self.take(live),
            _ => {}
        }
        match (&self.console, queue) {
            (Some(console), CONSOLE_TO_GUEST) => console.feed(live, queue),
            (Some(console), CONSOLE_FROM_GUEST) => console.print(live, queue),
            _ => Ok(()),
        }
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.changed.as_fd())
    }

    fn ready(&mut self, live: &mut Live) -> Result<(), BrokenQueue> {
        self.changed.clear();
        if let Some(console) = &self.console {
            console.feed(live, CONSOLE_TO_GUEST)?;
        }
        self.control(live)?;
        if live.has(F_MULTIPORT) {
            self.feed(live)?;
            self.take(live)?;
        }
        Ok(())
    }

    /// Whether the driver knows the port, whether it thinks the host is there, whether its program
    /// has the port open; then the messages that wait, each with its length in one byte before it.
    fn save(&self) -> Vec<u8> {
        let listens = self.channel.guest_listens();
        let mut saved = vec![self.ready.into(), self.told.into(), listens.into()];
        for message in &self.messages {
            // Names are short.
            saved.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
            saved.extend(message);
        }
        saved
    }

    fn restore(&mut self, saved: &[u8], _live: &mut Live) {
        let [ready, told, listens, rest @ ..] = saved else {
            return;
        };
        let mut rest = rest;
        (self.ready, self.told) = (*ready == 1, *told == 1);
        self.channel.set_guest(*listens == 1);
        while let [len, text @ ..] = rest {
            let Some((message, more)) = text.split_at_checked(usize::from(*len)) else {
                break;
            };
            if self.messages.len() < MOST_MESSAGES {
                self.messages.push_back(message.to_vec());
            }
            rest = more;
        }
        // Whoever was connected is not any more; the driver hears of it when the device runs.
        self.changed.raise();
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;

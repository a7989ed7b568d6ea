//! The first serial port: a 16550 between the guest and a [`Terminal`].

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, Serial};

use crate::bus::PortDevice;
use crate::machine::interrupts::InterruptSink;
use crate::machine::layout::SERIAL_IRQ;
use crate::terminal::Terminal;

/// Number of ports.
pub const LEN: u16 = 8;
const DATA: u16 = 0;

/// An edge on the port's interrupt line.
struct Edge(Arc<dyn InterruptSink>);

impl Trigger for Edge {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        self.0.line(SERIAL_IRQ, true);
        self.0.line(SERIAL_IRQ, false);
        Ok(())
    }
}

/// What the guest sends goes to the terminal.
struct Output(Arc<Terminal>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.print(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The port.
pub struct SerialPort {
    uart: Mutex<Serial<Edge, NoEvents, Output>>,
    terminal: Arc<Terminal>,
}

impl SerialPort {
    /// A port on `terminal`.
    pub fn new(terminal: Arc<Terminal>, sink: Arc<dyn InterruptSink>) -> Arc<Self> {
        let uart = Serial::new(Edge(sink), Output(terminal.clone()));
        Arc::new(Self {
            uart: Mutex::new(uart),
            terminal,
        })
    }

    /// Moves typed input into the receiver as far as it has room.
    pub fn feed(&self) {
        let mut uart = self.uart.lock().unwrap_or_else(PoisonError::into_inner);
        feed(&mut uart, &self.terminal);
    }
}

fn feed(uart: &mut Serial<Edge, NoEvents, Output>, terminal: &Terminal) {
    let room = uart.fifo_capacity();
    if room == 0 {
        return;
    }
    let input = terminal.take_input(room);
    // In loop-back mode the port is unplugged and input is lost, as on a real one; room was
    // checked above.
    let _ = uart.enqueue_raw_bytes(&input);
}

impl PortDevice for SerialPort {
    fn read(&self, offset: u16, data: &mut [u8]) {
        let mut uart = self.uart.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if offset == DATA { data.len() } else { 1 };
        for byte in data.iter_mut().take(count) {
            *byte = uart.read(offset as u8);
        }
        if offset == DATA {
            feed(&mut uart, &self.terminal);
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let mut uart = self.uart.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if offset == DATA { data.len() } else { 1 };
        for byte in data.iter().take(count) {
            // Neither the terminal nor the interrupt line can fail.
            let _ = uart.write(offset as u8, *byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interrupts::testing::{Raised, Recorder};

    #[test]
    fn output_reaches_the_terminal_and_input_the_guest() {
        let terminal = Terminal::new().unwrap();
        let recorder = Arc::new(Recorder::default());
        let port = SerialPort::new(terminal.clone(), recorder.clone());
        port.write(DATA, b"boot\n");
        let mut buffer = [0; 16];
        assert_eq!(terminal.follow(0, &mut buffer).1, 5);
        assert_eq!(&buffer[..5], b"boot\n");

        port.write(1, &[1]);
        terminal.type_in(b"ls");
        port.feed();
        assert!(recorder.take().contains(&Raised::Line(SERIAL_IRQ, true)));
        let mut byte = [0];
        port.read(DATA, &mut byte);
        assert_eq!(byte, *b"l");
    }

    #[test]
    fn input_beyond_the_fifo_waits_its_turn() {
        let terminal = Terminal::new().unwrap();
        let port = SerialPort::new(terminal.clone(), Arc::new(Recorder::default()));
        let text: Vec<u8> = (0..200u8).collect();
        terminal.type_in(&text);
        port.feed();
        let mut got = Vec::new();
        for _ in 0..200 {
            let mut byte = [0];
            port.read(DATA, &mut byte);
            got.push(byte[0]);
        }
        assert_eq!(got, text);
    }
}

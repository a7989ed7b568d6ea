//! A serial port: a 16550 between the guest and a [`Terminal`].
//!
//! Two ports share an interrupt line. Its edges count, and each port makes one for every interrupt of its
//! own, whatever the other does; a driver that has one finds out which port it is from, or finds both.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, Serial, SerialState};

use crate::bus::PortDevice;
use crate::machine::interrupts::EdgeLine;
use crate::terminal::Terminal;

/// Number of ports.
pub const LEN: u16 = 8;
const DATA: u16 = 0;

/// An edge on the port's interrupt line.
struct Edge(Arc<EdgeLine>);

impl Trigger for Edge {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        self.0.pulse();
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

/// What is saved of the port: its registers, in the order of [`SerialState`], and what it has
/// received and the guest has not read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortState {
    registers: [u8; 9],
    received: Vec<u8>,
}

/// The port.
pub struct SerialPort {
    line: Arc<EdgeLine>,
    uart: Mutex<Serial<Edge, NoEvents, Output>>,
    terminal: Arc<Terminal>,
}

impl SerialPort {
    /// A port on `terminal`, which interrupts by `line`.
    pub fn new(terminal: Arc<Terminal>, line: Arc<EdgeLine>) -> Arc<Self> {
        let uart = Serial::new(Edge(line.clone()), Output(terminal.clone()));
        Arc::new(Self {
            line,
            uart: Mutex::new(uart),
            terminal,
        })
    }

    /// What is kept of the port of a machine that stands.
    pub fn save(&self) -> PortState {
        let uart = self.uart.lock().unwrap_or_else(PoisonError::into_inner);
        let state = uart.state();
        PortState {
            registers: [
                state.baud_divisor_low,
                state.baud_divisor_high,
                state.interrupt_enable,
                state.interrupt_identification,
                state.line_control,
                state.line_status,
                state.modem_control,
                state.modem_status,
                state.scratch,
            ],
            received: state.in_buffer,
        }
    }

    /// Goes on from a saved state; `false` when more was received than the port can hold.
    pub fn restore(&self, saved: PortState) -> bool {
        let [
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
        ] = saved.registers;
        let state = SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
            in_buffer: saved.received,
        };
        let (edge, output) = (Edge(self.line.clone()), Output(self.terminal.clone()));
        match Serial::from_state(&state, edge, NoEvents, output) {
            Ok(uart) => {
                *self.uart.lock().unwrap_or_else(PoisonError::into_inner) = uart;
                true
            }
            Err(_) => false,
        }
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

    const IRQ: u32 = 4;

    fn port(terminal: &Arc<Terminal>) -> (Arc<SerialPort>, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let line = EdgeLine::new(IRQ, recorder.clone());
        (SerialPort::new(terminal.clone(), line), recorder)
    }

    #[test]
    fn output_reaches_the_terminal_and_input_the_guest() {
        let terminal = Terminal::new().unwrap();
        let (port, recorder) = port(&terminal);
        port.write(DATA, b"boot\n");
        let mut buffer = [0; 16];
        assert_eq!(terminal.follow(0, &mut buffer).1, 5);
        assert_eq!(&buffer[..5], b"boot\n");

        port.write(1, &[1]);
        terminal.type_in(b"ls");
        port.feed();
        assert!(recorder.take().contains(&Raised::Line(IRQ, true)));
        let mut byte = [0];
        port.read(DATA, &mut byte);
        assert_eq!(byte, *b"l");
    }

    #[test]
    fn what_was_received_survives() {
        let terminal = Terminal::new().unwrap();
        let (first, _) = port(&terminal);
        first.write(7, &[0x5a]);
        first.write(1, &[1]);
        terminal.type_in(b"ls");
        first.feed();
        let saved = first.save();
        let (second, recorder) = port(&Terminal::new().unwrap());
        assert!(second.restore(saved.clone()));
        assert!(recorder.take().contains(&Raised::Line(IRQ, true)));
        let (mut scratch, mut typed) = ([0], [0; 2]);
        second.read(7, &mut scratch);
        second.read(DATA, &mut typed);
        assert_eq!((scratch, &typed), ([0x5a], b"ls"));
        let mut endless = saved;
        endless.received = vec![0; 1 << 16];
        assert!(!second.restore(endless));
    }

    #[test]
    fn two_ports_on_a_line_have_an_interrupt_each() {
        let recorder = Arc::new(Recorder::default());
        let line = EdgeLine::new(IRQ, recorder.clone());
        let lines = [(); 2].map(|()| Terminal::new().unwrap());
        let ports = [0, 1].map(|i| SerialPort::new(lines[i].clone(), line.clone()));
        for (port, terminal) in ports.iter().zip(&lines) {
            port.write(1, &[1]);
            terminal.type_in(b"x");
        }
        // The second gets its input before the first one's interrupt is looked at.
        ports.iter().for_each(|port| port.feed());
        let pulse = [Raised::Line(IRQ, true), Raised::Line(IRQ, false)];
        assert_eq!(recorder.take(), pulse.repeat(2));
        for port in &ports {
            let mut identification = [0];
            port.read(2, &mut identification);
            assert_eq!(identification[0] & 7, 4, "received data");
        }
    }

    #[test]
    fn input_beyond_the_fifo_waits_its_turn() {
        let terminal = Terminal::new().unwrap();
        let (port, _) = port(&terminal);
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

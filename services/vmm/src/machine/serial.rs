//! The serial ports of a machine together: the lines that outlive it, the ports on its bus, and what is
//! saved of both.

use std::io;
use std::sync::Arc;

use basalt_model::machine::MORE_SERIAL;

use super::interrupts::{EdgeLine, InterruptSink};
use super::layout::{SERIAL_PORTS, SerialPlace};
use super::saved::Error;
use crate::bus::Bus;
use crate::devices::serial::{LEN, SerialPort};
use crate::state::tree::{Kind, Tree};
use crate::terminal::Terminal;

/// Which of the ports beside the first there are.
pub type MorePorts = [bool; MORE_SERIAL];

/// The places of the ports that there are, with their numbers.
pub fn places(more: MorePorts) -> impl Iterator<Item = (usize, SerialPlace)> {
    let there = std::iter::once(true).chain(more);
    let numbered = SERIAL_PORTS.into_iter().enumerate().zip(there);
    numbered.filter_map(|(place, there)| there.then_some(place))
}

/// Whether another port has the interrupt line of the port at `place`.
pub fn is_shared(place: SerialPlace, more: MorePorts) -> bool {
    places(more).any(|(_, other)| other.irq == place.irq && other.port != place.port)
}

/// A terminal line for each serial port, by the port's number.
pub struct SerialLines(Vec<(usize, Arc<Terminal>)>);

impl SerialLines {
    /// Silent lines.
    pub fn new(more: MorePorts) -> io::Result<Self> {
        let lines = places(more).map(|(number, _)| Ok((number, Terminal::new()?)));
        Ok(Self(lines.collect::<io::Result<_>>()?))
    }

    /// The lines in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Terminal>> {
        self.0.iter().map(|(_, line)| line)
    }

    /// Lets the ports behind them go.
    pub fn detach(&self) {
        self.iter().for_each(|line| line.detach());
    }
}

/// The ports, by number.
pub(super) struct SerialPorts(Vec<(usize, Arc<SerialPort>)>);

impl SerialPorts {
    /// Ports on `lines`. Two that share an interrupt line have the same one.
    pub(super) fn new(lines: &SerialLines, sink: &Arc<impl InterruptSink + 'static>) -> Self {
        let mut wires: Vec<(u32, Arc<EdgeLine>)> = Vec::new();
        let mut wire = |irq| match wires.iter().find(|(known, _)| *known == irq) {
            Some((_, wire)) => wire.clone(),
            None => {
                let wire = EdgeLine::new(irq, sink.clone());
                wires.push((irq, wire.clone()));
                wire
            }
        };
        let port = |(number, line): &(usize, Arc<Terminal>)| {
            let port = SerialPort::new(line.clone(), wire(SERIAL_PORTS[*number].irq));
            let fed = port.clone();
            line.on_input(Arc::new(move || fed.feed()));
            // What was typed while the machine was being rebuilt.
            port.feed();
            (*number, port)
        };
        Self(lines.0.iter().map(port).collect())
    }

    /// Puts them on the bus.
    pub(super) fn connect(&self, bus: &mut Bus) {
        for (number, port) in &self.0 {
            bus.add_ports(SERIAL_PORTS[*number].port, LEN, port.clone());
        }
    }

    /// Puts them and their lines into the tree.
    pub(super) fn save(&self, lines: &SerialLines, tree: &mut Tree) -> Result<(), Error> {
        for ((number, port), line) in self.0.iter().zip(lines.iter()) {
            let id = section(*number);
            tree.put(&id, Kind::Serial, &port.save())?;
            tree.put(&of_line(&id), Kind::Terminal, &line.save())?;
        }
        Ok(())
    }

    /// Goes on from what is in the tree, which must have each of them.
    pub(super) fn restore(&self, lines: &SerialLines, tree: &mut Tree) -> Result<(), Error> {
        for ((number, port), line) in self.0.iter().zip(lines.iter()) {
            let id = section(*number);
            if !port.restore(tree.take(&id, Kind::Serial)?) {
                let problem = "it holds more input than it can";
                return Err(Error::Device(id, problem));
            }
            // After the port, which takes input from its line as far as it has room.
            line.restore(&tree.take(&of_line(&id), Kind::Terminal)?);
        }
        Ok(())
    }
}

/// Name of a port in the tree. The first has the one that it had when it was the only one.
fn section(number: usize) -> String {
    match number {
        0 => "serial".to_owned(),
        more => format!("serial{more}"),
    }
}

fn of_line(id: &str) -> String {
    format!("{id}-line")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interrupts::testing::{Raised, Recorder};

    /// Ports, their lines, and a bus with them.
    fn machine(more: MorePorts) -> (SerialPorts, SerialLines, Bus, Arc<Recorder>) {
        let lines = SerialLines::new(more).unwrap();
        let recorder = Arc::new(Recorder::default());
        let ports = SerialPorts::new(&lines, &recorder);
        let mut bus = Bus::default();
        ports.connect(&mut bus);
        (ports, lines, bus, recorder)
    }

    fn shown(line: &Terminal) -> Vec<u8> {
        let mut buffer = [0; 64];
        let (_, len) = line.follow(0, &mut buffer);
        buffer[..len].to_vec()
    }

    #[test]
    fn each_port_has_its_place_its_line_and_its_interrupt() {
        let (_ports, lines, bus, recorder) = machine([true, false, true]);
        for (port, letter) in [(0x3f8, b"a"), (0x2f8, b"b"), (0x3e8, b"x"), (0x2e8, b"d")] {
            bus.port_write(port, letter);
        }
        let all: Vec<_> = lines.iter().map(|line| shown(line)).collect();
        assert_eq!(all, [b"a", b"b", b"d"]);
        let mut absent = [0];
        bus.port_read(0x3ed, &mut absent);
        assert_eq!(absent, [0xff]);
        for (index, (port, irq)) in [(0x3f8, 4), (0x2f8, 3), (0x2e8, 3)].into_iter().enumerate() {
            bus.port_write(port + 1, &[1]);
            lines.iter().nth(index).unwrap().type_in(b"?");
            let pulse = [Raised::Line(irq, true), Raised::Line(irq, false)];
            assert_eq!(recorder.take(), pulse);
        }
        let shared = |more| -> Vec<bool> {
            let places = places(more);
            places.map(|(_, place)| is_shared(place, more)).collect()
        };
        assert_eq!(shared([true, false, true]), [false, true, true]);
        assert_eq!(shared([false; 3]), [false]);
    }

    #[test]
    fn ports_go_on_from_a_tree_with_their_lines_and_what_was_typed() {
        let (ports, lines, bus, _) = machine([true, true, false]);
        bus.port_write(0x2f8, b"login: ");
        // More than a port receives at once: the rest waits on the line.
        let typed: Vec<u8> = (0..200).collect();
        lines.iter().nth(1).unwrap().type_in(&typed);
        bus.port_write(0x3ef, &[7]);
        let mut tree = Tree::default();
        ports.save(&lines, &mut tree).unwrap();

        let (ports, lines, bus, _) = machine([true, true, false]);
        let mut same = tree.clone();
        ports.restore(&lines, &mut same).unwrap();
        same.finish().unwrap();
        let second = lines.iter().nth(1).unwrap();
        assert_eq!(shown(second), b"login: ");
        let mut got = Vec::new();
        for _ in 0..typed.len() {
            let mut byte = [0];
            bus.port_read(0x2f8, &mut byte);
            got.push(byte[0]);
        }
        assert_eq!(got, typed);
        let mut scratch = [0];
        bus.port_read(0x3ef, &mut scratch);
        assert_eq!(scratch, [7]);

        let (fewer, lines, ..) = machine([true, false, false]);
        let mut rest = tree.clone();
        fewer.restore(&lines, &mut rest).unwrap();
        let surplus = rest.finish().unwrap_err().to_string();
        assert!(surplus.contains("'serial2"), "{surplus}");
        let (more, lines, ..) = machine([true; 3]);
        let missing = more.restore(&lines, &mut tree).unwrap_err().to_string();
        assert!(missing.contains("'serial3'"), "{missing}");
    }

    /// The sections that a machine had when it had one port.
    #[test]
    fn the_only_port_of_an_older_state_is_the_first() {
        let (ports, lines, bus, _) = machine([false; 3]);
        bus.port_write(0x3f8, b"old");
        let mut older = Tree::default();
        let state = ports.0[0].1.save();
        older.put("serial", Kind::Serial, &state).unwrap();
        let line = lines.iter().next().unwrap().save();
        older.put("serial-line", Kind::Terminal, &line).unwrap();

        let (ports, lines, ..) = machine([false; 3]);
        ports.restore(&lines, &mut older).unwrap();
        older.finish().unwrap();
        assert_eq!(shown(lines.iter().next().unwrap()), b"old");
    }
}

//! What a guest's processors do: accesses to ports and memory.

use basalt_vmm::bus::Bus;

use crate::input::Input;

/// Most bytes that a string instruction moves at once here.
const LONGEST: usize = 70;

/// Where accesses go.
pub struct Places<'a> {
    /// Ports that are there.
    pub ports: &'a [u16],
    /// Addresses where something begins, and how many bytes from there are worth a try.
    pub memory: &'a [(u64, u64)],
}

/// Plays accesses until the input ends.
pub fn play(bus: &Bus, places: &Places<'_>, input: &mut Input<'_>) {
    while !input.is_empty() {
        access(bus, places, input);
    }
}

/// Plays one access.
pub fn access(bus: &Bus, places: &Places<'_>, input: &mut Input<'_>) {
    let how = input.byte();
    let write = how & 1 != 0;
    let len = match how >> 1 & 7 {
        7 => usize::from(input.byte()) % LONGEST + 1,
        exponent => 1 << (exponent % 4),
    };
    if how & 0x10 == 0 {
        let port = match (how & 0x20, places.ports) {
            (0, [_, ..]) => places.ports[input.below(places.ports.len())],
            _ => input.word(),
        };
        port_access(bus, port, write, len, input);
    } else {
        let address = match (how & 0x20, places.memory) {
            (0, [_, ..]) => {
                let (start, room) = places.memory[input.below(places.memory.len())];
                start.wrapping_add(u64::from(input.dword()) % room.max(1))
            }
            _ => input.qword(),
        };
        // KVM moves at most eight bytes at a time.
        memory_access(bus, address, write, len.min(8), input);
    }
}

fn port_access(bus: &Bus, port: u16, write: bool, len: usize, input: &mut Input<'_>) {
    let mut data = [0; LONGEST];
    if write {
        let bytes = input.bytes(len);
        data[..bytes.len()].copy_from_slice(bytes);
        bus.port_write(port, &data[..len]);
    } else {
        bus.port_read(port, &mut data[..len]);
    }
}

fn memory_access(bus: &Bus, address: u64, write: bool, len: usize, input: &mut Input<'_>) {
    let mut data = [0; 8];
    if write {
        let bytes = input.bytes(len);
        data[..bytes.len()].copy_from_slice(bytes);
        bus.memory_write(address, &data[..len]);
    } else {
        bus.memory_read(address, &mut data[..len]);
    }
}

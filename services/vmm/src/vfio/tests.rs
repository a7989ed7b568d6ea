//! A whole device, driven as a guest drives it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::device::{Connections, Error, Settings, VfioPci};
use super::registers::Disguise;
use super::testing::{
    Asked, EXPRESS, Fake, Guest, MSI, MSIX, PENDING, PORTS, POWER, TABLE, Told, WIDE_WINDOW, WINDOW,
};
use super::{CONFIG_REGION, Irq};
use crate::pci::config::{BAR0, COMMAND};
use crate::pci::{PciDevice, ROM, Space};

const SLOT: u32 = 32;
const WIRE: u32 = 40;
const GSI: u32 = 17;
const ADDRESS: u64 = 0xfee0_1000;

struct Bench {
    device: VfioPci,
    kernel: Arc<Fake>,
    guest: Arc<Guest>,
}

fn make(kernel: Fake, settings: &Settings) -> Result<Bench, Error> {
    let (kernel, guest) = (Arc::new(kernel), Arc::new(Guest::default()));
    let connections = Connections {
        slots: guest.clone(),
        first_slot: SLOT,
        wiring: guest.clone(),
        first_wire: WIRE,
        gsi: GSI,
    };
    Ok(Bench {
        device: VfioPci::new(kernel.clone(), settings, &connections)?,
        kernel,
        guest,
    })
}

/// A device, with what its making did taken out of the records.
fn bench() -> Bench {
    let bench = make(Fake::new(), &Settings::default()).unwrap();
    bench.kernel.orders();
    bench.guest.take();
    bench
}

impl Bench {
    fn get(&self, offset: usize) -> u32 {
        let mut data = [0; 4];
        self.device.config_read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn set(&self, offset: usize, value: u32) {
        self.device.config_write(offset, &value.to_le_bytes());
    }

    fn byte(&self, offset: usize) -> u8 {
        let mut data = [0];
        self.device.config_read(offset, &mut data);
        data[0]
    }

    fn command(&self, value: u16) {
        self.device.config_write(COMMAND, &value.to_le_bytes());
    }

    fn capabilities(&self) -> Vec<u8> {
        let (mut ids, mut at) = (Vec::new(), self.byte(0x34));
        while at != 0 {
            ids.push(self.byte(at.into()));
            at = self.byte(usize::from(at) + 1);
        }
        ids
    }

    /// Sets a vector of MSI-X's table.
    fn vector(&self, vector: u64, data: u32, control: u32) {
        let mut entry = ADDRESS.to_le_bytes().to_vec();
        entry.extend(data.to_le_bytes());
        for (at, part) in (0..).step_by(4).zip(entry.chunks(4)) {
            self.device.window_write(0, TABLE + vector * 16 + at, part);
        }
        let control = control.to_le_bytes();
        self.device
            .window_write(0, TABLE + vector * 16 + 12, &control);
    }

    fn pending(&self) -> u8 {
        let mut bits = [0; 8];
        self.device.window_read(0, PENDING, &mut bits);
        bits[0]
    }
}

#[test]
fn writing_ones_tells_the_sizes_of_windows() {
    let bench = bench();
    for register in (BAR0..0x28).step_by(4) {
        bench.set(register, u32::MAX);
    }
    let sizes: Vec<u32> = (BAR0..0x28).step_by(4).map(|at| bench.get(at)).collect();
    let wide = !(WIDE_WINDOW as u32 - 1) | 0xc;
    let ports = !(PORTS as u32 - 1) | 1;
    assert_eq!(sizes, [!(WINDOW as u32 - 1), 0, wide, u32::MAX, ports, 0]);
    assert!(
        bench.kernel.writes().is_empty(),
        "the device keeps its addresses"
    );
}

#[test]
fn windows_are_shown_where_the_guest_puts_them_without_the_vector_table() {
    let bench = bench();
    bench.set(BAR0, 0xd000_0000);
    bench.set(BAR0 + 8, 0);
    bench.set(BAR0 + 12, 0x10);
    bench.set(BAR0 + 16, 0x6000);
    assert!(bench.guest.take().is_empty() && bench.device.windows().is_empty());
    bench.command(7);
    let parts = [
        Told::Show(SLOT, 0xd000_0000, 0x2000),
        Told::Show(SLOT + 1, 0xd000_4000, 0xc000),
        Told::Show(SLOT + 2, 0x10_0000_0000, WIDE_WINDOW),
    ];
    assert_eq!(bench.guest.take(), parts);
    let windows = bench.device.windows();
    let ports = windows.iter().find(|window| window.space == Space::Ports);
    assert_eq!(
        ports.map(|window| (window.bar, window.start)),
        Some((4, 0x6000))
    );
    // It moves.
    bench.set(BAR0, 0xd800_0000);
    let told = bench.guest.take();
    assert_eq!(told[..3], [SLOT, SLOT + 1, SLOT + 2].map(Told::Hide));
    assert!(told.contains(&Told::Show(SLOT, 0xd800_0000, 0x2000)));
    // Decoding goes off before the device hears of it.
    bench.command(0);
    assert_eq!(bench.guest.take().len(), 3);
    assert!(bench.device.windows().is_empty());
    assert_eq!(bench.device.next_slot(), SLOT + 3);
}

#[test]
fn a_sleeping_device_has_no_memory() {
    let bench = bench();
    bench.set(BAR0, 0xd000_0000);
    bench.command(2);
    bench.guest.take();
    bench.device.config_write(POWER + 4, &[3]);
    assert_eq!(bench.guest.take(), [Told::Hide(SLOT), Told::Hide(SLOT + 1)]);
    bench.device.config_write(POWER + 4, &[0]);
    assert_eq!(bench.guest.take().len(), 2);
}

#[test]
fn a_guest_sees_one_function_with_what_is_there() {
    let plain = bench();
    assert_eq!(plain.get(0), 0x1234_10de);
    assert_eq!(plain.byte(0x0e), 0, "one function");
    assert_eq!((plain.byte(0x3c), plain.byte(0x3d)), (0, 1), "pin A");
    assert_eq!(plain.capabilities(), [0x01, 0x05, 0x11]);
    let settings = Settings {
        express: true,
        disguise: Disguise {
            device: Some(0xabcd),
            sub_vendor: Some(0x1af4),
            ..Disguise::default()
        },
        ..Settings::default()
    };
    let other = make(Fake::new(), &settings).unwrap();
    assert_eq!((other.get(0), other.get(0x2c)), (0xabcd_10de, 0x5678_1af4));
    assert_eq!(other.capabilities(), [0x01, 0x05, 0x10, 0x11]);
    assert_eq!(other.byte(EXPRESS + 2), 0x92, "part of the root complex");
    assert_eq!(other.get(EXPRESS + 0x0c), 0, "without a link");
}

#[test]
fn the_line_works_until_messages_are_on() {
    let bench = make(Fake::new(), &Settings::default()).unwrap();
    let on = [Asked::Trigger(Irq::Line, 1), Asked::Unmask];
    assert_eq!(bench.kernel.orders(), on);
    assert_eq!(bench.guest.take(), [Told::Line(GSI)]);
    bench.set(MSIX, 0x8000_0000);
    let messages = [Asked::Trigger(Irq::Line, 0), Asked::Trigger(Irq::MsiX, 4)];
    assert_eq!(bench.kernel.orders(), messages);
    assert_eq!(bench.guest.take(), [Told::Unwire(GSI)]);
    bench.set(MSIX, 0);
    let line = [
        Asked::Trigger(Irq::MsiX, 0),
        Asked::Trigger(Irq::Line, 1),
        Asked::Unmask,
    ];
    assert_eq!(bench.kernel.orders(), line);
    assert_eq!(bench.guest.take(), [Told::Line(GSI)]);
}

#[test]
fn a_vector_has_its_message_while_nothing_masks_it() {
    let bench = bench();
    // On, and all masked, as drivers begin.
    bench.set(MSIX, 0xc000_0000);
    bench.guest.take();
    bench.vector(1, 0x41, 0);
    assert!(bench.guest.take().is_empty());
    bench.set(MSIX, 0x8000_0000);
    assert_eq!(bench.guest.take(), [Told::Wire(WIRE + 1, (ADDRESS, 0x41))]);
    bench.vector(1, 0x41, 1);
    assert_eq!(bench.guest.take(), [Told::Unwire(WIRE + 1)]);
    // What happens meanwhile is kept.
    assert_eq!(bench.pending(), 0);
    bench.kernel.bells.lock().unwrap()[1].raise();
    assert_eq!((bench.pending(), bench.pending()), (2, 2));
    bench.vector(1, 0x42, 0);
    assert_eq!(
        bench.guest.take().last(),
        Some(&Told::Wire(WIRE + 1, (ADDRESS, 0x42)))
    );
    assert_eq!(bench.pending(), 0, "it is KVM's to hear now");
    // The kernel was asked once.
    let orders = bench.kernel.orders();
    assert_eq!(
        orders,
        [Asked::Trigger(Irq::Line, 0), Asked::Trigger(Irq::MsiX, 4)]
    );
}

#[test]
fn messages_of_the_capability_count_up() {
    let bench = bench();
    bench.set(MSI + 4, ADDRESS as u32);
    bench.device.config_write(MSI + 12, &[0x47, 0]);
    // Vector 2 is masked; four messages, on.
    bench.set(MSI + 16, 1 << 2);
    bench.set(MSI, 0x21 << 16);
    let orders = bench.kernel.orders();
    assert_eq!(
        orders,
        [Asked::Trigger(Irq::Line, 0), Asked::Trigger(Irq::Msi, 4)]
    );
    let wired = [(0, 0x44), (1, 0x45), (3, 0x47)];
    let wired = wired.map(|(vector, data)| Told::Wire(WIRE + vector, (ADDRESS, data)));
    assert_eq!(bench.guest.take()[1..], wired);
    bench.set(MSI + 16, 0);
    assert_eq!(bench.guest.take(), [Told::Wire(WIRE + 2, (ADDRESS, 0x46))]);
    assert_eq!(bench.byte(MSI + 2), 0xa7, "as it was set, with what it can");
    bench.set(MSI, 0);
    assert_eq!(bench.kernel.orders()[0], Asked::Trigger(Irq::Msi, 0));
}

#[test]
fn what_is_not_ours_goes_to_the_device() {
    let bench = bench();
    let mut data = [0; 4];
    bench.device.window_read(0, 0x10, &mut data);
    assert_eq!(data, [0x50; 4]);
    bench.device.window_write(0, 0x10, &[1, 2]);
    bench.device.window_write(4, 0x7c, &[3; 4]);
    // A string of port accesses, and the pending bits.
    bench.device.window_write(4, 0, &[3; 8]);
    bench.device.window_write(0, PENDING, &[1]);
    let writes = [
        Asked::Write(0, 0x10, vec![1, 2]),
        Asked::Write(4, 0x7c, vec![3; 4]),
    ];
    assert_eq!(bench.kernel.writes(), writes);
    bench.device.window_read(4, 0, &mut [0; 8]);
    // Command is the device's; beside it, only what is not ours of a wide write.
    bench.device.config_write(0x3b, &[9; 4]);
    let part = Asked::Write(CONFIG_REGION, 0x3b, vec![9]);
    let rest = Asked::Write(CONFIG_REGION, 0x3e, vec![9]);
    assert_eq!(bench.kernel.writes(), [part, rest]);
    assert_eq!(bench.byte(0x3c), 9);
}

#[test]
fn an_expansion_rom_is_read_when_it_is_wanted() {
    let bench = bench();
    bench.set(0x30, u32::MAX);
    assert_eq!(bench.get(0x30), 0);
    let settings = Settings {
        rom: true,
        ..Settings::default()
    };
    let bench = make(Fake::new(), &settings).unwrap();
    bench.set(0x30, u32::MAX);
    assert_eq!(bench.get(0x30), 0xffff_f001);
    bench.set(0x30, 0xd000_0001);
    bench.command(2);
    let windows = bench.device.windows();
    let rom = windows.iter().find(|window| window.bar == ROM).unwrap();
    assert_eq!((rom.start, rom.len), (0xd000_0000, 0x1000));
    let mut data = [0; 8];
    bench.device.window_read(ROM, 0xffc, &mut data);
    assert_eq!(data, [0x56, 0x56, 0x56, 0x56, 0xff, 0xff, 0xff, 0xff]);
}

#[test]
fn an_ended_device_is_quiet() {
    let bench = bench();
    bench.set(BAR0, 0xd000_0000);
    bench.command(6);
    bench.guest.take();
    bench.device.end();
    bench.device.reset();
    let told = [Told::Unwire(GSI), Told::Hide(SLOT), Told::Hide(SLOT + 1)];
    assert_eq!(bench.guest.take(), told);
    assert_eq!(bench.get(COMMAND) & 0xffff, 0);
    let orders = [Asked::Trigger(Irq::Line, 0), Asked::Reset];
    assert_eq!(bench.kernel.orders(), orders);
}

#[test]
fn what_cannot_be_a_guests_is_refused() {
    let bridge = make(Fake::new().with(0x0e, &[1]), &Settings::default());
    assert!(matches!(bridge, Err(Error::Registers(_))));
    let (kernel, guest) = (Arc::new(Fake::new()), Arc::new(Guest::default()));
    let connections = Connections {
        slots: guest.clone(),
        first_slot: SLOT,
        wiring: guest,
        first_wire: 4090,
        gsi: GSI,
    };
    let full = VfioPci::new(kernel, &Settings::default(), &connections);
    assert!(matches!(full, Err(Error::Interrupts(8))));
}

#[test]
fn a_device_that_contradicts_itself_does_no_harm() {
    // A vector table that reaches out of its window, or lies in none.
    for place in [WINDOW as u32 - 0x30, 5] {
        let kernel = Fake::new().with(MSIX + 4, &place.to_le_bytes());
        let bench = make(kernel, &Settings::default()).unwrap();
        assert_eq!(bench.capabilities(), [0x01, 0x05]);
    }
    // A list that bites its own tail, and capabilities that do not fit.
    let kernel = Fake::new().with(MSIX + 1, &[POWER as u8]);
    let bench = make(kernel, &Settings::default()).unwrap();
    assert_eq!(bench.capabilities(), [0x01, 0x05, 0x11]);
    for id in [0x01, 0x05, 0x10, 0x11] {
        let kernel = Fake::new()
            .with(0x34, &[0xfc])
            .with(0xfc, &[id, 0, 0xff, 0xff]);
        let settings = Settings {
            express: true,
            ..Settings::default()
        };
        hammer(&make(kernel, &settings).unwrap());
    }
}

/// Every offset with every width, with ones and zeros.
fn hammer(bench: &Bench) {
    for fill in [0xff, 0, 0xa5] {
        for offset in 0..256 {
            for len in 0..=(256 - offset).min(9) {
                bench.device.config_write(offset, &vec![fill; len]);
                bench.device.config_read(offset, &mut vec![0; len]);
            }
        }
        for window in bench.device.windows() {
            for offset in (0..window.len).step_by(13) {
                for len in 0..=(window.len - offset).min(9) as usize {
                    let data = vec![fill; len];
                    bench.device.window_write(window.bar, offset, &data);
                    bench
                        .device
                        .window_read(window.bar, offset, &mut vec![0; len]);
                }
            }
            if window.len > WINDOW {
                break;
            }
        }
    }
}

#[test]
fn any_access_is_answered() {
    hammer(&bench());
    let broken = bench();
    broken.kernel.fails.store(true, Ordering::Relaxed);
    assert_eq!(broken.get(0), u32::MAX);
    let mut data = [0; 2];
    broken.device.window_read(0, 0, &mut data);
    assert_eq!(data, [0xff; 2]);
    hammer(&broken);
}

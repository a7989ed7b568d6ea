//! The board's fixed devices together: power management, serial ports, clock, resets, flash memory,
//! the bridges' configuration, system management, the port of panics, and the registers by which devices
//! come and go.

use std::sync::Arc;

use crate::bus::{self, Places};
use crate::files;
use crate::input::Input;
use crate::machine::{self, Nobody};
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::cpus::{self, Cpus};
use basalt_vmm::devices::flash::{self, Flash};
use basalt_vmm::devices::lpc::{self, Lpc};
use basalt_vmm::devices::pm::{self, PowerManagement};
use basalt_vmm::devices::pvpanic::{self, Pvpanic};
use basalt_vmm::devices::reset::{KeyboardReset, ResetControl, SystemControl};
use basalt_vmm::devices::rtc::{self, Rtc};
use basalt_vmm::devices::serial::{self, SerialPort};
use basalt_vmm::devices::smi::{self, ApmPorts, Smi};
use basalt_vmm::machine::interrupts::EdgeLine;
use basalt_vmm::machine::layout::{
    APM_PORT, CPUS_PORT, ECAM, HIGH_MEMORY, HOTPLUG_PORT, KEYBOARD_PORT, PCI_CONFIG_PORT, PM_PORT,
    PVPANIC_PORT, RTC_PORT, SERIAL_PORTS as COM, SMI_PORT, SYSTEM_CONTROL_PORT,
};
use basalt_vmm::pci::host::{DEVICES, PciHost};
use basalt_vmm::pci::hotplug::{self, Slots};
use basalt_vmm::terminal::Terminal;

/// Bytes of the variables.
const VARS: usize = 4 * flash::BLOCK;
const VARS_AT: u64 = HIGH_MEMORY - VARS as u64;
const PLACES: Places<'_> = Places {
    ports: &[
        PM_PORT,
        PM_PORT + 2,
        PM_PORT + 4,
        PM_PORT + 8,
        COM[0].port,
        COM[0].port + 1,
        COM[0].port + 2,
        COM[0].port + 3,
        COM[0].port + 4,
        COM[0].port + 5,
        COM[1].port,
        COM[1].port + 1,
        COM[2].port,
        COM[2].port + 1,
        COM[2].port + 2,
        COM[2].port + 4,
        COM[3].port,
        COM[3].port + 3,
        RTC_PORT,
        RTC_PORT + 1,
        SYSTEM_CONTROL_PORT,
        KEYBOARD_PORT,
        PCI_CONFIG_PORT,
        PCI_CONFIG_PORT + 1,
        PCI_CONFIG_PORT + 4,
        PCI_CONFIG_PORT + 6,
        PM_PORT + pm::GENERAL_EVENTS,
        PM_PORT + pm::GENERAL_EVENTS + 2,
        HOTPLUG_PORT + hotplug::PLUGGED,
        HOTPLUG_PORT + hotplug::WANTED,
        HOTPLUG_PORT + hotplug::EJECT,
        CPUS_PORT + cpus::CAME,
        CPUS_PORT + cpus::WANTED + 4,
        CPUS_PORT + cpus::EJECT,
        SMI_PORT,
        SMI_PORT + 4,
        APM_PORT,
        APM_PORT + 1,
        PVPANIC_PORT,
    ],
    memory: &[(VARS_AT, VARS as u64 + 4), (VARS_AT, 16), (ECAM, 0x10_0000)],
};

/// Plays one input.
pub fn run(data: &[u8]) {
    let events = machine::events();
    let power = Arc::new(PowerManagement::new(Arc::new(Nobody), events.clone()));
    let lines = [3, 4].map(|irq| EdgeLine::new(irq, Arc::new(Nobody)));
    let serial = COM.map(|place| {
        let terminal = Terminal::new().expect("an eventfd can be had");
        let line = lines[usize::from(place.irq == 4)].clone();
        let port = SerialPort::new(terminal.clone(), line);
        let fed = port.clone();
        terminal.on_input(Arc::new(move || fed.feed()));
        (place, terminal, port)
    });
    let file = files::of(VARS as u64);
    let array = flash::load(&file, VARS).expect("memory can be had");
    let vars = Flash::new(VARS_AT, array, Arc::new(file), Box::new(Nobody));
    let vars = vars.expect("nothing refuses it");
    let managed = data.first().is_some_and(|first| first & 1 != 0);
    let vars = Arc::new(if managed { vars.guarded() } else { vars });
    let reset = ResetControl::new(events.clone());
    let smi = Arc::new(Smi::new(Arc::new(Nobody)));
    let bridge = Arc::new(Lpc::with_smi(smi.clone()));
    let host = match managed {
        true => PciHost::with_smram(vec![(lpc::SLOT, bridge)], reset, Arc::new(Nobody)),
        false => PciHost::new(vec![(lpc::SLOT, bridge)], reset, true),
    };
    let host = Arc::new(host);
    let slots = Arc::new(Slots::new(host.clone(), power.clone(), events.clone()));
    let cpus = Arc::new(Cpus::new(1, power.clone(), events.clone()));
    let clock = Arc::new(Rtc::new(machine::MEMORY));
    let panics = Arc::new(Pvpanic::new(events.clone()));
    let mut bus = Bus::default();
    bus.add_ports(PM_PORT, pm::LEN, power.clone());
    for (place, _, port) in &serial {
        bus.add_ports(place.port, serial::LEN, port.clone());
    }
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    bus.add_ports(HOTPLUG_PORT, hotplug::LEN, slots.clone());
    bus.add_ports(CPUS_PORT, cpus::LEN, cpus.clone());
    bus.add_ports(RTC_PORT, rtc::LEN, clock);
    bus.add_ports(PVPANIC_PORT, pvpanic::LEN, panics.clone());
    bus.add_ports(
        KEYBOARD_PORT,
        1,
        Arc::new(KeyboardReset::new(events.clone())),
    );
    bus.add_ports(
        SYSTEM_CONTROL_PORT,
        1,
        Arc::new(SystemControl::new(events.clone())),
    );
    bus.add_ports(SMI_PORT, smi::LEN, smi.clone());
    bus.add_ports(APM_PORT, smi::APM_LEN, Arc::new(ApmPorts(smi.clone())));
    bus.add_memory(vars.clone());
    bus.add_memory(host.clone());
    let mut input = Input::new(data);
    while !input.is_empty() {
        match input.byte() % 16 {
            0 => {
                let len = input.below(64);
                let (_, terminal, _) = &serial[input.below(serial.len())];
                terminal.type_in(input.bytes(len));
            }
            1 => power.press_power_button(),
            2 => drop(events.take()),
            3 => vars.restore(vars.save()).expect("nothing refuses it"),
            4 => {
                let slot = input.below(DEVICES) as u8;
                host.plug(slot, Arc::new(Lpc::new()));
                slots.announce(slot);
            }
            8 if input.byte() & 1 == 0 => cpus.announce(input.qword()),
            8 => {
                // Never the first one.
                cpus.ask(input.qword() & !1);
                assert!(cpus.restore(&cpus.save(), 64), "it was saved just now");
            }
            5 => slots.ask(input.below(DEVICES) as u8),
            6 => {
                slots.withdraw(input.below(DEVICES) as u8);
                slots.restore(&slots.save());
            }
            7 => assert!(events.take_ejected().len() <= DEVICES),
            9 => {
                smi.restore(smi.save());
                assert!(host.restore(&host.save()), "it was saved just now");
            }
            10 => {
                let offset = input.below(VARS) as u64;
                bus.memory_write_managed(VARS_AT + offset, &[input.byte()]);
            }
            _ => bus::access(&bus, &PLACES, &mut input),
        }
    }
    if let Some(said) = panics.save() {
        panics.restore(said.clone());
        assert_eq!(panics.save(), Some(said), "it was saved just now");
    }
    for (_, terminal, port) in &serial {
        assert!(port.restore(port.save()), "it was saved just now");
        terminal.detach();
    }
}

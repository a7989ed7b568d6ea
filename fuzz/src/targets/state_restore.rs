//! Saved states of devices, changed at will: a device takes them or not, and serves its guest after.

use std::sync::Arc;

use crate::bus::{self, Places};
use crate::input::Input;
use crate::machine::{self, Nobody};
use basalt_vmm::bus::Bus;
use basalt_vmm::devices::i8042::{COMMAND, CommandPort, I8042};
use basalt_vmm::devices::lpc::{self, Lpc};
use basalt_vmm::devices::pm::{self, PowerManagement};
use basalt_vmm::devices::reset::ResetControl;
use basalt_vmm::devices::rtc::{self, Rtc};
use basalt_vmm::devices::serial::{self, SerialPort};
use basalt_vmm::devices::{fwcfg, ramfb};
use basalt_vmm::display::Screen;
use basalt_vmm::display::capture::Capture;
use basalt_vmm::machine::interrupts::EdgeLine;
use basalt_vmm::machine::layout::{
    FW_CFG_PORT, HOTPLUG_PORT, I8042_PORT, PCI_CONFIG_PORT, PCI_WINDOW, PM_PORT, RTC_PORT,
    SERIAL_PORTS,
};
use basalt_vmm::pci::host::PciHost;
use basalt_vmm::pci::hotplug::{self, Slots};
use basalt_vmm::terminal::Terminal;
use basalt_vmm::virtio::gpu::{self, Gpu};
use basalt_vmm::virtio::transport::{VirtioPci, WINDOW_SIZE};
use basalt_vmm::virtio::worker::Worker;
use serde_json::Value;

const GPU: u8 = 2;
const PLACES: Places<'_> = Places {
    ports: &[
        PM_PORT,
        SERIAL_PORTS[0].port,
        SERIAL_PORTS[0].port + 4,
        RTC_PORT,
        RTC_PORT + 1,
        I8042_PORT,
        I8042_PORT + COMMAND,
        FW_CFG_PORT,
        FW_CFG_PORT + 1,
        FW_CFG_PORT + 8,
        PCI_CONFIG_PORT,
        PCI_CONFIG_PORT + 4,
        HOTPLUG_PORT,
        HOTPLUG_PORT + hotplug::EJECT,
    ],
    memory: &[(
        PCI_WINDOW + GPU as u64 * WINDOW_SIZE as u64,
        WINDOW_SIZE as u64,
    )],
};

/// A state as it was saved, with some of its numbers and lists changed.
fn changed<S: serde::Serialize, T: serde::de::DeserializeOwned>(
    saved: S,
    input: &mut Input<'_>,
) -> Option<T> {
    let mut value = serde_json::to_value(saved).expect("a state can be written");
    for _ in 0..input.byte() % 4 {
        change(&mut value, input);
    }
    serde_json::from_value(value).ok()
}

/// Goes down to one value and changes it.
fn change(value: &mut Value, input: &mut Input<'_>) {
    let fresh = || Value::Null;
    match value {
        Value::Object(map) if !map.is_empty() => {
            let index = input.below(map.len());
            let inner = map.values_mut().nth(index);
            inner.into_iter().for_each(|inner| change(inner, input));
        }
        Value::Array(list) => match (input.byte() % 8, list.len()) {
            (0, _) | (_, 0) => {
                let more = list.first().cloned().unwrap_or(Value::from(input.byte()));
                list.resize(list.len() + input.below(8), more);
            }
            (1, len) => list.truncate(input.below(len)),
            (_, len) => change(&mut list[usize::from(input.word()) % len], input),
        },
        Value::Bool(set) => *set = !*set,
        Value::Null => *value = Value::from(input.byte()),
        Value::String(text) => {
            let words = [
                "array",
                "status",
                "identity",
                "command",
                "byte",
                "confirmation",
            ];
            *text = words[input.below(words.len())].to_owned();
        }
        _ => {
            *value = match input.byte() % 8 {
                0 => Value::from(input.qword()),
                1 => Value::from(input.dword()),
                2 => Value::from(input.word()),
                3 => fresh(),
                _ => Value::from(input.byte()),
            }
        }
    }
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (memory, events) = (machine::memory(), machine::events());
    let terminal = Terminal::new().expect("an eventfd can be had");
    let screen = Screen::new().expect("an eventfd can be had");
    screen.attach(memory.clone(), Vec::new());

    let power = Arc::new(PowerManagement::new(Arc::new(Nobody), events.clone()));
    if let Some(state) = changed(power.save(), &mut input) {
        power.restore(state, input.qword());
    }
    if let Some(state) = changed::<_, _>(terminal.save(), &mut input) {
        terminal.restore(&state);
    }
    let port = SerialPort::new(terminal.clone(), EdgeLine::new(4, Arc::new(Nobody)));
    if let Some(state) = changed(port.save(), &mut input) {
        port.restore(state);
    }
    let clock = Arc::new(Rtc::new(machine::MEMORY));
    if let Some(state) = changed(clock.save(), &mut input) {
        clock.restore(state);
    }
    let keys = I8042::new(Arc::new(Nobody), events.clone(), Some(screen.clone()));
    let keys = Arc::new(keys);
    if let Some(state) = changed(keys.save(), &mut input) {
        keys.restore(state);
    }
    let mut blobs = fwcfg::Blobs::new([7; 16], machine::MEMORY, 2, 2);
    blobs.file("bootorder", vec![1; 40]);
    let shown = screen.clone();
    let show = move |bytes: &[u8]| shown.show(ramfb::surface(bytes));
    blobs.register(ramfb::FILE, ramfb::LEN, Box::new(show));
    let config = Arc::new(blobs.build(memory.clone()));
    if let Some(state) = changed(config.save(), &mut input) {
        config.restore(state);
    }
    let bridge = Arc::new(Lpc::new());
    if let Some(state) = changed::<_, _>(bridge.save(), &mut input) {
        bridge.restore(&state);
    }

    let display = Gpu::new(screen.clone()).expect("an eventfd can be had");
    let description = gpu::description();
    let queues = description.queues.len();
    let worker = Worker::start_unconfined("fuzz", queues, Box::new(display));
    let display = VirtioPci::new(
        GPU,
        Some(PCI_WINDOW as u32 + u32::from(GPU) * WINDOW_SIZE),
        description,
        memory.clone(),
        machine::interrupts(GPU, queues),
        worker.expect("a thread can be had"),
        Arc::new(Nobody),
    );
    let display = Arc::new(display.expect("queues have good sizes"));
    let saved = display.save().expect("it does nothing");
    if let Some(state) = changed(saved, &mut input) {
        // A state that does not fit is refused.
        let _ = display.restore(state);
    }
    let reset = ResetControl::new(events.clone());
    let host = PciHost::new(
        vec![(GPU, display.clone()), (lpc::SLOT, bridge)],
        reset,
        false,
    );
    let host = Arc::new(host);
    let slots = Slots::new(host.clone(), power.clone(), events.clone());
    let slots = Arc::new(slots);
    if let Some(state) = changed::<_, _>(slots.save(), &mut input) {
        slots.restore(&state);
    }
    if let Some(state) = changed::<_, _>(host.save(), &mut input) {
        host.restore(&state);
    }
    display.resume();

    let mut bus = Bus::default();
    bus.add_ports(PM_PORT, pm::LEN, power);
    bus.add_ports(SERIAL_PORTS[0].port, serial::LEN, port);
    bus.add_ports(RTC_PORT, rtc::LEN, clock);
    bus.add_ports(I8042_PORT, 1, keys.clone());
    bus.add_ports(I8042_PORT + COMMAND, 1, Arc::new(CommandPort(keys)));
    bus.add_ports(FW_CFG_PORT, fwcfg::LEN, config);
    bus.add_ports(PCI_CONFIG_PORT, 8, host.clone());
    bus.add_ports(HOTPLUG_PORT, hotplug::LEN, slots);
    bus.add_memory(host);
    bus::play(&bus, &PLACES, &mut input);
    Capture::default().refresh(&screen);
    display.end();
}

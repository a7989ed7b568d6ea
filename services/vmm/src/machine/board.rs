//! The PCI devices of a machine, and how each is made.

use std::sync::Arc;

use basalt_model::machine::Adapter;
use kvm_ioctls::VmFd;

use super::events::{Events, FullDisk, News};
use super::interrupts::{LineHolder, SharedLine};
use super::layout::{INTX_BASE, MEMORY_SLOT, PCI_WINDOW, VSOCK_SLOT, WATCHDOG_SLOT, intx_line};
use super::passed::Passed;
use super::routes::{Routes, first_wire};
use super::spaces::Spaces;
use super::{Error, Terminals};
use crate::devices::watchdog::Watchdog;
use crate::display::{Input, Screen};
use crate::spec::{DiskResource, NicResource, Resources};
use crate::virtio::balloon::Balloon;
use crate::virtio::block::{self, Block, Orders};
use crate::virtio::console::Console;
use crate::virtio::fs::{self, FileSystem};
use crate::virtio::gpu::Gpu;
use crate::virtio::input::{self, Model};
use crate::virtio::interrupt::Interrupts;
use crate::virtio::mem::{self, Mem};
use crate::virtio::net::Net;
use crate::virtio::ports::Ports;
use crate::virtio::rng::Rng;
use crate::virtio::scsi::{self, Scsi};
use crate::virtio::transport::{VirtioPci, WINDOW_SIZE};
use crate::virtio::vsock::Vsock;
use crate::virtio::worker::{Backend, Worker};
use crate::virtio::{Description, console, gpu, net, ports, rng};

/// PCI device number of the entropy device.
const RNG_SLOT: u8 = 1;
/// PCI device number of the SCSI adapter.
pub(super) const SCSI_SLOT: u8 = 17;
/// PCI device number of the balloon.
const BALLOON_SLOT: u8 = 26;
/// Name of the balloon.
pub(super) const BALLOON: &str = "balloon";
/// Name of the device by which memory comes and goes.
pub(super) const MEMORY: &str = "memory";
/// PCI device number of the display.
const GPU_SLOT: u8 = 27;
/// PCI device number of the keyboard.
const KEYBOARD_SLOT: u8 = 28;
/// PCI device number of the tablet.
const TABLET_SLOT: u8 = 29;
/// PCI device number of the console and the guest agent's port.
const CONSOLE_SLOT: u8 = 30;

/// A disk as the main thread reaches it.
pub(super) struct DiskHandle {
    pub(super) id: String,
    pub(super) orders: Orders,
    pub(super) device: Arc<VirtioPci>,
    pub(super) size: u64,
}

/// A device in its slot.
pub(super) struct Placed {
    /// PCI device number.
    pub(super) slot: u8,
    /// Configuration key, or what the device is.
    pub(super) id: String,
    pub(super) device: Arc<VirtioPci>,
}

/// Who says where a device's memory window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Windows {
    /// We do, and decoding is on: a kernel that is entered directly finds them in place.
    Placed,
    /// Firmware, or a guest in which the device is plugged.
    Guest,
}

/// The PCI devices.
pub(super) struct Board {
    pub(super) devices: Vec<Placed>,
    pub(super) disks: Vec<DiskHandle>,
    /// Input devices; the first that the guest listens to gets what is typed. Taken once all
    /// devices are made.
    pub(super) inputs: Vec<Arc<dyn Input>>,
    /// For the devices to come.
    pub(super) windows: Windows,
    pub(super) events: Arc<Events>,
    pub(super) watchdog: Option<Arc<Watchdog>>,
    lines: Vec<Arc<SharedLine>>,
    routes: Arc<Routes>,
    /// Devices of the host.
    pub(super) passed: Passed,
    // Last, since devices use both.
    pub(super) vm: Arc<VmFd>,
    pub(super) spaces: Arc<Spaces>,
}

impl Board {
    /// A board without devices.
    pub(super) fn new(
        vm: Arc<VmFd>,
        spaces: Arc<Spaces>,
        windows: Windows,
        events: Arc<Events>,
    ) -> Self {
        let lines = (INTX_BASE..INTX_BASE + 4).map(|gsi| SharedLine::new(gsi, vm.clone()));
        Self {
            lines: lines.collect(),
            routes: Arc::new(Routes::new(vm.clone())),
            vm,
            spaces,
            windows,
            events,
            devices: Vec::new(),
            disks: Vec::new(),
            inputs: Vec::new(),
            passed: Passed::default(),
            watchdog: None,
        }
    }

    /// The watchdog.
    pub(super) fn add_watchdog(&mut self, resources: &Resources) {
        let Some(watchdog) = &resources.watchdog else {
            return;
        };
        let window = PCI_WINDOW as u32 + u32::from(WATCHDOG_SLOT) * WINDOW_SIZE;
        let window = (self.windows == Windows::Placed).then_some(window);
        let (timed_out, events) = (watchdog.timed_out.clone(), self.events.clone());
        self.watchdog = Some(Arc::new(Watchdog::new(window, timed_out, events)));
    }

    /// The devices of the host, which from now on can reach all memory.
    pub(super) fn add_passed(&mut self, resources: &Resources) -> Result<(), Error> {
        let wiring = self.routes.clone();
        let memory = self.spaces.reachable();
        self.passed = Passed::new(&resources.passthrough, &self.vm, memory, wiring)?;
        Ok(())
    }

    /// All devices but the display's.
    pub(super) fn add_devices(
        &mut self,
        resources: &Resources,
        terminals: &Terminals,
    ) -> Result<(), Error> {
        let failed = |id: &str| {
            let id = id.to_owned();
            move |e| Error::Device(id, e)
        };
        if let Some(rng) = &resources.rng {
            let device = Rng::new(rng.source.clone(), rng.budget.clone());
            let device = device.map_err(failed("rng"))?;
            self.add(RNG_SLOT, "rng", rng::description(), Box::new(device))?;
        }
        if let Some(levers) = &resources.balloon {
            let device = Balloon::new(levers.clone());
            let description = levers.description();
            self.add(BALLOON_SLOT, BALLOON, description, Box::new(device))?;
        }
        if let Some(blocks) = &resources.blocks {
            let events = self.events.clone();
            let device = Mem::new(
                blocks.clone(),
                Box::new(move || events.report(News::Memory)),
            );
            self.add(MEMORY_SLOT, MEMORY, mem::description(), Box::new(device))?;
        }
        for disk in &resources.disks {
            self.add_disk(disk)?;
        }
        if !resources.drives.is_empty() {
            let device = Scsi::new(resources.drives.clone());
            let description = scsi::description(resources.drives.len());
            self.add(SCSI_SLOT, "scsi", description, Box::new(device))?;
        }
        for nic in &resources.nics {
            self.add_nic(nic)?;
        }
        if let Some(kernel) = &resources.vsock {
            let device = Vsock::new(kernel.clone());
            let description = kernel.description();
            self.add(VSOCK_SLOT, "vsock", description, Box::new(device))?;
        }
        for share in &resources.shares {
            let device = FileSystem::new(&share.id, share.server.clone());
            let description = fs::description(&share.tag);
            self.add(share.slot, &share.id, description, Box::new(device))?;
        }
        if let Some(channel) = &terminals.agent {
            let console = resources.console.then(|| terminals.console.clone());
            let device = Ports::new(console, channel.clone()).map_err(failed("agent"))?;
            self.add(
                CONSOLE_SLOT,
                "agent",
                ports::description(),
                Box::new(device),
            )?;
        } else if resources.console {
            let device = Console::new(terminals.console.clone()).map_err(failed("console"))?;
            self.add(
                CONSOLE_SLOT,
                "console",
                console::description(),
                Box::new(device),
            )?;
        }
        Ok(())
    }

    /// A network card.
    pub(super) fn add_nic(&mut self, nic: &NicResource) -> Result<Arc<VirtioPci>, Error> {
        let mut device = Net::new(nic.tap.clone(), nic.counters.clone());
        if let Some(kernel) = &nic.vhost {
            device = device.by_kernel(&nic.id, kernel.clone());
        }
        let description = net::description(nic.mac, !nic.link_down);
        self.add(nic.slot, &nic.id, description, Box::new(device))
    }

    /// A disk.
    pub(super) fn add_disk(&mut self, disk: &DiskResource) -> Result<Arc<VirtioPci>, Error> {
        let id = disk.settings.name.clone();
        let failed = |e| Error::Device(id.clone(), e);
        let orders = Orders::default();
        let (events, name) = (self.events.clone(), id.clone());
        let on_full = move |error: &std::io::Error| {
            events.report_full(FullDisk {
                disk: name.clone(),
                error: error.to_string(),
            });
        };
        let device = Block::new(
            disk.image.open().map_err(failed)?,
            disk.settings.clone(),
            disk.counters.clone(),
            orders.clone(),
            Box::new(on_full),
        )
        .map_err(failed)?;
        let size = device.size();
        let description = block::description(&disk.settings, size);
        let device = self.add(disk.slot, &id, description, Box::new(device))?;
        self.disks.push(DiskHandle {
            id,
            orders,
            device: device.clone(),
            size,
        });
        Ok(device)
    }

    /// The display's devices.
    pub(super) fn add_display(
        &mut self,
        resources: &Resources,
        screen: &Arc<Screen>,
    ) -> Result<(), Error> {
        let Some(display) = resources.display else {
            return Ok(());
        };
        let failed = |e| Error::Device("display".to_owned(), e);
        if display.adapter == Adapter::Virtio {
            let device = Gpu::new(screen.clone()).map_err(failed)?;
            screen.set_resizer(Some(device.wishes()));
            self.add(GPU_SLOT, "display", gpu::description(), Box::new(device))?;
        }
        let tablet = display
            .tablet
            .then_some((TABLET_SLOT, "tablet", Model::Tablet));
        let keyboard = (KEYBOARD_SLOT, "keyboard", Model::Keyboard);
        for (slot, id, model) in [keyboard].into_iter().chain(tablet) {
            let device = input::Device::new(model).map_err(failed)?;
            self.inputs.push(device.handle());
            self.add(slot, id, input::description(), Box::new(device))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        slot: u8,
        id: &str,
        description: Description,
        backend: Box<dyn Backend>,
    ) -> Result<Arc<VirtioPci>, Error> {
        let failed = |e: std::io::Error| Error::Device(id.to_owned(), e);
        let queues = description.queues.len();
        let worker = Worker::start(id, queues, backend).map_err(failed)?;
        let line = self.lines[(intx_line(slot) - INTX_BASE) as usize].clone();
        let holder = LineHolder::new(line, slot);
        let mut interrupts = Interrupts::new(queues, self.vm.clone(), holder);
        if let Some(wire) = first_wire(slot) {
            interrupts = interrupts.with_wires(self.routes.clone(), wire);
        }
        let interrupts = Arc::new(interrupts);
        let window = PCI_WINDOW as u32 + u32::from(slot) * WINDOW_SIZE;
        let device = VirtioPci::new(
            slot,
            (self.windows == Windows::Placed).then_some(window),
            description,
            self.spaces.reachable().clone(),
            interrupts,
            worker,
            self.vm.clone(),
        )
        .map_err(|e| failed(std::io::Error::other(e)))?;
        let device = Arc::new(device);
        self.devices.push(Placed {
            slot,
            id: id.to_owned(),
            device: device.clone(),
        });
        Ok(device)
    }
}

//! The host's side: groups in a container, the guest's memory lent to their devices, and the devices.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::mapping::Mapping;
use super::sys::{self, RegionInfo};
use super::{Area, Irq, Kernel, REGIONS, Region};
use crate::event::Signal;
use crate::machine::memory::Memory;

/// Groups of devices that share one view of memory.
pub struct Container {
    file: File,
    groups: Vec<File>,
}

impl Container {
    /// Joins groups, at least one, in a fresh container.
    pub fn new(file: File, groups: Vec<File>) -> io::Result<Self> {
        sys::check_container(&file)?;
        for group in &groups {
            sys::join(group, &file)?;
        }
        sys::set_iommu(&file)?;
        Ok(Self { file, groups })
    }

    /// The groups.
    pub fn groups(&self) -> &[File] {
        &self.groups
    }

    /// Takes the device with a PCI address out of a group.
    pub fn device(self: &Arc<Self>, group: usize, address: &str) -> io::Result<HostDevice> {
        let group = self.groups.get(group).ok_or(io::ErrorKind::NotFound)?;
        let file = sys::device(group, address)?;
        let info = sys::device_info(&file)?;
        let mut regions = Vec::new();
        for region in 0..info.regions.min(REGIONS as u32) {
            // A region that a device does not have is no error, only empty.
            regions.push(sys::region_info(&file, region)?);
        }
        let mut irqs = [0; 3];
        for kind in [Irq::Line, Irq::Msi, Irq::MsiX] {
            if (kind as u32) < info.irqs {
                irqs[kind as usize] = sys::irq_count(&file, kind)?;
            }
        }
        Ok(HostDevice {
            file,
            container: self.clone(),
            regions,
            irqs,
            resets: info.resets,
        })
    }

    /// Lends all of the guest's memory to the devices, which pins it, until the result goes.
    pub fn lend(self: &Arc<Self>, memory: &Arc<Memory>) -> io::Result<Lent> {
        let mut lent = Lent {
            container: self.clone(),
            memory: memory.clone(),
            spans: Vec::new(),
        };
        for region in lent.memory.iter() {
            let (start, len) = (region.start_addr().raw_value(), region.len());
            let address = region.as_ptr() as u64;
            // SAFETY: the region is as long as said and the guest's to write; `lent` keeps it as long
            // as devices have it.
            let mapped = unsafe { sys::map(&self.file, start, address, len) };
            mapped.map_err(|error| cannot_lend(start, len, &error))?;
            lent.spans.push((start, len));
        }
        Ok(lent)
    }

    /// Every descriptor that must stay open.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        std::iter::once(&self.file)
            .chain(&self.groups)
            .map(AsRawFd::as_raw_fd)
    }
}

fn cannot_lend(start: u64, len: u64, error: &io::Error) -> io::Error {
    let mib = len >> 20;
    let hint = match error.raw_os_error() {
        Some(libc::ENOMEM) => ": the limit of locked memory is too low, or the host has too little",
        Some(libc::EINVAL) => ": the host's IOMMU keeps addresses there for itself",
        _ => "",
    };
    let text =
        format!("{mib} MiB of memory at {start:#x} cannot be lent to devices: {error}{hint}");
    io::Error::new(error.kind(), text)
}

/// Memory that devices can reach.
pub struct Lent {
    container: Arc<Container>,
    memory: Arc<Memory>,
    spans: Vec<(u64, u64)>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (start, len) in &self.spans {
            if let Err(error) = sys::unmap(&self.container.file, *start, *len) {
                // The memory goes next, and devices must not write to what comes in its place. They
                // could not: the kernel pinned the pages. But this is no state to go on from.
                crate::fatal(&format!("devices keep the guest's memory: {error}"));
            }
        }
    }
}

/// A device of the host.
pub struct HostDevice {
    file: File,
    container: Arc<Container>,
    regions: Vec<RegionInfo>,
    irqs: [u32; 3],
    resets: bool,
}

impl HostDevice {
    /// Its descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Where an access is in the descriptor.
    fn place(&self, region: u32, offset: u64, len: usize) -> io::Result<u64> {
        let known = self.regions.get(region as usize);
        let end = offset.checked_add(len as u64);
        match (known, end) {
            (Some(known), Some(end)) if end <= known.size => Ok(known.offset + offset),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Kernel for HostDevice {
    fn region(&self, region: u32) -> Region {
        let known = self.regions.get(region as usize);
        known.map_or_else(Region::default, |known| Region {
            size: known.size,
            mappable: known.mappable.clone(),
        })
    }

    fn interrupts(&self, kind: Irq) -> u32 {
        self.irqs[kind as usize]
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let place = self.place(region, offset, data.len())?;
        self.file.read_exact_at(data, place)
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let place = self.place(region, offset, data.len())?;
        self.file.write_all_at(data, place)
    }

    fn map(&self, region: u32, area: Area) -> io::Result<Mapping> {
        let len = usize::try_from(area.len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let place = self.place(region, area.offset, len)?;
        Mapping::new(self.file.as_fd(), place, area.len)
    }

    fn trigger(&self, kind: Irq, bells: &[Arc<Signal>]) -> io::Result<()> {
        let bells: Vec<_> = bells.iter().map(|bell| bell.as_fd()).collect();
        sys::trigger(&self.file, kind, &bells)
    }

    fn trigger_line(&self, bell: &Signal) -> io::Result<()> {
        sys::trigger(&self.file, Irq::Line, &[bell.as_fd()])
    }

    fn unmask_by(&self, again: &Signal) -> io::Result<()> {
        sys::unmask_by(&self.file, again.as_fd())
    }

    fn reset(&self) -> io::Result<()> {
        match self.resets {
            true => sys::reset(&self.file),
            // All that is reset along with it is this machine's, or the kernel refuses.
            false => sys::reset_all(&self.file, &self.container.groups),
        }
    }
}

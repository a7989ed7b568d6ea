//! What a machine's memory is made of, and on which of the host's nodes that is.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use basalt_model::numa::{HostNodes, MAX_HOST_NODES, NodePolicy, Numa};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::backing::Backing;
use super::blocks::Blocks;
use super::layout::{MIB, Span};
use super::memory::{self, Error, Extent, Memory, Region};
use super::topology::spans;

/// What the memory of one machine is made of, over all of its resets.
#[derive(Default)]
pub struct Ground {
    /// What it lies in, if not in memory of this process alone.
    pub backing: Option<Backing>,
    /// Parts of the guest's address space, and the nodes of the host that they are on.
    places: Vec<(Span, HostNodes)>,
}

impl Ground {
    /// Memory in `backing`, or this process's own, on the nodes of the host that `numa` names. Huge pages
    /// are taken from the host here, all of them.
    ///
    /// # Errors
    /// When the host has too few huge pages where they are to be.
    pub fn new(
        backing: Option<Backing>,
        extent: Extent,
        numa: Option<&Numa>,
    ) -> Result<Self, Error> {
        let mut ground = Self {
            backing,
            places: Vec::new(),
        };
        ground.divide(numa);
        if let Some(backing) = ground.huge() {
            let memory = backing.map(extent, None)?;
            ground.place(&memory)?;
            // What can come from anywhere takes nothing away from what cannot.
            let placed = ground
                .parts(&memory)
                .map(|(region, part, _)| (region, part));
            let all = memory.iter().map(|region| (region, (0, region.size())));
            let mut parts = placed.chain(all);
            let filled = parts.try_for_each(|(region, part)| fill(region, part));
            filled.map_err(Error::Fill)?;
        }
        Ok(ground)
    }

    /// Has memory that comes from now on be on the nodes of the host that `numa` names.
    pub fn divide(&mut self, numa: Option<&Numa>) {
        self.places.clear();
        let mut start = 0;
        for node in numa.iter().flat_map(|numa| &numa.nodes) {
            let len = node.memory_mib * MIB;
            if let Some(host) = &node.host {
                let spans = spans(start, len).into_iter();
                self.places.extend(spans.map(|span| (span, host.clone())));
            }
            start += len;
        }
    }

    /// What the memory lies in, if that is huge pages.
    fn huge(&self) -> Option<&Backing> {
        self.backing.as_ref().filter(|backing| backing.is_huge())
    }

    /// Fresh memory, which is zero.
    pub fn reserve(&self, extent: Extent, room: Option<Span>) -> Result<Arc<Memory>, Error> {
        let memory = match &self.backing {
            Some(backing) => backing.reserve(extent, room)?,
            None => memory::reserve_with_room(extent, room)?,
        };
        if self.is_placed_anew() {
            self.place(&memory)?;
        }
        Ok(memory)
    }

    /// Memory with what a file has from `offset` on, read when first touched, if it can be so:
    /// [`memory::reserve_on`].
    pub fn reserve_on(
        &self,
        extent: Extent,
        blocks: Option<&Blocks>,
        file: &File,
        offset: u64,
    ) -> Result<Option<Arc<Memory>>, Error> {
        if self.backing.is_some() {
            return Ok(None);
        }
        let memory = memory::reserve_on(extent, blocks, file, offset)?;
        self.place(&memory)?;
        Ok(Some(memory))
    }

    /// The descriptor that must stay open.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.backing.as_ref().map(Backing::descriptor)
    }

    /// Whether memory has to be told with every reset which nodes of the host it comes from. Huge pages stay
    /// where they are.
    pub fn is_placed_anew(&self) -> bool {
        !self.places.is_empty() && self.huge().is_none()
    }

    /// Has memory come from the nodes that it is to be on, as far as it is not there yet.
    fn place(&self, memory: &Memory) -> Result<(), Error> {
        let mut parts = self.parts(memory);
        parts.try_for_each(|(region, part, host)| bind(region, part, host).map_err(Error::Place))
    }

    /// The parts of regions, offset and length, that are to be on certain nodes of the host.
    fn parts<'a>(
        &'a self,
        memory: &'a Memory,
    ) -> impl Iterator<Item = (&'a Region, (usize, usize), &'a HostNodes)> {
        self.places.iter().flat_map(|(span, host)| {
            memory.iter().filter_map(move |region| {
                let start = region.start_addr().raw_value();
                let from = span.0.max(start);
                let to = (span.0 + span.1).min(start + region.len());
                // They fit: a mapping is no longer than the address space.
                let part = || ((from - start) as usize, (to - from) as usize);
                (from < to).then(|| (region, part(), host))
            })
        })
    }
}

/// Takes the pages of a part of a region, offset and length, from the host.
fn fill(region: &Region, (offset, len): (usize, usize)) -> io::Result<()> {
    // SAFETY: the range lies within the region's mapping; pages that are there already stay as they are.
    let result = unsafe {
        let start = region.as_ptr().add(offset).cast();
        libc::madvise(start, len, libc::MADV_POPULATE_WRITE)
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `MPOL_PREFERRED_MANY` of `linux/mempolicy.h`.
const PREFERRED_MANY: libc::c_int = 5;
const WORD: u16 = u64::BITS as u16;

/// Says from which nodes of the host a part of a region, offset and length, is taken when it is first touched.
fn bind(region: &Region, (offset, len): (usize, usize), host: &HostNodes) -> io::Result<()> {
    let mode = match host.policy {
        NodePolicy::Preferred => PREFERRED_MANY,
        NodePolicy::Bind => libc::MPOL_BIND,
        NodePolicy::Interleave => libc::MPOL_INTERLEAVE,
    };
    let mut mask = [0u64; (MAX_HOST_NODES / WORD) as usize];
    for node in &host.nodes {
        let word = mask.get_mut(usize::from(node / WORD));
        *word.ok_or(io::ErrorKind::InvalidInput)? |= 1 << (node % WORD);
    }
    // The kernel leaves the last out.
    let bits = libc::c_ulong::from(MAX_HOST_NODES) + 1;
    // SAFETY: the range lies within the region's mapping, of which only the policy changes; the mask has
    // the bits that the call is told of, and the kernel keeps no pointer to it.
    let result = unsafe {
        let start = region.as_ptr().add(offset);
        libc::syscall(libc::SYS_mbind, start, len, mode, mask.as_ptr(), bits, 0)
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::{HIGH_MEMORY, PCI_WINDOW};
    use basalt_model::numa::Node;

    fn numa(policy: NodePolicy, host: u16) -> Numa {
        let node = |cpu: u8, host| Node {
            vcpus: vec![cpu],
            memory_mib: 2048,
            host,
        };
        let nodes = vec![host];
        Numa {
            sockets: 2,
            nodes: vec![node(0, None), node(1, Some(HostNodes { nodes, policy }))],
        }
    }

    /// What the kernel says of the memory at an address of the guest's.
    fn policy(memory: &Memory, at: u64) -> String {
        let region = memory.find_region(vm_memory::GuestAddress(at)).unwrap();
        let offset = (at - region.start_addr().raw_value()) as usize;
        let address = region.as_ptr() as usize + offset;
        let maps = std::fs::read_to_string("/proc/self/numa_maps").unwrap();
        let start = |line: &&str| {
            let word = line.split_whitespace().next().unwrap();
            usize::from_str_radix(word, 16).unwrap() <= address
        };
        let line = maps.lines().rfind(start).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    #[test]
    fn memory_of_a_node_comes_from_the_hosts_and_the_rest_from_anywhere() {
        let extent = Extent::from(4u64 << 30);
        for (kind, text) in [
            (NodePolicy::Bind, "bind:0"),
            (NodePolicy::Preferred, "prefer (many):0"),
            (NodePolicy::Interleave, "interleave:0"),
        ] {
            let ground = Ground::new(None, extent, Some(&numa(kind, 0))).unwrap();
            assert!(ground.is_placed_anew());
            let memory = ground.reserve(extent, None).unwrap();
            let first = text.split_whitespace().next().unwrap();
            assert_eq!(policy(&memory, 2 << 30), first);
            assert_eq!(policy(&memory, PCI_WINDOW - 4096), first);
            assert_eq!(policy(&memory, HIGH_MEMORY), first);
            assert_eq!(policy(&memory, 0), "default");
        }
    }

    #[test]
    fn a_node_that_the_host_lacks_is_an_error() {
        let extent = Extent::from(4u64 << 30);
        for host in [999, MAX_HOST_NODES] {
            let numa = numa(NodePolicy::Bind, host);
            let ground = Ground::new(None, extent, Some(&numa)).unwrap();
            assert!(matches!(ground.reserve(extent, None), Err(Error::Place(_))));
        }
    }
}

//! Memory that is made of huge pages, of which a test borrows some of the host's. Where there are none, each
//! test says so and passes.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use basalt_model::machine::{Request, Response, STATE_ROOM, Started};
use basalt_model::numa::{HostNodes, Node, NodePolicy, Numa};
use basalt_vmm::machine::backing::{Backing, is_for_good};
use basalt_vmm::machine::ground::Ground;
use basalt_vmm::machine::layout::MIB;
use basalt_vmm::machine::memory::{self, Extent, Memory};
use basalt_vmm::machine::reclaim::give_back;
use basalt_vmm::state::file;
use basalt_vmm::state::tree::Tree;
use rustix::fs::FlockOperation;
use support::{COUNTER, Monitor, Setup, counted, expect};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
/// Size of a page.
const PAGE: u64 = 2 * MIB;
/// A machine's memory.
const BYTES: u64 = 64 * MIB;

/// Huge pages of the host, which no other test takes, for as long as a test needs them.
struct Lent {
    pages: u64,
    _alone: File,
}

impl Lent {
    /// Pages for so many bytes more than there are; none, said aloud, where the host has none or this user may
    /// not ask for them.
    fn bytes(bytes: u64) -> Option<Self> {
        let lend = || {
            let alone = File::open(format!("{POOL}nr_hugepages"))?;
            rustix::fs::flock(&alone, FlockOperation::LockExclusive)?;
            let (before, pages) = (pool("nr_hugepages")?, bytes / PAGE);
            resize(before + pages)?;
            let lent = Self {
                pages,
                _alone: alone,
            };
            match pool("nr_hugepages")? >= before + pages {
                true => Ok(lent),
                false => Err(io::ErrorKind::OutOfMemory.into()),
            }
        };
        let lent: io::Result<Self> = lend();
        lent.inspect_err(|error| eprintln!("skipped: no huge pages: {error}"))
            .ok()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = pool("nr_hugepages").map_or(0, |pages| pages.saturating_sub(self.pages));
        let _ = resize(rest);
    }
}

fn pool(figure: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("{POOL}{figure}"))?;
    text.trim().parse().map_err(io::Error::other)
}

fn resize(pages: u64) -> io::Result<()> {
    fs::write(format!("{POOL}nr_hugepages"), pages.to_string())
}

/// Bytes of huge pages that nobody has.
fn free() -> u64 {
    pool("free_hugepages").unwrap() * PAGE
}

fn huge(extent: impl Into<Extent>) -> Result<Ground, memory::Error> {
    let extent = extent.into();
    let backing = Backing::huge(extent.bytes, 2).unwrap();
    Ground::new(Some(backing), extent, None)
}

fn put(memory: &Memory, at: u64, byte: u8) {
    memory.write_obj(byte, GuestAddress(at)).unwrap();
}

fn byte(memory: &Memory, at: u64) -> u8 {
    memory.read_obj(GuestAddress(at)).unwrap()
}

#[test]
fn pages_are_there_from_the_start_and_stay_until_the_end() {
    let Some(_lent) = Lent::bytes(BYTES) else {
        return;
    };
    let before = free();
    let extent = Extent {
        bytes: BYTES,
        tseg: true,
    };
    let ground = huge(extent).unwrap();
    assert_eq!(before - free(), BYTES);
    let first = ground.reserve(extent, None).unwrap();
    put(&first, 5, 8);
    put(&first, BYTES - 1, 7);
    // What the guest does not need stays its own, and with it what is there.
    give_back(&first, 0, BYTES);
    assert_eq!((before - free(), byte(&first, BYTES - 1)), (BYTES, 7));
    drop(first);
    let second = ground.reserve(extent, None).unwrap();
    assert_eq!((byte(&second, 5), byte(&second, BYTES - 1)), (0, 0));
    assert!(second.iter().all(is_for_good));
    assert_eq!(before - free(), BYTES);
    drop((second, ground));
    assert_eq!(free(), before);
}

#[test]
fn too_few_pages_are_an_error_at_once() {
    assert!(Backing::huge(BYTES, 4).is_err());
    let Some(_lent) = Lent::bytes(PAGE) else {
        return;
    };
    let before = free();
    assert!(huge(before + PAGE).is_err());
    assert_eq!(free(), before);
}

#[test]
fn a_state_is_read_into_huge_pages_and_written_from_them() {
    let Some(_lent) = Lent::bytes(2 * BYTES) else {
        return;
    };
    let tree = Tree::default().encode().unwrap();
    let state = tempfile::tempfile().unwrap();
    let usual = memory::reserve(BYTES).unwrap();
    put(&usual, 5 * MIB + 1, 3);
    file::write(&state, &usual, None, &tree, |_| ()).unwrap();
    for round in 0..2 {
        let ground = huge(BYTES).unwrap();
        let read = file::load(&state, BYTES, None, &ground).unwrap();
        assert_eq!((byte(&read, 5 * MIB + 1), byte(&read, 9 * MIB)), (3, round));
        put(&read, 9 * MIB, 1);
        file::write(&state, &read, None, &tree, |_| ()).unwrap();
    }
}

#[test]
fn huge_pages_come_from_the_nodes_that_they_are_to_be_on() {
    let Some(_lent) = Lent::bytes(BYTES) else {
        return;
    };
    let before = free();
    let on = |host: u16| {
        let host = HostNodes {
            nodes: vec![host],
            policy: NodePolicy::Bind,
        };
        let node = Node {
            vcpus: vec![0],
            memory_mib: BYTES / MIB,
            host: Some(host),
        };
        let numa = Numa {
            sockets: 1,
            nodes: vec![node],
        };
        let backing = Backing::huge(BYTES, 2).unwrap();
        Ground::new(Some(backing), BYTES.into(), Some(&numa))
    };
    let ground = on(0).unwrap();
    assert_eq!(before - free(), BYTES);
    assert!(!ground.is_placed_anew());
    drop(ground);
    assert!(matches!(on(999), Err(memory::Error::Place(_))));
    assert_eq!(free(), before);
}

fn counter() -> Setup {
    Setup {
        guest: COUNTER,
        vcpus: 1,
        hugepages_mib: Some(2),
        ..Setup::default()
    }
}

fn past(monitor: &Monitor, seen: usize) -> UnixStream {
    let mut serial = monitor.serial();
    io::Read::read_exact(&mut serial, &mut vec![0; seen]).unwrap();
    serial
}

/// Saved, restored and reset: the guest's pages are its own, and come back when it is gone.
#[test]
fn a_guest_on_huge_pages_does_what_others_do() {
    let Some(_lent) = Lent::bytes(2 * BYTES) else {
        return;
    };
    let before = free();
    let Some((monitor, answer)) = counter().start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    assert_eq!(before - free(), BYTES);
    let mut serial = past(&monitor, 0);
    expect(&mut serial, ">");
    let first = counted(&mut serial);
    let all = monitor.ask(&Request::SetBalloon { mib: 64 });
    assert_eq!(all, Response::Ok);
    let less = monitor.ask(&Request::SetBalloon { mib: 32 });
    assert!(matches!(less, Response::Error(_)), "{less:?}");

    let state = tempfile::tempfile().unwrap();
    state.set_len(STATE_ROOM + BYTES).unwrap();
    assert_eq!(monitor.ask_with(&Request::Save, &state), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
    assert_eq!(free(), before);
    let setup = Setup {
        restore: Some(OwnedFd::from(state)),
        ..counter()
    };
    let (second, answer) = setup.start().unwrap();
    assert_eq!(answer, Started::Ok);
    assert_eq!(second.ask(&Request::Resume), Response::Ok);
    let mut serial = past(&second, 1 + 16);
    assert!(counted(&mut serial) > first);
    assert_eq!(second.ask(&Request::Reset), Response::Ok);
    expect(&mut serial, ">");
    assert!(counted(&mut serial) > 0);
    assert_eq!(before - free(), BYTES);
}

#[test]
fn a_guest_moves_from_huge_pages_to_others() {
    let Some(_lent) = Lent::bytes(2 * BYTES) else {
        return;
    };
    let Some((source, answer)) = counter().start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    let mut serial = past(&source, 0);
    expect(&mut serial, ">");
    let before = counted(&mut serial);
    let (here, there) = UnixStream::pair().unwrap();
    let setup = Setup {
        restore: Some(there.into()),
        ..counter()
    };
    let (target, mut answer) = setup.begin().unwrap();
    let moved = source.ask_with(&Request::Migrate { downtime_ms: 300 }, &here);
    assert!(matches!(moved, Response::Moved(_)), "{moved:?}");
    assert_eq!(answer(), Started::Ok);
    let after = counted(&mut past(&target, 1 + 16));
    assert!(after > before, "{after} after {before}");
}

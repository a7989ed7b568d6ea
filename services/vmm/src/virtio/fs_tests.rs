//! The device, with a back-end of the tests' own at the other end of its connection.

use super::*;
use crate::machine::backing::Backing;
use crate::machine::layout::MIB;
use crate::machine::memory::{self, Memory};
use crate::virtio::testing::{Driver, Part};
use crate::virtio::vhost_user::BackEnd;
use crate::virtio::{F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use vm_memory::GuestMemoryBackend;

const URGENT: usize = 0;
const REQUESTS: usize = 1;

const GET_FEATURES: u32 = 1;
const SET_FEATURES: u32 = 2;
const SET_OWNER: u32 = 3;
const SET_MEM_TABLE: u32 = 5;
const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
const GET_VRING_BASE: u32 = 11;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const GET_PROTOCOL_FEATURES: u32 = 15;
const SET_PROTOCOL_FEATURES: u32 = 16;
const SET_VRING_ENABLE: u32 = 18;

const F_PROTOCOL: u64 = 1 << 30;
const REPLY_ACK: u64 = 1 << 3;
const ALL: u64 = F_VERSION_1 | F_INDIRECT_DESC | F_EVENT_IDX | F_PROTOCOL;
const VERSION: u32 = 1;
const REPLY: u32 = 4;
const NEED_REPLY: u32 = 8;
/// Buffers that the back-end says it took from the queue of requests.
const TAKEN: u32 = 3;

/// A request as it came.
struct Message {
    code: u32,
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Message {
    fn word(&self, index: usize) -> u64 {
        u64::from_le_bytes(self.body[index * 8..index * 8 + 8].try_into().unwrap())
    }

    /// The two halves of a body that is about a queue.
    fn halves(&self) -> (u32, u32) {
        (self.word(0) as u32, (self.word(0) >> 32) as u32)
    }
}

/// What the device sends, in order; dropped, the back-end hangs up with the next request.
struct Heard(Receiver<Message>);

impl Heard {
    fn next(&self, code: u32) -> Message {
        let message = self.0.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(message.code, code);
        message
    }

    /// The set-up of a queue, which begins at `base`; gives its kick and its call.
    fn queue(&self, index: u32, base: u32) -> (File, File) {
        assert_eq!(self.next(SET_VRING_NUM).halves(), (index, 64));
        let addresses = self.next(SET_VRING_ADDR);
        assert_eq!(addresses.halves(), (index, 0));
        assert_eq!(self.next(SET_VRING_BASE).halves(), (index, base));
        let mut fds = [SET_VRING_CALL, SET_VRING_KICK].map(|code| {
            let message = self.next(code);
            assert_eq!(message.word(0), u64::from(index), "with a descriptor");
            File::from(message.fds.into_iter().next().unwrap())
        });
        assert_eq!(self.next(SET_VRING_ENABLE).halves(), (index, 1));
        fds.reverse();
        let [kick, call] = fds;
        (kick, call)
    }

    fn stop(&self, index: u32) {
        assert_eq!(self.next(SET_VRING_ENABLE).halves(), (index, 0));
        assert_eq!(self.next(GET_VRING_BASE).halves().0, index);
    }
}

fn receive(socket: &mut UnixStream) -> Option<(Message, u32)> {
    let mut header = [0u8; 12];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut header)];
    let received = recvmsg(&*socket, &mut into, &mut control, RecvFlags::WAITALL).unwrap();
    if received.bytes == 0 {
        return None;
    }
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut body = vec![0; number(8) as usize];
    socket.read_exact(&mut body).unwrap();
    let code = number(0);
    assert_eq!(number(4) & 3, VERSION);
    Some((Message { code, body, fds }, number(4)))
}

fn reply(socket: &mut UnixStream, code: u32, body: u64) {
    let mut message = Vec::new();
    for word in [code, VERSION | REPLY, 8] {
        message.extend(word.to_le_bytes());
    }
    message.extend(body.to_le_bytes());
    socket.write_all(&message).unwrap();
}

/// Answers until one of both sides hangs up.
fn serve(mut socket: UnixStream, features: u64, protocol: u64, heard: &Sender<Message>) {
    while let Some((message, flags)) = receive(&mut socket) {
        let (code, index) = (message.code, message.body.first().copied());
        if heard.send(message).is_err() {
            return;
        }
        match code {
            GET_FEATURES => reply(&mut socket, code, features),
            GET_PROTOCOL_FEATURES => reply(&mut socket, code, protocol),
            GET_VRING_BASE => {
                let index = u32::from(index.unwrap());
                let base = index * TAKEN;
                reply(&mut socket, code, u64::from(base) << 32 | u64::from(index));
            }
            _ if flags & NEED_REPLY != 0 => reply(&mut socket, code, 0),
            _ => {}
        }
    }
}

fn connect(features: u64, protocol: u64) -> (io::Result<BackEnd>, Heard) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (sender, heard) = channel();
    std::thread::spawn(move || serve(theirs, features, protocol, &sender));
    (BackEnd::connect(ours, QUEUES), Heard(heard))
}

struct Bench {
    device: FileSystem,
    server: Arc<BackEnd>,
    kicks: Arc<[Signal]>,
    driver: Driver,
    file: File,
    heard: Heard,
}

fn shared_memory() -> (Arc<Memory>, File) {
    let backing = Backing::shared(32 * MIB, None).unwrap();
    let memory = backing.reserve(32 * MIB, None).unwrap();
    let (file, _) = memory.iter().find_map(memory::shared).unwrap();
    let file = file.try_clone().unwrap();
    (memory, file)
}

/// A device that has agreed with its back-end, and whose driver has set up its queues.
fn bench() -> Bench {
    let (server, heard) = connect(ALL, REPLY_ACK);
    let server = Arc::new(server.unwrap());
    let mut device = FileSystem::new("virtiofs0", server.clone());
    heard.next(SET_OWNER);
    heard.next(GET_FEATURES);
    heard.next(GET_PROTOCOL_FEATURES);
    let chosen = heard.next(SET_PROTOCOL_FEATURES);
    assert_eq!(chosen.word(0), REPLY_ACK);
    let kicks: Arc<[Signal]> = (0..QUEUES).map(|_| Signal::new().unwrap()).collect();
    device.connect(&kicks);
    let (memory, file) = shared_memory();
    let mut driver = Driver::on(memory, QUEUES);
    driver.live.features = F_VERSION_1 | F_EVENT_IDX;
    Bench {
        device,
        server,
        kicks,
        driver,
        file,
        heard,
    }
}

#[test]
fn the_configuration_is_tag_and_number_of_queues() {
    let description = description("data");
    assert_eq!(description.config.len(), 40);
    assert_eq!(&description.config[..6], b"data\0\0");
    assert_eq!(description.config[36..], [1, 0, 0, 0]);
    assert_eq!((description.kind as u16, description.queues.len()), (26, 2));
    let longest = description_of("t".repeat(SHARE_TAG));
    assert_eq!(longest[..36], [b't'; 36]);
    assert_eq!(longest.len(), 40);
}

fn description_of(tag: String) -> Vec<u8> {
    description(&tag).config
}

#[test]
fn a_back_end_that_lacks_something_is_refused() {
    for missing in [F_VERSION_1, F_INDIRECT_DESC, F_EVENT_IDX, F_PROTOCOL] {
        let (server, _heard) = connect(ALL & !missing, REPLY_ACK);
        let error = server.err().unwrap().to_string();
        assert!(error.contains(&format!("{missing:#x}")), "{error}");
    }
    let (server, _heard) = connect(ALL, !REPLY_ACK & 0xff);
    assert!(server.err().unwrap().to_string().contains("acknowledges"));
    // One that ended before it was asked anything.
    let (ours, _) = UnixStream::pair().unwrap();
    assert!(BackEnd::connect(ours, QUEUES).is_err());
}

#[test]
fn the_back_end_is_given_memory_and_queues_and_gives_them_back() {
    let mut bench = bench();
    let live = &mut bench.driver.live;
    live.queues[REQUESTS].set_next_avail(1);
    bench.device.run(live);
    assert!(bench.device.is_notified_elsewhere());
    let heard = &bench.heard;
    let features = heard.next(SET_FEATURES).word(0);
    assert_eq!(features, F_VERSION_1 | F_EVENT_IDX | F_PROTOCOL);
    let table = heard.next(SET_MEM_TABLE);
    let process = live.memory.iter().next().unwrap().as_ptr() as u64;
    let words: Vec<u64> = (0..5).map(|index| table.word(index)).collect();
    assert_eq!(words, [1, 0, 32 * MIB, process, 0]);
    let theirs = File::from(table.fds.into_iter().next().unwrap());
    heard.queue(0, 0);
    let (mut kick, mut call) = heard.queue(1, 1);

    // What the driver writes is there for the back-end, and the other way round.
    bench
        .driver
        .submit_to(REQUESTS, &[Part::Out(b"request".to_vec())]);
    let mut seen = [0; 7];
    theirs.read_exact_at(&mut seen, 0x10_0000).unwrap();
    assert_eq!(&seen, b"request");
    bench.kicks[REQUESTS].raise();
    let mut count = [0; 8];
    kick.read_exact(&mut count).unwrap();
    theirs.write_all_at(&1u16.to_le_bytes(), 0x1_6002).unwrap();
    call.write_all(&1u64.to_le_bytes()).unwrap();
    bench.device.ready(&mut bench.driver.live).unwrap();
    assert_eq!(bench.driver.live.interrupts.acknowledge(), 1);

    assert!(bench.device.quiesce(&mut bench.driver.live).unwrap());
    bench.heard.stop(0);
    bench.heard.stop(1);
    let queues = &bench.driver.live.queues;
    assert_eq!(queues[URGENT].next_avail(), 0);
    assert_eq!(u32::from(queues[REQUESTS].next_avail()), TAKEN);
    assert_eq!(queues[REQUESTS].next_used(), 1);
    assert!(!bench.device.is_notified_elsewhere());

    // The machine goes on.
    bench.device.run(&mut bench.driver.live);
    bench.heard.next(SET_FEATURES);
    bench.heard.next(SET_MEM_TABLE);
    bench.heard.queue(0, 0);
    bench.heard.queue(1, TAKEN);
    bench.device.deactivated();
    bench.heard.stop(0);
    bench.heard.stop(1);
    assert_eq!(bench.file.metadata().unwrap().len(), 32 * MIB);
}

#[test]
fn a_queue_that_the_driver_leaves_out_stays_with_it() {
    let mut bench = bench();
    let live = &mut bench.driver.live;
    live.queues[URGENT].set_ready(false);
    bench.device.run(live);
    bench.heard.next(SET_FEATURES);
    bench.heard.next(SET_MEM_TABLE);
    bench.heard.queue(1, 0);
    bench.device.deactivated();
    bench.heard.stop(1);
}

#[test]
fn the_device_breaks_when_its_back_end_ends() {
    let mut bench = bench();
    bench.device.run(&mut bench.driver.live);
    assert!(bench.device.ready(&mut bench.driver.live).is_ok());
    // It hangs up as soon as it has something to tell the test.
    drop(bench.heard);
    bench.device.deactivated();
    let live = &mut bench.driver.live;
    bench.device.run(live);
    assert!(!bench.device.is_notified_elsewhere());
    assert!(bench.server.is_gone());
    assert!(bench.device.kicked(live, REQUESTS).is_err());
    // One without a driver has nothing to break.
    live.queues[REQUESTS].set_ready(false);
    assert!(bench.device.kicked(live, REQUESTS).is_ok());
}

#[test]
fn memory_that_is_not_shared_is_not_lent() {
    let mut bench = bench();
    let mut driver = Driver::new(QUEUES);
    bench.device.run(&mut driver.live);
    bench.heard.next(SET_FEATURES);
    assert!(!bench.device.is_notified_elsewhere());
    assert!(bench.device.kicked(&mut driver.live, REQUESTS).is_err());
}

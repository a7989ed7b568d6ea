//! The file system device, whose directory is served by a program that answers anything.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::input::Input;
use crate::machine;
use basalt_vmm::event::Signal;
use basalt_vmm::machine::backing::Backing;
use basalt_vmm::machine::memory::Memory;
use basalt_vmm::virtio::fs::{self, FileSystem, QUEUES};
use basalt_vmm::virtio::vhost_user::BackEnd;
use basalt_vmm::virtio::worker::{Backend, Live};
use virtio_queue::{Queue, QueueT};

/// Requests of vhost-user to which answers come.
const GET_FEATURES: u32 = 1;
const SET_FEATURES: u32 = 2;
const SET_MEM_TABLE: u32 = 5;
const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
const GET_VRING_BASE: u32 = 11;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const GET_PROTOCOL_FEATURES: u32 = 15;
const SET_VRING_ENABLE: u32 = 18;

const CONNECT: &[u32] = &[GET_FEATURES, GET_PROTOCOL_FEATURES];
const START: &[u32] = &[SET_FEATURES, SET_MEM_TABLE];
const START_QUEUE: &[u32] = &[
    SET_VRING_NUM,
    SET_VRING_ADDR,
    SET_VRING_BASE,
    SET_VRING_CALL,
    SET_VRING_KICK,
    SET_VRING_ENABLE,
];
const STOP_QUEUE: &[u32] = &[SET_VRING_ENABLE, GET_VRING_BASE];
/// How often the driver is on, in the answers' plot.
const TIMES: usize = 3;

/// `VHOST_USER_VERSION` and that it is an answer.
const ANSWER: u32 = 1 | 1 << 2;
const EIGHT: u32 = 8;
/// Distance between the parts of a queue, and between queues.
const PAGE: u32 = 0x1000;
/// Most steps of one input.
const STEPS: usize = 32;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (ours, theirs) = UnixStream::pair().expect("sockets can be had");
    say(&mut input, &theirs).expect("it fits into the socket");
    let Ok(server) = BackEnd::connect(ours, QUEUES) else {
        return;
    };
    let mut device = FileSystem::new("share", Arc::new(server));
    let kicks = (0..QUEUES).map(|_| Signal::new().expect("eventfds can be had"));
    device.connect(&kicks.collect());
    let backing = Backing::shared(machine::MEMORY, None).expect("a file in memory can be had");
    let memory = backing.reserve(machine::MEMORY, None);
    drive(
        &mut device,
        &memory.expect("a mebibyte can be had"),
        &mut input,
    );
}

/// All that the server will ever say, ahead of what it is asked.
fn say(input: &mut Input<'_>, mut socket: &UnixStream) -> io::Result<()> {
    let mut plot = CONNECT.to_vec();
    for _ in 0..TIMES {
        plot.extend(START);
        plot.extend(START_QUEUE.repeat(QUEUES));
        plot.extend(STOP_QUEUE.repeat(QUEUES));
    }
    for code in plot {
        let honest = match code {
            GET_FEATURES | GET_PROTOCOL_FEATURES => u64::MAX,
            _ => 0,
        };
        match input.byte() {
            0..160 => answer(socket, code, honest)?,
            160..224 => answer(socket, code, input.qword())?,
            224..240 => answer(socket, input.dword(), input.qword())?,
            240..254 => socket.write_all(input.bytes(20))?,
            _ => break,
        }
    }
    socket.shutdown(Shutdown::Write)
}

fn answer(mut socket: &UnixStream, code: u32, body: u64) -> io::Result<()> {
    for word in [code, ANSWER, EIGHT] {
        socket.write_all(&word.to_le_bytes())?;
    }
    socket.write_all(&body.to_le_bytes())
}

fn drive(device: &mut FileSystem, memory: &Arc<Memory>, input: &mut Input<'_>) {
    let mut live = live(memory, input);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let done = match input.byte() % 8 {
            0..=2 => {
                device.run(&mut live);
                Ok(())
            }
            3 | 4 => device.quiesce(&mut live).map(drop),
            5 => device.ready(&mut live),
            6 => device.kicked(&mut live, input.below(QUEUES)),
            _ => Err(basalt_vmm::virtio::worker::BrokenQueue),
        };
        if done.is_err() {
            // The driver resets the device.
            device.deactivated();
            live = self::live(memory, input);
        }
    }
    device.deactivated();
    assert!(!device.is_notified_elsewhere());
}

/// Queues where the driver wants them.
fn live(memory: &Arc<Memory>, input: &mut Input<'_>) -> Live {
    let description = fs::description("share");
    let mut places = (1..).map(|page| page * PAGE);
    let mut place = || {
        let usual = places.next();
        match input.byte() {
            0..200 => usual,
            _ => Some(input.dword()),
        }
    };
    let queue = |most: &u16| {
        let mut queue = Queue::new(*most).expect("sizes are powers of two");
        queue.set_desc_table_address(place(), None);
        queue.set_avail_ring_address(place(), None);
        queue.set_used_ring_address(place(), None);
        queue.set_ready(true);
        queue
    };
    let mut queues: Vec<Queue> = description.queues.iter().map(queue).collect();
    let left_out = usize::from(input.byte());
    if let Some(queue) = queues.get_mut(left_out.wrapping_sub(1)) {
        queue.set_ready(false);
    }
    Live {
        memory: memory.clone(),
        interrupts: machine::interrupts(4, queues.len()),
        queues,
        features: input.qword(),
    }
}

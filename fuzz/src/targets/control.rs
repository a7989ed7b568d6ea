//! The control socket: lines of requests, and descriptors that come with them; and the description of
//! a machine, as it comes from its starter.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::input::Input;
use basalt_model::machine::Response;
use basalt_vmm::control::requests::Connection;
use basalt_vmm::spec;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

fn send_with_descriptor(stream: &UnixStream, bytes: &[u8]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [stream.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    // Nothing is sent when the socket is full.
    let _ = sendmsg(
        stream,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::DONTWAIT,
    );
}

fn describe(input: &mut Input<'_>) {
    let (ours, mut theirs) = UnixStream::pair().expect("sockets can be had");
    let mut line = input.rest().to_vec();
    line.push(b'\n');
    theirs
        .write_all(&line[..line.len().min(64 << 10)])
        .and_then(|()| theirs.shutdown(Shutdown::Write))
        .expect("the socket has room");
    let _ = spec::receive(ours.as_fd());
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte() == 0 {
        return describe(&mut input);
    }
    let (ours, mut theirs) = UnixStream::pair().expect("sockets can be had");
    for end in [&ours, &theirs] {
        end.set_nonblocking(true).expect("a socket need not block");
    }
    let mut connection = Connection::new(1, ours);
    while !input.is_empty() && !connection.is_closed() {
        let how = input.byte();
        let len = usize::from(input.byte()) + 1;
        let bytes = input.bytes(len);
        match how & 3 {
            0 if !bytes.is_empty() => send_with_descriptor(&theirs, bytes),
            _ => drop(theirs.write(bytes)),
        }
        for request in connection.receive() {
            match request {
                Ok(_) => connection.send(&Response::Ok),
                Err(problem) => connection.send(&Response::Error(problem)),
            }
            if how & 4 != 0 {
                connection.take_descriptor();
            }
        }
        while how & 8 != 0 && theirs.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {}
    }
}

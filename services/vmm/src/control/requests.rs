//! One connection on the control socket: lines of JSON both ways, and descriptors that come
//! with them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use basalt_model::disk::MAX_BACKING;
use basalt_model::machine::Request;
use rustix::event::PollFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::Serialize;

use super::would_block;

/// Longest request.
const MAX_LINE: usize = 4096;
/// Most unsent bytes; a peer further behind is cut off.
const MAX_UNSENT: usize = 256 * 1024;
/// Most descriptors that no request has used yet: those of a disk with all its images. A peer that
/// sends more is cut off.
const MAX_DESCRIPTORS: usize = 1 + MAX_BACKING;

/// The connection.
pub struct Connection {
    /// Tells it from all others of the process.
    id: u64,
    stream: UnixStream,
    descriptors: VecDeque<OwnedFd>,
    received: Vec<u8>,
    unsent: Vec<u8>,
    subscribed: bool,
    closed: bool,
}

impl Connection {
    /// A connection on a non-blocking stream; `id` is no other's.
    pub fn new(id: u64, stream: UnixStream) -> Self {
        let (received, unsent) = (Vec::new(), Vec::new());
        Self {
            id,
            descriptors: VecDeque::new(),
            stream,
            received,
            unsent,
            subscribed: false,
            closed: false,
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The first descriptor that came and was not used.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// As many descriptors as belong to a request, in order, or all that came.
    pub fn take_descriptors(&mut self, count: usize) -> Vec<OwnedFd> {
        let count = count.min(self.descriptors.len());
        self.descriptors.drain(..count).collect()
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFlags {
        if self.unsent.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// Whether it can be forgotten.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// From now on it gets events.
    pub fn subscribe(&mut self) {
        self.subscribed = true;
    }

    /// Whether it gets events.
    pub fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    /// Sends what waits and returns the complete lines that arrived, parsed.
    pub fn receive(&mut self) -> Vec<Result<Request, String>> {
        self.flush();
        let mut buffer = [0; MAX_LINE];
        match self.read(&mut buffer) {
            Ok(0) => self.closed = true,
            Ok(len) => self.received.extend_from_slice(&buffer[..len]),
            Err(error) if would_block(&error) => {}
            Err(_) => self.closed = true,
        }
        let mut requests = Vec::new();
        while let Some(end) = self.received.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            requests.push(serde_json::from_slice(&line).map_err(|e| e.to_string()));
        }
        if self.received.len() > MAX_LINE {
            self.closed = true;
        }
        requests
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            &self.stream,
            &mut [io::IoSliceMut::new(buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                self.descriptors.extend(fds);
            }
        }
        if self.descriptors.len() > MAX_DESCRIPTORS {
            self.closed = true;
        }
        Ok(message.bytes)
    }

    /// Sends one line.
    pub fn send(&mut self, message: &impl Serialize) {
        match serde_json::to_vec(message) {
            Ok(line) if self.unsent.len() < MAX_UNSENT => {
                self.unsent.extend(line);
                self.unsent.push(b'\n');
                self.flush();
            }
            _ => self.closed = true,
        }
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if would_block(&error) => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::machine::Response;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Connection::new(1, ours), theirs)
    }

    #[test]
    fn requests_may_arrive_in_pieces() {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"\"sta").unwrap();
        assert!(connection.receive().is_empty());
        peer.write_all(b"tus\"\n\"pause\"\nnonsense\n").unwrap();
        let requests = connection.receive();
        assert_eq!(requests[0], Ok(Request::Status));
        assert_eq!(requests[1], Ok(Request::Pause));
        assert!(requests[2].is_err());
        assert!(!connection.is_closed());
    }

    #[test]
    fn descriptors_come_with_their_request_and_not_without_end() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let (mut connection, peer) = pair();
        let send = |line: &[u8]| {
            let file = tempfile::tempfile().unwrap();
            let fds = [file.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
            let parts = [io::IoSlice::new(line)];
            sendmsg(&peer, &parts, &mut control, SendFlags::empty()).unwrap();
        };
        send(b"\"save\"\n");
        assert_eq!(connection.receive(), [Ok(Request::Save)]);
        assert!(connection.take_descriptor().is_some());
        assert!(connection.take_descriptor().is_none());
        for _ in 0..=MAX_DESCRIPTORS {
            send(b"\"status\"\n");
            connection.receive();
        }
        assert!(connection.is_closed());
    }

    #[test]
    fn endless_lines_and_deaf_peers_are_cut_off() {
        let (mut connection, mut peer) = pair();
        peer.write_all(&[b'x'; 3 * MAX_LINE]).unwrap();
        for _ in 0..3 {
            connection.receive();
        }
        assert!(connection.is_closed());

        let (mut connection, _peer) = pair();
        let response = Response::Error("x".repeat(1000));
        for _ in 0..2000 {
            connection.send(&response);
        }
        assert!(connection.is_closed());
        assert!(connection.unsent.len() < MAX_UNSENT + 2000);
    }
}

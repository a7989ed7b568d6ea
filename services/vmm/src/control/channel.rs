//! The socket of a [`Channel`]: one connection at a time, the next waits until it is gone.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use rustix::event::PollFlags;

use super::would_block;
use crate::channel::Channel;

const CHUNK: usize = 4096;

/// What of it a poll entry stands for.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// The guest's side changed.
    Guest,
    /// Somebody wants to connect.
    Listener,
    /// The connection.
    Connection,
}

/// The socket and its channel.
pub struct ChannelSocket {
    channel: Arc<Channel>,
    listener: UnixListener,
    connection: Option<Connection>,
}

struct Connection {
    stream: UnixStream,
    /// Read from the stream, but not yet taken by the channel.
    incoming: Vec<u8>,
    /// Taken from the channel, but not yet by the stream.
    outgoing: Vec<u8>,
}

impl ChannelSocket {
    /// A new channel behind a non-blocking listener.
    pub fn new(listener: UnixListener) -> io::Result<Self> {
        Ok(Self {
            channel: Channel::new()?,
            listener,
            connection: None,
        })
    }

    /// The channel.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Whether a program of the guest has the port open.
    pub fn guest_listens(&self) -> bool {
        self.channel.guest_listens()
    }

    /// What to wait for.
    pub fn sources(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let guest = self.channel.wake().as_fd();
        let other = match &self.connection {
            None => (Source::Listener, self.listener.as_fd(), PollFlags::IN),
            Some(connection) => {
                let mut interest = PollFlags::empty();
                interest.set(PollFlags::IN, connection.incoming.is_empty());
                interest.set(PollFlags::OUT, !connection.outgoing.is_empty());
                (Source::Connection, connection.stream.as_fd(), interest)
            }
        };
        vec![(Source::Guest, guest, PollFlags::IN), other]
    }

    /// Moves what can be moved.
    pub fn serve(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Guest => {
                self.channel.wake().clear();
            }
            Source::Listener => self.accept(),
            Source::Connection => {}
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        let gone = matches!(source, Source::Connection)
            && flags.intersects(PollFlags::HUP | PollFlags::ERR);
        let open = connection.forward(&self.channel) && connection.accept_input(&self.channel);
        // Of a peer that is gone the rest is still read, unless the guest does not take it.
        if !open || gone && !connection.incoming.is_empty() {
            self.connection = None;
            self.channel.set_host(false);
        }
    }

    fn accept(&mut self) {
        // A peer that went away again is no error of ours.
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        self.connection = Some(Connection {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        });
        self.channel.set_host(true);
    }
}

impl Connection {
    /// From the channel to the stream; `false` when that is broken.
    fn forward(&mut self, channel: &Channel) -> bool {
        loop {
            if self.outgoing.is_empty() {
                self.outgoing = channel.read(CHUNK);
            }
            if self.outgoing.is_empty() {
                return true;
            }
            match self.stream.write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) => return would_block(&error),
            }
        }
    }

    /// From the stream to the channel; `false` when it ended.
    fn accept_input(&mut self, channel: &Channel) -> bool {
        loop {
            let taken = channel.write(&self.incoming);
            self.incoming.drain(..taken);
            if !self.incoming.is_empty() {
                return true;
            }
            let mut buffer = [0; CHUNK];
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(len) => self.incoming.extend_from_slice(&buffer[..len]),
                Err(error) => return would_block(&error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> (tempfile::TempDir, ChannelSocket) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("agent")).unwrap();
        listener.set_nonblocking(true).unwrap();
        (dir, ChannelSocket::new(listener).unwrap())
    }

    fn connect(dir: &tempfile::TempDir) -> UnixStream {
        let stream = UnixStream::connect(dir.path().join("agent")).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    #[test]
    fn one_after_the_other_talks_to_the_guest() {
        let (dir, mut socket) = socket();
        let (mut first, mut second) = (connect(&dir), connect(&dir));
        socket.serve(Source::Listener, PollFlags::IN);
        first.write_all(b"one").unwrap();
        second.write_all(b"two").unwrap();
        socket.serve(Source::Connection, PollFlags::IN);
        assert_eq!(socket.channel.take(64), b"one");
        socket.channel.give(b"1");
        socket.serve(Source::Guest, PollFlags::IN);
        let mut answer = [0; 8];
        assert_eq!(first.read(&mut answer).unwrap(), 1);
        drop(first);
        socket.serve(Source::Connection, PollFlags::IN | PollFlags::HUP);
        assert!(!socket.channel.host_listens());
        socket.serve(Source::Listener, PollFlags::IN);
        assert_eq!(socket.channel.take(64), b"two");
    }

    #[test]
    fn a_peer_that_is_gone_does_not_wait_for_a_guest_that_does_not_read() {
        let (dir, mut socket) = socket();
        let mut peer = connect(&dir);
        let mut sent = 0;
        socket.serve(Source::Listener, PollFlags::IN);
        while sent < 2 * crate::channel::ROOM {
            match peer.write(&[b'x'; 4096]) {
                Ok(len) => sent += len,
                Err(_) => break,
            }
            socket.serve(Source::Connection, PollFlags::IN);
        }
        drop(peer);
        socket.serve(Source::Connection, PollFlags::HUP);
        assert!(socket.connection.is_none());
    }
}

//! A state on a connection: the frames two monitors speak while a machine moves, and the
//! receiving monitor.
//!
//! ```text
//! source → target   HELLO (tree with the machine's outline)
//!        ←          READY | FAILED (why)
//!        →          PAGES | ZEROES …, TREE (the whole state)
//!        ←          READY | FAILED (why)          the machine stands, built, in the target
//!        →          GO                            from here on it is the target's
//! ```
//!
//! Exactly one of the two ever runs the machine: the target only after GO, the source again only
//! if it has not sent GO. A frame is: tag (1), number (8), length (4), payload. Any connected
//! stream socket will do. Waiting is bounded, so that a peer that fell silent is a failure.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use vm_memory::{Bytes, GuestAddress};

use super::memory::RUN;
use super::tree::{MAX_TREE, Tree};
use crate::machine::memory::Memory;

/// How long a peer may be silent.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Longest reason of a failure.
const MAX_REASON: usize = 4096;
const HEAD: usize = 13;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// The outline; a version of the frames is the tree's.
    Hello = 1,
    /// Bytes of memory; the number is their address.
    Pages = 2,
    /// As many zeroes as the length says, without payload; the number is their address.
    Zeroes = 3,
    /// The whole tree.
    Tree = 4,
    /// So far all is well.
    Ready = 5,
    /// It is not; the payload says why.
    Failed = 6,
    /// The machine is the target's.
    Go = 7,
}

impl Tag {
    fn of(byte: u8) -> Option<Self> {
        let all = [
            Self::Hello,
            Self::Pages,
            Self::Zeroes,
            Self::Tree,
            Self::Ready,
            Self::Failed,
            Self::Go,
        ];
        all.into_iter().find(|tag| *tag as u8 == byte)
    }

    /// Longest payload.
    fn limit(self) -> usize {
        match self {
            Self::Hello | Self::Tree => MAX_TREE,
            Self::Pages => RUN,
            Self::Failed => MAX_REASON,
            Self::Zeroes | Self::Ready | Self::Go => 0,
        }
    }
}

/// What arrived.
pub struct Frame {
    /// What it is.
    pub tag: Tag,
    /// Its number.
    pub number: u64,
    /// Its length as sent; that of the payload but for [`Tag::Zeroes`].
    pub len: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

/// One end of the connection.
pub struct Wire {
    socket: File,
    /// Bytes sent so far.
    sent: u64,
}

impl Wire {
    /// An end on a connected stream socket.
    pub fn new(socket: File) -> Self {
        Self { socket, sent: 0 }
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends a frame.
    pub fn send(&mut self, tag: Tag, number: u64, payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        self.send_all(&head(tag, number, len))?;
        self.send_all(payload)
    }

    /// Sends that `len` bytes from `address` on are zero.
    pub fn send_zeroes(&mut self, address: u64, mut len: u64) -> io::Result<()> {
        let mut at = address;
        while len > 0 {
            let part = len.min(1 << 30);
            self.send_all(&head(Tag::Zeroes, at, part as u32))?;
            at += part;
            len -= part;
        }
        Ok(())
    }

    /// Says that all is well, or not; the peer may be gone.
    pub fn answer(&mut self, result: Result<(), &str>) -> io::Result<()> {
        match result {
            Ok(()) => self.send(Tag::Ready, 0, &[]),
            Err(reason) => {
                let bytes = reason.as_bytes();
                self.send(Tag::Failed, 0, &bytes[..bytes.len().min(MAX_REASON)])
            }
        }
    }

    /// Waits until the peer says that all is well.
    pub fn expect_ready(&mut self) -> io::Result<()> {
        let frame = self.receive()?;
        match frame.tag {
            Tag::Ready => Ok(()),
            Tag::Failed => {
                let reason = String::from_utf8_lossy(&frame.payload);
                Err(io::Error::other(format!("the target says: {reason}")))
            }
            other => Err(unexpected(other)),
        }
    }

    /// Waits for a frame.
    pub fn receive(&mut self) -> io::Result<Frame> {
        let mut head = [0; HEAD];
        self.receive_all(&mut head)?;
        let tag = Tag::of(head[0])
            .ok_or_else(|| io::Error::other(format!("frame of unknown kind {}", head[0])))?;
        let mut number = [0; 8];
        number.copy_from_slice(&head[1..9]);
        let len = u32::from_le_bytes([head[9], head[10], head[11], head[12]]);
        let payload = if tag == Tag::Zeroes { 0 } else { len as usize };
        if payload > tag.limit() {
            return Err(io::Error::other(format!("{tag:?} of {len} bytes")));
        }
        let mut payload = vec![0; payload];
        self.receive_all(&mut payload)?;
        Ok(Frame {
            tag,
            number: u64::from_le_bytes(number),
            len,
            payload,
        })
    }

    fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(
                &self.socket,
                bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(len) => {
                    self.sent += len as u64;
                    bytes = &bytes[len..];
                }
                Err(error) => self.wait(error, PollFlags::OUT)?,
            }
        }
        Ok(())
    }

    fn receive_all(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            match recv(&self.socket, &mut *into, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((len, _)) => into = &mut into[len..],
                Err(error) => self.wait(error, PollFlags::IN)?,
            }
        }
        Ok(())
    }

    /// Waits for the peer if that is all that is wrong.
    fn wait(&self, error: rustix::io::Errno, flags: PollFlags) -> io::Result<()> {
        use rustix::io::Errno;
        match error {
            Errno::INTR => return Ok(()),
            Errno::AGAIN => {}
            other => return Err(other.into()),
        }
        let patience = Timespec {
            tv_sec: PATIENCE.as_secs() as i64,
            tv_nsec: 0,
        };
        match poll(&mut [PollFd::new(&self.socket, flags)], Some(&patience)) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn head(tag: Tag, number: u64, len: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[0] = tag as u8;
    head[1..9].copy_from_slice(&number.to_le_bytes());
    head[9..].copy_from_slice(&len.to_le_bytes());
    head
}

fn unexpected(tag: Tag) -> io::Error {
    io::Error::other(format!("unexpected frame {tag:?}"))
}

/// The target's end: the source's outline.
pub fn receive_hello(wire: &mut Wire) -> io::Result<Tree> {
    let frame = wire.receive()?;
    match frame.tag {
        Tag::Hello => Tree::decode(&frame.payload).map_err(io::Error::other),
        other => Err(unexpected(other)),
    }
}

/// Fills `memory` with what the source sends, until the tree comes.
pub fn receive_state(wire: &mut Wire, memory: &Memory) -> io::Result<Tree> {
    let zeroes = vec![0; RUN];
    loop {
        let frame = wire.receive()?;
        match frame.tag {
            Tag::Pages => memory
                .write_slice(&frame.payload, GuestAddress(frame.number))
                .map_err(io::Error::other)?,
            Tag::Zeroes => {
                let (mut at, mut len) = (frame.number, frame.len as usize);
                while len > 0 {
                    let part = len.min(RUN);
                    memory
                        .write_slice(&zeroes[..part], GuestAddress(at))
                        .map_err(io::Error::other)?;
                    at = at.saturating_add(part as u64);
                    len -= part;
                }
            }
            Tag::Tree => return Tree::decode(&frame.payload).map_err(io::Error::other),
            other => return Err(unexpected(other)),
        }
    }
}

/// Waits until the machine is this monitor's.
pub fn receive_go(wire: &mut Wire) -> io::Result<()> {
    match wire.receive()?.tag {
        Tag::Go => Ok(()),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::MIB;
    use crate::machine::memory::reserve;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Wire, UnixStream) {
        let (one, two) = UnixStream::pair().unwrap();
        (Wire::new(File::from(OwnedFd::from(one))), two)
    }

    fn wire(stream: UnixStream) -> Wire {
        Wire::new(File::from(OwnedFd::from(stream)))
    }

    #[test]
    fn pages_zeroes_and_tree_arrive() {
        let (mut source, target) = pair();
        let memory = reserve(32 * MIB).unwrap();
        memory.write_obj(7u8, GuestAddress(5 * MIB)).unwrap();
        source.send(Tag::Pages, MIB, b"page").unwrap();
        source.send_zeroes(5 * MIB, 4096).unwrap();
        let tree = Tree::default();
        source.send(Tag::Tree, 0, &tree.encode().unwrap()).unwrap();
        let mut target = wire(target);
        assert_eq!(receive_state(&mut target, &memory).unwrap(), tree);
        let mut page = [0; 4];
        memory.read_slice(&mut page, GuestAddress(MIB)).unwrap();
        assert_eq!(&page, b"page");
        assert_eq!(memory.read_obj::<u8>(GuestAddress(5 * MIB)).unwrap(), 0);
        target.answer(Err("no room")).unwrap();
        let error = source.expect_ready().unwrap_err();
        assert_eq!(error.to_string(), "the target says: no room");
    }

    #[test]
    fn frames_that_lie_are_refused() {
        let memory = reserve(32 * MIB).unwrap();
        let refused = |bytes: &[u8]| {
            let (mut us, mut them) = pair();
            them.write_all(bytes).unwrap();
            drop(them);
            receive_state(&mut us, &memory).unwrap_err().to_string()
        };
        assert_eq!(refused(&[9; HEAD]), "frame of unknown kind 9");
        let endless = head(Tag::Pages, 0, u32::MAX);
        assert!(refused(&endless).contains("Pages of 4294967295 bytes"));
        let outside = head(Tag::Zeroes, u64::MAX - 100, 4096);
        assert!(!refused(&outside).is_empty());
        assert!(refused(&head(Tag::Go, 0, 0)).contains("unexpected frame Go"));
        assert!(refused(&head(Tag::Tree, 0, 4)[..7]).contains("end of file"));
    }
}

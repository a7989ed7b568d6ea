//! How a guest's process gets its specification: one JSON line with file descriptors attached,
//! over the socket that is its standard input; it answers one JSON line.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

/// Most descriptors that travel with one line; the kernel's own limit is 253.
pub const MAX_FDS: usize = 64;
/// Longest line in bytes; an honest one is far shorter.
pub const MAX_LINE: usize = 1 << 20;

/// Why a specification could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The socket failed.
    #[error("handing over the specification: {0}")]
    Io(#[from] io::Error),
    /// A line was not what it should be.
    #[error("malformed line: {0}")]
    Json(#[from] serde_json::Error),
    /// More descriptors than [`MAX_FDS`].
    #[error("{0} file descriptors are more than {MAX_FDS}")]
    TooManyFds(usize),
    /// The line is longer than [`MAX_LINE`].
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// The other side closed the socket; its process most likely ended.
    #[error("the process ended before it answered")]
    Closed,
}

/// The starter's end.
#[derive(Debug)]
pub struct Handover(UnixStream);

impl Handover {
    /// A new pair: our end, and the one that becomes the process's standard input.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// Sends `message` with `fds` and waits for the answer.
    pub async fn exchange<S: Serialize, A: DeserializeOwned>(
        self,
        message: &S,
        fds: &[BorrowedFd<'_>],
    ) -> Result<A, HandoverError> {
        send(&self.0, message, fds)?;
        self.0.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(self.0)?;
        let mut line = String::new();
        let mut reader = tokio::io::BufReader::new(stream).take(MAX_LINE as u64);
        match reader.read_line(&mut line).await {
            // A process that dies with unread data in its socket resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Err(HandoverError::Closed)
            }
            Err(error) => Err(error.into()),
            Ok(0) => Err(HandoverError::Closed),
            Ok(_) => Ok(serde_json::from_str(&line)?),
        }
    }
}

/// Sends one line with descriptors attached to its first byte.
pub fn send<S: Serialize>(
    mut socket: &UnixStream,
    message: &S,
    fds: &[BorrowedFd<'_>],
) -> Result<(), HandoverError> {
    if fds.len() > MAX_FDS {
        return Err(HandoverError::TooManyFds(fds.len()));
    }
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if line.len() > MAX_LINE {
        return Err(HandoverError::TooLong);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(HandoverError::TooManyFds(fds.len()));
    }
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&line)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )
    .map_err(io::Error::from)?;
    socket.write_all(&line[sent..])?;
    Ok(())
}

/// Receives one line and the descriptors that came with it; blocks.
pub fn receive<T: DeserializeOwned>(
    mut socket: &UnixStream,
) -> Result<(T, Vec<OwnedFd>), HandoverError> {
    let mut line = vec![0; 64 * 1024];
    let mut fds = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut line)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(io::Error::from)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    line.truncate(received.bytes);
    let mut chunk = [0; 4096];
    while line.last() != Some(&b'\n') {
        if line.len() > MAX_LINE {
            return Err(HandoverError::TooLong);
        }
        match socket.read(&mut chunk)? {
            0 => return Err(HandoverError::Closed),
            count => line.extend_from_slice(&chunk[..count]),
        }
    }
    Ok((serde_json::from_slice(&line)?, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[tokio::test]
    async fn a_line_and_descriptors_cross_and_an_answer_comes_back() {
        let (handover, theirs) = Handover::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let process = std::thread::spawn(move || {
            let socket = UnixStream::from(theirs);
            let (message, fds): (Vec<String>, _) = receive(&socket).unwrap();
            let mut file = std::fs::File::from(fds.into_iter().next().unwrap());
            let mut text = String::new();
            std::io::Seek::rewind(&mut file).unwrap();
            file.read_to_string(&mut text).unwrap();
            send(&socket, &format!("{} {text}", message[0].len()), &[]).unwrap();
        });
        // Longer than one read of the receiver.
        let message = vec!["x".repeat(100_000)];
        let answer: String = handover.exchange(&message, &[file.as_fd()]).await.unwrap();
        assert_eq!(answer, "100000 content");
        process.join().unwrap();
    }

    #[tokio::test]
    async fn a_process_that_dies_is_told_apart() {
        let (handover, theirs) = Handover::pair().unwrap();
        let process = std::thread::spawn(move || {
            let socket = UnixStream::from(theirs);
            let _: (u32, _) = receive(&socket).unwrap();
        });
        let answer = handover.exchange::<_, String>(&1, &[]).await;
        assert!(matches!(answer, Err(HandoverError::Closed)));
        process.join().unwrap();
    }
}

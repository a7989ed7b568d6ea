//! How a specification arrives: one line, and descriptors that are numbered in it.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use basalt_model::machine::{MachineSpec, Slot};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};

use super::{Error, MAX_DESCRIPTORS, MAX_SPEC, invalid};

/// Reads one line and all descriptors that come with it.
pub fn receive(starter: BorrowedFd<'_>) -> Result<(MachineSpec, Vec<OwnedFd>), Error> {
    let mut line = Vec::new();
    let mut descriptors = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() > MAX_SPEC {
            return Err(Error::TooLong);
        }
        if receive_part(starter, &mut line, &mut descriptors)? == 0 {
            return Err(Error::Truncated);
        }
    }
    Ok((serde_json::from_slice(&line)?, descriptors))
}

/// The other side of [`receive`]: sends a specification with its descriptors in slot order.
pub fn send(
    monitor: BorrowedFd<'_>,
    spec: &MachineSpec,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut line = serde_json::to_vec(spec)?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let sent = sendmsg(
        monitor,
        &[io::IoSlice::new(&line)],
        &mut control,
        SendFlags::empty(),
    )?;
    let mut rest = &line[sent..];
    while !rest.is_empty() {
        let sent = rustix::io::write(monitor, rest)?;
        rest = &rest[sent..];
    }
    Ok(())
}

fn receive_part(
    starter: BorrowedFd<'_>,
    line: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<usize, Error> {
    let mut data = vec![0; 64 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        starter,
        &mut [io::IoSliceMut::new(&mut data)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(|e| Error::Read(e.into()))?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            descriptors.extend(fds);
        }
    }
    line.extend_from_slice(&data[..message.bytes]);
    Ok(message.bytes)
}

/// The received descriptors; each can be taken once.
pub(super) struct Delivery(Vec<Option<OwnedFd>>);

impl Delivery {
    /// All that came.
    pub(super) fn new(descriptors: Vec<OwnedFd>) -> Self {
        Self(descriptors.into_iter().map(Some).collect())
    }

    /// The descriptor in a slot that `field` names.
    pub(super) fn take(&mut self, field: &str, slot: Slot) -> Result<OwnedFd, Error> {
        let count = self.0.len();
        let entry = self
            .0
            .get_mut(slot.0)
            .ok_or_else(|| invalid(field, format!("slot {} of {count} descriptors", slot.0)))?;
        entry
            .take()
            .ok_or_else(|| invalid(field, format!("slot {} is used twice", slot.0)))
    }

    /// The same as a file.
    pub(super) fn file(&mut self, field: &str, slot: Slot) -> Result<File, Error> {
        Ok(File::from(self.take(field, slot)?))
    }

    /// Says that each descriptor was taken.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.0.iter().position(Option::is_some) {
            None => Ok(()),
            Some(unused) => Err(invalid(
                "descriptors",
                format!("nothing uses slot {unused}"),
            )),
        }
    }

    /// The same as a socket that listens.
    pub(super) fn listener(&mut self, field: &str, slot: Slot) -> Result<UnixListener, Error> {
        let fd = self.take(field, slot)?;
        let listening = sockopt::socket_acceptconn(&fd).unwrap_or(false);
        if !listening {
            return Err(invalid(field, "it is no listening socket"));
        }
        let listener = UnixListener::from(fd);
        listener
            .set_nonblocking(true)
            .map_err(|e| invalid(field, e.to_string()))?;
        Ok(listener)
    }
}

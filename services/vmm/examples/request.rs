//! Sends one request to a running machine and prints the answer: `request SOCKET '"status"'`, with
//! a file where one goes along: `request SOCKET '"save"' FILE`. A file that is a socket is connected to.
//! After `"events"`, prints events
//! until the machine is gone.

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

fn open(path: &str) -> std::io::Result<OwnedFd> {
    if std::fs::metadata(path)?.file_type().is_socket() {
        return Ok(UnixStream::connect(path)?.into());
    }
    let file = File::options().read(true).write(true).open(path)?;
    Ok(file.into())
}

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (socket, request, file) = match words.as_slice() {
        [socket, request] => (socket, request, None),
        [socket, request, path] => (socket, request, Some(open(path)?)),
        _ => {
            return Err(std::io::Error::other(
                "usage: request SOCKET REQUEST [FILE]",
            ));
        }
    };
    let stream = UnixStream::connect(socket)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = file.iter().map(AsFd::as_fd).collect::<Vec<_>>();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let line = format!("{request}\n");
    let parts = [IoSlice::new(line.as_bytes())];
    sendmsg(&stream, &parts, &mut control, SendFlags::empty())?;
    let endless = request.contains("events");
    for line in BufReader::new(stream).lines() {
        println!("{}", line?);
        if !endless {
            break;
        }
    }
    Ok(())
}

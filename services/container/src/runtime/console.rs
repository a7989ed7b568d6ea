//! The container's console: a pseudo terminal whose other end is `/dev/console` inside.
//!
//! What the container writes goes to every client and into a scroll-back that a new client gets
//! first; what a client writes goes to the container. The terminal outlives a reboot of the
//! container and any number of clients.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use basalt_model::container::IdMap;
use rustix::fs::{CWD, Gid, Mode, Uid, fchmod, fchown};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::devices::clone_file;
use crate::step::{Step, StepError};
use crate::sys;

/// Bytes of output that a new client gets first.
const SCROLLBACK: usize = 64 * 1024;
/// Chunks of output that may wait for a slow client before it is dropped.
const CLIENT_QUEUE: usize = 256;
/// Group of terminals inside every distribution.
const TTY_GROUP: u32 = 5;

/// The terminal.
#[derive(Debug)]
pub struct Console {
    master: AsyncFd<OwnedFd>,
    /// Kept open, so that the terminal does not hang up while nobody inside has it open.
    slave: OwnedFd,
    path: String,
    output: RefCell<Output>,
}

#[derive(Debug, Default)]
struct Output {
    scrollback: VecDeque<u8>,
    clients: Vec<mpsc::Sender<Vec<u8>>>,
}

impl Output {
    /// Keeps a chunk and gives it to every client that keeps up.
    fn push(&mut self, chunk: &[u8]) {
        self.scrollback.extend(chunk);
        let surplus = self.scrollback.len().saturating_sub(SCROLLBACK);
        self.scrollback.drain(..surplus);
        // One that is gone or too slow loses its channel, which ends its connection.
        self.clients
            .retain(|client| client.try_send(chunk.to_vec()).is_ok());
    }

    /// A new client, with what it gets first.
    fn join(&mut self) -> (Vec<u8>, mpsc::Receiver<Vec<u8>>) {
        let (sender, receiver) = mpsc::channel(CLIENT_QUEUE);
        self.clients.push(sender);
        (self.scrollback.iter().copied().collect(), receiver)
    }
}

impl Console {
    /// Makes a terminal that belongs to the container's root.
    pub fn create(map: IdMap) -> Result<Rc<Self>, StepError> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .step("make a pseudo terminal")?;
        unlockpt(&master).step("unlock the pseudo terminal")?;
        let slave = ioctl_tiocgptpeer(
            &master,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )
        .step("open the pseudo terminal")?;
        fchown(
            &slave,
            Some(Uid::from_raw(map.host)),
            Some(Gid::from_raw(map.host + TTY_GROUP.min(map.count - 1))),
        )
        .step("give the pseudo terminal to the container")?;
        fchmod(&slave, Mode::from_raw_mode(0o620)).step("protect the pseudo terminal")?;
        let path = ptsname(&master, Vec::new()).step("name the pseudo terminal")?;
        rustix::io::ioctl_fionbio(&master, true).step("prepare the pseudo terminal")?;
        let master = sys::watch(master).step("watch the pseudo terminal")?;
        let console = Self {
            master,
            slave,
            path: path.to_string_lossy().into_owned(),
            output: RefCell::default(),
        };
        console.resize(80, 24).step("size the pseudo terminal")?;
        Ok(Rc::new(console))
    }

    /// A fresh detached mount of the terminal, to become `/dev/console`; each start of the
    /// container uses one up.
    pub fn mount(&self) -> io::Result<OwnedFd> {
        clone_file(CWD, &self.path)
    }

    /// Tells the container the size of the window.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        Ok(tcsetwinsize(
            &self.slave,
            Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?)
    }

    /// Distributes the container's output; ends only when the terminal fails.
    pub async fn pump(self: Rc<Self>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let mut ready = self.master.readable().await?;
            let result = ready.try_io(|master| Ok(rustix::io::read(master, &mut buffer)?));
            match result {
                Ok(Ok(count)) => self.output.borrow_mut().push(&buffer[..count]),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }

    /// Accepts clients; never ends by itself.
    pub async fn serve(self: Rc<Self>, listener: tokio::net::UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (reader, writer) = stream.into_split();
                    let (replay, output) = self.output.borrow_mut().join();
                    let input = spawn_local(Rc::clone(&self).feed(reader));
                    spawn_local(async move {
                        // A client that went away is no fault of the container's.
                        let _gone = send_output(writer, replay, output).await;
                        input.abort();
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "console client not accepted");
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Passes a client's input on until it closes its side.
    async fn feed(self: Rc<Self>, mut reader: OwnedReadHalf) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let mut ready = self.master.writable().await?;
                match ready.try_io(|master| Ok(rustix::io::write(master, rest)?)) {
                    Ok(written) => rest = &rest[written?..],
                    Err(_would_block) => {}
                }
            }
        }
    }
}

async fn send_output(
    mut writer: OwnedWriteHalf,
    replay: Vec<u8>,
    mut output: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    writer.write_all(&replay).await?;
    while let Some(chunk) = output.recv().await {
        writer.write_all(&chunk).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrollback_keeps_the_newest_bytes() {
        let mut output = Output::default();
        output.push(&vec![b'a'; SCROLLBACK]);
        output.push(b"tail");
        let (replay, _receiver) = output.join();
        assert_eq!(replay.len(), SCROLLBACK);
        assert!(replay.ends_with(b"atail"));
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped_and_the_others_stay() {
        let mut output = Output::default();
        let (_, slow) = output.join();
        let (_, mut quick) = output.join();
        for _ in 0..=CLIENT_QUEUE {
            output.push(b"x");
            assert_eq!(quick.try_recv().unwrap(), b"x");
        }
        assert_eq!(output.clients.len(), 1);
        drop(slow);
    }
}

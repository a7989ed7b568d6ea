//! The manager's end of a running machine's control socket.

use crate::error::{Result, VmError};
use basalt_model::disk::MAX_BACKING;
use basalt_model::hotplug::{RemoveDevice, SetMemory, SetVcpus};
use basalt_model::machine::{Request, Response, Status};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;

/// Longest answer line in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Most descriptors of one request: those of a disk with all its images.
const MAX_DESCRIPTORS: usize = 1 + MAX_BACKING;
/// How long a monitor may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a reset may take. With devices of the host, the kernel lets go of all of the guest's memory,
/// page by page, and pins the new one: seconds for a few GiB.
const RESET_PATIENCE: Duration = Duration::from_secs(300);

/// A connection to a machine's monitor.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Connects to the socket at `path`.
    pub async fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// State and statistics.
    pub async fn status(&mut self) -> Result<Status> {
        match self.request(&Request::Status).await? {
            Response::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Has a request done that is answered by no more than that it is done.
    pub async fn order(&mut self, request: &Request) -> Result<()> {
        let patience = match request {
            Request::Reset => RESET_PATIENCE,
            _ => PATIENCE,
        };
        self.deliver(request, &[]).await?;
        self.done_within(patience).await
    }

    /// Has a request done that descriptors come with.
    pub async fn order_with(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<()> {
        self.deliver(request, descriptors).await?;
        self.done_within(PATIENCE).await
    }

    /// Asks the guest to let go of a device and waits until it did. When it does not within
    /// `patience`, the monitor says so and the guest keeps the device.
    pub async fn remove_device(&mut self, device: &str, patience: Duration) -> Result<()> {
        let request = Request::RemoveDevice(RemoveDevice {
            device: device.to_owned(),
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        });
        self.deliver(&request, &[]).await?;
        self.done_within(patience + PATIENCE).await
    }

    /// Changes how many processors there are; when the guest does not let go of some within
    /// `patience`, the monitor says so and it keeps them.
    pub async fn set_vcpus(&mut self, vcpus: u8, patience: Duration) -> Result<()> {
        let request = Request::SetVcpus(SetVcpus {
            vcpus,
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        });
        self.deliver(&request, &[]).await?;
        self.done_within(patience + PATIENCE).await
    }

    /// Changes how much memory there is; when the guest has not as much within `patience`, the monitor
    /// says so and asks it for what it had.
    pub async fn set_memory(&mut self, mib: u64, patience: Duration) -> Result<()> {
        let request = Request::SetMemory(SetMemory {
            mib,
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        });
        self.deliver(&request, &[]).await?;
        self.done_within(patience + PATIENCE).await
    }

    async fn done_within(&mut self, patience: Duration) -> Result<()> {
        match tokio::time::timeout(patience, self.answer()).await {
            Ok(Ok(Response::Ok)) => Ok(()),
            Ok(Ok(Response::Error(reason))) => Err(VmError::Control(reason)),
            Ok(Ok(other)) => Err(unexpected(&other)),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(VmError::Control("the monitor does not answer".to_owned())),
        }
    }

    /// Has the machine stopped and its state written to `file`; takes as long as that takes. The
    /// monitor's end is noticed.
    pub async fn save(&mut self, file: BorrowedFd<'_>) -> Result<()> {
        self.deliver(&Request::Save, &[file]).await?;
        match self.answer().await? {
            Response::Ok => Ok(()),
            Response::Error(reason) => Err(VmError::Control(reason)),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a request with the descriptors that belong to it.
    async fn deliver(&mut self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let mut line = serde_json::to_vec(request).map_err(failed)?;
        line.push(b'\n');
        let sent = self.send_with(&line, descriptors).await?;
        let stream = self.stream.get_mut();
        stream.write_all(&line[sent..]).await.map_err(failed)
    }

    /// Sends the beginning of `line` with descriptors; returns how much.
    async fn send_with(&self, line: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
        if fds.len() > MAX_DESCRIPTORS {
            return Err(failed("too many descriptors for one request"));
        }
        let stream = self.stream.get_ref();
        loop {
            stream.writable().await.map_err(failed)?;
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(fds));
            }
            let sent = stream.try_io(Interest::WRITABLE, || {
                let parts = [IoSlice::new(line)];
                let flags = SendFlags::NOSIGNAL;
                Ok(sendmsg(stream.as_fd(), &parts, &mut control, flags)?)
            });
            match sent {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                sent => return sent.map_err(failed),
            }
        }
    }

    async fn request(&mut self, request: &Request) -> Result<Response> {
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(Ok(Response::Error(reason))) => Err(VmError::Control(reason)),
            Ok(answer) => answer,
            Err(_elapsed) => Err(VmError::Control("the monitor does not answer".to_owned())),
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Response> {
        let mut line = serde_json::to_vec(request).map_err(failed)?;
        line.push(b'\n');
        self.stream
            .get_mut()
            .write_all(&line)
            .await
            .map_err(failed)?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Response> {
        let mut answer = String::new();
        let mut reader = (&mut self.stream).take(MAX_LINE);
        match reader.read_line(&mut answer).await.map_err(failed)? {
            0 => Err(VmError::Control(
                "the monitor closed the connection".to_owned(),
            )),
            _ => serde_json::from_str(&answer).map_err(failed),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> VmError {
    VmError::Control(error.to_string())
}

fn unexpected(answer: &Response) -> VmError {
    VmError::Control(format!("unexpected answer {answer:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::machine::RunState;
    use tokio::net::UnixListener;

    /// A monitor that answers each line with the next of `answers`.
    fn monitor(answers: &'static [&'static str]) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                let answer = format!("{answer}\n");
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (directory, path)
    }

    #[tokio::test]
    async fn requests_are_answered_in_turn() {
        let status = r#"{"status":{"state":"paused","vcpus":1,"disks":[],"nics":[]}}"#;
        let answers: &'static [&'static str] = Box::leak(Box::new([
            r#""ok""#,
            status,
            r#"{"error":"no"}"#,
            r#"{"error":"it stays"}"#,
        ]));
        let (_directory, path) = monitor(answers);
        let mut control = Control::connect(&path).await.unwrap();
        control.order(&Request::Pause).await.unwrap();
        assert_eq!(control.status().await.unwrap().state, RunState::Paused);
        let error = control.order(&Request::Resume).await.unwrap_err();
        assert_eq!(error.to_string(), "control socket: no");
        let removed = control.remove_device("net1", Duration::ZERO).await;
        assert_eq!(removed.unwrap_err().to_string(), "control socket: it stays");
        assert!(control.status().await.is_err(), "the monitor is gone");
    }
}

//! The program that emulates a machine's trusted platform module, in a unit of its own.
//!
//! The emulator opens nothing but a directory in memory: it gets its control channel as standard input,
//! its data channel by a request on that, and its state from the machine's monitor, which also keeps it. It
//! ends when the monitor closes its channels.

use crate::error::{Result, VmError, io};
use crate::machines::{SLICE, sandbox};
use crate::resolve::{Slots, volume};
use basalt_model::field::FieldErrors;
use basalt_model::machine::Tpm;
use basalt_model::qemu::QemuConfig;
use basalt_model::vmid::Vmid;
use basalt_storage::{Access, Storages};
use basalt_unit::{Property, UnitSpec};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The emulator.
const EXECUTABLE: &str = "/usr/bin/swtpm";
/// Faces what its guest sends, and owns nothing.
const USER: &str = "basalt-tpm";
/// What it needs; it has no more than a few hundred KiB of state.
const MEMORY: u64 = 64 << 20;
/// `CMD_SET_DATAFD` of its control channel.
const SET_DATA: u32 = 0x10;

/// Opens the state of the machine's module and connects what will be its emulator, whose end of the
/// control channel is returned.
pub(crate) async fn resolve(
    config: &QemuConfig,
    storages: &Storages,
    slots: &mut Slots,
) -> Result<Option<(Tpm, OwnedFd)>> {
    let Some(wanted) = &config.tpmstate0 else {
        return Ok(None);
    };
    let Some(state) = wanted.file.volume() else {
        let text = "it has no volume";
        return Err(VmError::Config(FieldErrors::one("tpmstate0", text)));
    };
    let state = volume(storages, "tpmstate0", state, Access::Write).await?;
    let (control, theirs) = connect().map_err(io("connecting the TPM's emulator"))?;
    let data = introduce(&control).map_err(io("connecting the TPM's emulator"))?;
    let tpm = Tpm {
        control: slots.add(control),
        data: slots.add(data),
        state: slots.add(state),
    };
    Ok(Some((tpm, theirs)))
}

fn connect() -> std::io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    Ok((ours, theirs.into()))
}

/// Sends the emulator, which will find it when it starts, its end of a data channel; gives ours.
fn introduce(control: &UnixStream) -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let fds = [theirs.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(std::io::Error::other("there is no room for a descriptor"));
    }
    let request = SET_DATA.to_be_bytes();
    sendmsg(
        control,
        &[IoSlice::new(&request)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(ours)
}

/// Name of the unit.
pub(crate) fn unit(vmid: Vmid) -> String {
    format!("{}.service", name(vmid))
}

fn name(vmid: Vmid) -> String {
    format!("basalt-tpm-{vmid}")
}

/// The unit; `control` is the emulator's end of its control channel.
pub(crate) fn unit_spec(vmid: Vmid, control: OwnedFd) -> UnitSpec {
    let directory = name(vmid);
    let state = format!("dir=/run/{directory}");
    let arguments = [
        "socket",
        "--tpm2",
        "--ctrl",
        "type=unixio,clientfd=0",
        "--terminate",
        "--tpmstate",
        &state,
    ];
    let mut properties = sandbox(MEMORY);
    properties.extend([
        Property::new("RuntimeDirectory", vec![directory]),
        Property::new("RuntimeDirectoryMode", 0o700_u32),
    ]);
    UnitSpec {
        name: unit(vmid),
        description: format!("Trusted platform module of virtual machine {vmid}"),
        slice: SLICE.into(),
        executable: EXECUTABLE.into(),
        arguments: arguments.map(str::to_owned).to_vec(),
        user: Some(USER.into()),
        stdin: control,
        properties,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::io::{IoSliceMut, Read, Write};

    /// What the emulator finds on its control channel.
    #[test]
    fn the_emulator_is_sent_its_data_channel() {
        let (control, theirs) = connect().unwrap();
        let mut ours = introduce(&control).unwrap();
        let mut request = [0; 8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut request)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&theirs, &mut into, &mut ancillary, flags).unwrap();
        assert_eq!(received.bytes, 4);
        assert_eq!(request[..4], [0, 0, 0, 0x10]);
        let mut data = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                data = fds.map(UnixStream::from).next();
            }
        }
        ours.write_all(b"command").unwrap();
        let mut heard = [0; 7];
        data.unwrap().read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"command");
    }

    #[test]
    fn the_unit_is_no_machines() {
        let name = unit(Vmid::MIN);
        assert_eq!(name, "basalt-tpm-100.service");
        assert!(!name.starts_with("basalt-vm-"));
    }
}

//! The sockets on which a running machine is reached: its control, its consoles, its agent.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use basalt_model::machine::{Adapter, Display, MORE_SERIAL, Slot};
use basalt_model::qemu::serial::SerialName;
use basalt_model::qemu::{QemuConfig, Vga};
use basalt_model::vmid::Vmid;

use super::Slots;
use crate::error::{Result, io};

/// Where the sockets of running machines are.
pub const RUN: &str = "/run/basalt/vm";

/// The socket on which a machine's monitor takes requests.
pub fn control_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("control.sock")
}

/// The socket of a machine's serial port, which is a console; a machine without that port has none.
pub fn console_socket(run: &Path, vmid: Vmid, port: SerialName) -> PathBuf {
    let name = match port {
        SerialName::Serial0 => "serial.sock".to_owned(),
        more => format!("{more}.sock"),
    };
    run.join(vmid.to_string()).join(name)
}

/// The socket of a machine's guest agent; a machine without has none.
pub fn agent_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("agent.sock")
}

/// The socket of a machine's screen; a machine without screen has none.
pub fn screen_socket(run: &Path, vmid: Vmid) -> PathBuf {
    run.join(vmid.to_string()).join("vnc.sock")
}

/// The sockets of the serial ports beside the first.
pub(super) fn more_serial(
    vmid: Vmid,
    config: &QemuConfig,
    run: &Path,
    slots: &mut Slots,
) -> Result<[Option<Slot>; MORE_SERIAL]> {
    let mut more = [None; MORE_SERIAL];
    let names = SerialName::ALL.iter().skip(1);
    for (slot, name) in more.iter_mut().zip(names) {
        let path = console_socket(run, vmid, *name);
        match config.has_serial(*name) {
            true => *slot = Some(slots.add(listen(&path)?)),
            false => unlink(&path)?,
        }
    }
    Ok(more)
}

/// The socket of the guest agent's port.
pub(super) fn agent(
    vmid: Vmid,
    config: &QemuConfig,
    run: &Path,
    slots: &mut Slots,
) -> Result<Option<Slot>> {
    let path = agent_socket(run, vmid);
    if !config.has_agent() {
        unlink(&path)?;
        return Ok(None);
    }
    Ok(Some(slots.add(listen(&path)?)))
}

/// The screen, with its socket.
pub(super) fn display(
    vmid: Vmid,
    config: &QemuConfig,
    run: &Path,
    slots: &mut Slots,
) -> Result<Option<Display>> {
    let path = screen_socket(run, vmid);
    let Some(adapter) = adapter(config) else {
        unlink(&path)?;
        return Ok(None);
    };
    Ok(Some(Display {
        socket: slots.add(listen(&path)?),
        adapter,
        tablet: config.tablet != Some(false),
    }))
}

/// What draws. A kernel that is entered directly finds no picture of a firmware's.
pub(crate) fn adapter(config: &QemuConfig) -> Option<Adapter> {
    match config.vga() {
        Vga::Absent => None,
        Vga::Virtio => Some(Adapter::Virtio),
        Vga::Standard if config.kernel.is_some() => Some(Adapter::Virtio),
        Vga::Standard => Some(Adapter::Ramfb),
    }
}

/// A listening socket at `path`, in place of what an earlier run left there.
pub(crate) fn listen(path: &Path) -> Result<OwnedFd> {
    let what = || format!("listening on {}", path.display());
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(io(what()))?;
    }
    unlink(path)?;
    Ok(UnixListener::bind(path).map_err(io(what()))?.into())
}

/// Removes a socket that an earlier run left.
pub(crate) fn unlink(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("removing {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn serial_ports_have_a_socket_each_and_those_that_are_gone_have_none() {
        let directory = tempfile::tempdir().unwrap();
        let (run, mut slots) = (directory.path(), Slots::default());
        let path = |name| console_socket(run, Vmid::MIN, name);
        let both = config(json!({"serial0": "socket", "serial1": "socket", "serial3": "socket"}));
        let more = more_serial(Vmid::MIN, &both, run, &mut slots).unwrap();
        assert_eq!(more, [Some(Slot(0)), None, Some(Slot(1))]);
        std::os::unix::net::UnixStream::connect(path(SerialName::Serial3)).unwrap();

        let one = config(json!({"serial1": "socket"}));
        let more = more_serial(Vmid::MIN, &one, run, &mut slots).unwrap();
        assert_eq!(more, [Some(Slot(2)), None, None]);
        assert!(path(SerialName::Serial1).exists());
        assert!(!path(SerialName::Serial3).exists());
    }

    #[test]
    fn a_socket_replaces_what_was_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = control_socket(directory.path(), Vmid::MIN);
        drop(listen(&path).unwrap());
        let _listener = listen(&path).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_screen_is_what_vga_says() {
        let adapter = |vga: &str, kernel: bool| {
            let mut value = json!({});
            if !vga.is_empty() {
                value["vga"] = vga.into();
            }
            if kernel {
                value["kernel"] = "local:kernel/vmlinuz".into();
            }
            adapter(&config(value))
        };
        assert_eq!(adapter("", false), Some(Adapter::Ramfb));
        assert_eq!(adapter("", true), Some(Adapter::Virtio));
        assert_eq!(
            adapter("type=virtio,memory=64", false),
            Some(Adapter::Virtio)
        );
        assert_eq!(adapter("qxl", false), Some(Adapter::Ramfb));
        assert_eq!(adapter("none", false), None);
        assert_eq!(adapter("serial0", true), None);
    }

    #[test]
    fn a_screen_that_is_gone_leaves_no_socket() {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path();
        let mut slots = Slots::default();
        let screen = display(Vmid::MIN, &config(json!({})), run, &mut slots).unwrap();
        assert_eq!(screen.map(|s| (s.socket, s.tablet)), Some((Slot(0), true)));
        assert!(screen_socket(run, Vmid::MIN).exists());
        let blind = config(json!({"vga": "none"}));
        assert!(
            display(Vmid::MIN, &blind, run, &mut slots)
                .unwrap()
                .is_none()
        );
        assert!(!screen_socket(run, Vmid::MIN).exists());
    }

    #[test]
    fn a_machine_has_the_agents_socket_when_its_agent_is_on() {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path();
        let mut slots = Slots::default();
        let mut agent = |value: &str| {
            let config = config(json!({"agent": value}));
            agent(Vmid::MIN, &config, run, &mut slots).unwrap()
        };
        assert_eq!(agent("enabled=1,fstrim_cloned_disks=1"), Some(Slot(0)));
        assert!(agent_socket(run, Vmid::MIN).exists());
        assert_eq!(agent("0"), None);
        assert!(!agent_socket(run, Vmid::MIN).exists());
    }
}

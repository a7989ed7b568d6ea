//! Directories of the host that a guest mounts: each has a server, Debian's `virtiofsd`, in a unit of its
//! own.
//!
//! The server gets a listening socket as its standard input, on which one connection already waits: the
//! monitor has the other end of it. It ends when that is closed.
//!
//! A guest's root may own any file of the directory, so the server has root's rights over files and no
//! others. It locks itself in before it reads a byte of the guest's: namespaces of its own in which the
//! directory is the root of the file system, a filter of system calls, and of its capabilities those over
//! files. Devices are not made there, because the host has the same ones.

use crate::error::{Result, VmError, io};
use crate::machines::{SLICE, walls};
use crate::resolve::{Resolved, listen, unlink};
use basalt_model::field::FieldErrors;
use basalt_model::machine::{Share, Slot};
use basalt_model::qemu::VirtioFs;
use basalt_model::vmid::Vmid;
use basalt_unit::{Property, UnitSpec};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The server.
const EXECUTABLE: &str = "/usr/libexec/virtiofsd";
/// What it needs beside the guest's memory: its own, and page cache for the files.
const OVERHEAD: u64 = 256 << 20;
/// It holds a descriptor for every file that the guest knows.
const FILES: u64 = 1_000_000;
/// Numbers of the capabilities that it keeps: `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `SETGID`,
/// `SETUID`, `SETFCAP`.
const OVER_FILES: [u32; 7] = [0, 1, 3, 4, 6, 7, 31];
/// Those by which it locks itself in and gives up the others: `SETPCAP`, `SYS_ADMIN`.
const TO_LOCK_IN: [u32; 2] = [8, 21];
/// What it must not ask to keep, since it never has it.
const GIVEN_UP: &str = "--modcaps=-mknod";

/// A directory that a configuration shares, as it is on this host.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedDirectory {
    /// Number of the setting: `virtiofs3` has 3.
    pub index: u8,
    /// The directory, without symbolic links on the way to it.
    pub path: PathBuf,
    /// The setting.
    pub settings: VirtioFs,
}

impl SharedDirectory {
    fn key(&self) -> String {
        format!("virtiofs{}", self.index)
    }
}

/// A server that is still to be started.
#[derive(Debug)]
pub(crate) struct Server {
    directory: SharedDirectory,
    /// Where it finds the monitor's connection.
    listener: OwnedFd,
}

impl Resolved {
    /// Gives the machine a directory, and connects it with what will be its server. Sockets are made
    /// below `run` (normally [`crate::RUN`]).
    ///
    /// # Errors
    /// When the path is none that can be named, or the socket cannot be made.
    pub fn share(&mut self, vmid: Vmid, run: &Path, directory: SharedDirectory) -> Result<()> {
        let id = directory.key();
        if directory.path.to_str().is_none() {
            let text = "the directory's real path is not UTF-8";
            return Err(VmError::Config(FieldErrors::one(id, text)));
        }
        let socket = run.join(vmid.to_string()).join(format!("{id}.sock"));
        let (listener, connection) = connect(&socket)?;
        self.spec.shares.push(Share {
            tag: directory.settings.dirid.to_string(),
            id,
            socket: Slot(self.fds.len()),
        });
        self.fds.push(connection);
        self.servers.push(Server {
            directory,
            listener,
        });
        Ok(())
    }
}

/// A listening socket on which a connection waits, and the other end of that. Its name is gone: nobody
/// else finds it.
fn connect(path: &Path) -> Result<(OwnedFd, OwnedFd)> {
    let listener = listen(path)?;
    let connection = UnixStream::connect(path);
    let connection = connection.map_err(io(format!("connecting to {}", path.display())))?;
    unlink(path)?;
    Ok((listener, connection.into()))
}

impl Server {
    /// Name of its unit.
    pub(crate) fn unit(&self, vmid: Vmid) -> String {
        format!("basalt-fs-{vmid}-{}.service", self.directory.index)
    }

    /// The unit; the guest has `memory` bytes that count against limits.
    pub(crate) fn unit_spec(self, vmid: Vmid, memory: u64) -> UnitSpec {
        let path = self.directory.path.to_string_lossy().into_owned();
        UnitSpec {
            name: self.unit(vmid),
            description: format!(
                "Directory {} of virtual machine {vmid}",
                self.directory.key()
            ),
            slice: SLICE.into(),
            executable: EXECUTABLE.into(),
            arguments: arguments(&self.directory.settings, &path),
            user: None,
            stdin: self.listener,
            properties: sandbox(path, memory + OVERHEAD),
        }
    }
}

fn arguments(settings: &VirtioFs, path: &str) -> Vec<String> {
    let mut arguments = vec![
        "--fd=0".to_owned(),
        format!("--shared-dir={path}"),
        "--sandbox=namespace".to_owned(),
        GIVEN_UP.to_owned(),
        "--rlimit-nofile=0".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    if let Some(cache) = settings.cache {
        arguments.push(format!("--cache={cache}"));
    }
    let switches = [
        (settings.direct_io, "--allow-direct-io"),
        (settings.expose_acl, "--posix-acl"),
        (settings.expose_xattr, "--xattr"),
    ];
    let on = switches.iter().filter(|(on, _)| *on == Some(true));
    arguments.extend(on.map(|(_, switch)| (*switch).to_owned()));
    arguments
}

fn sandbox(path: String, memory: u64) -> Vec<Property> {
    let bits = |numbers: &[u32]| numbers.iter().fold(0u64, |all, number| all | 1 << number);
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    let mut properties = walls(memory);
    properties.extend([
        Property::new(
            "CapabilityBoundingSet",
            bits(&OVER_FILES) | bits(&TO_LOCK_IN),
        ),
        Property::new("RestrictNamespaces", namespaces as u64),
        Property::new("ReadWritePaths", vec![path]),
        Property::new("LimitNOFILE", FILES),
        Property::new("LimitNOFILESoft", FILES),
    ]);
    properties
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    fn directory(settings: &str) -> SharedDirectory {
        SharedDirectory {
            index: 3,
            path: "/var/srv/data".into(),
            settings: settings.parse().unwrap(),
        }
    }

    #[test]
    fn a_connection_waits_for_the_server_and_nobody_else_finds_it() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join("100/virtiofs3.sock");
        let (listener, connection) = connect(&path).unwrap();
        assert!(!path.exists());
        UnixStream::from(connection).write_all(b"hello").unwrap();
        let (mut accepted, _) = UnixListener::from(listener).accept().unwrap();
        let mut heard = String::new();
        accepted.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
    }

    #[test]
    fn settings_become_the_servers_words() {
        let of = |text: &str| arguments(&directory(text).settings, "/srv/a");
        let plain = of("data,direct-io=0,expose-xattr=0");
        assert_eq!(plain[..2], ["--fd=0", "--shared-dir=/srv/a"]);
        assert_eq!(plain.len(), 6, "{plain:?}");
        let all = of("data,cache=never,direct-io=1,expose-acl=1,expose-xattr=1");
        let more = [
            "--cache=never",
            "--allow-direct-io",
            "--posix-acl",
            "--xattr",
        ];
        assert_eq!(all[6..], more);
    }

    #[test]
    fn a_server_has_a_unit_that_is_no_machines() {
        let listener = std::fs::File::open("/dev/null").unwrap().into();
        let server = Server {
            directory: directory("data"),
            listener,
        };
        let spec = server.unit_spec(Vmid::MIN, 512 << 20);
        assert_eq!(spec.name, "basalt-fs-100-3.service");
        let has = |property: Property| spec.properties.contains(&property);
        let paths = vec!["/var/srv/data".to_owned()];
        assert!(has(Property::new("ReadWritePaths", paths)));
        // Over files and to lock itself in, but neither MKNOD (27) nor SYS_PTRACE (19).
        assert!(has(Property::new("CapabilityBoundingSet", 0x8020_01db_u64)));
        assert!(has(Property::new("RestrictNamespaces", 0x6002_0000_u64)));
        assert!(has(Property::new("MemoryMax", 768_u64 << 20)));
    }
}

//! Host name and network configuration written into the container.
//!
//! Runs as the container's root after it entered its root, so that a path means what it means
//! inside and no link leads out. Only text between our own markers is ever replaced in files that
//! people edit too. A failure leaves the container running with the file as it was.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use basalt_model::container::{ContainerNic, ContainerSpec, Ipv4, Resolver};

use crate::step::{Step, StepError};

mod formats;

use formats::replace_block;

/// Larger files than this are nothing we would have written into.
const MAX_FILE: u64 = 256 * 1024;

/// Where names are looked up.
const RESOLVER: &str = "/etc/resolv.conf";

/// What configures the network inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkManager {
    Ifupdown,
    /// NetworkManager itself.
    Daemon,
    Networkd,
}

/// Writes what the specification asks for; returns what could not be written.
pub fn write(spec: &ContainerSpec, nameservers: &[String]) -> Vec<StepError> {
    let mut failures = Vec::new();
    let mut note = |result: Result<(), StepError>| failures.extend(result.err());
    note(
        write_if_changed("/etc/hostname", &format!("{}\n", spec.hostname))
            .step("write /etc/hostname"),
    );
    note(write_hosts(spec).step("write /etc/hosts"));
    if !spec.resolver.is_empty() {
        note(write_asked_resolver(&spec.resolver, nameservers).step("write /etc/resolv.conf"));
    }
    let managed: Vec<&ContainerNic> = spec
        .nics
        .iter()
        .filter(|nic| nic.ipv4 != Ipv4::Manual)
        .collect();
    if !managed.is_empty() {
        note(write_network(&managed).step("write the network configuration"));
        if spec.resolver.is_empty() {
            note(write_resolver(nameservers).step("write /etc/resolv.conf"));
        }
    }
    failures
}

fn write_hosts(spec: &ContainerSpec) -> io::Result<()> {
    let address = spec
        .nics
        .iter()
        .find_map(|nic| match &nic.ipv4 {
            Ipv4::Static { address, .. } => address.split('/').next(),
            _ => None,
        })
        .unwrap_or("127.0.1.1");
    let name = &spec.hostname;
    let short = name.split('.').next().unwrap_or(name);
    let names = if short == name {
        name.clone()
    } else {
        format!("{name} {short}")
    };
    let old = read("/etc/hosts")?.unwrap_or_else(|| {
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".into()
    });
    let new = replace_block(&old, &format!("{address} {names}\n"));
    write_if_changed("/etc/hosts", &new)
}

fn network_manager() -> Option<NetworkManager> {
    let exists = |path: &str| Path::new(path).exists();
    if exists("/sbin/ifup") || exists("/usr/sbin/ifup") || exists("/etc/network/interfaces") {
        Some(NetworkManager::Ifupdown)
    } else if exists("/usr/sbin/NetworkManager") {
        Some(NetworkManager::Daemon)
    } else if exists("/usr/lib/systemd/systemd-networkd") || exists("/lib/systemd/systemd-networkd")
    {
        Some(NetworkManager::Networkd)
    } else {
        None
    }
}

fn write_network(nics: &[&ContainerNic]) -> io::Result<()> {
    match network_manager() {
        Some(NetworkManager::Ifupdown) => {
            let path = "/etc/network/interfaces";
            let old = read(path)?.unwrap_or_default();
            write_if_changed(path, &formats::interfaces(&old, nics))
        }
        Some(NetworkManager::Daemon) => {
            for nic in nics {
                let path = format!(
                    "/etc/NetworkManager/system-connections/basalt-{}.nmconnection",
                    nic.name
                );
                write_if_changed(&path, &formats::nmconnection(nic))?;
                // It ignores connections that others may read.
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            }
            Ok(())
        }
        Some(NetworkManager::Networkd) => {
            for nic in nics {
                let path = format!("/etc/systemd/network/10-basalt-{}.network", nic.name);
                write_if_changed(&path, &formats::networkd(nic))?;
            }
            enable_networkd()
        }
        None => Err(io::Error::other(
            "neither systemd-networkd nor ifupdown nor NetworkManager is installed inside",
        )),
    }
}

/// Does what `systemctl enable` does. A unit that was masked stays so.
fn enable_networkd() -> io::Result<()> {
    let unit = ["/usr/lib/systemd/system", "/lib/systemd/system"]
        .into_iter()
        .map(|directory| format!("{directory}/systemd-networkd.service"))
        .find(|path| Path::new(path).exists())
        .ok_or(ErrorKind::NotFound)?;
    let wants = "/etc/systemd/system/multi-user.target.wants";
    fs::create_dir_all(wants)?;
    match symlink(unit, format!("{wants}/systemd-networkd.service")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Gives a container without any name server the host's.
fn write_resolver(nameservers: &[String]) -> io::Result<()> {
    let path = RESOLVER;
    // A link belongs to a service inside that will fill it.
    if fs::symlink_metadata(path).is_ok_and(|status| status.is_symlink()) {
        return Ok(());
    }
    let usable = read(path)?.is_some_and(|text| !formats::nameservers(&text).is_empty());
    if usable || nameservers.is_empty() {
        return Ok(());
    }
    write_if_changed(path, &formats::resolver(nameservers, &[]))
}

/// Writes what the container's configuration asks for, also in the place of a service's link.
fn write_asked_resolver(asked: &Resolver, host: &[String]) -> io::Result<()> {
    let servers = if asked.nameservers.is_empty() {
        host
    } else {
        &asked.nameservers
    };
    if fs::symlink_metadata(RESOLVER).is_ok_and(|status| status.is_symlink()) {
        fs::remove_file(RESOLVER)?;
    }
    write_if_changed(RESOLVER, &formats::resolver(servers, &asked.search))
}

/// Name servers of the host that a container can reach.
pub fn host_nameservers() -> Vec<String> {
    // With systemd-resolved, the first file holds the servers that the second one's local
    // address stands for.
    for path in ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        let servers: Vec<String> = formats::nameservers(&text)
            .into_iter()
            .filter(|server| !server.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback()))
            .collect();
        if !servers.is_empty() {
            return servers;
        }
    }
    Vec::new()
}

/// Reads a regular file; none when it is missing. Never waits for a pipe's other end.
fn read(path: &str) -> io::Result<Option<String>> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let mut file = match file {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let status = file.metadata()?;
    if !status.is_file() || status.len() > MAX_FILE {
        return Err(io::Error::other("not a regular file of sensible size"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes a file by replacing it whole, when it differs.
fn write_if_changed(path: &str, text: &str) -> io::Result<()> {
    if read(path)?.as_deref() == Some(text) {
        return Ok(());
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let new = target.with_extension("basalt-new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, &target)
}

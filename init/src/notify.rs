//! Tells systemd how the supervisor does.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The supervisor works.
pub fn ready() {
    send("READY=1");
}

/// The supervisor still works.
pub fn watchdog() {
    send("WATCHDOG=1");
}

fn send(message: &str) {
    let Ok(place) = std::env::var("NOTIFY_SOCKET") else {
        return;
    };
    let address = match place.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(message.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, message, "systemd was not told");
    }
}

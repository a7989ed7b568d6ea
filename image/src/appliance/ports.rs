//! Choosing free TCP ports on the loopback.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, TcpListener};

/// The wanted port when it is free, otherwise any free one.
pub fn choose(wanted: Option<u16>) -> Result<u16> {
    if let Some(port) = wanted
        && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    {
        return Ok(port);
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(any.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let chosen = choose(Some(port)).unwrap();
        assert_ne!(chosen, port);
        drop(taken);
        assert_eq!(choose(Some(port)).unwrap(), port);
    }
}

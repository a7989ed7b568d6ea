//! `/etc/resolv.conf` from what systemd-networkd has learned.
//!
//! A host needs no resolver of its own: the name servers of its network are enough.

use std::fs;
use std::io::ErrorKind;

use anyhow::Context;
use basalt_update::files::write_if_changed;

use crate::paths::Paths;

/// The C library asks no more servers than this.
const MAX_SERVERS: usize = 3;

/// Writes the name servers and search domains known now.
pub fn update(paths: &Paths) -> anyhow::Result<()> {
    // A resolver that is installed does this by itself.
    if paths.run("systemd/resolve").exists() {
        return Ok(());
    }
    let state = match fs::read_to_string(paths.run("systemd/netif/state")) {
        Ok(state) => state,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("the network's state"),
    };
    let text = resolv_conf(&state);
    write_if_changed(&paths.etc("resolv.conf"), text.as_bytes(), 0o644)
        .context("/etc/resolv.conf")?;
    Ok(())
}

fn resolv_conf(state: &str) -> String {
    let words = |key: &str| {
        let value = state
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_default();
        value
            .trim_matches('"')
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut text = String::new();
    for server in words("DNS=").iter().take(MAX_SERVERS) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let domains = words("DOMAINS=");
    if !domains.is_empty() {
        text.push_str(&format!("search {}\n", domains.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_domains_are_taken_over() {
        let state = "OPER_STATE=routable\nDNS=192.0.2.1 2001:db8::1\nDOMAINS=example.org\n";
        assert_eq!(
            resolv_conf(state),
            "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example.org\n"
        );
        assert_eq!(resolv_conf("OPER_STATE=no-carrier\n"), "");
    }
}

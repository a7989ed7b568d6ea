//! The host's own configuration, `host.json`, of which every boot is made: what of it can be
//! changed while the host runs.

use basalt_api::{Error, Result};
use basalt_model::host::{HostConfig, HostDns, TimeZone, networkd};
use basalt_update::files::{remove_if_there, write_atomic};
use std::net::IpAddr;
use std::path::Path;

/// Its name in the folder of the store.
const FILE: &str = "host.json";
/// Where the names of time zones lead to.
const ZONES: &str = "/usr/share/zoneinfo";
/// What programs go by.
const LOCAL_TIME: &str = "/etc/localtime";
/// Where the files lie that this boot's network is made of.
const NETWORKS: &str = "/run/systemd/network";
/// Names of hosts that need no name server.
pub const HOSTS: &str = "/etc/hosts";

/// The host's configuration; none when it cannot be read.
pub fn read(state: &Path) -> Option<HostConfig> {
    serde_json::from_slice(&std::fs::read(state.join(FILE)).ok()?).ok()
}

/// Sets the time zone, for now and for every boot.
pub fn set_time_zone(state: &Path, zone: TimeZone) -> Result<()> {
    let target = Path::new(ZONES).join(zone.as_str());
    if !target.is_file() {
        return Err(Error::param(
            "timezone",
            format_args!("there is no time zone '{zone}'"),
        ));
    }
    change(state, |config| config.timezone = zone)?;
    let link = Path::new(LOCAL_TIME);
    let new = link.with_file_name(".localtime.new");
    remove_if_there(&new)
        .and_then(|()| std::os::unix::fs::symlink(&target, &new))
        .and_then(|()| std::fs::rename(&new, link))
        .map_err(|error| Error::failed(format_args!("{LOCAL_TIME}: {error}")))
}

/// Sets the list of hosts, for now and for every boot, unless it is another than the caller has seen.
pub fn set_hosts(state: &Path, data: &str, seen: Option<&str>) -> Result<()> {
    check_hosts(data).map_err(|text| Error::param("data", text))?;
    let now = std::fs::read_to_string(HOSTS).map_err(Error::failed)?;
    if seen.is_some_and(|seen| seen != basalt_store::digest(&now)) {
        let text = "the list was changed meanwhile: read it again";
        return Err(Error::param("digest", text));
    }
    let ended = if data.ends_with('\n') { "" } else { "\n" };
    let text = format!("{data}{ended}");
    for file in [state.join("hosts").as_path(), Path::new(HOSTS)] {
        write_atomic(file, text.as_bytes(), 0o644)
            .map_err(|error| Error::failed(format_args!("{}: {error}", file.display())))?;
    }
    Ok(())
}

/// An address and names in each line; `localhost` must be there, programs stand on it.
fn check_hosts(text: &str) -> std::result::Result<(), String> {
    let mut has_localhost = false;
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(address) = words.next() else {
            continue;
        };
        let number = index + 1;
        if address.parse::<IpAddr>().is_err() {
            return Err(format!("line {number}: '{address}' is no address"));
        }
        let names: Vec<&str> = words.collect();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        match names.iter().find(|name| !name.bytes().all(good)) {
            Some(name) => return Err(format!("line {number}: '{name}' is no host name")),
            None if names.is_empty() => return Err(format!("line {number}: there is no name")),
            None => has_localhost |= names.contains(&"localhost"),
        }
    }
    match has_localhost {
        true => Ok(()),
        false => Err("has no line for localhost".to_owned()),
    }
}

/// Keeps name servers for every boot, and for the next start of the network in this one; gives the
/// name of the bridge that has them.
pub fn set_dns(state: &Path, dns: HostDns) -> Result<String> {
    set_dns_in(state, Path::new(NETWORKS), dns)
}

fn set_dns_in(state: &Path, networks: &Path, dns: HostDns) -> Result<String> {
    let config = change(state, |config| {
        config.dns = Some(dns).filter(|dns| *dns != HostDns::default());
    })?;
    let file = networkd::bridge_file(&config.network, config.dns.as_ref());
    let path = networks.join(&file.name);
    // A host whose network was not made from this configuration has no such file.
    if path.exists() {
        write_atomic(&path, file.contents.as_bytes(), 0o644)
            .map_err(|error| Error::failed(format_args!("{}: {error}", path.display())))?;
    }
    Ok(config.network.bridge)
}

fn change(state: &Path, change: impl FnOnce(&mut HostConfig)) -> Result<HostConfig> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::failed(format_args!("the host's configuration, {FILE}: {error}"))
    };
    let text = std::fs::read(state.join(FILE)).map_err(|e| wrong(&e))?;
    let mut config: HostConfig = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
    change(&mut config);
    let text = serde_json::to_vec_pretty(&config).map_err(|e| wrong(&e))?;
    write_atomic(&state.join(FILE), &text, 0o600).map_err(|e| wrong(&e))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_addresses_and_names() {
        assert!(check_hosts("# mine\n127.0.0.1 localhost\n\n::1 localhost a.b # x\n").is_ok());
        for (text, said) in [
            ("127.0.0.1", "no name"),
            ("127.0.0.1 localhost\nhere there", "line 2: 'here'"),
            ("127.0.0.1 local;host", "no host name"),
            ("192.0.2.1 a", "localhost"),
        ] {
            assert!(check_hosts(text).unwrap_err().contains(said), "{text}");
        }
    }

    #[test]
    fn a_time_zone_is_remembered_beside_all_else() {
        let folder = tempfile::tempdir().unwrap();
        let zone = || "Europe/Berlin".parse::<TimeZone>().unwrap();
        let remember = |zone| change(folder.path(), |config| config.timezone = zone);
        assert!(remember(zone()).is_err());
        std::fs::write(folder.path().join(FILE), r#"{"hostname": "n1"}"#).unwrap();
        remember(zone()).unwrap();
        let config = read(folder.path()).unwrap();
        assert_eq!((config.hostname.short(), config.timezone), ("n1", zone()));
        let nowhere = "Nowhere/Land".parse().unwrap();
        let error = set_time_zone(folder.path(), nowhere).unwrap_err();
        assert!(error.errors.contains_key("timezone"));
    }

    #[test]
    fn name_servers_are_kept_for_every_boot_and_for_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let (state, networks) = (folder.path(), folder.path().join("network"));
        std::fs::create_dir(&networks).unwrap();
        let file = networks.join("10-basalt-vmbr0.network");
        std::fs::write(&file, "").unwrap();
        let dns = HostDns {
            search: Some("example.org".parse().unwrap()),
            servers: vec!["192.0.2.53".parse().unwrap()],
        };
        assert!(set_dns_in(state, &networks, dns.clone()).is_err());
        std::fs::write(state.join(FILE), r#"{"hostname": "n1"}"#).unwrap();
        assert_eq!(set_dns_in(state, &networks, dns.clone()).unwrap(), "vmbr0");
        assert_eq!(read(state).unwrap().dns, Some(dns));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("DNS=192.0.2.53\nDomains=example.org\n"),
            "{text}"
        );
        // Nothing of one's own: what the network says holds again.
        set_dns_in(state, &networks, HostDns::default()).unwrap();
        assert_eq!(read(state).unwrap().dns, None);
        assert!(!std::fs::read_to_string(&file).unwrap().contains("\nDNS="));
    }
}

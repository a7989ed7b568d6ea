//! Host name, root's password, time zone.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::Context;
use basalt_model::host::{Addressing, HostConfig};
use basalt_update::files::{remove_if_there, write_if_changed};

use crate::paths::Paths;

/// Sets the kernel's host name and writes `/etc/hostname` and `/etc/hosts`.
pub fn host_name(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let name = config.hostname.as_str();
    write_if_changed(
        &paths.etc("hostname"),
        format!("{name}\n").as_bytes(),
        0o644,
    )
    .context("/etc/hostname")?;
    // The administrator's list takes the place of ours.
    let own = fs::read(paths.state("hosts"));
    let hosts = own.unwrap_or_else(|_| hosts(config).into_bytes());
    write_if_changed(&paths.etc("hosts"), &hosts, 0o644).context("/etc/hosts")?;
    if paths.root().parent().is_none() {
        rustix::system::sethostname(name.as_bytes()).context("sethostname")?;
    }
    Ok(())
}

fn hosts(config: &HostConfig) -> String {
    let own = match &config.network.addressing {
        Addressing::Static { address, .. } => address.address().to_string(),
        // Unknown before the network is up, and it may change.
        Addressing::Dhcp => "127.0.1.1".to_owned(),
    };
    let (long, short) = (config.hostname.as_str(), config.hostname.short());
    let names = if long == short {
        short.to_owned()
    } else {
        format!("{long} {short}")
    };
    format!("127.0.0.1 localhost\n{own} {names}\n::1 localhost ip6-localhost ip6-loopback\n")
}

/// Puts root's password hash into `/etc/shadow`; without one, no password fits.
pub fn root_password(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let path = paths.etc("shadow");
    let text = fs::read_to_string(&path).context("/etc/shadow")?;
    let hash = config
        .root_password_hash
        .as_ref()
        .map_or("*", |hash| hash.as_str());
    let text = with_root_hash(&text, hash).context("/etc/shadow has no line for root")?;
    write_if_changed(&path, text.as_bytes(), 0o640).context("/etc/shadow")?;
    // Readable for the helper that checks passwords of other users.
    if paths.root().parent().is_none() {
        let group = nix::unistd::Group::from_name("shadow").context("group shadow")?;
        std::os::unix::fs::chown(&path, Some(0), group.map(|group| group.gid.as_raw()))
            .context("/etc/shadow")?;
    }
    Ok(())
}

fn with_root_hash(shadow: &str, hash: &str) -> Option<String> {
    let mut found = false;
    let lines: Vec<String> = shadow
        .lines()
        .map(
            |line| match line.splitn(3, ':').collect::<Vec<_>>().as_slice() {
                ["root", _, rest] => {
                    found = true;
                    format!("root:{hash}:{rest}\n")
                }
                _ => format!("{line}\n"),
            },
        )
        .collect();
    found.then(|| lines.concat())
}

/// Links `/etc/localtime`.
pub fn time_zone(paths: &Paths, config: &HostConfig) -> anyhow::Result<()> {
    let target = format!("/usr/share/zoneinfo/{}", config.timezone);
    anyhow::ensure!(
        paths.at(&target).exists(),
        "there is no time zone `{}`",
        config.timezone
    );
    let link = paths.etc("localtime");
    if fs::read_link(&link).is_ok_and(|old| old.as_os_str() == target.as_str()) {
        return Ok(());
    }
    let new = paths.etc(".localtime.new");
    remove_if_there(&new)
        .and_then(|()| symlink(&target, &new))
        .and_then(|()| fs::rename(&new, &link))
        .context("/etc/localtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_hash_changes() {
        let shadow = "daemon:*:1::::::\nroot:*:1:0:99999:7:::\n";
        assert_eq!(
            with_root_hash(shadow, "$6$a$b").unwrap(),
            "daemon:*:1::::::\nroot:$6$a$b:1:0:99999:7:::\n"
        );
        assert_eq!(with_root_hash("rooter:x:1::\n", "h"), None);
    }

    #[test]
    fn the_administrators_list_of_hosts_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        for folder in [paths.etc(""), paths.state("")] {
            fs::create_dir_all(folder).unwrap();
        }
        let written = || fs::read_to_string(paths.etc("hosts")).unwrap();
        host_name(&paths, &HostConfig::fallback()).unwrap();
        assert!(written().contains("127.0.1.1 basalt\n"));
        fs::write(paths.state("hosts"), "192.0.2.1 own\n").unwrap();
        host_name(&paths, &HostConfig::fallback()).unwrap();
        assert_eq!(written(), "192.0.2.1 own\n");
    }

    #[test]
    fn a_fixed_address_is_the_hosts_own() {
        let mut config = HostConfig::fallback();
        config.network.addressing = Addressing::Static {
            address: "192.0.2.10/24".parse().unwrap(),
            gateway: None,
            dns: Vec::new(),
        };
        assert!(hosts(&config).contains("\n192.0.2.10 basalt\n"));
    }
}

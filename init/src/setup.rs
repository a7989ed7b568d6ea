//! `basalt-init setup`: makes this boot's host out of the image and `host.json`.
//!
//! Runs before the network, SSH and every service of ours. `/etc` is the image's, fresh at every
//! boot; what makes this host different is written into it here. Each step stands alone: one that
//! fails is told loudly on the console and does not stop the others, for a host that can be
//! reached can be repaired.

mod card;
mod grow;
mod identity;
mod keyboard;
mod network;
mod ssh;
mod tls;

use std::fs;
use std::os::unix::fs::DirBuilderExt;

use anyhow::Context;
use basalt_layout::mode;
use basalt_model::host::HostConfig;

use crate::paths::Paths;
use crate::record;

/// Does every step; returns the problems met.
pub fn run(paths: &Paths) -> Vec<String> {
    let mut problems = Vec::new();
    let config = load(paths).unwrap_or_else(|error| {
        problems.push(format!(
            "host configuration: {error:#}; starting with DHCP on the first network card, and \
             without a root password"
        ));
        HostConfig::fallback()
    });
    let steps: [(&str, &dyn Fn() -> anyhow::Result<()>); 9] = [
        ("boot record", &|| begin_boot(paths)),
        ("host name", &|| identity::host_name(paths, &config)),
        ("root password", &|| identity::root_password(paths, &config)),
        ("time zone", &|| identity::time_zone(paths, &config)),
        ("SSH", &|| ssh::write(paths, &config)),
        ("TLS certificate", &|| tls::ensure(paths, &config)),
        // Late, because the network card may still be on its way.
        ("network", &|| network::write(paths, &config)),
        ("data partition", &|| grow::grow(paths)),
        ("keyboard", &|| keyboard::load(paths, &config)),
    ];
    for (what, step) in steps {
        match step() {
            Ok(()) => tracing::info!(step = what, "done"),
            Err(error) => problems.push(format!("{what}: {error:#}")),
        }
    }
    problems
}

/// A boot by hand is none that a version could fail.
fn begin_boot(paths: &Paths) -> anyhow::Result<()> {
    let cmdline = fs::read_to_string(paths.at("/proc/cmdline")).unwrap_or_default();
    if mode::is_by_hand(&cmdline) {
        return Ok(());
    }
    record::begin_boot(paths)
}

fn load(paths: &Paths) -> anyhow::Result<HostConfig> {
    let folder = paths.state("");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| folder.display().to_string())?;
    let path = paths.state("host.json");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as the initial RAM disk leaves it.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        for folder in [
            "/etc/ssh",
            "/run",
            "/usr/lib",
            "/var/lib/basalt",
            "/usr/share/zoneinfo/Europe",
        ] {
            fs::create_dir_all(paths.at(folder)).unwrap();
        }
        fs::write(paths.at("/usr/share/zoneinfo/Europe/Berlin"), "TZif2").unwrap();
        fs::write(paths.at("/usr/share/zoneinfo/UTC"), "TZif2").unwrap();
        fs::write(
            paths.etc("shadow"),
            "root:*:1:0:99999:7:::\nnobody:*:1::::::\n",
        )
        .unwrap();
        let release = "IMAGE_ID=basalt\nIMAGE_VERSION=0.1.0\n";
        fs::write(paths.at("/usr/lib/os-release"), release).unwrap();
        let card = paths.at("/sys/class/net/eth0");
        fs::create_dir_all(card.join("device")).unwrap();
        for (name, text) in [
            ("address", "52:54:00:12:34:56"),
            ("type", "1"),
            ("addr_assign_type", "0"),
        ] {
            fs::write(card.join(name), text).unwrap();
        }
        dir
    }

    const CONFIG: &str = r#"{"hostname": "node1.example.org", "timezone": "Europe/Berlin",
        "root_password_hash": "$6$salt$hash",
        "root_ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIxxxxxxxxxxxxxxxxxxxxxxxxx me"]}"#;

    #[test]
    fn a_host_is_made_and_made_again() {
        let dir = tree();
        let paths = Paths::below(dir.path());
        fs::write(paths.state("host.json"), CONFIG).unwrap();
        let read = |path: std::path::PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(run(&paths), Vec::<String>::new());
        assert_eq!(read(paths.etc("hostname")), "node1.example.org\n");
        assert!(read(paths.etc("hosts")).contains("127.0.1.1 node1.example.org node1\n"));
        assert!(read(paths.etc("shadow")).starts_with("root:$6$salt$hash:"));
        assert!(read(paths.etc("shadow")).contains("\nnobody:*:1::::::\n"));
        assert!(read(paths.etc("ssh/authorized_keys.d/root")).starts_with("ssh-ed25519 AAAA"));
        let port = read(paths.run("systemd/network/10-basalt-vmbr0-port.network"));
        assert!(port.contains("PermanentMACAddress=52:54:00:12:34:56"));
        let link = fs::read_link(paths.etc("localtime")).unwrap();
        assert_eq!(link.to_str().unwrap(), "/usr/share/zoneinfo/Europe/Berlin");

        let keep = [
            paths.state("ssh/ssh_host_ed25519_key"),
            paths.state("tls/cert.pem"),
            paths.state("tls/key.pem"),
        ];
        let before: Vec<String> = keep.iter().cloned().map(read).collect();
        assert_eq!(run(&paths), Vec::<String>::new());
        assert_eq!(before, keep.into_iter().map(read).collect::<Vec<_>>());
    }

    #[test]
    fn without_a_configuration_the_host_is_reachable_and_locked() {
        for text in [None, Some("{"), Some(r#"{"hostname": "a b"}"#)] {
            let dir = tree();
            let paths = Paths::below(dir.path());
            if let Some(text) = text {
                fs::write(paths.state("host.json"), text).unwrap();
            }
            let problems = run(&paths);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains("host.json"), "{problems:?}");
            let shadow = fs::read_to_string(paths.etc("shadow")).unwrap();
            assert!(shadow.starts_with("root:*:"), "{shadow}");
            let bridge = paths.run("systemd/network/10-basalt-vmbr0.network");
            assert!(fs::read_to_string(bridge).unwrap().contains("DHCP=ipv4"));
        }
    }

    #[test]
    fn a_boot_by_hand_is_no_try() {
        let dir = tree();
        let paths = Paths::below(dir.path());
        fs::write(paths.state("host.json"), CONFIG).unwrap();
        fs::create_dir(paths.at("/proc")).unwrap();
        fs::write(paths.at("/proc/cmdline"), mode::RESCUE).unwrap();
        assert_eq!(run(&paths), Vec::<String>::new());
        assert!(!paths.state("boot/last.json").exists());
        fs::write(paths.at("/proc/cmdline"), "quiet").unwrap();
        run(&paths);
        assert!(paths.state("boot/last.json").exists());
    }

    #[test]
    fn one_failing_step_does_not_stop_the_others() {
        let dir = tree();
        let paths = Paths::below(dir.path());
        fs::write(paths.state("host.json"), CONFIG).unwrap();
        fs::remove_file(paths.etc("shadow")).unwrap();
        let problems = run(&paths);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("root password:"), "{problems:?}");
        assert!(paths.state("tls/cert.pem").exists());
    }
}

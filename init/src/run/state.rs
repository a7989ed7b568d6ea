//! Everything the supervisor tells about the host, as one value.

use std::fs;
use std::net::IpAddr;

use basalt_layout::Slot;
use basalt_model::host::HostConfig;
use basalt_update::block::Blocks;
use basalt_update::esp::Esp;
use basalt_update::mirror::array::Array;
use serde::{Deserialize, Serialize};

use super::systemd::Unit;
use crate::health::{self, Health};
use crate::paths::Paths;
use crate::record::{self, Failure};

/// File of this boot that holds the state.
pub const FILE: &str = "basalt/init.json";

/// Port of the web interface.
const PORT: u16 = 8006;

/// The host as the supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the image.
    pub version: String,
    /// `development` or `release`.
    pub variant: String,
    /// Letter of the running slot.
    pub slot: Option<char>,
    /// The host's name.
    pub hostname: String,
    /// The bridge's addresses, best first.
    pub addresses: Vec<IpAddr>,
    /// Where the web interface answers.
    pub url: Option<String>,
    /// What the health checks said; absent while they run.
    pub health: Option<Health>,
    /// Our services.
    pub services: Vec<Unit>,
    /// A version that was tried and left behind.
    pub failed_update: Option<Failure>,
    /// What went wrong while this boot was set up.
    pub problems: Vec<String>,
    /// The mirror of the system disks, when there are two. A degraded one is a warning: the host
    /// does its work.
    pub mirror: Option<Array>,
}

impl State {
    /// Looks at the host.
    pub fn collect(paths: &Paths, services: Vec<Unit>) -> Self {
        let release = fs::read_to_string(paths.at("/usr/lib/os-release")).unwrap_or_default();
        let word = |key| {
            basalt_update::host::release_value(&release, key).unwrap_or_else(|| "?".to_owned())
        };
        let config = fs::read(paths.state("host.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<HostConfig>(&text).ok())
            .unwrap_or_else(HostConfig::fallback);
        let addresses = addresses(&config.network.bridge);
        Self {
            version: word("IMAGE_VERSION"),
            variant: word("VARIANT_ID"),
            slot: slot(paths),
            hostname: config.hostname.to_string(),
            url: addresses.first().map(url),
            addresses,
            health: health::result(&paths.run("")),
            services,
            failed_update: failed_update(paths, &word("IMAGE_VERSION")),
            problems: problems(paths),
            mirror: Array::read(&Blocks::at(&paths.sys())),
        }
    }
}

/// What `setup` had to complain about.
pub fn problems(paths: &Paths) -> Vec<String> {
    fs::read(paths.run(PROBLEMS))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// File of this boot with the problems of `setup`.
pub const PROBLEMS: &str = "basalt/setup.json";

/// The version that was given up: by its own record, or, when it never got far enough to write
/// one, by what the boot loader has made of its kernel image.
fn failed_update(paths: &Paths, running: &str) -> Option<Failure> {
    let recorded = record::failure(paths);
    let given_up = Esp::folder(&paths.at("/efi"))
        .ukis()
        .ok()?
        .into_iter()
        .find(|uki| uki.name.is_exhausted() && uki.name.version.to_string() != running)
        .map(|uki| uki.name.version);
    match (recorded, given_up) {
        (Some(failure), Some(version)) if failure.version != version => Some(Failure {
            version,
            reasons: Vec::new(),
        }),
        (None, Some(version)) => Some(Failure {
            version,
            reasons: Vec::new(),
        }),
        (recorded, _) => recorded,
    }
}

fn slot(paths: &Paths) -> Option<char> {
    let root = Blocks::at(&paths.sys()).running_root().ok()?;
    Slot::ALL
        .into_iter()
        .find(|slot| slot.root_partition() == root.number)
        .map(Slot::letter)
}

fn url(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("https://{address}:{PORT}"),
        IpAddr::V6(address) => format!("https://[{address}]:{PORT}"),
    }
}

/// Addresses of an interface that can be reached from elsewhere, IPv4 first.
pub fn addresses(interface: &str) -> Vec<IpAddr> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut found: Vec<IpAddr> = all
        .filter(|entry| entry.interface_name == interface)
        .filter_map(|entry| {
            let address = entry.address?;
            let v4 = address
                .as_sockaddr_in()
                .map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| {
                address
                    .as_sockaddr_in6()
                    .map(|address| IpAddr::V6(address.ip()))
            })
        })
        .filter(|address| match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
        .collect();
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_could_not_even_complain_is_known_by_its_tries() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        assert_eq!(failed_update(&paths, "0.2.0"), None);
        let folder = paths.at("/efi/EFI/Linux");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("basalt_0.2.0.efi"), "").unwrap();
        fs::write(folder.join("basalt_0.3.0+1-2.efi"), "").unwrap();
        assert_eq!(failed_update(&paths, "0.2.0"), None);
        fs::rename(
            folder.join("basalt_0.3.0+1-2.efi"),
            folder.join("basalt_0.3.0+0-3.efi"),
        )
        .unwrap();
        let failed = failed_update(&paths, "0.2.0").unwrap();
        assert_eq!(failed.version.to_string(), "0.3.0");
        // The version on its last try has not failed yet.
        assert_eq!(failed_update(&paths, "0.3.0"), None);
    }
}

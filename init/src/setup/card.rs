//! Which network card the bridge takes.
//!
//! Cards appear in no fixed order, so "the first one" would be another one some day. The card once
//! chosen is remembered on the data partition; another is taken only when it is gone, as after
//! the disk has moved to another machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use basalt_model::host::networkd::PortCard;
use basalt_model::host::{MacAddress, Port};
use basalt_update::files::write_if_changed;

use crate::paths::Paths;

/// How long any card may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the wanted card may lag behind the others.
const PREFERENCE: Duration = Duration::from_secs(3);

/// Chooses the card for a port; `None` when the machine has none.
pub fn choose(paths: &Paths, port: Port) -> Option<PortCard> {
    let remembered = fs::read_to_string(paths.state("network-port"))
        .ok()
        .and_then(|text| text.trim().parse::<MacAddress>().ok());
    let wanted = match port {
        Port::Mac(mac) => Some(mac),
        Port::First => remembered,
    };
    load_drivers(paths);
    let sys = paths.at("/sys/class/net");
    let cards = wait_for(wanted, || cards(&sys));
    let card = match (port, wanted) {
        // Not there yet: the match is by address, so it works whenever the card appears.
        (Port::Mac(mac), _) => Some(find(&cards, mac).unwrap_or(PortCard {
            mac,
            permanent: true,
        })),
        (Port::First, Some(mac)) => find(&cards, mac).or(cards.first().copied()),
        (Port::First, None) => cards.first().copied(),
    };
    if let (Port::First, Some(card)) = (port, card) {
        let text = format!("{}\n", card.mac);
        if let Err(error) = write_if_changed(&paths.state("network-port"), text.as_bytes(), 0o644) {
            tracing::warn!(%error, "the chosen network card is not remembered");
        }
    }
    card
}

/// Loads the drivers of network cards now: the device manager gets to them only after many others.
fn load_drivers(paths: &Paths) {
    let names = driver_names(&paths.at("/sys/bus"));
    if names.is_empty() {
        return;
    }
    // What has no driver in the image is no card that could be used.
    let status = Command::new("modprobe")
        .args(["--all", "--quiet", "--use-blacklist"])
        .args(names)
        .status();
    tracing::debug!(?status, "network drivers loaded");
}

/// The names by which drivers of network cards are found.
fn driver_names(buses: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for bus in ["pci", "virtio"] {
        let Ok(devices) = fs::read_dir(buses.join(bus).join("devices")) else {
            continue;
        };
        for device in devices.filter_map(Result::ok) {
            let read = |name| fs::read_to_string(device.path().join(name)).unwrap_or_default();
            let name = read("modalias").trim().to_owned();
            // PCI's class 2 and virtio's type 1 are network cards.
            if read("class").starts_with("0x02") || name.starts_with("virtio:d00000001v") {
                names.push(name);
            }
        }
    }
    names
}

fn find(cards: &[PortCard], mac: MacAddress) -> Option<PortCard> {
    cards.iter().find(|card| card.mac == mac).copied()
}

/// Looks until the wanted card, or any if none is wanted, is there.
fn wait_for(wanted: Option<MacAddress>, look: impl Fn() -> Vec<PortCard>) -> Vec<PortCard> {
    let start = Instant::now();
    loop {
        let cards = look();
        let satisfied = match wanted {
            Some(mac) => find(&cards, mac).is_some(),
            None => !cards.is_empty(),
        };
        let patience = if cards.is_empty() {
            PATIENCE
        } else {
            PREFERENCE
        };
        if satisfied || start.elapsed() >= patience {
            return cards;
        }
        // A pause between two looks: cards appear when their drivers are ready.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All network cards by the order of their discovery.
fn cards(sys: &Path) -> Vec<PortCard> {
    let Ok(entries) = fs::read_dir(sys) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PortCard)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let folder = entry.path();
            let read = |name: &str| {
                fs::read_to_string(folder.join(name))
                    .ok()
                    .map(|text| text.trim().to_owned())
            };
            // Devices made by software have no hardware behind them; radio cannot be bridged.
            let is_card = folder.join("device").exists()
                && read("type").as_deref() == Some("1")
                && !folder.join("wireless").exists();
            if !is_card {
                return None;
            }
            let mac = read("address")?.parse().ok()?;
            let permanent = read("addr_assign_type").as_deref() == Some("0");
            let index = read("ifindex")
                .and_then(|text| text.parse().ok())
                .unwrap_or(u32::MAX);
            Some((index, PortCard { mac, permanent }))
        })
        .collect();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, card)| card).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add_card(root: &Path, name: &str, mac: &str, index: u32) {
        let folder = root.join("sys/class/net").join(name);
        fs::create_dir_all(folder.join("device")).unwrap();
        for (file, text) in [
            ("address", mac),
            ("type", "1"),
            ("addr_assign_type", "0"),
            ("ifindex", &index.to_string()),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
    }

    #[test]
    fn drivers_of_network_cards_are_loaded() {
        let dir = tempfile::tempdir().unwrap();
        for (bus, name, class, alias) in [
            (
                "pci",
                "0000:00:02.0",
                "0x020000\n",
                "pci:v00001AF4d00001000\n",
            ),
            (
                "pci",
                "0000:00:03.0",
                "0x010000\n",
                "pci:v00001AF4d00001001\n",
            ),
            ("virtio", "virtio0", "", "virtio:d00000001v00001AF4\n"),
            ("virtio", "virtio1", "", "virtio:d00000002v00001AF4\n"),
        ] {
            let device = dir.path().join(bus).join("devices").join(name);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("modalias"), alias).unwrap();
            if !class.is_empty() {
                fs::write(device.join("class"), class).unwrap();
            }
        }
        let names = driver_names(dir.path());
        assert_eq!(
            names,
            ["pci:v00001AF4d00001000", "virtio:d00000001v00001AF4"]
        );
        assert!(driver_names(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn the_first_card_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/lib/basalt")).unwrap();
        let paths = Paths::below(dir.path());
        add_card(dir.path(), "enp1s0", "52:54:00:00:00:02", 3);
        let tap = dir.path().join("sys/class/net/tap100i0");
        fs::create_dir_all(&tap).unwrap();
        fs::write(tap.join("address"), "52:54:00:00:00:09").unwrap();
        fs::write(tap.join("type"), "1").unwrap();
        let first = choose(&paths, Port::First).unwrap();
        assert_eq!(first.mac.to_string(), "52:54:00:00:00:02");
        assert!(first.permanent);

        add_card(dir.path(), "enp2s0", "52:54:00:00:00:01", 2);
        assert_eq!(choose(&paths, Port::First).unwrap(), first);
        let other = choose(&paths, Port::Mac("52:54:00:00:00:01".parse().unwrap())).unwrap();
        assert_eq!(other.mac.to_string(), "52:54:00:00:00:01");
    }
}

//! The host's network as guests meet it: taps on a bridge, hardware addresses, counters; and the
//! list of interfaces that users see.
//!
//! [`Network::tap`] makes the port of a virtual machine's card. A tap lives as long as its
//! descriptor, so a guest that ends takes its ports along. [`interfaces`] reads what there is.

mod error;
pub mod interfaces;
mod tap;

use basalt_model::network::{InterfaceName, Mac, MacPrefix};
use futures_util::TryStreamExt;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::address::AddressAttribute;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

pub use error::{NetworkError, Result};

/// What a port does when its guest's cable is pulled in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    /// The port is up and on its bridge.
    Plugged,
    /// The port is down and on no bridge.
    Pulled,
}

/// The kernel's network configuration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    handle: rtnetlink::Handle,
}

impl Network {
    /// Opens the netlink socket; must be called within a tokio runtime.
    pub fn connect() -> Result<Self> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|source| NetworkError::Io {
                what: "opening the netlink socket".to_owned(),
                source,
            })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Makes the tap `name`, puts it on `bridge` and brings it up.
    pub async fn tap(
        &self,
        name: &InterfaceName,
        bridge: Option<&InterfaceName>,
        mac: Mac,
        cable: Cable,
    ) -> Result<OwnedFd> {
        let bridge = self.end(bridge, cable).await?;
        let fd = tap::open(name)?;
        let index = self.index(name).await?;
        let mut link = LinkUnspec::new_with_index(index).address(port_address(mac).to_vec());
        if let Some(bridge) = bridge {
            link = link.controller(bridge);
        }
        self.set(name, link.build()).await?;
        if cable == Cable::Plugged {
            self.set(name, LinkUnspec::new_with_index(index).up().build())
                .await?;
        }
        Ok(fd)
    }

    /// Has the port `name`, which is there, join `bridge` in place of what it is on, or leave it.
    ///
    /// # Errors
    /// When there is no such port or bridge; the port stays as it was.
    pub async fn plug(
        &self,
        name: &InterfaceName,
        bridge: Option<&InterfaceName>,
        cable: Cable,
    ) -> Result<()> {
        let bridge = self.end(bridge, cable).await?;
        let link = LinkUnspec::new_with_index(self.index(name).await?);
        let link = match bridge {
            Some(bridge) => link.controller(bridge),
            None => link.nocontroller(),
        };
        let link = match cable {
            Cable::Plugged => link.up(),
            Cable::Pulled => link.down(),
        };
        self.set(name, link.build()).await
    }

    /// The interface at the other end of a cable.
    async fn end(&self, bridge: Option<&InterfaceName>, cable: Cable) -> Result<Option<u32>> {
        match (bridge, cable) {
            (Some(bridge), Cable::Plugged) => Ok(Some(self.bridge_index(bridge).await?)),
            _ => Ok(None),
        }
    }

    /// The addresses of every interface, with the lengths of their prefixes.
    pub async fn addresses(&self) -> Result<BTreeMap<u32, Vec<(IpAddr, u8)>>> {
        let mut found: BTreeMap<u32, Vec<(IpAddr, u8)>> = BTreeMap::new();
        let mut messages = self.handle.address().get().execute();
        while let Some(message) = messages
            .try_next()
            .await
            .map_err(|e| netlink("addresses", e))?
        {
            // The local address, where a peer's stands in the other attribute, comes first.
            let local = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Local(address) => Some(*address),
                    _ => None,
                });
            let plain = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                });
            if let Some(address) = local.or(plain) {
                let addresses = found.entry(message.header.index).or_default();
                addresses.push((address, message.header.prefix_len));
            }
        }
        Ok(found)
    }

    async fn bridge_index(&self, name: &InterfaceName) -> Result<u32> {
        let path = format!("/sys/class/net/{name}");
        if !Path::new(&path).exists() {
            return Err(NetworkError::NoBridge(name.clone()));
        }
        if !Path::new(&path).join("bridge").exists() {
            return Err(NetworkError::NotABridge(name.clone()));
        }
        self.index(name).await
    }

    async fn index(&self, name: &InterfaceName) -> Result<u32> {
        let mut links = self.handle.link().get().match_name(name.as_str()).execute();
        match links
            .try_next()
            .await
            .map_err(|e| netlink(&format!("finding {name}"), e))?
        {
            Some(link) => Ok(link.header.index),
            None => Err(NetworkError::NoBridge(name.clone())),
        }
    }

    async fn set(
        &self,
        name: &InterfaceName,
        message: rtnetlink::packet_route::link::LinkMessage,
    ) -> Result<()> {
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| netlink(&format!("setting up {name}"), error))
    }
}

/// The host's end of a card has the card's address with a first byte that no other address is
/// above: a bridge takes the lowest address of its ports for its own, and must not change it when
/// guests come and go.
fn port_address(mac: Mac) -> [u8; 6] {
    let mut bytes = mac.0;
    bytes[0] = 0xfe;
    bytes
}

fn netlink(what: &str, error: rtnetlink::Error) -> NetworkError {
    NetworkError::Netlink {
        what: what.to_owned(),
        source: Box::new(error),
    }
}

/// A new hardware address for a guest's card.
pub fn random_mac() -> Mac {
    Mac::guest(rand::random())
}

/// A new hardware address for a guest's card that begins as the cluster wants it.
pub fn random_mac_under(prefix: &MacPrefix) -> Mac {
    prefix.complete(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::{Mutex, MutexGuard};

    /// A tap lives as long as anybody has its descriptor, as programs that another test starts have for a
    /// moment.
    static ALONE: Mutex<()> = Mutex::const_new(());

    /// Lets one test at a time make interfaces, if it may; says so when not.
    async fn allowed() -> Option<MutexGuard<'static, ()>> {
        let allowed = rustix::process::geteuid().is_root() && Path::new("/dev/net/tun").exists();
        if !allowed {
            eprintln!("skipped: taps need root and /dev/net/tun");
            return None;
        }
        Some(ALONE.lock().await)
    }

    /// A bridge that goes away with the test.
    struct Bridge(InterfaceName);

    impl Bridge {
        fn new(name: &str) -> Self {
            let done = std::process::Command::new("ip")
                .args(["link", "add", name, "type", "bridge"])
                .status()
                .unwrap();
            assert!(done.success());
            Self(name.parse().unwrap())
        }
    }

    impl Drop for Bridge {
        fn drop(&mut self) {
            let _ = std::process::Command::new("ip")
                .args(["link", "del", self.0.as_str()])
                .status();
        }
    }

    #[tokio::test]
    async fn a_tap_joins_its_bridge_and_goes_with_its_descriptor() {
        let Some(_alone) = allowed().await else {
            return;
        };
        let bridge = Bridge::new("bltest0");
        let network = Network::connect().unwrap();
        let name: InterfaceName = "tap99999i0".parse().unwrap();
        let mac: Mac = "BC:24:11:00:00:01".parse().unwrap();
        let fd = network
            .tap(&name, Some(&bridge.0), mac, Cable::Plugged)
            .await
            .unwrap();

        let read = |file: &str| std::fs::read_to_string(format!("/sys/class/net/{name}/{file}"));
        assert_eq!(read("address").unwrap().trim(), "fe:24:11:00:00:01");
        assert_eq!(port(&name), (Some("bltest0".to_owned()), true));
        let all = interfaces::list().unwrap();
        let listed = all.iter().find(|entry| entry.name == "bltest0").unwrap();
        assert_eq!(listed.kind, interfaces::Kind::Bridge);
        assert_eq!(listed.ports, ["tap99999i0"]);

        let twice = network
            .tap(&name, Some(&bridge.0), mac, Cable::Plugged)
            .await;
        assert!(matches!(twice, Err(NetworkError::Busy(_))));
        drop(fd);
        assert!(!Path::new("/sys/class/net/tap99999i0").exists());
    }

    /// The bridge that a port is on, and whether it is up.
    fn port(name: &InterfaceName) -> (Option<String>, bool) {
        let path = Path::new("/sys/class/net").join(name.as_str());
        let master = std::fs::read_link(path.join("master")).ok();
        let master = master.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let flags = std::fs::read_to_string(path.join("flags")).unwrap();
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap();
        (master, flags & 1 == 1)
    }

    #[tokio::test]
    async fn a_cable_is_pulled_and_ends_elsewhere() {
        let Some(_alone) = allowed().await else {
            return;
        };
        let (one, two) = (Bridge::new("bltest1"), Bridge::new("bltest2"));
        let network = Network::connect().unwrap();
        let name: InterfaceName = "tap99997i0".parse().unwrap();
        let made = network.tap(&name, Some(&one.0), random_mac(), Cable::Plugged);
        let _fd = made.await.unwrap();
        let plug = |bridge, cable| network.plug(&name, bridge, cable);
        plug(Some(&two.0), Cable::Plugged).await.unwrap();
        assert_eq!(port(&name), (Some("bltest2".to_owned()), true));
        let missing = "vmbr77".parse().unwrap();
        assert!(plug(Some(&missing), Cable::Plugged).await.is_err());
        assert_eq!(port(&name), (Some("bltest2".to_owned()), true));
        plug(Some(&two.0), Cable::Pulled).await.unwrap();
        assert_eq!(port(&name), (None, false));
        plug(None, Cable::Plugged).await.unwrap();
        assert_eq!(port(&name), (None, true));
        plug(Some(&one.0), Cable::Plugged).await.unwrap();
        assert_eq!(port(&name), (Some("bltest1".to_owned()), true));
    }

    #[tokio::test]
    async fn a_bridge_that_is_not_there_is_named() {
        let Some(_alone) = allowed().await else {
            return;
        };
        let network = Network::connect().unwrap();
        let name = "tap99998i0".parse().unwrap();
        let mac = random_mac();
        let missing = "vmbr77".parse().unwrap();
        let error = network
            .tap(&name, Some(&missing), mac, Cable::Plugged)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("bridge 'vmbr77' does not exist"),
            "{error}"
        );
        let lo = "lo".parse().unwrap();
        let error = network
            .tap(&name, Some(&lo), mac, Cable::Plugged)
            .await
            .unwrap_err();
        assert!(matches!(error, NetworkError::NotABridge(_)));
        assert!(!Path::new("/sys/class/net/tap99998i0").exists());
    }

    #[tokio::test]
    async fn the_loopback_interface_has_its_address() {
        let addresses = Network::connect().unwrap().addresses().await.unwrap();
        let localhost: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(
            addresses
                .values()
                .flatten()
                .any(|(address, _)| *address == localhost)
        );
    }

    #[test]
    fn made_up_addresses_have_the_prefix() {
        assert!(random_mac().to_string().starts_with("BC:24:11:"));
    }
}

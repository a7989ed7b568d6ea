//! Name servers of an interface, told to systemd-networkd while it goes on as before.

use crate::proxy::NetworksProxy;
use crate::{ServiceOrder, UnitError, Units};
use std::net::IpAddr;

/// Families of addresses, as Linux numbers them.
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

impl Units {
    /// Sets the name servers and the search domain of the interface with this index. They hold until
    /// networkd reads its files again. Without servers it reads them now, and those of the files and
    /// of DHCP hold.
    pub async fn set_name_servers(
        &self,
        index: i32,
        servers: &[IpAddr],
        search: Option<&str>,
    ) -> Result<(), UnitError> {
        let networks = NetworksProxy::new(self.manager.inner().connection()).await?;
        if servers.is_empty() {
            networks.revert_link_dns(index).await?;
            return self
                .order("systemd-networkd.service", ServiceOrder::Reload)
                .await;
        }
        let servers: Vec<(i32, Vec<u8>)> = servers.iter().map(family_and_bytes).collect();
        networks.set_link_dns(index, &servers).await?;
        // Not only to decide whom to ask: it is searched.
        let domains: Vec<(&str, bool)> = search.into_iter().map(|name| (name, false)).collect();
        Ok(networks.set_link_domains(index, &domains).await?)
    }
}

fn family_and_bytes(address: &IpAddr) -> (i32, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    }
}

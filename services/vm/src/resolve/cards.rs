//! What joins a machine to its host: network cards and their taps, and sockets.

use std::fs::File;

use basalt_model::field::FieldErrors;
use basalt_model::machine::{Nic, VsockSpec};
use basalt_model::network::InterfaceName;
use basalt_model::qemu::{QemuConfig, QemuNet};
use basalt_model::vmid::Vmid;
use basalt_network::{Cable, Network};

use super::Slots;
use crate::error::{Result, VmError};

/// By which the kernel works on such sockets.
const VHOST_VSOCK: &str = "/dev/vhost-vsock";
/// By which the kernel moves the packets of a network card.
const VHOST: &str = "/dev/vhost-net";

/// The host's end of a machine's network card.
pub fn tap_name(vmid: Vmid, index: u8) -> Option<InterfaceName> {
    format!("tap{vmid}i{index}").parse().ok()
}

/// The network cards.
pub(super) async fn all(
    vmid: Vmid,
    config: &QemuConfig,
    network: &Network,
    slots: &mut Slots,
) -> Result<Vec<Nic>> {
    let mut nics = Vec::new();
    for (index, net) in &config.net {
        nics.push(nic(vmid, *index, net, network, slots).await?);
    }
    Ok(nics)
}

/// Makes the tap of a network card.
pub(crate) async fn nic(
    vmid: Vmid,
    index: u8,
    net: &QemuNet,
    network: &Network,
    slots: &mut Slots,
) -> Result<Nic> {
    let id = format!("net{index}");
    let name = tap_name(vmid, index);
    let (Some(mac), Some(name)) = (net.mac, name) else {
        let text = "it has no hardware address: set one, e.g. virtio=BC:24:11:00:00:01";
        return Err(VmError::Config(FieldErrors::one(id, text)));
    };
    let failed = |source| VmError::Network {
        field: id.clone(),
        source,
    };
    let tap = network.tap(&name, net.bridge.as_ref(), mac, cable(net));
    let tap = tap.await.map_err(failed)?;
    let vhost = match File::options().read(true).write(true).open(VHOST) {
        Ok(vhost) => Some(slots.add(vhost)),
        Err(error) => {
            tracing::warn!(%error, %vmid, nic = id, "no {VHOST}: the monitor moves packets itself");
            None
        }
    };
    Ok(Nic {
        id,
        tap: slots.add(tap),
        mac: mac.0,
        vhost,
        link_down: net.is_pulled(),
    })
}

/// What the host's end of a card's cable does.
pub(crate) fn cable(net: &QemuNet) -> Cable {
    match net.is_pulled() {
        true => Cable::Pulled,
        false => Cable::Plugged,
    }
}

/// Sockets between programs of guest and host.
pub(super) fn vsock(
    vmid: Vmid,
    config: &QemuConfig,
    slots: &mut Slots,
) -> Result<Option<VsockSpec>> {
    if config.vsock != Some(true) {
        return Ok(None);
    }
    let device = File::options().read(true).write(true).open(VHOST_VSOCK);
    let device = device.map_err(|error| {
        let text = format!("{VHOST_VSOCK} cannot be opened ({error}): leave it out");
        VmError::Config(FieldErrors::one("vsock", text))
    })?;
    Ok(Some(VsockSpec {
        device: slots.add(device),
        context: vmid.get(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_named_after_guest_and_card() {
        assert_eq!(tap_name(Vmid::MIN, 3).unwrap().as_str(), "tap100i3");
        assert_eq!(tap_name(Vmid::MAX, 31).unwrap().as_str(), "tap999999999i31");
    }
}

//! Sockets between programs of the guest and of the host.

use std::sync::Arc;

use basalt_model::machine::VsockSpec;

use super::delivery::Delivery;
use super::{Error, invalid};
use crate::virtio::vsock::{CONTEXTS, Kernel};

/// Its configuration key.
const NAME: &str = "vsock";

/// Checks the guest's context id.
pub(super) fn check(vsock: &VsockSpec) -> Result<(), Error> {
    match CONTEXTS.contains(&vsock.context) {
        true => Ok(()),
        false => {
            let text = format!("{} is no context id of a guest", vsock.context);
            Err(invalid(NAME, text))
        }
    }
}

/// Takes the kernel's part, which from now on is this guest's.
pub(super) fn take(vsock: VsockSpec, delivery: &mut Delivery) -> Result<Arc<Kernel>, Error> {
    let device = delivery.file(NAME, vsock.device)?;
    let kernel = Kernel::new(device, vsock.context);
    Ok(Arc::new(kernel.map_err(|e| invalid(NAME, e.to_string()))?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{delivery, refused, spec};
    use super::*;
    use basalt_model::machine::{Nic, Slot};

    fn with(context: u32) -> super::super::MachineSpec {
        let mut spec = spec();
        let device = Slot(4);
        spec.vsock = Some(VsockSpec { device, context });
        spec
    }

    #[test]
    fn contexts_of_the_host_are_no_guests() {
        for context in [0, 1, 2, u32::MAX] {
            assert_eq!(refused(with(context), delivery(5)), NAME);
        }
        // A file that is no device of the kernel's.
        assert_eq!(refused(with(100), delivery(5)), NAME);
    }

    #[test]
    fn it_has_the_place_of_a_network_card() {
        let mut spec = with(100);
        let nic = |index: u8| Nic {
            id: format!("net{index}"),
            tap: Slot(5),
            mac: [2, 0, 0, 0, 0, index],
            vhost: None,
            link_down: false,
        };
        spec.nics = (0..7).map(nic).collect();
        assert_eq!(refused(spec, delivery(6)), "nics");
    }
}

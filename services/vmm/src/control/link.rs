//! The cables of network cards.

use basalt_model::machine::SetLink;

use super::Server;

impl Server {
    /// Tells the guest whether a card's cable is plugged in, now and after a reset.
    pub(super) fn set_link(&mut self, link: &SetLink) -> Result<(), String> {
        let mut nics = self.resources.nics.iter_mut();
        let Some(nic) = nics.find(|nic| nic.id == link.nic) else {
            return Err(format!("nic: there is no '{}'", link.nic));
        };
        nic.link_down = !link.up;
        self.with_machine(|machine| machine.set_link(&link.nic, link.up));
        Ok(())
    }
}

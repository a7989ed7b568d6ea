//! The balloon of the machine.

use basalt_model::balloon::BalloonStatus;

use super::Server;
use crate::machine::Machine;

impl Server {
    /// Asks the guest to make do with so many MiB.
    pub(super) fn set_balloon(&self, mib: u64) -> Result<(), String> {
        let Some(levers) = &self.resources.balloon else {
            return Err("mib: the machine has no balloon".to_owned());
        };
        let most = levers.memory() >> 20;
        if !(1..=most).contains(&mib) {
            return Err(format!("mib: {mib} is not 1 to {most}"));
        }
        if mib < most && levers.is_fixed() {
            return Err("mib: memory that is made of huge pages stays the guest's".to_owned());
        }
        levers.set_target(mib << 20);
        self.with_machine(Machine::poke_balloon);
        Ok(())
    }

    /// What the balloon tells; the guest is asked for its figures anew.
    pub(super) fn balloon(&self) -> Option<BalloonStatus> {
        let levers = self.resources.balloon.as_ref()?;
        let figures = levers.look();
        self.with_machine(Machine::poke_balloon);
        Some(BalloonStatus {
            target: levers.target(),
            actual: levers.actual(),
            figures,
        })
    }
}

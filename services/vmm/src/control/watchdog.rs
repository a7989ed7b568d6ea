//! The watchdog, as the main thread takes part in it.

use std::time::Duration;

use basalt_model::disk::PauseReason;
use basalt_model::machine::Event;
use basalt_model::watchdog::WatchdogAction;

use super::{Outcome, Server};
use crate::devices::watchdog::Watchdog;
use crate::machine::Machine;

impl Server {
    /// How long until the guest must have wound its watchdog up.
    pub(super) fn watchdog_deadline(&self) -> Option<Duration> {
        let machine = self.machine.as_ref()?;
        machine.watchdog().and_then(Watchdog::deadline)
    }

    /// Does what the watchdog is for, if it has run down.
    pub(super) fn look_at_watchdog(&mut self) -> Option<Outcome> {
        let watchdog = self.machine.as_ref()?.watchdog()?;
        let action = self.resources.watchdog.as_ref()?.action;
        if !watchdog.look() {
            return None;
        }
        tracing::warn!(%action, "the guest did not wind its watchdog up");
        self.announce(&Event::Watchdog(action));
        match action {
            WatchdogAction::Reset => {
                self.forget_mover();
                self.reset()
            }
            WatchdogAction::Poweroff => {
                self.announce(&Event::PoweredOff);
                Some(Outcome::Ended)
            }
            WatchdogAction::Shutdown => {
                self.with_machine(Machine::press_power_button);
                None
            }
            WatchdogAction::Pause => {
                self.pause_because(PauseReason::Watchdog);
                None
            }
            WatchdogAction::Debug | WatchdogAction::None => None,
        }
    }
}

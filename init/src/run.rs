//! `basalt-init run`: the supervisor.
//!
//! It stands beside systemd, never above it: systemd starts and restarts the services, and this
//! daemon watches them, brings back one that systemd has given up on, and tells what it sees: on
//! the screen, on the serial line, and in `/run/basalt/init.json`. No other program depends on it
//! to run; it can be killed and started again at any time.
//!
//! Everything it tells is one value, [`state::State`]; each look makes a new one, and only a
//! difference is told.

mod resolver;
pub mod screen;
pub mod state;
mod systemd;

use std::time::Duration;

use basalt_update::files::write_atomic;
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::paths::Paths;
use crate::{notify, timing};
use screen::Screens;
use state::State;
use systemd::{Manager, Unit};

/// Time between two looks when nothing calls for one.
const PERIOD: Duration = Duration::from_secs(5);

/// How long a service stays down after systemd has given it up.
const REVIVE_AFTER: Duration = Duration::from_secs(30);

/// The services this host is made of, in the order they build on one another.
pub const SERVICES: [&str; 3] = [
    "systemd-networkd.service",
    "basalt-node.service",
    "basalt-gateway.service",
];

/// Supervises until it is asked to end.
pub async fn run(paths: &Paths) -> anyhow::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    let mut supervisor = Supervisor::new(paths);
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    supervisor.look().await;
    notify::ready();
    loop {
        tokio::select! {
            _ = end.recv() => return Ok(()),
            _ = period.tick() => {}
            () = supervisor.next_change() => {}
        }
        supervisor.look().await;
        notify::watchdog();
    }
}

struct Supervisor<'a> {
    paths: &'a Paths,
    systemd: Option<Manager>,
    screens: Screens,
    told: Option<State>,
    revived: Option<Instant>,
    timed: bool,
}

impl<'a> Supervisor<'a> {
    fn new(paths: &'a Paths) -> Self {
        Self {
            paths,
            systemd: None,
            screens: Screens::new(paths),
            told: None,
            revived: None,
            timed: timing::is_recorded(paths),
        }
    }

    /// Waits until systemd has finished some job; for ever without systemd.
    async fn next_change(&mut self) {
        let Some(manager) = &mut self.systemd else {
            return std::future::pending().await;
        };
        if manager.changes.next().await.is_none() {
            self.systemd = None;
        }
    }

    async fn look(&mut self) {
        let units = self.units().await;
        self.revive(&units).await;
        if let Err(error) = resolver::update(self.paths) {
            tracing::warn!("name servers: {error:#}");
        }
        let state = State::collect(self.paths, units);
        if state.health.as_ref().is_some_and(|health| health.healthy) {
            self.record_times().await;
        }
        self.screens.say(&state);
        if self.told.as_ref() == Some(&state) {
            return;
        }
        self.publish(&state);
        self.screens.show(&state);
        self.told = Some(state);
    }

    async fn units(&mut self) -> Vec<Unit> {
        if self.systemd.is_none() {
            match Manager::connect().await {
                Ok(manager) => self.systemd = Some(manager),
                Err(error) => tracing::warn!(%error, "systemd cannot be reached"),
            }
        }
        let Some(manager) = &self.systemd else {
            return Vec::new();
        };
        match manager.units(&SERVICES).await {
            Ok(units) => units,
            Err(error) => {
                tracing::warn!(%error, "systemd does not answer");
                self.systemd = None;
                Vec::new()
            }
        }
    }

    /// Starts services again that systemd has given up on, in their order.
    async fn revive(&mut self, units: &[Unit]) {
        let failed: Vec<&Unit> = units
            .iter()
            .filter(|unit| unit.active == "failed")
            .collect();
        if failed.is_empty() {
            self.revived = None;
            return;
        }
        let since = *self.revived.get_or_insert_with(Instant::now);
        if since.elapsed() < REVIVE_AFTER {
            return;
        }
        self.revived = Some(Instant::now());
        let Some(manager) = &self.systemd else {
            return;
        };
        for unit in failed {
            tracing::warn!(unit = unit.name, "starting a failed service again");
            if let Err(error) = manager.start_again(&unit.name).await {
                tracing::error!(unit = unit.name, %error, "it cannot be started");
            }
        }
    }

    /// Writes down what this boot took, once it is over.
    async fn record_times(&mut self) {
        let Some(manager) = self.systemd.as_ref().filter(|_| !self.timed) else {
            return;
        };
        let asked = async {
            let moments = manager.moments().await?;
            if moments.finished == 0 {
                return Ok(());
            }
            self.timed = true;
            let units = manager.unit_moments().await?;
            let boot = timing::record(self.paths, moments, &units)?;
            tracing::info!(milliseconds = boot.total(), "booted");
            anyhow::Ok(())
        };
        if let Err(error) = asked.await {
            tracing::warn!("the times of this boot are not recorded: {error:#}");
        }
    }

    fn publish(&self, state: &State) {
        let written = serde_json::to_vec_pretty(state)
            .map_err(std::io::Error::from)
            .and_then(|text| write_atomic(&self.paths.run(state::FILE), &text, 0o644));
        if let Err(error) = written {
            tracing::warn!(%error, "the state is not published");
        }
    }
}

//! The connection to the service manager.

use std::collections::HashMap;

use futures_util::StreamExt;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use crate::proxy::{JobRemovedStream, ManagerProxy, UnitPropertiesProxy};
use crate::{Property, UnitError, UnitSpec};

pub(crate) const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";

/// Which processes of a unit a signal goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillWho {
    /// The main process alone.
    Main,
    /// Every process of the unit's cgroup.
    All,
}

/// What comes after the host's last unit stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostStop {
    /// It starts anew.
    Reboot,
    /// It is switched off.
    PowerOff,
}

/// systemd's coarse state of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveState {
    /// Runs.
    Active,
    /// On its way up.
    Activating,
    /// On its way down.
    Deactivating,
    /// Gone, in order.
    Inactive,
    /// Gone, with an error.
    Failed,
}

impl ActiveState {
    fn parse(word: &str) -> Self {
        match word {
            "active" | "reloading" | "refreshing" | "maintenance" => Self::Active,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            "failed" => Self::Failed,
            _ => Self::Inactive,
        }
    }

    /// Whether processes of the unit may still exist.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Active | Self::Activating | Self::Deactivating)
    }
}

/// What systemd knows about a service unit now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// Full unit name.
    pub name: String,
    /// Its state.
    pub active: ActiveState,
    /// Process id of the main process, when there is one.
    pub main_pid: Option<u32>,
    /// The unit's cgroup below /sys/fs/cgroup, with a leading slash; empty when it has none.
    pub control_group: String,
}

/// How a unit went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// systemd's word: `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, …; none when the
    /// unit was gone before we looked.
    pub result: Option<String>,
}

impl Ended {
    /// Whether the main process ended by itself with status 0, or was stopped on request.
    pub fn is_success(&self) -> bool {
        self.result.as_deref() == Some("success")
    }
}

/// The service manager, seen through one bus connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Units {
    pub(crate) manager: ManagerProxy<'static>,
}

impl Units {
    /// Connects to the system bus.
    pub async fn connect() -> Result<Self, UnitError> {
        Self::new(&zbus::Connection::system().await?).await
    }

    /// Uses an existing bus connection.
    pub async fn new(connection: &zbus::Connection) -> Result<Self, UnitError> {
        let manager = ManagerProxy::new(connection).await?;
        manager.subscribe().await?;
        Ok(Self { manager })
    }

    /// Starts a transient service and waits until its main process was executed.
    pub async fn start(&self, spec: UnitSpec) -> Result<(), UnitError> {
        let jobs = self.manager.receive_job_removed().await?;
        let name = spec.name.clone();
        let job = self
            .manager
            .start_transient_unit(&name, "fail", spec.into_properties(), &[])
            .await
            .map_err(|error| named(error, &name))?;
        tracing::debug!(unit = name, "transient unit requested");
        job_done(jobs, &job, &name).await
    }

    /// Stops a unit the way its settings say, and waits until it is down. A unit that is not
    /// there counts as stopped.
    pub async fn stop(&self, name: &str) -> Result<(), UnitError> {
        let jobs = self.manager.receive_job_removed().await?;
        match self.manager.stop_unit(name, "replace").await {
            Ok(job) => job_done(jobs, &job, name).await,
            Err(error) => match named(error, name) {
                UnitError::NotFound(_) => Ok(()),
                other => Err(other),
            },
        }
    }

    /// Sends a signal to processes of a unit.
    pub async fn kill(&self, name: &str, who: KillWho, signal: i32) -> Result<(), UnitError> {
        let who = match who {
            KillWho::Main => "main",
            KillWho::All => "all",
        };
        self.manager
            .kill_unit(name, who, signal)
            .await
            .map_err(|error| named(error, name))
    }

    /// Changes settings of a unit that runs, until it ends.
    pub async fn change(&self, name: &str, settings: Vec<Property>) -> Result<(), UnitError> {
        let settings = settings.into_iter().map(Property::into_pair).collect();
        self.manager
            .set_unit_properties(name, true, settings)
            .await
            .map_err(|error| named(error, name))
    }

    /// The state of a unit; none when systemd does not know it.
    pub async fn state(&self, name: &str) -> Result<Option<UnitState>, UnitError> {
        let Some(properties) = self.properties(name).await? else {
            return Ok(None);
        };
        // These and no others: a service has hundreds, and systemd reads files of the kernel for many.
        let asked = futures_util::future::try_join3(
            properties.get(UNIT_INTERFACE, "ActiveState"),
            properties.get(SERVICE_INTERFACE, "MainPID"),
            properties.get(SERVICE_INTERFACE, "ControlGroup"),
        );
        let (active, main_pid, control_group) = match asked.await {
            Ok(answers) => answers,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(UnitState {
            name: name.to_owned(),
            active: ActiveState::parse(<&str>::try_from(&active).unwrap_or_default()),
            main_pid: u32::try_from(&main_pid).ok().filter(|pid| *pid != 0),
            control_group: <&str>::try_from(&control_group)
                .unwrap_or_default()
                .to_owned(),
        }))
    }

    /// Whether processes of the unit may exist.
    pub async fn is_up(&self, name: &str) -> Result<bool, UnitError> {
        let Some(properties) = self.properties(name).await? else {
            return Ok(false);
        };
        match properties.get(UNIT_INTERFACE, "ActiveState").await {
            Ok(active) => {
                let word = <&str>::try_from(&active).unwrap_or_default();
                Ok(ActiveState::parse(word).is_up())
            }
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Names of the service units that begin with `prefix` and are up.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, UnitError> {
        let pattern = format!("{prefix}*.service");
        let units = self
            .manager
            .list_units_by_patterns(&[], &[&pattern])
            .await?;
        Ok(units
            .into_iter()
            .filter(|unit| ActiveState::parse(&unit.3).is_up())
            .map(|unit| unit.0)
            .collect())
    }

    /// Whether the host itself is on its way down.
    pub async fn is_host_stopping(&self) -> Result<bool, UnitError> {
        Ok(self.manager.system_state().await? == "stopping")
    }

    /// Takes the host down: every unit stops in its order. Returns when that began.
    pub async fn stop_host(&self, then: HostStop) -> Result<(), UnitError> {
        let target = match then {
            HostStop::Reboot => "reboot.target",
            HostStop::PowerOff => "poweroff.target",
        };
        self.manager
            .start_unit(target, "replace-irreversibly")
            .await?;
        Ok(())
    }

    /// Waits until a unit is down, and says how it went. Returns at once when it is not there.
    pub async fn wait_ended(&self, name: &str) -> Result<Ended, UnitError> {
        // Both subscriptions stand before the state is looked at, so no change falls between.
        let mut removed = self.manager.receive_unit_removed().await?;
        let Some(properties) = self.properties(name).await? else {
            return Ok(Ended { result: None });
        };
        let mut changes = properties.receive_properties_changed().await?;
        match self.state(name).await? {
            Some(state) if state.active.is_up() => {}
            Some(_) => return self.result_now(&properties).await,
            None => return Ok(Ended { result: None }),
        }
        let mut result = None;
        loop {
            let next = futures_util::future::select(changes.next(), removed.next()).await;
            match next {
                futures_util::future::Either::Left((Some(signal), _)) => {
                    let arguments = signal.args()?;
                    if let Some(word) = text(&arguments.changed, "Result") {
                        result = Some(word);
                    }
                    if let Some(word) = text(&arguments.changed, "ActiveState")
                        && !ActiveState::parse(&word).is_up()
                    {
                        return Ok(Ended { result });
                    }
                }
                futures_util::future::Either::Right((Some(signal), _)) => {
                    if signal.args()?.unit == name {
                        return Ok(Ended { result });
                    }
                }
                _ => return Err(UnitError::Disconnected(name.to_owned())),
            }
        }
    }

    async fn result_now(&self, properties: &UnitPropertiesProxy<'_>) -> Result<Ended, UnitError> {
        match properties.get_all(SERVICE_INTERFACE).await {
            Ok(service) => Ok(Ended {
                result: text(&service, "Result"),
            }),
            Err(error) if is_gone(&error) => Ok(Ended { result: None }),
            Err(error) => Err(error.into()),
        }
    }

    /// The properties of a unit that systemd has loaded.
    async fn properties(
        &self,
        name: &str,
    ) -> Result<Option<UnitPropertiesProxy<'static>>, UnitError> {
        let path = match self.manager.get_unit(name).await {
            Ok(path) => path,
            Err(error) => match named(error, name) {
                UnitError::NotFound(_) => return Ok(None),
                other => return Err(other),
            },
        };
        let connection = self.manager.inner().connection();
        Ok(Some(
            UnitPropertiesProxy::builder(connection)
                .path(path)?
                .build()
                .await?,
        ))
    }
}

/// Waits for the end of one job.
pub(crate) async fn job_done(
    mut jobs: JobRemovedStream,
    job: &OwnedObjectPath,
    unit: &str,
) -> Result<(), UnitError> {
    while let Some(signal) = jobs.next().await {
        let arguments = signal.args()?;
        if arguments.job != *job {
            continue;
        }
        return match arguments.result.as_str() {
            "done" => Ok(()),
            result => Err(UnitError::Job {
                unit: unit.to_owned(),
                result: result.to_owned(),
            }),
        };
    }
    Err(UnitError::Disconnected(unit.to_owned()))
}

/// Gives systemd's errors about one unit their own variants.
pub(crate) fn named(error: zbus::Error, unit: &str) -> UnitError {
    match method_error(&error) {
        Some("org.freedesktop.systemd1.UnitExists") => UnitError::Exists(unit.to_owned()),
        Some("org.freedesktop.systemd1.NoSuchUnit") => UnitError::NotFound(unit.to_owned()),
        _ => UnitError::Bus(error),
    }
}

/// Whether a unit's object vanished between two calls.
fn is_gone(error: &zbus::Error) -> bool {
    matches!(
        method_error(error),
        Some(
            "org.freedesktop.systemd1.NoSuchUnit"
                | "org.freedesktop.DBus.Error.UnknownObject"
                | "org.freedesktop.DBus.Error.UnknownInterface"
        )
    )
}

fn method_error(error: &zbus::Error) -> Option<&str> {
    match error {
        zbus::Error::MethodError(name, _, _) => Some(name.as_str()),
        _ => None,
    }
}

pub(crate) fn text(properties: &HashMap<String, OwnedValue>, name: &str) -> Option<String> {
    properties
        .get(name)
        .and_then(|value| <&str>::try_from(value).ok())
        .map(str::to_owned)
}

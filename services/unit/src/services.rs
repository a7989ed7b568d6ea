//! Services of the host: what systemd says about them, and what can be asked of them.

use crate::proxy::UnitPropertiesProxy;
use crate::units::{UNIT_INTERFACE, job_done, named, text};
use crate::{UnitError, Units};

/// What systemd says about a unit, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// Description.
    pub description: String,
    /// `active`, `inactive`, `failed`, ….
    pub active: String,
    /// `running`, `dead`, `exited`, ….
    pub sub: String,
    /// `enabled`, `static`, `masked`, ….
    pub file: String,
}

/// What can be asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceOrder {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Let it read its configuration again.
    Reload,
}

impl Units {
    /// What systemd says about a unit, whether it runs or not; none when there is no such unit.
    pub async fn service(&self, name: &str) -> Result<Option<ServiceState>, UnitError> {
        let path = self.manager.load_unit(name).await;
        let path = path.map_err(|error| named(error, name))?;
        let connection = self.manager.inner().connection();
        let properties = UnitPropertiesProxy::builder(connection)
            .path(path)?
            .build()
            .await?;
        let unit = properties.get_all(UNIT_INTERFACE).await?;
        let word = |key| text(&unit, key).unwrap_or_default();
        if word("LoadState") == "not-found" {
            return Ok(None);
        }
        Ok(Some(ServiceState {
            description: word("Description"),
            active: word("ActiveState"),
            sub: word("SubState"),
            file: word("UnitFileState"),
        }))
    }

    /// Asks something of a service and waits until it is done.
    pub async fn order(&self, name: &str, order: ServiceOrder) -> Result<(), UnitError> {
        let jobs = self.manager.receive_job_removed().await?;
        let job = match order {
            ServiceOrder::Start => self.manager.start_unit(name, "replace").await,
            ServiceOrder::Stop => self.manager.stop_unit(name, "replace").await,
            ServiceOrder::Restart => self.manager.restart_unit(name, "replace").await,
            ServiceOrder::Reload => self.manager.reload_unit(name, "replace").await,
        };
        let job = job.map_err(|error| named(error, name))?;
        job_done(jobs, &job, name).await
    }
}

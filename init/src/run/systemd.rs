//! What the supervisor asks of systemd, over D-Bus.

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;

use crate::timing::{Moments, UnitMoments};

/// A row of systemd's list of units.
type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
trait SystemdManager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Row>>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Row>>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    #[zbus(property(emits_changed_signal = "false"))]
    fn firmware_timestamp_monotonic(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn loader_timestamp_monotonic(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn userspace_timestamp_monotonic(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn finish_timestamp_monotonic(&self) -> zbus::Result<u64>;

    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: OwnedObjectPath,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1",
    gen_blocking = false
)]
trait SystemdUnit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn inactive_exit_timestamp_monotonic(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_enter_timestamp_monotonic(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn inactive_enter_timestamp_monotonic(&self) -> zbus::Result<u64>;
}

/// Units that do something when they start, and so take time.
const WORKING_UNITS: [&str; 3] = ["*.service", "*.mount", "*.device"];

/// A service as systemd sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// `active`, `activating`, `inactive`, `failed`, ….
    pub active: String,
    /// The finer state, as `running` or `auto-restart`.
    pub sub: String,
}

/// A connection to systemd.
pub struct Manager {
    proxy: SystemdManagerProxy<'static>,
    /// Yields whenever systemd has started or stopped something; ends with the connection.
    pub changes: BoxStream<'static, ()>,
}

impl Manager {
    /// Connects over the system bus.
    pub async fn connect() -> zbus::Result<Self> {
        let connection = zbus::Connection::system().await?;
        let proxy = SystemdManagerProxy::new(&connection).await?;
        proxy.subscribe().await?;
        let changes = proxy.receive_job_removed().await?;
        Ok(Self {
            proxy,
            changes: discard(changes).boxed(),
        })
    }

    /// The state of some units, in the order asked for.
    pub async fn units(&self, names: &[&str]) -> zbus::Result<Vec<Unit>> {
        let rows = self.proxy.list_units_by_names(names).await?;
        let units = rows
            .into_iter()
            .map(|(name, _, _, active, sub, ..)| Unit { name, active, sub })
            .collect();
        Ok(units)
    }

    /// When this boot's parts began and ended.
    pub async fn moments(&self) -> zbus::Result<Moments> {
        Ok(Moments {
            firmware: self.proxy.firmware_timestamp_monotonic().await?,
            loader: self.proxy.loader_timestamp_monotonic().await?,
            userspace: self.proxy.userspace_timestamp_monotonic().await?,
            finished: self.proxy.finish_timestamp_monotonic().await?,
        })
    }

    /// When each unit was started.
    pub async fn unit_moments(&self) -> zbus::Result<Vec<UnitMoments>> {
        let rows = self
            .proxy
            .list_units_by_patterns(&[], &WORKING_UNITS)
            .await?;
        let mut units = Vec::new();
        for (name, _, _, _, _, _, path, ..) in rows {
            let unit = SystemdUnitProxy::builder(self.proxy.inner().connection())
                .path(path)?
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            units.push(UnitMoments {
                name,
                activating: unit.inactive_exit_timestamp_monotonic().await?,
                active: unit.active_enter_timestamp_monotonic().await?,
                inactive: unit.inactive_enter_timestamp_monotonic().await?,
            });
        }
        Ok(units)
    }

    /// Starts a unit that has failed too often.
    pub async fn start_again(&self, name: &str) -> zbus::Result<()> {
        self.proxy.reset_failed_unit(name).await?;
        self.proxy.start_unit(name, "replace").await?;
        Ok(())
    }
}

fn discard<T>(stream: impl Stream<Item = T>) -> impl Stream<Item = ()> {
    stream.map(|_| ())
}

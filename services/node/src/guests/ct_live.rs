//! What changes of a container while it runs: how much it may take of the host's processors.

use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_container::ProcessorTime;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::lxc::LxcConfig;
use basalt_model::vmid::Vmid;

/// The share of processor time of a container that names none.
const CPU_UNITS: u32 = 100;

/// What a container may take of the host's processors: `cores` and `cpulimit` both limit it.
pub(super) fn processor_time(config: &LxcConfig) -> ProcessorTime {
    let cores = config
        .cores
        .map(|cores| u32::try_from(cores.get() * 100).unwrap_or(u32::MAX));
    let limit = config.cpulimit.and_then(|limit| limit.percent());
    let units = config
        .cpuunits
        .and_then(|units| u32::try_from(units.get()).ok());
    ProcessorTime {
        limit_percent: [cores, limit].into_iter().flatten().min(),
        weight: units.unwrap_or(CPU_UNITS),
    }
}

impl Node {
    /// Brings what can change of a running container in line with `wanted`.
    pub(super) async fn change_running_ct(&self, vmid: Vmid, wanted: &LxcConfig) -> Result<()> {
        let kind = GuestKind::Lxc;
        if !self.is_running(kind, vmid).await? {
            return Ok(());
        }
        let Some(GuestConfig::Lxc(mut runs)) = self.running_config(kind, vmid) else {
            return Ok(());
        };
        let (before, time) = (processor_time(&runs), processor_time(wanted));
        if before != time {
            let set = self.containers.set_processor_time(vmid.get(), time).await;
            if let Err(error) = set {
                let back = self.containers.set_processor_time(vmid.get(), before);
                if let Err(error) = back.await {
                    tracing::warn!(%error, %vmid, "its processor time is half changed");
                }
                return Err(Error::failed(error));
            }
        }
        runs.cores = wanted.cores;
        runs.cpulimit = wanted.cpulimit;
        runs.cpuunits = wanted.cpuunits;
        self.note_running_config(vmid, &GuestConfig::Lxc(runs));
        Ok(())
    }
}

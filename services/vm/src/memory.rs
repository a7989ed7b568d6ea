//! How much memory a machine may have, what its monitor may take for that, and machines whose memory
//! changes while they run.

use crate::error::{Result, VmError};
use crate::machines::Machines;
use crate::resolve::adapter;
use basalt_model::hotplug::MemoryStatus;
use basalt_model::machine::MachineSpec;
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::hotplug::HotplugKind;
use basalt_model::vmid::Vmid;
use basalt_unit::Property;
use std::time::Duration;

/// What a monitor needs beside its guest's memory: its own, and page cache for its disks.
const OVERHEAD: u64 = 256 << 20;
/// What a screen needs on top: its driver's pictures and the viewers' copy, at their largest.
const SCREEN_OVERHEAD: u64 = 208 << 20;
/// Most memory that can be configured, in MiB.
const MOST_MIB: u64 = 4_194_304;
/// The setting by which a unit's memory is limited.
pub(crate) const LIMIT: &str = "MemoryMax";

/// Bytes that a monitor may take for a guest with so many.
pub(crate) fn limit(guest: u64, screen: bool) -> u64 {
    guest + OVERHEAD + if screen { SCREEN_OVERHEAD } else { 0 }
}

/// Bytes of a machine's memory that count against its limit: huge pages do not, for the kernel accounts for
/// them apart.
pub(crate) fn charged(spec: &MachineSpec) -> u64 {
    match spec.hugepages_mib {
        Some(_) => 0,
        None => spec.memory_mib << 20,
    }
}

/// Most memory that a machine may get while it runs, in MiB, if some may come: as much as the host has,
/// for more would be of no use to it.
pub(crate) fn most_mib(config: &QemuConfig) -> Option<u64> {
    let info = rustix::system::sysinfo();
    let host = info.totalram.saturating_mul(info.mem_unit.into()) >> 20;
    most_mib_of(config, host)
}

fn most_mib_of(config: &QemuConfig, host: u64) -> Option<u64> {
    // Room for more would be taken from the host at once, of huge pages.
    let comes = config.hotplugs(HotplugKind::Memory) && config.hugepages.is_none();
    comes.then(|| host.min(MOST_MIB).max(config.memory_mib()))
}

impl Machines {
    /// Gives a machine that runs as much memory as `config` says. When the guest has not taken it, or let
    /// go of it, within `patience`, it fails, and the guest is asked for what it had.
    pub async fn set_memory(
        &self,
        vmid: Vmid,
        config: &QemuConfig,
        patience: Duration,
    ) -> Result<()> {
        let screen = adapter(config).is_some();
        let mib = config.memory_mib();
        let now = self.memory(vmid).await?;
        let most = now.wanted.max(now.present).max(mib << 20);
        self.set_limit(vmid, limit(most, screen)).await?;
        let mut control = self.control(vmid).await?;
        let done = control.set_memory(mib, patience).await;
        self.fit_limit(vmid, screen).await;
        done
    }

    /// Limits a machine's monitor to what its guest has, or may take. A limit that is too high harms
    /// nobody but neighbours, so that it stays is no error.
    pub(crate) async fn fit_limit(&self, vmid: Vmid, screen: bool) {
        let fit = async {
            let now = self.memory(vmid).await?;
            let bytes = limit(now.wanted.max(now.present), screen);
            self.set_limit(vmid, bytes).await
        };
        if let Err(error) = fit.await {
            tracing::warn!(%error, %vmid, "the limit of its memory stays as it is");
        }
    }

    async fn memory(&self, vmid: Vmid) -> Result<MemoryStatus> {
        let status = self.status(vmid).await?;
        status.memory.ok_or_else(|| {
            VmError::Control("the machine was started with its memory for good".to_owned())
        })
    }

    async fn set_limit(&self, vmid: Vmid, bytes: u64) -> Result<()> {
        let settings = vec![Property::new(LIMIT, bytes)];
        Ok(self.units.change(&Self::unit(vmid), settings).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_machine_may_get_what_the_host_has() {
        let most = |hotplug: &str, memory: u64, host: u64| {
            let config = json!({"hotplug": hotplug, "memory": memory});
            most_mib_of(&serde_json::from_value(config).unwrap(), host)
        };
        assert_eq!(most("disk,memory", 512, 16_000), Some(16_000));
        assert_eq!(most("memory", 32_768, 16_000), Some(32_768));
        assert_eq!(most("memory", 512, u64::MAX), Some(MOST_MIB));
        assert_eq!(most("1", 512, 16_000), None);
        let huge = json!({"hotplug": "memory", "memory": 512, "hugepages": "2"});
        let huge = serde_json::from_value(huge).unwrap();
        assert_eq!(most_mib_of(&huge, 16_000), None);
    }
}

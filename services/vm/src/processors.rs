//! What a machine may take of the host's processors: settings of its unit.

use crate::error::Result;
use crate::machines::Machines;
use basalt_model::processors::CpuSet;
use basalt_model::qemu::QemuConfig;
use basalt_model::vmid::Vmid;
use basalt_unit::Property;

/// Microseconds a second in a hundredth of a processor.
const USEC_PER_PERCENT: u64 = 10_000;
/// What a number of a unit is that was never set.
const UNSET: u64 = u64::MAX;
/// The greatest weight of a unit.
const GREATEST_WEIGHT: u64 = 10_000;
/// Where the kernel lists the processors that work.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Says what is wrong with `affinity`: it must name processors that the host has.
pub fn check_affinity(config: &QemuConfig) -> std::result::Result<(), String> {
    let Some(wanted) = &config.affinity else {
        return Ok(());
    };
    let online = std::fs::read_to_string(ONLINE).map_err(|error| format!("{ONLINE}: {error}"))?;
    let online = online.trim().parse()?;
    missing(wanted, &online)
}

fn missing(wanted: &CpuSet, online: &CpuSet) -> std::result::Result<(), String> {
    match wanted.first_beyond(online) {
        None => Ok(()),
        Some(number) => Err(format!(
            "the host has no processor {number}: it has {online}"
        )),
    }
}

/// The settings of the unit of a machine with `config`, those included that are at their defaults.
pub(crate) fn settings(config: &QemuConfig) -> Vec<Property> {
    let percent = config.cpulimit.and_then(|limit| limit.percent());
    let quota = percent.map_or(UNSET, |percent| u64::from(percent) * USEC_PER_PERCENT);
    let weight = config
        .cpuunits
        .map(|units| units.get().min(GREATEST_WEIGHT));
    let mask = config.affinity.as_ref().map(CpuSet::mask);
    vec![
        Property::new("CPUQuotaPerSecUSec", quota),
        Property::new("CPUWeight", weight.unwrap_or(UNSET)),
        // None is all.
        Property::new("AllowedCPUs", mask.unwrap_or_default()),
    ]
}

impl Machines {
    /// Gives a machine that runs what `config` lets it take of the host's processors.
    pub async fn set_processors(&self, vmid: Vmid, config: &QemuConfig) -> Result<()> {
        let unit = Self::unit(vmid);
        Ok(self.units.change(&unit, settings(config)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_unit_is_told_in_systemds_words() {
        let of = |value| settings(&serde_json::from_value(value).unwrap());
        let limited = json!({"cpulimit": 1.5, "cpuunits": 262_144, "affinity": "1,8-9"});
        assert_eq!(
            of(limited),
            [
                Property::new("CPUQuotaPerSecUSec", 1_500_000_u64),
                Property::new("CPUWeight", 10_000_u64),
                Property::new("AllowedCPUs", vec![2_u8, 3]),
            ]
        );
        let free = [
            Property::new("CPUQuotaPerSecUSec", u64::MAX),
            Property::new("CPUWeight", u64::MAX),
            Property::new("AllowedCPUs", Vec::<u8>::new()),
        ];
        assert_eq!(of(json!({})), free);
        assert_eq!(of(json!({"cpulimit": 0})), free);
    }

    #[test]
    fn a_processor_that_the_host_lacks_is_named() {
        let set = |text: &str| text.parse::<CpuSet>().unwrap();
        assert_eq!(missing(&set("0,3"), &set("0-3")), Ok(()));
        let text = missing(&set("2-5"), &set("0-3")).unwrap_err();
        assert!(
            text.contains("processor 4") && text.contains("0-3"),
            "{text}"
        );
    }
}

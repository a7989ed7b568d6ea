//! How long each boot took, and which unit how long: written down once a boot is done.
//!
//! The last boots are kept in `boot/times.json`, newest first, so that a boot that became slow can be
//! compared with the ones before it.

use std::fs;

use anyhow::Context;
use basalt_layout::Version;
use basalt_update::files::write_atomic;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::record::running_version;

/// Boots that are kept.
const KEPT: usize = 20;

/// File of the host's state that holds them.
const FILE: &str = "boot/times.json";

/// The unit that ends when the host is healthy.
const GATE: &str = "basalt-health.service";

/// What one boot took; all times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTimes {
    /// The kernel's name for this boot.
    pub boot_id: String,
    /// The version that was booted.
    pub version: Version,
    /// From power to boot loader, where the firmware says it.
    pub firmware: u64,
    /// In the boot loader.
    pub loader: u64,
    /// From the kernel's start until systemd runs from the root file system.
    pub kernel: u64,
    /// From the kernel's start until the host was healthy, and so its web interface answered.
    pub healthy: u64,
    /// From the kernel's start until systemd had nothing left to start.
    pub finished: u64,
    /// Its units, slowest first.
    pub units: Vec<UnitTimes>,
}

impl BootTimes {
    /// From power to a healthy host.
    pub const fn total(&self) -> u64 {
        self.firmware + self.loader + self.healthy
    }
}

/// What one unit took; milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitTimes {
    /// Its name.
    pub name: String,
    /// When it was begun, from the kernel's start.
    pub began: u64,
    /// How long it was starting; what runs once is starting until it ends.
    pub took: u64,
}

/// The moments systemd remembers of the whole boot, in microseconds from the kernel's start; those of
/// firmware and loader count backwards from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// When the firmware began.
    pub firmware: u64,
    /// When the boot loader began.
    pub loader: u64,
    /// When systemd began.
    pub userspace: u64,
    /// When everything was started; zero until then.
    pub finished: u64,
}

/// The moments systemd remembers of one unit, in microseconds from the kernel's start; zero is never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitMoments {
    /// Its name.
    pub name: String,
    /// It began to start.
    pub activating: u64,
    /// It was started.
    pub active: u64,
    /// It was inactive again.
    pub inactive: u64,
}

impl UnitMoments {
    fn end(&self) -> u64 {
        // What runs only once never was active.
        [self.active, self.inactive]
            .into_iter()
            .find(|end| *end >= self.activating)
            .unwrap_or(self.activating)
    }

    fn times(&self) -> UnitTimes {
        UnitTimes {
            name: self.name.clone(),
            began: self.activating / 1000,
            took: (self.end() - self.activating) / 1000,
        }
    }
}

/// Whether this boot's times are written down already.
pub fn is_recorded(paths: &Paths) -> bool {
    boot_id(paths).is_ok_and(|id| read(paths).first().is_some_and(|boot| boot.boot_id == id))
}

/// Writes down this boot's times.
pub fn record(paths: &Paths, moments: Moments, units: &[UnitMoments]) -> anyhow::Result<BootTimes> {
    let milliseconds = |from: u64, to: u64| to.saturating_sub(from) / 1000;
    let mut rows: Vec<UnitTimes> = units
        .iter()
        .filter(|unit| unit.activating > 0)
        .map(UnitMoments::times)
        .filter(|unit| unit.took > 0)
        .collect();
    rows.sort_by(|a, b| b.took.cmp(&a.took).then(a.name.cmp(&b.name)));
    let gate = units.iter().find(|unit| unit.name == GATE);
    let boot = BootTimes {
        boot_id: boot_id(paths)?,
        version: running_version(paths)?,
        firmware: milliseconds(moments.loader, moments.firmware),
        loader: milliseconds(0, moments.loader),
        kernel: milliseconds(0, moments.userspace),
        healthy: milliseconds(0, gate.map_or(moments.finished, UnitMoments::end)),
        finished: milliseconds(0, moments.finished),
        units: rows,
    };
    let mut boots = read(paths);
    boots.insert(0, boot.clone());
    boots.truncate(KEPT);
    let path = paths.state(FILE);
    fs::create_dir_all(paths.state("boot")).context("boot records")?;
    write_atomic(&path, &serde_json::to_vec(&boots)?, 0o644)
        .with_context(|| path.display().to_string())?;
    Ok(boot)
}

/// The boots that are written down, newest first.
pub fn read(paths: &Paths) -> Vec<BootTimes> {
    fs::read(paths.state(FILE))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// A boot as a table for people.
pub fn table(boot: &BootTimes) -> String {
    let row = |name: &str, time: u64| format!("{:>8.2} s  {name}\n", time as f64 / 1000.0);
    let mut text = format!("Basalt {}, boot {}\n", boot.version, boot.boot_id);
    for (name, time) in [
        ("power-on to healthy", boot.total()),
        ("firmware", boot.firmware),
        ("boot loader", boot.loader),
        ("kernel and initial RAM disk", boot.kernel),
        (
            "systemd to healthy",
            boot.healthy.saturating_sub(boot.kernel),
        ),
    ] {
        text.push_str(&row(name, time));
    }
    text.push_str("of the units, which start side by side:\n");
    for unit in &boot.units {
        text.push_str(&row(&unit.name, unit.took));
    }
    text
}

fn boot_id(paths: &Paths) -> anyhow::Result<String> {
    let path = paths.at("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(boot: &str) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        fs::create_dir_all(paths.at("/usr/lib")).unwrap();
        fs::write(paths.at("/usr/lib/os-release"), "IMAGE_VERSION=0.1.0\n").unwrap();
        name_boot(&paths, boot);
        (dir, paths)
    }

    fn name_boot(paths: &Paths, boot: &str) {
        let folder = paths.at("/proc/sys/kernel/random");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("boot_id"), format!("{boot}\n")).unwrap();
    }

    fn unit(name: &str, activating: u64, active: u64, inactive: u64) -> UnitMoments {
        UnitMoments {
            name: name.to_owned(),
            activating,
            active,
            inactive,
        }
    }

    const MOMENTS: Moments = Moments {
        firmware: 5_000_000,
        loader: 2_000_000,
        userspace: 3_000_000,
        finished: 9_500_000,
    };

    #[test]
    fn a_boot_is_the_sum_of_its_parts() {
        let (_dir, paths) = host("a");
        let units = [
            unit("once.service", 4_000_000, 0, 4_250_000),
            unit(GATE, 4_000_000, 9_000_000, 0),
            unit("never.service", 0, 0, 0),
            unit("stays.service", 5_000_000, 6_000_000, 0),
        ];
        assert!(!is_recorded(&paths));
        let boot = record(&paths, MOMENTS, &units).unwrap();
        assert!(is_recorded(&paths));
        assert_eq!(
            (boot.firmware, boot.loader, boot.kernel),
            (3000, 2000, 3000)
        );
        assert_eq!((boot.healthy, boot.total()), (9000, 14_000));
        let rows: Vec<(&str, u64)> = boot
            .units
            .iter()
            .map(|unit| (unit.name.as_str(), unit.took))
            .collect();
        assert_eq!(
            rows,
            [(GATE, 5000), ("stays.service", 1000), ("once.service", 250)]
        );
        let table = table(&boot);
        assert!(
            table.contains("   14.00 s  power-on to healthy\n"),
            "{table}"
        );
        assert!(table.contains("    0.25 s  once.service\n"), "{table}");
    }

    #[test]
    fn only_the_last_boots_are_kept() {
        let (_dir, paths) = host("0");
        for number in 0..=KEPT {
            name_boot(&paths, &number.to_string());
            record(&paths, MOMENTS, &[]).unwrap();
        }
        let boots = read(&paths);
        assert_eq!(boots.len(), KEPT);
        assert_eq!(boots[0].boot_id, KEPT.to_string());
        assert_eq!(boots[KEPT - 1].boot_id, "1");
    }
}

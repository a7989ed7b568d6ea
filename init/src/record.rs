//! What is remembered from one boot to the next: did it become healthy, and if not, why.
//!
//! A version that fails is left behind by the boot loader; the version that runs then finds the
//! record here and shows the reason.

use std::fs;
use std::path::Path;

use anyhow::Context;
use basalt_layout::Version;
use basalt_update::files::{remove_if_there, write_atomic};
use basalt_update::host::release_value;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// One boot, as far as it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The version that was booted.
    pub version: Version,
    /// How it ended.
    pub outcome: Outcome,
    /// What kept it, or its last try, from being healthy.
    pub reasons: Vec<String>,
    /// This or an earlier boot of the version was healthy.
    #[serde(default)]
    pub proved: bool,
    /// The bridge had an address when a boot was last healthy.
    #[serde(default)]
    pub addressed: bool,
}

/// How far a boot got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not far enough to say.
    Starting,
    /// All checks passed.
    Healthy,
    /// Some check did not pass in time.
    Failed,
}

/// A version that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The version.
    pub version: Version,
    /// Why; empty when it did not get far enough to say.
    pub reasons: Vec<String>,
}

/// The version of the running image.
pub fn running_version(paths: &Paths) -> anyhow::Result<Version> {
    let path = paths.at("/usr/lib/os-release");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let version = release_value(&text, "IMAGE_VERSION").context("no IMAGE_VERSION")?;
    Ok(version.parse()?)
}

/// Notes that a boot begins, and what became of the one before.
pub fn begin_boot(paths: &Paths) -> anyhow::Result<()> {
    let version = running_version(paths)?;
    let addressed = had_address(paths);
    let (reasons, proved) = match last(paths) {
        Some(boot) if boot.version == version => (boot.reasons, boot.proved),
        Some(boot) => {
            // A proved version that was cut short was left on purpose.
            let failed = match boot.outcome {
                Outcome::Healthy => false,
                Outcome::Starting => !boot.proved,
                Outcome::Failed => true,
            };
            if failed {
                let failure = Failure {
                    version: boot.version,
                    reasons: boot.reasons,
                };
                write(paths, "failure.json", &failure)?;
            }
            (Vec::new(), false)
        }
        None => (Vec::new(), false),
    };
    write(
        paths,
        "last.json",
        &Boot {
            version,
            outcome: Outcome::Starting,
            reasons,
            proved,
            addressed,
        },
    )
}

fn last(paths: &Paths) -> Option<Boot> {
    read(&paths.state("boot/last.json"))
}

/// Whether the bridge had an address when a boot was last healthy.
pub fn had_address(paths: &Paths) -> bool {
    last(paths).is_some_and(|boot| boot.addressed)
}

/// Notes how this boot's health checks ended.
pub fn end_boot(paths: &Paths, reasons: &[String], has_address: bool) -> anyhow::Result<()> {
    let version = running_version(paths)?;
    let outcome = if reasons.is_empty() {
        Outcome::Healthy
    } else {
        Outcome::Failed
    };
    if outcome == Outcome::Healthy
        && failure(paths).is_some_and(|failure| failure.version == version)
    {
        remove_if_there(&paths.state("boot/failure.json"))?;
    }
    let before = last(paths).is_some_and(|boot| boot.version == version && boot.proved);
    let proved = before || outcome == Outcome::Healthy;
    let addressed = if outcome == Outcome::Healthy {
        has_address
    } else {
        had_address(paths)
    };
    let reasons = reasons.to_vec();
    write(
        paths,
        "last.json",
        &Boot {
            version,
            outcome,
            reasons,
            proved,
            addressed,
        },
    )
}

/// The version that was given up last, if any.
pub fn failure(paths: &Paths) -> Option<Failure> {
    read(&paths.state("boot/failure.json"))
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(paths: &Paths, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
    let path = paths.state("boot").join(name);
    fs::create_dir_all(paths.state("boot")).context("boot records")?;
    let text = serde_json::to_vec_pretty(value)?;
    write_atomic(&path, &text, 0o644).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(paths: &Paths, version: &str) {
        let folder = paths.at("/usr/lib");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("os-release"),
            format!("IMAGE_VERSION={version}\n"),
        )
        .unwrap();
        begin_boot(paths).unwrap();
    }

    #[test]
    fn the_reason_of_a_failed_update_is_known_after_the_return() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        boot(&paths, "0.1.0");
        end_boot(&paths, &[], true).unwrap();
        assert_eq!(failure(&paths), None);

        boot(&paths, "0.2.0");
        end_boot(&paths, &["node: no answer".to_owned()], false).unwrap();
        // The last try dies before it can say anything.
        boot(&paths, "0.2.0");
        boot(&paths, "0.1.0");
        let failed = failure(&paths).unwrap();
        assert_eq!(failed.version.to_string(), "0.2.0");
        assert_eq!(failed.reasons, ["node: no answer"]);
        assert!(had_address(&paths), "as it was before the failed version");

        // It stays visible until that version works.
        end_boot(&paths, &[], true).unwrap();
        boot(&paths, "0.1.0");
        assert!(failure(&paths).is_some());
        boot(&paths, "0.2.0");
        end_boot(&paths, &[], true).unwrap();
        assert_eq!(failure(&paths), None);
    }

    #[test]
    fn a_pulled_plug_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        for _ in 0..3 {
            boot(&paths, "0.1.0");
        }
        assert_eq!(failure(&paths), None);
    }
}

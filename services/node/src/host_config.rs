//! The host's own configuration, `host.json`, of which every boot is made: what of it can be
//! changed while the host runs.

use basalt_api::{Error, Result};
use basalt_model::host::{HostConfig, TimeZone};
use basalt_update::files::{remove_if_there, write_atomic};
use std::path::Path;

/// Its name in the folder of the store.
const FILE: &str = "host.json";
/// Where the names of time zones lead to.
const ZONES: &str = "/usr/share/zoneinfo";
/// What programs go by.
const LOCAL_TIME: &str = "/etc/localtime";

/// The host's configuration; none when it cannot be read.
pub fn read(state: &Path) -> Option<HostConfig> {
    serde_json::from_slice(&std::fs::read(state.join(FILE)).ok()?).ok()
}

/// Sets the time zone, for now and for every boot.
pub fn set_time_zone(state: &Path, zone: TimeZone) -> Result<()> {
    let target = Path::new(ZONES).join(zone.as_str());
    if !target.is_file() {
        return Err(Error::param(
            "timezone",
            format_args!("there is no time zone '{zone}'"),
        ));
    }
    remember(state, zone)?;
    let link = Path::new(LOCAL_TIME);
    let new = link.with_file_name(".localtime.new");
    remove_if_there(&new)
        .and_then(|()| std::os::unix::fs::symlink(&target, &new))
        .and_then(|()| std::fs::rename(&new, link))
        .map_err(|error| Error::failed(format_args!("{LOCAL_TIME}: {error}")))
}

fn remember(state: &Path, zone: TimeZone) -> Result<()> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::failed(format_args!("the host's configuration, {FILE}: {error}"))
    };
    let text = std::fs::read(state.join(FILE)).map_err(|e| wrong(&e))?;
    let mut config: HostConfig = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
    config.timezone = zone;
    let text = serde_json::to_vec_pretty(&config).map_err(|e| wrong(&e))?;
    write_atomic(&state.join(FILE), &text, 0o600).map_err(|e| wrong(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_remembered_beside_all_else() {
        let folder = tempfile::tempdir().unwrap();
        let zone = || "Europe/Berlin".parse::<TimeZone>().unwrap();
        assert!(remember(folder.path(), zone()).is_err());
        std::fs::write(folder.path().join(FILE), r#"{"hostname": "n1"}"#).unwrap();
        remember(folder.path(), zone()).unwrap();
        let config = read(folder.path()).unwrap();
        assert_eq!((config.hostname.short(), config.timezone), ("n1", zone()));
        let nowhere = "Nowhere/Land".parse().unwrap();
        let error = set_time_zone(folder.path(), nowhere).unwrap_err();
        assert!(error.errors.contains_key("timezone"));
    }
}

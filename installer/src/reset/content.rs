//! What a host has that a factory reset destroys, and what it leaves alone.

use std::fs;
use std::path::Path;

use basalt_layout::mode::CONFIG;
use basalt_model::guest::GuestRecord;
use basalt_model::host::HostConfig;
use basalt_model::vmid::Vmid;
use basalt_store::{SqliteStore, Store};
use serde::Deserialize;

/// The configuration store on the data partition.
const STORE: &str = "lib/basalt/store.db";

/// What is on the data partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The host as it is configured.
    pub host: Option<HostConfig>,
    /// The guests, as `VM 100 (web)`.
    pub guests: Vec<String>,
    /// The storages that go, as `local (/var/lib/vz)`.
    pub storages: Vec<String>,
    /// The storages whose volumes lie elsewhere and stay, as `pool (lvmthin)`.
    pub elsewhere: Vec<String>,
    /// What could not be read.
    pub faults: Vec<String>,
}

/// As much of a storage's configuration as concerns us, whatever its driver.
#[derive(Deserialize)]
struct Storage {
    #[serde(rename = "type")]
    driver: String,
    path: Option<String>,
}

impl Content {
    /// Looks at a data partition; what cannot be read is no reason to stop.
    pub fn read(data: &Path) -> Self {
        let mut content = Self::default();
        match read_host(data) {
            Ok(host) => content.host = Some(host),
            Err(error) => content
                .faults
                .push(format!("the host's configuration: {error:#}")),
        }
        let path = data.join(STORE);
        if !path.exists() {
            content
                .faults
                .push("there is no configuration store".to_owned());
            return content;
        }
        match SqliteStore::open(&path) {
            Ok(store) => content.read_store(&store, data),
            Err(error) => content.faults.push(error.to_string()),
        }
        content
    }

    fn read_store(&mut self, store: &SqliteStore, data: &Path) {
        let mut guests = Vec::new();
        for entry in store.list("guests/") {
            let number = entry.key.trim_start_matches("guests/").to_owned();
            match (number.parse::<Vmid>(), entry.parse::<GuestRecord>()) {
                (Ok(vmid), Ok(record)) => {
                    let (kind, name) = (record.config.kind().short(), record.config.name(vmid));
                    guests.push((Some(vmid), format!("{kind} {vmid} ({name})")));
                }
                _ => guests.push((None, format!("guest {number}"))),
            }
        }
        guests.sort();
        self.guests = guests.into_iter().map(|(_, text)| text).collect();
        for entry in store.list("storages/") {
            let name = entry.key.trim_start_matches("storages/").to_owned();
            match entry.parse::<Storage>() {
                Ok(Storage {
                    path: Some(path), ..
                }) if Path::new(&path).starts_with(data) => {
                    self.storages.push(format!("{name} ({path})"));
                }
                Ok(Storage { driver, path }) => {
                    let place = path.unwrap_or(driver);
                    self.elsewhere.push(format!("{name} ({place})"));
                }
                Err(_) => self.elsewhere.push(name),
            }
        }
    }
}

fn read_host(data: &Path) -> anyhow::Result<HostConfig> {
    Ok(serde_json::from_slice(&fs::read(data.join(CONFIG))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_store::Transaction;
    use serde_json::json;

    #[test]
    fn guests_and_storages_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        fs::create_dir_all(data.join("lib/basalt")).unwrap();
        assert_eq!(Content::read(data).faults.len(), 2);
        let host = serde_json::to_vec(&HostConfig::fallback()).unwrap();
        fs::write(data.join(CONFIG), host).unwrap();
        let store = SqliteStore::open(data.join(STORE)).unwrap();
        let vm = GuestRecord::new(basalt_model::guest::GuestConfig::Qemu(Box::default()));
        let local = data.join("lib/vz");
        let change = Transaction::new()
            .put("guests/1000", &vm)
            .and_then(|change| change.put("guests/200", &vm))
            .and_then(|change| change.put("guests/300", &json!("unreadable")))
            .and_then(|change| change.put("storages/local", &json!({"type": "dir", "path": local})))
            .and_then(|change| {
                change.put("storages/pool", &json!({"type": "lvmthin", "vgname": "v"}))
            })
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(store.commit(change)).unwrap();
        let content = Content::read(data);
        assert_eq!(content.host, Some(HostConfig::fallback()));
        assert_eq!(
            content.guests,
            ["guest 300", "VM 200 (VM200)", "VM 1000 (VM1000)"]
        );
        assert_eq!(content.storages, [format!("local ({})", local.display())]);
        assert_eq!(content.elsewhere, ["pool (lvmthin)"]);
        assert_eq!(content.faults, Vec::<String>::new());
    }
}

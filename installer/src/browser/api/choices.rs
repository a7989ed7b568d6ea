//! What there is to choose from, and what was chosen, for the page.

use std::fs;

use basalt_layout::Version;
use basalt_model::host::Addressing;
use basalt_model::host::answer::{
    DataChoice, EncryptionChoice, Existing as Wish, GuestStorage, PoolLevel,
};
use serde_json::{Value, json};

use super::Refusal;
use crate::disks::{self, Disk};
use crate::engine::encryption;
use crate::plan::{Mode, Plan, check_disk, choose_mode, network_cards, pool, room};
use crate::{existing, keyboard};

/// Where time zones are listed.
const ZONES: &str = "/usr/share/zoneinfo/tzdata.zi";

/// Disks, network cards, time zones and keyboards.
pub fn collect(version: &Version) -> Result<Value, Refusal> {
    let disks: Vec<Value> = disks::list()?
        .iter()
        .filter(|disk| !disk.is_medium)
        .map(|disk| describe(disk, version))
        .collect();
    let cards: Vec<Value> = network_cards("/sys/class/net".as_ref())
        .iter()
        .map(|(name, mac)| json!({ "name": name, "mac": mac.to_string() }))
        .collect();
    Ok(json!({
        "version": version.to_string(),
        "disks": disks,
        "cards": cards,
        "timezones": zones(&fs::read_to_string(ZONES).unwrap_or_default()),
        "keyboards": keyboard::names(),
        "storages": GuestStorage::ALL.map(|storage| (storage.as_str(), storage.describe())),
        "levels": PoolLevel::ALL.map(|level| (level.as_str(), level.describe())),
        // Offered where it works; the key goes with the page alone until it is used.
        "recovery_key": encryption::check().is_ok().then(encryption::fresh_recovery_key),
    }))
}

fn describe(disk: &Disk, version: &Version) -> Value {
    let refusal = check_disk(disk).err().map(|error| format!("{error:#}"));
    let found = match refusal {
        None => existing::find(&disk.path),
        Some(_) => None,
    };
    let actions: Vec<&str> = [
        (Wish::Repair, "repair"),
        (Wish::KeepData, "keep-data"),
        (Wish::Wipe, "wipe"),
    ]
    .into_iter()
    .filter(|(wish, _)| {
        found.is_some() && choose_mode(*wish, disk, found.as_ref(), version).is_ok()
    })
    .map(|(_, name)| name)
    .collect();
    json!({
        "path": disk.path,
        "size": disk.size_text(),
        "model": disk.model,
        "serial": disk.serial,
        "content": disk.content,
        "refusal": refusal,
        "pool": pool::check(disk, &[]).is_ok(),
        "existing": found.map(|found| found.to_string()),
        "actions": actions,
        "storages": GuestStorage::ALL
            .into_iter()
            .filter(|storage| has_room_for(*storage, disk))
            .map(GuestStorage::as_str)
            .collect::<Vec<_>>(),
    })
}

fn has_room_for(storage: GuestStorage, disk: &Disk) -> bool {
    let choice = DataChoice {
        storage: Some(storage),
        ..DataChoice::default()
    };
    room::choose(&choice, disk, None).is_ok()
}

/// The names in the time zone database: zones and links to them.
fn zones(database: &str) -> Vec<String> {
    let mut names: Vec<String> = database
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            match words.next()? {
                "Z" => words.next(),
                "L" => words.nth(1),
                _ => None,
            }
        })
        .map(str::to_owned)
        .collect();
    names.push("UTC".to_owned());
    names.sort();
    names.dedup();
    names
}

/// What a plan will do, in rows of a name and a text.
pub fn summary(plan: &Plan) -> Value {
    let (disk, host) = (&plan.disk, &plan.host);
    let what = match plan.mode {
        Mode::Fresh => format!("Everything on it is lost: {}.", disk.content),
        Mode::KeepData => "Boot files and system are written anew; its data stays.".to_owned(),
        Mode::Repair => {
            "Boot files and system are written anew; configuration and data stay.".to_owned()
        }
    };
    let place = format!(
        "{} ({}, {}, serial {})",
        disk.path.display(),
        disk.size_text(),
        disk.model,
        disk.serial
    );
    let mut rows = vec![json!(["Disk", place]), json!(["What happens", what])];
    if let Some(second) = &plan.mirror {
        let (path, size) = (second.path.display(), second.size_text());
        let content = &second.content;
        rows.push(json!([
            "Second disk",
            format!("{path} ({size}). Everything on it is lost: {content}.")
        ]));
    }
    if let Some(pool) = &plan.pool {
        rows.push(json!(["Guests' disks", format!("In {}.", pool.describe())]));
    }
    if plan.encryption != EncryptionChoice::None {
        rows.push(json!([
            "Encryption",
            "Opened by this machine's TPM, or by the recovery key."
        ]));
    }
    if plan.mode != Mode::Repair {
        let network = match &host.network.addressing {
            Addressing::Dhcp => "by DHCP".to_owned(),
            Addressing::Static { address, .. } => address.to_string(),
        };
        let email = host.email.as_ref().map_or("none", |email| email.as_str());
        rows.extend([
            json!(["Host name", host.hostname]),
            json!(["Network", network]),
            json!(["Time zone", host.timezone]),
            json!(["Keyboard", host.keyboard]),
            json!(["E-mail", email]),
        ]);
    }
    json!({ "rows": rows, "destroys": plan.mode == Mode::Fresh })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_links_are_names() {
        let database = "# version 2025b\nR A 1 o - O 1 s 0 -\nZ Africa/Abidjan -0:16:8 - LMT 1912\n\
                        0 - GMT\nZ Europe/Berlin 0:53:28 - LMT 1893 Ap\nL Europe/Berlin Arctic/Longyearbyen\n";
        assert_eq!(
            zones(database),
            [
                "Africa/Abidjan",
                "Arctic/Longyearbyen",
                "Europe/Berlin",
                "UTC"
            ]
        );
    }
}

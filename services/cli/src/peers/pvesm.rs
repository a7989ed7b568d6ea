//! `pvesm`: storages and their volumes.

use super::{Entry, delete, get, post, put};
use crate::output::cell;
use serde_json::Value;

pub(super) const ENTRIES: &[Entry] = &[
    get("status", "/nodes/{node}/storage", &[]).shown(status),
    get(
        "list",
        "/nodes/{node}/storage/{storage}/content",
        &["storage"],
    )
    .shown(list),
    post(
        "alloc",
        "/nodes/{node}/storage/{storage}/content",
        &["storage", "vmid", "filename", "size"],
    )
    .shown(allocated),
    delete(
        "free",
        "/nodes/{node}/storage/{storage}/content/{volume}",
        &["volume"],
    ),
    get(
        "path",
        "/nodes/{node}/storage/{storage}/content/{volume}",
        &["volume"],
    )
    .shown(path),
    get("config", "/storage/{storage}", &["storage"]),
    post("add", "/storage", &["type", "storage"]),
    put("set", "/storage/{storage}", &["storage"]),
    delete("remove", "/storage/{storage}", &["storage"]),
    get(
        "prune-backups",
        "/nodes/{node}/storage/{storage}/prunebackups",
        &["storage"],
    ),
    get("scan nfs", "/nodes/{node}/scan/nfs", &["server"]),
    get("scan cifs", "/nodes/{node}/scan/cifs", &["server"]),
    get("scan iscsi", "/nodes/{node}/scan/iscsi", &["portal"]),
    get("scan lvm", "/nodes/{node}/scan/lvm", &[]),
    get("scan lvmthin", "/nodes/{node}/scan/lvmthin", &["vg"]),
    get("scan zfs", "/nodes/{node}/scan/zfs", &[]),
];

fn path(data: &Value) -> String {
    cell(&data["path"]) + "\n"
}

fn allocated(data: &Value) -> String {
    format!("successfully created '{}'\n", cell(data))
}

fn width(data: &Value, member: &str, least: usize) -> usize {
    let all = data.as_array().into_iter().flatten();
    all.map(|entry| cell(&entry[member]).chars().count())
        .max()
        .unwrap_or(0)
        .max(least)
}

fn status(data: &Value) -> String {
    let wide = width(data, "storage", 4);
    let mut text = format!(
        "{:<wide$} {:>10} {:>10} {:>15} {:>15} {:>15} {:>8}\n",
        "Name", "Type", "Status", "Total (KiB)", "Used (KiB)", "Available (KiB)", "%"
    );
    for storage in data.as_array().into_iter().flatten() {
        let number = |name: &str| storage[name].as_u64().unwrap_or(0);
        let state = match (number("enabled"), number("active")) {
            (0, _) => "disabled",
            (_, 0) => "inactive",
            _ => "active",
        };
        let (total, used) = (number("total"), number("used"));
        let percent = match total {
            0 => "0.00%".to_owned(),
            total => format!("{:.2}%", used as f64 * 100.0 / total as f64),
        };
        text.push_str(&format!(
            "{:<wide$} {:>10} {state:>10} {:>15} {:>15} {:>15} {percent:>8}\n",
            cell(&storage["storage"]),
            cell(&storage["type"]),
            total >> 10,
            used >> 10,
            number("avail") >> 10,
        ));
    }
    text
}

fn list(data: &Value) -> String {
    let wide = width(data, "volid", 5);
    let mut text = format!(
        "{:<wide$} {:<7} {:<9} {:>15} {}\n",
        "Volid", "Format", "Type", "Size", "VMID"
    );
    for volume in data.as_array().into_iter().flatten() {
        let cells = ["volid", "format", "content", "size", "vmid"].map(|name| cell(&volume[name]));
        let [volid, format, content, size, vmid] = cells;
        let line = format!("{volid:<wide$} {format:<7} {content:<9} {size:>15} {vmid}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn storages_show_their_use_in_kibibytes() {
        let text = status(&json!([{
            "storage": "local", "type": "dir", "enabled": 1, "active": 1,
            "total": 4096, "used": 1024, "avail": 3072
        }]));
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["local", "dir", "active", "4", "1", "3", "25.00%"]);
    }

    #[test]
    fn volumes_are_listed_one_a_line() {
        let text = list(
            &json!([{"volid": "local:iso/a.iso", "format": "iso", "content": "iso", "size": 7}]),
        );
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["local:iso/a.iso", "iso", "iso", "7"]);
    }
}

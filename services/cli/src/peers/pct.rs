//! `pct`: containers.

use super::{Entry, by_vmid, delete, get, lines, pending, post, put, status};
use crate::leaf::{Action, Leaf, Show};
use crate::output::cell;
use crate::own::Own;
use crate::terminal::Guest;
use serde_json::Value;

const CT: &[&str] = &["vmid"];

pub(super) const ENTRIES: &[Entry] = &[
    get("list", "/nodes/{node}/lxc", &[]).shown(list),
    post("create", "/nodes/{node}/lxc", &["vmid", "ostemplate"]),
    delete("destroy", "/nodes/{node}/lxc/{vmid}", CT),
    get("config", "/nodes/{node}/lxc/{vmid}/config", CT).shown(lines),
    put("set", "/nodes/{node}/lxc/{vmid}/config", CT),
    get("pending", "/nodes/{node}/lxc/{vmid}/pending", CT).shown(pending),
    get("status", "/nodes/{node}/lxc/{vmid}/status/current", CT).shown(status),
    post("start", "/nodes/{node}/lxc/{vmid}/status/start", CT),
    post("stop", "/nodes/{node}/lxc/{vmid}/status/stop", CT),
    post("shutdown", "/nodes/{node}/lxc/{vmid}/status/shutdown", CT),
    post("reboot", "/nodes/{node}/lxc/{vmid}/status/reboot", CT),
    post("suspend", "/nodes/{node}/lxc/{vmid}/status/suspend", CT),
    post("resume", "/nodes/{node}/lxc/{vmid}/status/resume", CT),
    post(
        "clone",
        "/nodes/{node}/lxc/{vmid}/clone",
        &["vmid", "newid"],
    ),
    post("template", "/nodes/{node}/lxc/{vmid}/template", CT),
    post(
        "migrate",
        "/nodes/{node}/lxc/{vmid}/migrate",
        &["vmid", "target"],
    ),
    put(
        "resize",
        "/nodes/{node}/lxc/{vmid}/resize",
        &["vmid", "disk", "size"],
    ),
    post(
        "move-volume",
        "/nodes/{node}/lxc/{vmid}/move_volume",
        &["vmid", "volume", "storage"],
    ),
    get("listsnapshot", "/nodes/{node}/lxc/{vmid}/snapshot", CT),
    post(
        "snapshot",
        "/nodes/{node}/lxc/{vmid}/snapshot",
        &["vmid", "snapname"],
    ),
    delete(
        "delsnapshot",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
        &["vmid", "snapname"],
    ),
    post(
        "rollback",
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback",
        &["vmid", "snapname"],
    ),
];

/// Commands that are no call of a method.
pub(super) fn own() -> Vec<Leaf> {
    let leaf = |words, own| Leaf {
        words,
        action: Action::Own(own),
        places: vec!["vmid"],
        fixed: &[],
        show: Show::Text,
        hidden: false,
    };
    vec![
        leaf("console", Own::Terminal(Guest::Container)),
        leaf("enter", Own::Enter),
        leaf("exec", Own::Exec),
    ]
}

fn list(data: &Value) -> String {
    let guests = by_vmid(data);
    if guests.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:<10} {:<10} {:<12} {:<20}\n",
        "VMID", "Status", "Lock", "Name"
    );
    for guest in guests {
        let cells = ["vmid", "status", "lock", "name"].map(|name| cell(&guest[name]));
        let [vmid, status, lock, name] = cells;
        text.push_str(&format!("{vmid:<10} {status:<10} {lock:<12} {name:<20}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_list_has_its_columns() {
        let text = list(&json!([{"vmid": 101, "name": "ct", "status": "stopped"}]));
        assert!(text.starts_with("VMID       Status     Lock         Name"));
        assert!(text.contains("101        stopped                 ct"));
    }
}

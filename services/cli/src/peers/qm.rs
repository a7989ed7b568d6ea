//! `qm`: virtual machines.

use super::{Entry, by_vmid, delete, get, lines, pending, post, put, status};
use crate::leaf::{Action, Leaf, Show};
use crate::output::cell;
use crate::own::Own;
use crate::terminal::Guest;
use serde_json::Value;

const VM: &[&str] = &["vmid"];

pub(super) const ENTRIES: &[Entry] = &[
    get("list", "/nodes/{node}/qemu", &[]).shown(list),
    post("create", "/nodes/{node}/qemu", VM),
    delete("destroy", "/nodes/{node}/qemu/{vmid}", VM),
    get("config", "/nodes/{node}/qemu/{vmid}/config", VM).shown(lines),
    put("set", "/nodes/{node}/qemu/{vmid}/config", VM),
    get("pending", "/nodes/{node}/qemu/{vmid}/pending", VM).shown(pending),
    get("status", "/nodes/{node}/qemu/{vmid}/status/current", VM).shown(status),
    post("start", "/nodes/{node}/qemu/{vmid}/status/start", VM),
    post("stop", "/nodes/{node}/qemu/{vmid}/status/stop", VM),
    post("reset", "/nodes/{node}/qemu/{vmid}/status/reset", VM),
    post("shutdown", "/nodes/{node}/qemu/{vmid}/status/shutdown", VM),
    post("reboot", "/nodes/{node}/qemu/{vmid}/status/reboot", VM),
    post("suspend", "/nodes/{node}/qemu/{vmid}/status/suspend", VM),
    post("resume", "/nodes/{node}/qemu/{vmid}/status/resume", VM),
    put(
        "sendkey",
        "/nodes/{node}/qemu/{vmid}/sendkey",
        &["vmid", "key"],
    ),
    post(
        "clone",
        "/nodes/{node}/qemu/{vmid}/clone",
        &["vmid", "newid"],
    ),
    post("template", "/nodes/{node}/qemu/{vmid}/template", VM),
    post(
        "migrate",
        "/nodes/{node}/qemu/{vmid}/migrate",
        &["vmid", "target"],
    ),
    put("unlink", "/nodes/{node}/qemu/{vmid}/unlink", VM),
    put("resize", RESIZE, &["vmid", "disk", "size"]),
    put("disk resize", RESIZE, &["vmid", "disk", "size"]),
    put("disk unlink", "/nodes/{node}/qemu/{vmid}/unlink", VM),
    post("move-disk", MOVE, &["vmid", "disk", "storage"]).hidden(),
    post("disk move", MOVE, &["vmid", "disk", "storage"]),
    get("listsnapshot", "/nodes/{node}/qemu/{vmid}/snapshot", VM),
    post(
        "snapshot",
        "/nodes/{node}/qemu/{vmid}/snapshot",
        &["vmid", "snapname"],
    ),
    delete(
        "delsnapshot",
        "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}",
        &["vmid", "snapname"],
    ),
    post(
        "rollback",
        "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback",
        &["vmid", "snapname"],
    ),
    post(
        "monitor",
        "/nodes/{node}/qemu/{vmid}/monitor",
        &["vmid", "command"],
    ),
    get(
        "cloudinit pending",
        "/nodes/{node}/qemu/{vmid}/cloudinit",
        VM,
    ),
    put(
        "cloudinit update",
        "/nodes/{node}/qemu/{vmid}/cloudinit",
        VM,
    ),
    get(
        "cloudinit dump",
        "/nodes/{node}/qemu/{vmid}/cloudinit/dump",
        &["vmid", "type"],
    ),
    post("guest cmd", AGENT, &["vmid", "command"]).shown(json),
    post("agent", AGENT, &["vmid", "command"])
        .shown(json)
        .hidden(),
    post(
        "guest exec",
        "/nodes/{node}/qemu/{vmid}/agent/exec",
        &["vmid", "command..."],
    )
    .shown(json),
    get(
        "guest exec-status",
        "/nodes/{node}/qemu/{vmid}/agent/exec-status",
        &["vmid", "pid"],
    )
    .shown(json),
    post(
        "guest passwd",
        "/nodes/{node}/qemu/{vmid}/agent/set-user-password",
        &["vmid", "username"],
    ),
];

const RESIZE: &str = "/nodes/{node}/qemu/{vmid}/resize";
const MOVE: &str = "/nodes/{node}/qemu/{vmid}/move_disk";
const AGENT: &str = "/nodes/{node}/qemu/{vmid}/agent";

/// Commands that are no call of a method.
pub(super) fn own() -> Vec<Leaf> {
    vec![Leaf {
        words: "terminal",
        action: Action::Own(Own::Terminal(Guest::Machine)),
        places: vec!["vmid"],
        fixed: &[],
        show: Show::Text,
        hidden: false,
    }]
}

fn json(data: &Value) -> String {
    format!("{data:#}\n")
}

fn list(data: &Value) -> String {
    let guests = by_vmid(data);
    if guests.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:>10} {:<20} {:<10} {:<10} {:>12} {:<10}\n",
        "VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"
    );
    for guest in guests {
        text.push_str(&format!(
            "{:>10} {:<20} {:<10} {:<10} {:>12.2} {:<10}\n",
            cell(&guest["vmid"]),
            cell(&guest["name"]),
            cell(&guest["status"]),
            guest["maxmem"].as_u64().unwrap_or(0) >> 20,
            guest["maxdisk"].as_f64().unwrap_or(0.0) / f64::from(1 << 30),
            guest["pid"].as_u64().unwrap_or(0),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_list_has_its_columns() {
        let guest = json!({
            "vmid": 100, "name": "web", "status": "running", "pid": 77,
            "maxmem": 512_u64 << 20, "maxdisk": 3_u64 << 29
        });
        let text = list(&json!([guest, {"vmid": 7, "name": "db", "status": "stopped"}]));
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0][0], "VMID");
        assert_eq!(lines[1], ["7", "db", "stopped", "0", "0.00", "0"]);
        assert_eq!(lines[2], ["100", "web", "running", "512", "1.50", "77"]);
    }
}

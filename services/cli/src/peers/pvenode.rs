//! `pvenode`: the host.

use super::{Entry, delete, get, lines, post, put};
use crate::output::bordered;

const CUSTOM: &str = "/nodes/{node}/certificates/custom";

pub(super) const ENTRIES: &[Entry] = &[
    get("config get", "/nodes/{node}/config", &[]).shown(lines),
    put("config set", "/nodes/{node}/config", &[]),
    post("startall", "/nodes/{node}/startall", &[]),
    post("stopall", "/nodes/{node}/stopall", &[]),
    post("migrateall", "/nodes/{node}/migrateall", &["target"]),
    post("wakeonlan", "/nodes/{node}/wakeonlan", &["node"]),
    get("task list", "/nodes/{node}/tasks", &[]).shown(bordered),
    get("task log", "/nodes/{node}/tasks/{upid}/log", &["upid"]),
    get(
        "task status",
        "/nodes/{node}/tasks/{upid}/status",
        &["upid"],
    )
    .shown(bordered),
    get("cert info", "/nodes/{node}/certificates/info", &[]).shown(bordered),
    post("cert set", CUSTOM, &["certificates", "key"]),
    delete("cert delete", CUSTOM, &[]),
    post(
        "acme cert order",
        "/nodes/{node}/certificates/acme/certificate",
        &[],
    ),
    put(
        "acme cert renew",
        "/nodes/{node}/certificates/acme/certificate",
        &[],
    ),
    delete(
        "acme cert revoke",
        "/nodes/{node}/certificates/acme/certificate",
        &[],
    ),
];

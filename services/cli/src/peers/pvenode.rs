//! `pvenode`: the host.

use super::{Entry, delete, get, lines, post, put};
use crate::output::bordered;

const ACCOUNTS: &str = "/cluster/acme/account";
const ACCOUNT: &str = "/cluster/acme/account/{name}";
const PLUGINS: &str = "/cluster/acme/plugins";
const PLUGIN: &str = "/cluster/acme/plugins/{id}";
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
    get("acme account list", ACCOUNTS, &[]).shown(bordered),
    get("acme account info", ACCOUNT, &["name"]),
    post("acme account register", ACCOUNTS, &["name", "contact"]),
    put("acme account update", ACCOUNT, &["name"]),
    delete("acme account deactivate", ACCOUNT, &["name"]),
    get("acme plugin list", PLUGINS, &[]).shown(bordered),
    get("acme plugin config", PLUGIN, &["id"]),
    post("acme plugin add", PLUGINS, &["type", "id"]),
    put("acme plugin set", PLUGIN, &["id"]),
    delete("acme plugin remove", PLUGIN, &["id"]),
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

//! `pveum`: users and what they may.

use super::{Entry, delete, get, post, put};
use crate::output::bordered;

const USER: &[&str] = &["userid"];
const TOKEN: &str = "/access/users/{userid}/token/{tokenid}";
const DELETE: &[(&str, &str)] = &[("delete", "1")];

pub(super) const ENTRIES: &[Entry] = &[
    get("user list", "/access/users", &[]).shown(bordered),
    post("user add", "/access/users", USER),
    put("user modify", "/access/users/{userid}", USER),
    delete("user delete", "/access/users/{userid}", USER),
    get("user permissions", "/access/permissions", USER).shown(bordered),
    put("user tfa unlock", "/access/users/{userid}/unlock-tfa", USER),
    get("user tfa list", "/access/tfa/{userid}", USER).shown(bordered),
    delete(
        "user tfa delete",
        "/access/tfa/{userid}/{id}",
        &["userid", "id"],
    ),
    get("user token list", "/access/users/{userid}/token", USER).shown(bordered),
    post("user token add", TOKEN, &["userid", "tokenid"]).shown(bordered),
    put("user token modify", TOKEN, &["userid", "tokenid"]),
    delete("user token delete", TOKEN, &["userid", "tokenid"]),
    delete("user token remove", TOKEN, &["userid", "tokenid"]).hidden(),
    put("passwd", "/access/password", USER),
    get("group list", "/access/groups", &[]).shown(bordered),
    post("group add", "/access/groups", &["groupid"]),
    put("group modify", "/access/groups/{groupid}", &["groupid"]),
    delete("group delete", "/access/groups/{groupid}", &["groupid"]),
    get("role list", "/access/roles", &[]).shown(bordered),
    post("role add", "/access/roles", &["roleid"]),
    put("role modify", "/access/roles/{roleid}", &["roleid"]),
    delete("role delete", "/access/roles/{roleid}", &["roleid"]),
    get("acl list", "/access/acl", &[]).shown(bordered),
    put("acl modify", "/access/acl", &["path"]),
    put("acl delete", "/access/acl", &["path"]).with(DELETE),
    get("realm list", "/access/domains", &[]).shown(bordered),
    post("realm add", "/access/domains", &["realm"]),
    put("realm modify", "/access/domains/{realm}", &["realm"]),
    delete("realm delete", "/access/domains/{realm}", &["realm"]),
    post("realm sync", "/access/domains/{realm}/sync", &["realm"]),
    get("pool list", "/pools", &[]).shown(bordered),
    post("pool add", "/pools", &["poolid"]),
    put("pool modify", "/pools/{poolid}", &["poolid"]),
    delete("pool delete", "/pools/{poolid}", &["poolid"]),
    post("useradd", "/access/users", USER).hidden(),
    put("usermod", "/access/users/{userid}", USER).hidden(),
    delete("userdel", "/access/users/{userid}", USER).hidden(),
    post("groupadd", "/access/groups", &["groupid"]).hidden(),
    put("groupmod", "/access/groups/{groupid}", &["groupid"]).hidden(),
    delete("groupdel", "/access/groups/{groupid}", &["groupid"]).hidden(),
    post("roleadd", "/access/roles", &["roleid"]).hidden(),
    put("rolemod", "/access/roles/{roleid}", &["roleid"]).hidden(),
    delete("roledel", "/access/roles/{roleid}", &["roleid"]).hidden(),
    put("aclmod", "/access/acl", &["path"]).hidden(),
    put("acldel", "/access/acl", &["path"])
        .with(DELETE)
        .hidden(),
];

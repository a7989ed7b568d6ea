//! What users, groups and tokens may do.

use crate::config::{AccessConfig, Group, Token, User};
use crate::{Caller, Pools, Proof, Refused, Snapshot, TicketKey, password};
use basalt_api::bag::Bag;
use basalt_api::methods::acl::{AclEntry, AclKind};
use basalt_api::methods::users::{TokenInfo, UserFields};
use basalt_api::permission::{Permission, perm};
use basalt_model::access::Privilege::{self, VmAudit, VmPowerMgmt};
use basalt_model::userid::{Authid, Userid};
use http::HeaderMap;
use serde_json::json;
use std::collections::BTreeSet;

const NOW: u64 = 1_800_000_000;

fn entry(path: &str, kind: AclKind, ugid: &str, roleid: &str, propagate: bool) -> AclEntry {
    AclEntry {
        path: path.into(),
        kind,
        ugid: ugid.into(),
        roleid: roleid.into(),
        propagate,
    }
}

fn snapshot(acl: Vec<AclEntry>) -> Snapshot {
    let jo: Userid = "jo@pve".parse().unwrap();
    let mut config = AccessConfig {
        acl,
        ..AccessConfig::default()
    };
    let info = TokenInfo {
        privsep: true,
        ..TokenInfo::default()
    };
    let token = Token {
        info: info.clone(),
        secret: password::hash_secret("s1"),
    };
    let whole = Token {
        info: TokenInfo {
            privsep: false,
            ..info
        },
        ..token.clone()
    };
    let user = User {
        tokens: [("ci".into(), token), ("all".into(), whole)].into(),
        ..User::default()
    };
    config.users.insert(jo.clone(), user);
    config.groups.insert(
        "ops".into(),
        Group {
            comment: None,
            members: BTreeSet::from([jo]),
        },
    );
    Snapshot {
        revision: 1,
        config,
        pools: Pools::default(),
        realms: crate::Realms::default(),
        verifier: TicketKey::generate().verifier(),
    }
}

fn allows(snapshot: &Snapshot, who: &str, path: &str, privilege: Privilege) -> bool {
    let who = who.parse().unwrap();
    let all = snapshot.privileges(&who, path);
    for one in Privilege::ALL {
        let allows = snapshot.allows(&who, path, &[*one]);
        assert_eq!(allows, all.contains_key(one), "{who} {path} {one:?}");
    }
    snapshot.allows(&who, path, &[privilege])
}

#[test]
fn root_may_everything_and_others_nothing() {
    let s = snapshot(Vec::new());
    assert!(allows(&s, "root@pam", "/vms/100", VmPowerMgmt));
    assert!(!allows(&s, "jo@pve", "/vms/100", VmAudit));
    assert!(!allows(&s, "nobody@pve", "/", VmAudit));
}

#[test]
fn roles_propagate_unless_told_otherwise_and_lower_paths_replace() {
    let s = snapshot(vec![
        entry("/vms", AclKind::User, "jo@pve", "PVEVMUser", true),
        entry("/vms/101", AclKind::User, "jo@pve", "NoAccess", true),
        entry("/vms/102", AclKind::User, "jo@pve", "PVEAuditor", true),
        entry(
            "/storage",
            AclKind::User,
            "jo@pve",
            "PVEDatastoreUser",
            false,
        ),
    ]);
    assert!(allows(&s, "jo@pve", "/vms/100", VmPowerMgmt));
    assert!(!allows(&s, "jo@pve", "/vms/101", VmAudit));
    assert!(allows(&s, "jo@pve", "/vms/102", VmAudit));
    assert!(!allows(&s, "jo@pve", "/vms/102", VmPowerMgmt));
    assert!(allows(&s, "jo@pve", "/storage", Privilege::DatastoreAudit));
    assert!(!allows(
        &s,
        "jo@pve",
        "/storage/local",
        Privilege::DatastoreAudit
    ));
}

#[test]
fn a_users_own_roles_replace_those_of_groups() {
    let s = snapshot(vec![
        entry("/", AclKind::Group, "ops", "Administrator", true),
        entry("/vms", AclKind::User, "jo@pve", "PVEAuditor", true),
    ]);
    assert!(allows(&s, "jo@pve", "/nodes/n", Privilege::SysModify));
    assert!(!allows(&s, "jo@pve", "/vms/100", VmPowerMgmt));
}

#[test]
fn a_token_has_at_most_what_its_user_has() {
    let s = snapshot(vec![
        entry("/vms", AclKind::User, "jo@pve", "PVEAuditor", true),
        entry("/vms", AclKind::Token, "jo@pve!ci", "PVEVMUser", true),
    ]);
    assert!(allows(&s, "jo@pve!ci", "/vms/100", VmAudit));
    assert!(!allows(&s, "jo@pve!ci", "/vms/100", VmPowerMgmt));
    assert!(allows(&s, "jo@pve!all", "/vms/100", VmAudit));
    assert!(!allows(&s, "jo@pve!gone", "/vms/100", VmAudit));
}

#[test]
fn permissions_are_filled_from_parameters_that_cannot_change_the_path() {
    let s = snapshot(vec![entry(
        "/vms/100",
        AclKind::User,
        "jo@pve",
        "PVEVMUser",
        false,
    )]);
    let jo: Authid = "jo@pve".parse().unwrap();
    let wanted = perm("/vms/{vmid}", &[VmPowerMgmt]);
    let with = |value| Bag::from_iter([("vmid".to_owned(), value)]);
    assert!(s.authorize(&jo, &wanted, &with(json!(100))).is_ok());
    assert!(s.authorize(&jo, &wanted, &with(json!("100"))).is_ok());
    for bad in [
        json!("101"),
        json!("101/../100"),
        json!(""),
        json!(["100"]),
        json!(null),
    ] {
        assert_eq!(
            s.authorize(&jo, &wanted, &with(bad)).unwrap_err().status,
            403
        );
    }
    let error = s.authorize(&jo, &wanted, &with(json!(101))).unwrap_err();
    assert_eq!(
        error.message,
        "Permission check failed (/vms/101, VM.PowerMgmt)"
    );
    assert!(s.authorize(&jo, &Permission::Root, &Bag::new()).is_err());
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

#[test]
fn callers_are_known_by_cookie_header_or_token() {
    let key = TicketKey::generate();
    let mut s = snapshot(Vec::new());
    s.verifier = key.verifier();
    let jo: Userid = "jo@pve".parse().unwrap();
    let (ticket, csrf) = (key.ticket(&jo, NOW), key.csrf(&jo, NOW));
    let expected = Caller {
        auth: jo.clone().into(),
        proof: Proof::Ticket,
    };
    let encoded = basalt_api::bag::encode(&ticket);
    let cookie = format!("a=b; PVEAuthCookie={encoded}");
    let get = headers(&[("cookie", &cookie)]);
    assert_eq!(s.authenticate(&get, false, NOW), Ok(expected.clone()));
    assert_eq!(s.authenticate(&get, true, NOW), Err(Refused::Csrf));
    let carried = format!("PVEAuthCookie={ticket}");
    let post = headers(&[("authorization", &carried), ("csrfpreventiontoken", &csrf)]);
    assert_eq!(s.authenticate(&post, true, NOW), Ok(expected));
    let token = headers(&[("authorization", "PVEAPIToken=jo@pve!ci=s1")]);
    assert_eq!(
        s.authenticate(&token, true, NOW).unwrap().proof,
        Proof::Token
    );
    for bad in ["jo@pve!ci=s2", "jo@pve!no=s1", "jo@pve=s1", "x", ""] {
        let header = format!("PVEAPIToken={bad}");
        let refused = s.authenticate(&headers(&[("authorization", &header)]), false, NOW);
        assert_eq!(refused, Err(Refused::Token), "{bad}");
    }
    assert_eq!(
        s.authenticate(&HeaderMap::new(), false, NOW),
        Err(Refused::Nothing)
    );
}

#[test]
fn a_disabled_or_expired_account_is_nobody() {
    let key = TicketKey::generate();
    let mut s = snapshot(Vec::new());
    s.verifier = key.verifier();
    let jo: Userid = "jo@pve".parse().unwrap();
    let cookie = format!("PVEAuthCookie={}", key.ticket(&jo, NOW));
    let get = headers(&[("cookie", &cookie)]);
    let disabled = UserFields {
        enable: Some(false),
        ..UserFields::default()
    };
    let expired = UserFields {
        expire: Some(NOW),
        ..UserFields::default()
    };
    for fields in [disabled, expired] {
        s.config.users.get_mut(&jo).unwrap().fields = fields;
        assert!(matches!(
            s.authenticate(&get, false, NOW),
            Err(Refused::User(_))
        ));
        let token = headers(&[("authorization", "PVEAPIToken=jo@pve!ci=s1")]);
        assert!(matches!(
            s.authenticate(&token, false, NOW),
            Err(Refused::User(_))
        ));
    }
}

#[test]
fn what_is_in_a_pool_is_under_the_pools_roles_too() {
    let mut s = snapshot(vec![
        entry("/pool/dev", AclKind::Group, "ops", "PVEVMUser", true),
        entry("/vms/101", AclKind::User, "jo@pve", "NoAccess", true),
        entry("/vms/102", AclKind::User, "jo@pve", "PVETemplateUser", true),
        entry("/pool/dev/shut", AclKind::User, "jo@pve", "NoAccess", true),
    ]);
    for pool in ["dev", "dev/web", "dev/shut"] {
        s.pools.create(pool.parse().unwrap(), None).unwrap();
    }
    for (pool, number) in [
        ("dev", 101),
        ("dev", 102),
        ("dev/web", 103),
        ("dev/shut", 104),
    ] {
        let vmid = basalt_model::vmid::Vmid::new(number).unwrap();
        let pool = pool.parse().unwrap();
        s.pools.add_guest(&pool, vmid, false).unwrap();
    }
    assert!(!allows(&s, "jo@pve", "/vms/100", VmAudit));
    assert!(!allows(&s, "jo@pve", "/vms/101", VmAudit));
    assert!(allows(&s, "jo@pve", "/vms/102", VmPowerMgmt));
    assert!(allows(&s, "jo@pve", "/vms/102", Privilege::VmClone));
    assert!(allows(&s, "jo@pve", "/vms/103", VmPowerMgmt));
    assert!(!allows(&s, "jo@pve", "/vms/104", VmAudit));
    assert!(!allows(&s, "jo@pve!ci", "/vms/103", VmAudit));
    let jo: Authid = "jo@pve".parse().unwrap();
    assert!(!s.privileges(&jo, "/vms/103")[&VmAudit]);
    let wanted = perm("/pool/{poolid}", &[VmAudit]);
    let with = |value| Bag::from_iter([("poolid".to_owned(), json!(value))]);
    assert!(s.authorize(&jo, &wanted, &with("dev/web")).is_ok());
    assert!(s.authorize(&jo, &wanted, &with("../vms")).is_err());
}

#[test]
fn a_token_with_privileges_of_its_own_is_not_its_user() {
    let s = snapshot(Vec::new());
    let own = Permission::Own("userid");
    let jo = Bag::from_iter([("userid".to_owned(), json!("jo@pve"))]);
    let may = |who: &str| s.authorize(&who.parse().unwrap(), &own, &jo).is_ok();
    assert!(may("jo@pve") && may("jo@pve!all"));
    assert!(!may("jo@pve!ci") && !may("root@pam"));
}

#[test]
fn who_commands_a_group_commands_its_users_and_no_others() {
    let role = "PVEUserAdmin";
    let mut s = snapshot(vec![entry(
        "/access/groups/ops",
        AclKind::User,
        "boss@pve",
        role,
        true,
    )]);
    s.config
        .users
        .insert("ann@pve".parse().unwrap(), User::default());
    let wanted = Permission::UserGroup(&[Privilege::UserModify]);
    let may = |params: serde_json::Value| {
        let boss = "boss@pve".parse().unwrap();
        let params = params.as_object().unwrap().clone();
        s.authorize(&boss, &wanted, &params).is_ok()
    };
    assert!(may(json!({"userid": "jo@pve"})));
    assert!(!may(json!({"userid": "jo@pve", "groups": "ops,admins"})));
    assert!(!may(json!({"userid": "ann@pve"})));
    assert!(!may(json!({"userid": "ann@pve", "groups": "ops"})));
    assert!(may(json!({"userid": "new@pve", "groups": "ops"})));
    assert!(!may(json!({"userid": "new@pve"})));
}

#[test]
fn the_master_of_a_thing_may_give_permissions_on_it() {
    let s = snapshot(vec![entry(
        "/vms/100",
        AclKind::User,
        "jo@pve",
        "PVEVMAdmin",
        false,
    )]);
    let may = |path: &str| {
        let params = Bag::from_iter([("path".to_owned(), json!(path))]);
        let jo = "jo@pve".parse().unwrap();
        s.authorize(&jo, &Permission::Delegate, &params).is_ok()
    };
    assert!(may("/vms/100"));
    assert!(!may("/vms/101") && !may("/vms") && !may("/") && !may("/access"));
}

//! Realms are what was said, and nothing else.

use super::*;
use basalt_api::methods::realms::RealmType;

fn fields(json: serde_json::Value) -> RealmFields {
    serde_json::from_value(json).unwrap()
}

fn corp() -> RealmFields {
    fields(serde_json::json!({
        "server1": "ldap.example.org", "mode": "ldaps", "verify": true, "port": 1636,
        "base_dn": "ou=people,dc=example,dc=org", "user_attr": "uid", "default": true,
        "filter": "(memberOf=cn=ops)", "sync_attributes": "email=mail,lastname=sn",
        "sync-defaults-options": "scope=both,remove-vanished=acl;entry", "tfa": "type=oath,digits=8",
        "case-sensitive": false,
    }))
}

#[test]
fn what_was_set_is_shown_and_stored() {
    let realm = Realm::new(RealmType::Ldap, corp()).unwrap();
    assert_eq!(realm.fields(), corp());
    let mut realms = Realms::default();
    realms.create("corp", realm).unwrap();
    let json = serde_json::to_value(&realms).unwrap();
    assert_eq!(json["corp"]["type"], "ldap");
    assert_eq!(serde_json::from_value::<Realms>(json).unwrap(), realms);
    // One realm is the default.
    let defaults = realms.iter().filter(|(_, realm)| realm.common.default);
    assert_eq!(defaults.count(), 1);
    let without: Realms = serde_json::from_value(serde_json::json!({})).unwrap();
    assert_eq!(without, Realms::default());
}

#[test]
fn wrong_settings_are_named() {
    let cases = [
        ("server1", serde_json::json!({"server1": "a b"})),
        ("verify", serde_json::json!({"mode": "ldap"})),
        ("capath", serde_json::json!({"capath": "certs"})),
        ("filter", serde_json::json!({"filter": "(a=b)(c=d)"})),
        ("filter", serde_json::json!({"filter": "(a=b"})),
        ("user_attr", serde_json::json!({"user_attr": "uid=*)("})),
        ("tfa", serde_json::json!({"tfa": "type=yubico"})),
        (
            "sync_attributes",
            serde_json::json!({"sync_attributes": "shoe=size"}),
        ),
        (
            "sync-defaults-options",
            serde_json::json!({"sync-defaults-options": "scope=all"}),
        ),
    ];
    for (name, change) in cases {
        let mut realms = Realms::default();
        let realm = Realm::new(RealmType::Ldap, corp()).unwrap();
        realms.create("corp", realm).unwrap();
        let before = realms.clone();
        let error = realms.update("corp", &fields(change), &[]).unwrap_err();
        assert!(error.errors.contains_key(name), "{name}: {error}");
        assert_eq!(realms, before);
    }
    let error = Realm::new(RealmType::Pve, corp()).unwrap_err();
    assert!(error.errors.contains_key("server1") && error.errors.contains_key("base_dn"));
    let error = Realm::new(RealmType::Ad, fields(serde_json::json!({"server1": "dc1"})));
    assert!(error.unwrap_err().errors.contains_key("domain"));
}

#[test]
fn settings_are_put_back_and_built_in_realms_stay() {
    let mut realms = Realms::default();
    let realm = Realm::new(RealmType::Ldap, corp()).unwrap();
    realms.create("corp", realm.clone()).unwrap();
    assert!(realms.create("corp", realm.clone()).is_err());
    assert!(realms.create("1x", realm).is_err());
    let change = fields(serde_json::json!({"comment": "x"}));
    realms.update("corp", &change, &["tfa", "filter"]).unwrap();
    let now = realms.get("corp").unwrap().fields();
    assert_eq!(
        (now.tfa, now.filter, now.comment),
        (None, None, Some("x".into()))
    );
    let needed = realms.update("corp", &RealmFields::default(), &["server1"]);
    assert!(needed.unwrap_err().errors.contains_key("server1"));
    let unknown = realms.update("corp", &RealmFields::default(), &["password2"]);
    assert!(unknown.unwrap_err().errors.contains_key("delete"));
    realms.remove("corp").unwrap();
    assert!(realms.remove("pam").is_err() && realms.remove("corp").is_err());
}

#[test]
fn a_secret_is_told_to_nobody_new() {
    let before = Realm::new(RealmType::Ldap, corp()).unwrap();
    let after = |change: serde_json::Value, delete: &[&str]| {
        let mut realms = Realms::default();
        realms.create("corp", before.clone()).unwrap();
        realms.update("corp", &fields(change), delete).unwrap();
        realms.get("corp").unwrap().tells_others(&before)
    };
    for change in [
        serde_json::json!({"server1": "evil.example.net"}),
        serde_json::json!({"server2": "evil.example.net"}),
        serde_json::json!({"port": 1389}),
        serde_json::json!({"mode": "ldap+starttls"}),
        serde_json::json!({"verify": false}),
        serde_json::json!({"capath": "/tmp/evil.pem"}),
    ] {
        assert!(after(change.clone(), &[]), "{change}");
    }
    assert!(after(serde_json::json!({}), &["port"]));
    assert!(!after(
        serde_json::json!({"filter": "a=b", "base_dn": "dc=x"}),
        &["default"]
    ));
}

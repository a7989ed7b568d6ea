//! Realms, and logins and synchronisation with a real directory.

use crate::rig::{JO, ROOT, Rig};
use crate::slapd::samba::{READER, Samba};
use crate::slapd::{READER_SECRET, Slapd};
use serde_json::{Value, json};

/// A realm `corp` that reads `slapd`.
fn corp(slapd: &Slapd) -> String {
    format!(
        "realm=corp&type=ldap&server1=127.0.0.1&port={}&mode=ldap%2Bstarttls&verify=1&capath={}\
         &base_dn=dc%3Dexample,dc%3Dorg&user_attr=uid&case-sensitive=0\
         &bind_dn=cn%3Dreader,dc%3Dexample,dc%3Dorg&password={READER_SECRET}&check-connection=1\
         &sync_attributes=email%3Dmail,firstname%3DgivenName\
         &sync-defaults-options=scope%3Dboth",
        slapd.plain,
        slapd.authority(),
    )
}

#[tokio::test]
async fn realms_are_kept_without_their_secrets() {
    let mut rig = Rig::start().await;
    let domains = "POST /access/domains";
    let form = "realm=corp&type=ad&server1=dc1.example.org&domain=example.org&default=1\
                &bind_dn=reader%40example.org&password=very-secret&tfa=type%3Doath";
    assert_eq!(rig.ask(domains, JO, form).await.status(), 403);
    rig.ask(domains, ROOT, form).await.data();
    rig.crash().await;
    let shown = rig.ask("GET /access/domains/corp", ROOT, "").await;
    let mut shown = shown.data().clone();
    let digest = shown.as_object_mut().unwrap().remove("digest").unwrap();
    let expected = json!({
        "type": "ad", "server1": "dc1.example.org", "domain": "example.org", "default": 1,
        "bind_dn": "reader@example.org", "tfa": "type=oath",
    });
    assert_eq!(shown, expected);
    let list = rig.ask("GET /access/domains", "", "").await;
    let found = |name: &str| -> Value {
        let mut all = list.data().as_array().unwrap().iter();
        all.find(|realm| realm["realm"] == name).unwrap().clone()
    };
    assert_eq!(found("corp")["default"], 1);
    assert_eq!(found("corp")["tfa"], "oath");
    assert_eq!(found("pam")["default"], Value::Null);
    for (form, name) in [
        ("port=0".to_owned(), "port"),
        ("base_dn=&verify=1".to_owned(), "verify"),
        ("delete=domain".to_owned(), "domain"),
        ("delete=colour".to_owned(), "delete"),
        ("delete=password".to_owned(), "password"),
        // The password goes to no other server than it was given for.
        ("server1=evil.example.net".to_owned(), "password"),
        ("server2=evil.example.net".to_owned(), "password"),
        ("port=1389".to_owned(), "password"),
        ("mode=ldaps".to_owned(), "password"),
        ("digest=0000".to_owned(), "digest"),
    ] {
        let refused = rig.ask("PUT /access/domains/corp", ROOT, &form).await;
        assert!(
            refused.body["errors"][name].is_string(),
            "{form}: {refused:?}"
        );
    }
    let again = rig.ask("GET /access/domains/corp", ROOT, "").await;
    assert_eq!(again.data()["digest"], digest);
    let moved = "server1=dc2.example.org&password=very-secret";
    rig.ask("PUT /access/domains/corp", ROOT, moved)
        .await
        .data();
    let again = rig.ask("GET /access/domains/corp", ROOT, "").await;
    let digest = again.data()["digest"].clone();
    let form = format!(
        "comment=x&delete=bind_dn,tfa&digest={}",
        digest.as_str().unwrap()
    );
    rig.ask("PUT /access/domains/corp", ROOT, &form)
        .await
        .data();
    // A user of a realm that is gone is nobody, until the realm is there again.
    rig.ask("POST /access/users", ROOT, "userid=ann%40corp")
        .await
        .data();
    let token = rig
        .ask("POST /access/users/ann@corp/token/t1", ROOT, "privsep=0")
        .await;
    let value = token.data()["value"].as_str().unwrap();
    let ann = format!("Authorization: PVEAPIToken=ann@corp!t1={value}\r\n");
    rig.ask("GET /version", &ann, "").await.data();
    rig.ask("DELETE /access/domains/corp", ROOT, "")
        .await
        .data();
    assert_eq!(rig.ask("GET /version", &ann, "").await.status(), 401);
    assert_eq!(
        rig.ask("DELETE /access/domains/pam", ROOT, "")
            .await
            .status(),
        400
    );
    let openid = "realm=sso&type=openid";
    let refused = rig.ask(domains, ROOT, openid).await;
    assert!(
        refused.body["errors"]["issuer-url"].is_string(),
        "{refused:?}"
    );
}

#[tokio::test]
async fn users_of_a_directory_come_and_log_in() {
    let Some(mut slapd) = Slapd::start(false) else {
        return;
    };
    let rig = Rig::start().await;
    let wrong = corp(&slapd).replace(READER_SECRET, "wrong");
    let refused = rig.ask("POST /access/domains", ROOT, &wrong).await;
    assert!(
        refused.body["errors"]["check-connection"].is_string(),
        "{refused:?}"
    );
    rig.ask("POST /access/domains", ROOT, &corp(&slapd))
        .await
        .data();
    let sync = async |form: &str| {
        let task = rig.ask("POST /access/domains/corp/sync", ROOT, form).await;
        rig.wait(task.data()).await
    };
    let users = async || {
        let list = rig.ask("GET /access/users", ROOT, "").await;
        let list = list.data().as_array().unwrap().clone();
        let ids = list.into_iter().filter(|user| user["realm-type"] == "ldap");
        ids.map(|user| user["userid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let login = async |name: &str, password: &str| {
        let form = format!("username={name}&realm=corp&password={password}");
        rig.ask("POST /access/ticket", "", &form).await
    };
    // A user must be known here, whatever the directory says.
    assert_eq!(login("ann", "ann-secret").await.status(), 401);
    assert_eq!(sync("dry-run=1").await, "OK");
    assert!(users().await.is_empty());
    assert_eq!(sync("").await, "OK");
    assert_eq!(users().await, ["Bob@corp", "ann@corp"]);
    let ann = rig.ask("GET /access/users/ann@corp", ROOT, "").await;
    assert_eq!(ann.data()["email"], "ann@example.org");
    assert_eq!(ann.data()["groups"], json!(["ops-corp"]));
    assert_eq!(
        login("ann", "ann-secret").await.data()["username"],
        "ann@corp"
    );
    assert_eq!(
        login("bob", "bob-secret").await.data()["username"],
        "Bob@corp"
    );
    assert_eq!(login("ann", "bob-secret").await.status(), 401);
    slapd.modify("dn: uid=Bob,ou=people,dc=example,dc=org\nchangetype: delete\n");
    assert_eq!(sync("").await, "OK");
    assert_eq!(users().await.len(), 2);
    assert_eq!(
        sync("remove-vanished=acl;entry".replace(';', "%3B").as_str()).await,
        "OK"
    );
    assert_eq!(users().await, ["ann@corp"]);
    // A disabled account is out, whatever the directory says.
    rig.ask("PUT /access/users/ann@corp", ROOT, "enable=0")
        .await
        .data();
    assert_eq!(login("ann", "ann-secret").await.status(), 401);
    let refused = rig
        .ask("POST /access/domains/pve/sync", ROOT, "scope=both")
        .await;
    assert!(refused.body["errors"]["realm"].is_string(), "{refused:?}");
    // A directory that does not answer fails the task with its reason.
    drop(slapd);
    let reason = sync("").await;
    assert!(reason.contains("cannot reach 127.0.0.1"), "{reason}");
}

#[tokio::test]
async fn users_of_a_domain_come_and_log_in() {
    let Some(samba) = Samba::start() else { return };
    let rig = Rig::start().await;
    let form = format!(
        "realm=home&type=ad&domain=example.org&server1={}&mode=ldaps&verify=1&capath={}\
         &bind_dn=reader%40example.org&password={READER}&check-connection=1\
         &filter=%28%21%28isCriticalSystemObject%3DTRUE%29%29&group_filter=%28cn%3Dops%29\
         &sync-defaults-options=scope%3Dboth",
        samba.address,
        samba.authority().display(),
    );
    rig.ask("POST /access/domains", ROOT, &form).await.data();
    let sync = rig.ask("POST /access/domains/home/sync", ROOT, "").await;
    assert_eq!(rig.wait(sync.data()).await, "OK");
    let ann = rig.ask("GET /access/users/ann@home", ROOT, "").await;
    assert_eq!(ann.data()["groups"], json!(["ops-home"]));
    let login = async |name: &str, password: &str| {
        let form = format!("username={name}&realm=home&password={password}");
        rig.ask("POST /access/ticket", "", &form).await
    };
    let open = login("ann", "Ann.Secret1").await;
    assert_eq!(open.data()["username"], "ann@home");
    assert_eq!(login("ann", "Off.Secret1").await.status(), 401);
    // The domain says no to a disabled account, though it is enabled here.
    let off = rig.ask("GET /access/users/off@home", ROOT, "").await;
    assert_eq!(off.data()["enable"], 1);
    assert_eq!(login("off", "Off.Secret1").await.status(), 401);
    samba.tool(&["user", "enable", "off"]);
    login("off", "Off.Secret1").await.data();
}

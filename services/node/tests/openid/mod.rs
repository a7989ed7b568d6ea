//! Logins at a real OpenID Connect provider.

use crate::provider::{Provider, REDIRECT, SECRET};
use crate::rig::{Answer, ROOT, Rig};
use basalt_api::bag::encode;
use serde_json::json;
use std::collections::BTreeMap;

/// A realm `sso` of a provider.
fn sso(provider: &Provider) -> String {
    format!(
        "realm=sso&type=openid&issuer-url={}&client-id=basalt&client-key={SECRET}&capath={}\
         &username-claim=username&comment=Single+sign-on&autocreate=1&groups-claim=groups",
        encode(&provider.issuer),
        provider.authority().display(),
    )
}

async fn begin(rig: &Rig) -> Answer {
    let form = format!("realm=sso&redirect-url={}", encode(REDIRECT));
    rig.ask("POST /access/openid/auth-url", "", &form).await
}

async fn end(rig: &Rig, back: &BTreeMap<String, String>) -> Answer {
    let form = format!(
        "code={}&state={}&redirect-url={}",
        encode(&back["code"]),
        encode(&back["state"]),
        encode(REDIRECT)
    );
    rig.ask("POST /access/openid/login", "", &form).await
}

/// Logs in at the provider as `name`, and comes back.
async fn login(rig: &Rig, provider: &Provider, name: &str) -> Answer {
    let url = begin(rig).await;
    let back = provider.visit(url.data().as_str().unwrap(), name);
    end(rig, &back).await
}

#[tokio::test]
async fn whoever_the_provider_knows_logs_in_with_an_account_and_groups() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let mut rig = Rig::start().await;
    let group = "groupid=ops-sso";
    rig.ask("POST /access/groups", ROOT, group).await.data();
    rig.ask("POST /access/domains", ROOT, &sso(&provider))
        .await
        .data();
    let shown = rig.ask("GET /access/domains/sso", ROOT, "").await;
    assert!(!shown.body.to_string().contains(SECRET), "{shown:?}");
    assert_eq!(shown.data()["username-claim"], "username");
    let url = begin(&rig).await;
    // Nothing of a login that has begun is kept, so a restart does not end it.
    rig.crash().await;
    let back = provider.visit(url.data().as_str().unwrap(), "ann");
    let answer = end(&rig, &back).await;
    assert_eq!(answer.data()["username"], "ann@sso");
    let ticket = encode(answer.data()["ticket"].as_str().unwrap());
    let cookie = format!("Cookie: PVEAuthCookie={ticket}\r\n");
    rig.ask("GET /version", &cookie, "").await.data();
    let ann = rig.ask("GET /access/users/ann@sso", ROOT, "").await;
    assert_eq!(ann.data()["email"], "ann@example.org");
    assert_eq!(ann.data()["groups"], json!(["ops-sso"]));
    // A code is good once, and with its state alone.
    assert_eq!(end(&rig, &back).await.status(), 401);
    let mut other = begin(&rig).await;
    let fresh = provider.visit(other.data().as_str().unwrap(), "ann");
    let mixed = BTreeMap::from([
        ("code".to_owned(), fresh["code"].clone()),
        ("state".to_owned(), back["state"].clone()),
    ]);
    assert_eq!(end(&rig, &mixed).await.status(), 401);
    let mut forged = fresh.clone();
    forged.insert("state".into(), fresh["state"].replace("sso", "ssp"));
    assert_eq!(end(&rig, &forged).await.status(), 401);
    // Disabled there: no code at all. Disabled here: out at once.
    other = begin(&rig).await;
    let refused = provider.visit(other.data().as_str().unwrap(), "off");
    assert_eq!(refused["error"], "access_denied");
    let disable = "PUT /access/users/ann@sso";
    rig.ask(disable, ROOT, "enable=0").await.data();
    assert_eq!(login(&rig, &provider, "ann").await.status(), 401);
    assert_eq!(rig.ask("GET /version", &cookie, "").await.status(), 401);
    // There is no password to log in with.
    let form = "username=ann&realm=sso&password=ann-secret";
    assert_eq!(rig.ask("POST /access/ticket", "", form).await.status(), 401);
}

#[tokio::test]
async fn what_a_provider_may_not_decide_is_refused() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let rig = Rig::start().await;
    let form = sso(&provider).replace("&autocreate=1", "");
    rig.ask("POST /access/domains", ROOT, &form).await.data();
    let realm = "PUT /access/domains/sso";
    let stranger = login(&rig, &provider, "bob").await;
    assert_eq!(stranger.status(), 401);
    assert!(stranger.line.contains("no account"), "{stranger:?}");
    rig.ask("POST /access/users", ROOT, "userid=bob%40sso")
        .await
        .data();
    login(&rig, &provider, "bob").await.data();
    let log = rig.ask("GET /cluster/log", ROOT, "").await.data().clone();
    let entries = log.as_array().unwrap().iter();
    let logins: Vec<_> = entries.filter(|e| e["user"] == "bob@sso").collect();
    assert_eq!(logins[0]["msg"], "login from 192.0.2.1");
    let refused = logins[1]["msg"].as_str().unwrap();
    assert!(refused.contains("no account"), "{refused}");
    // A second factor is demanded, whatever the provider asked for.
    rig.ask(realm, ROOT, "tfa=type%3Doath").await.data();
    let refused = login(&rig, &provider, "bob").await;
    assert!(
        refused.line.contains("demands a second factor"),
        "{refused:?}"
    );
    for (form, name) in [
        ("issuer-url=https%3A%2F%2Fevil.example.net", "client-key"),
        ("capath=%2Ftmp%2Fevil.pem", "client-key"),
        ("username-claim=email", "username-claim"),
        ("password=x", "password"),
        ("server1=dc1", "server1"),
    ] {
        let refused = rig.ask(realm, ROOT, form).await;
        assert!(
            refused.body["errors"][name].is_string(),
            "{form}: {refused:?}"
        );
    }
    // A provider with another certificate is not asked, and nobody is told why but the journal.
    let stranger = provider.folder.path().join("stranger.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&stranger, certificate.self_signed(&key).unwrap().pem()).unwrap();
    let form = format!("capath={}&client-key={SECRET}", stranger.display());
    rig.ask(realm, ROOT, &form).await.data();
    let refused = begin(&rig).await;
    assert_eq!(refused.status(), 500);
    assert!(!refused.line.contains("127.0.0.1"), "{refused:?}");
    let elsewhere = "realm=pve&redirect-url=https%3A%2F%2Fx%2F";
    let refused = rig.ask("POST /access/openid/auth-url", "", elsewhere).await;
    assert!(refused.body["errors"]["realm"].is_string(), "{refused:?}");
    let odd = "realm=sso&redirect-url=javascript%3Aalert";
    let refused = rig.ask("POST /access/openid/auth-url", "", odd).await;
    assert!(
        refused.body["errors"]["redirect-url"].is_string(),
        "{refused:?}"
    );
}

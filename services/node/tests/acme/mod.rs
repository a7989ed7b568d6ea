//! The node's certificate, from a server of RFC 8555 that looks at everything.

use crate::authority::server::Server;
use crate::rig::{JO, ROOT, Rig};
use basalt_acme::AccountKey;
use basalt_api::bag::encode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use tokio::task::block_in_place;

const CERTIFICATE: &str = "/nodes/n1/certificates/acme/certificate";
const CONFIG: &str = "PUT /nodes/n1/config";

/// A node that believes the server, has the account `default` there, and a certificate of its own.
async fn host(server: &Server) -> Rig {
    let mut rig = Rig::start().await;
    let state = rig.path("state");
    std::fs::create_dir_all(state.join("acme/hooks")).unwrap();
    std::fs::copy(server.authority(), state.join("acme/authorities.pem")).unwrap();
    let own = rcgen::generate_simple_self_signed(["n1".to_owned()]).unwrap();
    std::fs::create_dir(state.join("tls")).unwrap();
    std::fs::write(state.join("tls/cert.pem"), own.cert.pem()).unwrap();
    std::fs::write(state.join("tls/key.pem"), own.signing_key.serialize_pem()).unwrap();
    server.change(|server| server.port = rig.challenge_port());
    let (key, account) = block_in_place(|| {
        let mut client = crate::authority::connect(server).unwrap();
        let key = AccountKey::generate().unwrap();
        let account = client.register(&key, &[], true, None).unwrap();
        (key, account)
    });
    let kept = json!({
        "account": account.object,
        "directory": server.url("/directory"),
        "location": account.location,
        "tos": "https://ca.example/terms",
    });
    rig.crash_with("acme/account/default", &kept).await;
    let key = STANDARD.encode(key.pkcs8());
    rig.crash_with("acme/account-key/default", &key.into())
        .await;
    rig
}

async fn shown(rig: &Rig) -> Value {
    let info = rig.ask("GET /nodes/n1/certificates/info", ROOT, "").await;
    info.data()[0].clone()
}

/// Begins a task and waits for its end.
async fn task(rig: &Rig, line: &str, form: &str) -> String {
    let begun = rig.ask(line, ROOT, form).await;
    rig.wait(begun.data()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_renewed_and_taken_back() {
    let server = Server::start().await;
    let rig = host(&server).await;
    let own = shown(&rig).await;
    let order = format!("POST {CERTIFICATE}");
    let nothing = rig.ask(&order, ROOT, "").await;
    assert!(nothing.line.contains("name no domain"), "{nothing:?}");
    let form = format!("acme={}", encode("domains=a.example.org;b.example.org"));
    rig.ask(CONFIG, ROOT, &form).await.data();
    // The service manager of this test runs no gateway that could be reloaded.
    assert_eq!(task(&rig, &order, "").await, "WARNINGS: 1");
    let first = shown(&rig).await;
    assert_eq!(first["san"], json!(["a.example.org", "b.example.org"]));

    let again = rig.ask(&order, ROOT, "").await;
    assert!(again.body["errors"]["force"].is_string(), "{again:?}");
    let renew = format!("PUT {CERTIFICATE}");
    let early = rig.ask(&renew, ROOT, "").await;
    assert!(early.body["errors"]["force"].is_string(), "{early:?}");
    assert_eq!(task(&rig, &renew, "force=1").await, "WARNINGS: 1");
    let second = shown(&rig).await;
    assert_ne!(first["fingerprint"], second["fingerprint"]);

    assert_eq!(
        task(&rig, &format!("DELETE {CERTIFICATE}"), "").await,
        "WARNINGS: 1"
    );
    assert_eq!(server.change(|server| server.revoked.len()), 1);
    assert_eq!(shown(&rig).await, own);
    let gone = rig.ask(&renew, ROOT, "force=1").await;
    assert!(gone.line.contains("not one that was ordered"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_fails_leaves_the_old_certificate_and_tells_why() {
    let server = Server::start().await;
    let rig = host(&server).await;
    let own = shown(&rig).await;
    let form = format!("acme={}", encode("domains=a.example.org"));
    rig.ask(CONFIG, ROOT, &form).await.data();
    // Nobody answers where the server looks.
    server.change(|server| server.port = 1);
    let end = task(&rig, &format!("POST {CERTIFICATE}"), "").await;
    assert!(
        end.contains("a.example.org") && end.contains("'nobody'"),
        "{end}"
    );
    assert_eq!(shown(&rig).await, own);
    // The port is closed again.
    while std::net::TcpStream::connect(("127.0.0.1", rig.challenge_port())).is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_fails_is_told_of() {
    let server = Server::start().await;
    let rig = host(&server).await;
    let listener = crate::notifications::Listener::start();
    listener.subscribe(&rig).await;
    let form = format!("acme={}", encode("domains=a.example.org"));
    rig.ask(CONFIG, ROOT, &form).await.data();
    task(&rig, &format!("POST {CERTIFICATE}"), "force=1").await;
    server.change(|server| server.port = 1);
    let end = task(&rig, &format!("PUT {CERTIFICATE}"), "force=1").await;
    assert!(end.contains("a.example.org"), "{end}");
    let title = "n1: the certificate was not renewed";
    assert_eq!(listener.title().await, title);
}

#[tokio::test]
async fn settings_that_could_not_be_ordered_are_refused() {
    let rig = Rig::start().await;
    for (form, name) in [
        ("acme=domains%3Da_b", "acme"),
        ("acme=domain%3Da.org", "acme"),
        ("acmedomain0=*.a.org", "acmedomain0"),
        ("acmedomain6=a.org", "acmedomain6"),
        (
            "acme=domains%3Da.org&acmedomain1=a.org,plugin%3Ddns",
            "acmedomain1",
        ),
    ] {
        let answer = rig.ask(CONFIG, ROOT, form).await;
        assert!(
            answer.body["errors"][name].is_string(),
            "{form}: {answer:?}"
        );
    }
    let form = "acme=domains%3Da.org&acmedomain1=*.a.org,plugin%3Dcf&description=x";
    rig.ask(CONFIG, ROOT, form).await.data();
    rig.ask(CONFIG, ROOT, "delete=acme,description")
        .await
        .data();
    let config = rig.ask("GET /nodes/n1/config", ROOT, "").await;
    assert_eq!(config.data()["acmedomain1"], "*.a.org,plugin=cf");
    assert!(config.data().get("acme").is_none(), "{config:?}");
    let one = "GET /nodes/n1/config?property=acme";
    let one = rig.ask(one, ROOT, "").await;
    assert!(one.data().get("acmedomain1").is_none(), "{one:?}");
    let order = rig.ask(&format!("POST {CERTIFICATE}"), ROOT, "").await;
    assert!(
        order.line.contains("ACME plugin 'cf' does not exist"),
        "{order:?}"
    );
}

#[tokio::test]
async fn plugins_name_hooks_that_are_there() {
    let rig = Rig::start().await;
    let hooks = rig.path("state/acme/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    std::fs::write(hooks.join("zone"), "#!/bin/sh\n").unwrap();
    for (path, mode) in [(hooks.join("zone"), 0o755), (hooks, 0o755)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let schemas = rig.ask("GET /cluster/acme/challenge-schema", JO, "").await;
    let expected = json!([{"id": "zone", "name": "zone", "schema": {}, "type": "dns"}]);
    assert_eq!(*schemas.data(), expected);
    let add = "POST /cluster/acme/plugins";
    for (form, name) in [
        ("id=p1&type=dns", "api"),
        ("id=p1&type=dns&api=../zone", "api"),
        ("id=p1&type=dns&api=zone&data=***", "data"),
        ("id=p1&type=standalone&data=YQ==", "data"),
        ("id=p&type=dns&api=zone", "id"),
    ] {
        let answer = rig.ask(add, ROOT, form).await;
        assert!(
            answer.body["errors"][name].is_string(),
            "{form}: {answer:?}"
        );
    }
    let form = "id=p1&type=dns&api=zone&data=WD0x&nodes=other";
    rig.ask(add, ROOT, form).await.data();
    let twice = rig.ask(add, ROOT, form).await;
    assert!(twice.line.contains("already exists"), "{twice:?}");
    rig.ask(CONFIG, ROOT, "acmedomain0=a.org,plugin%3Dp1")
        .await
        .data();
    let order = rig.ask(&format!("POST {CERTIFICATE}"), ROOT, "").await;
    assert!(order.line.contains("is not for this node"), "{order:?}");
    let list = rig
        .ask("GET /cluster/acme/plugins?type=dns", ROOT, "")
        .await;
    let digest = list.data()[0]["digest"].as_str().unwrap().to_owned();
    let change = "PUT /cluster/acme/plugins/p1";
    let form = format!("delete=nodes&validation-delay=5&digest={digest}");
    rig.ask(change, ROOT, &form).await.data();
    let stale = rig.ask(change, ROOT, &form).await;
    assert!(stale.body["errors"]["digest"].is_string(), "{stale:?}");
    let all = rig.ask("GET /cluster/acme/plugins", ROOT, "").await;
    let names: Vec<&Value> = all.data().as_array().unwrap().iter().collect();
    let names: Vec<&str> = names
        .iter()
        .map(|p| p["plugin"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["p1", "standalone"]);
    assert_eq!(all.data()[0]["validation-delay"], 5);
    let remove = "DELETE /cluster/acme/plugins/p1";
    rig.ask(remove, ROOT, "").await.data();
    assert!(
        rig.ask(remove, ROOT, "")
            .await
            .line
            .contains("does not exist")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_roots_alone_and_keep_their_secrets() {
    let server = Server::start().await;
    let rig = host(&server).await;
    let secret = b"a key that the authority gave".to_vec();
    server.change(|server| server.customer = Some(("customer-7".to_owned(), secret)));
    let create = "POST /cluster/acme/account";
    let directory = encode(&server.url("/directory"));
    let token = rig.ask(create, ROOT, "contact=a%40example.org").await;
    assert_eq!(token.status(), 403, "a token is not root: {token:?}");
    // Only who may change the host lets it ask at addresses that nobody knows.
    let elsewhere = "GET /cluster/acme/tos?directory=https%3A%2F%2F192.0.2.1%2Fdir";
    assert_eq!(rig.ask(elsewhere, JO, "").await.status(), 403);
    let tos = rig
        .ask(
            &format!("GET /cluster/acme/tos?directory={directory}"),
            JO,
            "",
        )
        .await;
    assert_eq!(tos.data(), "https://ca.example/terms");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let form = format!(
        "name=second&contact=a%40example.org&directory={directory}&tos_url=https%3A%2F%2Fca.example"
    );
    let needed = rig.local(create, &form).await;
    let end = rig.wait(needed.data()).await;
    assert!(end.contains("eab-kid and eab-hmac-key are needed"), "{end}");
    let half = rig
        .local(create, &format!("{form}&eab-kid=customer-7"))
        .await;
    assert!(half.body["errors"]["eab-hmac-key"].is_string(), "{half:?}");
    let key = "YSBrZXkgdGhhdCB0aGUgYXV0aG9yaXR5IGdhdmU";
    let form = format!("{form}&eab-kid=customer-7&eab-hmac-key={key}");
    let made = rig.local(create, &form).await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    let twice = rig.local(create, &form).await;
    assert!(twice.line.contains("already exists"), "{twice:?}");
    let change = "PUT /cluster/acme/account/second";
    let changed = rig.local(change, "contact=b%40example.org").await;
    assert_eq!(rig.wait(changed.data()).await, "OK");
    let shown = rig.local("GET /cluster/acme/account/second", "").await;
    let contact = json!(["mailto:b@example.org"]);
    assert_eq!(shown.data()["account"]["contact"], contact);
    assert!(!shown.body.to_string().contains(key), "{shown:?}");
    let delete = "DELETE /cluster/acme/account/second";
    let ended = rig.local(delete, "").await;
    assert_eq!(rig.wait(ended.data()).await, "OK");
    let list = rig.ask("GET /cluster/acme/account", JO, "").await;
    assert_eq!(*list.data(), json!([{"name": "default"}]));
}

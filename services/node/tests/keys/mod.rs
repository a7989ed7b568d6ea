//! Security keys as second factors.

use crate::authenticator::Authenticator;
use crate::rig::{Answer, ROOT, Rig};
use basalt_api::bag::{decode, encode};
use serde_json::Value;

const ORIGIN: &str = "https://basalt.example.org:8006";
const PAGE: &str = "Origin: https://basalt.example.org:8006\r\n";
const NEW: &str = "POST /access/tfa/ann@pve";
const ASK: &str = "type=webauthn&description=blue&password=a+good+secret";

async fn login(rig: &Rig, page: &str, more: &str) -> Answer {
    let form = format!("username=ann%40pve{more}");
    rig.ask("POST /access/ticket", page, &form).await
}

/// Headers of `ann` on a page with a name.
async fn ann(rig: &Rig) -> String {
    let secret = "userid=ann%40pve&password=a+good+secret";
    rig.ask("POST /access/users", ROOT, secret).await.data();
    let answer = login(rig, PAGE, "&password=a+good+secret").await;
    let ticket = encode(answer.data()["ticket"].as_str().unwrap());
    let csrf = answer.data()["CSRFPreventionToken"].as_str().unwrap();
    format!("Cookie: PVEAuthCookie={ticket}\r\nCSRFPreventionToken: {csrf}\r\n")
}

/// The challenge that the right password brings, and what it asks for.
async fn challenge(rig: &Rig, page: &str) -> (String, Value) {
    let answer = login(rig, page, "&password=a+good+secret").await;
    assert_eq!(answer.data()["NeedTFA"], 1);
    let ticket = answer.data()["ticket"].as_str().unwrap();
    let json = ticket.strip_prefix("PVE:!tfa!").unwrap();
    let json = decode(json.split(':').next().unwrap()).unwrap();
    (encode(ticket), serde_json::from_str(&json).unwrap())
}

/// Registers a security key of `ann`.
async fn register(rig: &Rig, ann: &str, device: &mut Authenticator) -> Value {
    let asked = rig.ask(NEW, &format!("{ann}{PAGE}"), ASK).await;
    assert!(asked.data()["id"].is_null(), "{asked:?}");
    let options = asked.data()["challenge"].as_str().unwrap();
    let options: Value = serde_json::from_str(options).unwrap();
    let challenge = options["publicKey"]["challenge"].as_str().unwrap();
    let value = encode(&device.create(&options));
    let form = format!("{ASK}&challenge={challenge}&value={value}");
    let made = rig.ask(NEW, &format!("{ann}{PAGE}"), &form).await;
    made.data()["id"].clone()
}

#[tokio::test]
async fn a_login_takes_the_touch_of_a_security_key_once() {
    let mut rig = Rig::start().await;
    let ann = ann(&rig).await;
    let mut device = Authenticator::new(ORIGIN);
    let id = register(&rig, &ann, &mut device).await;
    rig.crash().await;
    let list = rig.ask("GET /access/tfa/ann@pve", ROOT, "").await;
    assert_eq!(list.data()[0]["type"], "webauthn");
    assert_eq!(list.data()[0]["id"], id);
    assert_eq!(list.data()[0]["description"], "blue");

    let (due, asked) = challenge(&rig, PAGE).await;
    assert_eq!(asked["totp"], false);
    let touch = encode(&device.get(&asked["webauthn"]));
    let answer = format!("&tfa-challenge={due}&password=webauthn%3A{touch}");
    let open = login(&rig, PAGE, &answer).await;
    let ticket = open.data()["ticket"].as_str().unwrap();
    assert!(ticket.starts_with("PVE:ann@pve:"), "{ticket}");
    rig.crash().await;
    assert_eq!(login(&rig, PAGE, &answer).await.status(), 401);
    // The key signs the same challenge again, and another key signs it.
    let again = encode(&device.get(&asked["webauthn"]));
    let again = format!("&tfa-challenge={due}&password=webauthn%3A{again}");
    assert_eq!(login(&rig, PAGE, &again).await.status(), 401);
    let (due, asked) = challenge(&rig, PAGE).await;
    let stranger = encode(&Authenticator::new(ORIGIN).get(&asked["webauthn"]));
    let stranger = format!("&tfa-challenge={due}&password=webauthn%3A{stranger}");
    assert_eq!(login(&rig, PAGE, &stranger).await.status(), 401);
    // A challenge that we did not make.
    let mut invented = asked["webauthn"].clone();
    invented["publicKey"]["challenge"] = "aW52ZW50ZWQ".into();
    let invented = encode(&device.get(&invented));
    let invented = format!("&tfa-challenge={due}&password=webauthn%3A{invented}");
    assert_eq!(login(&rig, PAGE, &invented).await.status(), 401);
    // Where the page has another name the key cannot be asked, and the door stays shut.
    for page in ["", "Origin: https://other.example.org:8006\r\n"] {
        let (_, asked) = challenge(&rig, page).await;
        assert!(asked["webauthn"].is_null(), "{asked}");
    }
    let gone = format!(
        "DELETE /access/tfa/ann@pve/{}?password=a+good+secret",
        id.as_str().unwrap()
    );
    rig.ask(&gone, &ann, "").await.data();
    let open = login(&rig, PAGE, "&password=a+good+secret").await;
    assert!(open.data()["NeedTFA"].is_null());
}

#[tokio::test]
async fn a_security_key_is_registered_where_it_can_be_used() {
    let rig = Rig::start().await;
    let ann = ann(&rig).await;
    for page in ["", "Origin: https://192.0.2.1:8006\r\n"] {
        let refused = rig.ask(NEW, &format!("{ann}{page}"), ASK).await;
        assert!(refused.body["errors"]["type"].is_string(), "{refused:?}");
    }
    let here = format!("{ann}{PAGE}");
    let asked = rig.ask(NEW, &here, ASK).await;
    let options = asked.data()["challenge"].as_str().unwrap();
    let options: Value = serde_json::from_str(options).unwrap();
    let challenge = options["publicKey"]["challenge"].as_str().unwrap();
    let mut device = Authenticator::new(ORIGIN);
    let value = encode(&device.create(&options));
    device.origin = "https://evil.example.net".into();
    let phished = encode(&device.create(&options));
    for (form, name) in [
        (format!("{ASK}&value={value}"), "challenge"),
        (format!("{ASK}&challenge={challenge}"), "value"),
        (format!("{ASK}&challenge=x&value={value}"), "challenge"),
        (format!("{ASK}&challenge={challenge}&value=x"), "value"),
        (
            format!("{ASK}&challenge={challenge}&value={phished}"),
            "value",
        ),
        (format!("{ASK}&totp=x"), "totp"),
    ] {
        let refused = rig.ask(NEW, &here, &form).await;
        assert!(
            refused.body["errors"][name].is_string(),
            "{name}: {refused:?}"
        );
    }
    let bare = rig.ask(NEW, &here, "type=webauthn").await;
    assert!(bare.body["errors"]["password"].is_string(), "{bare:?}");
    let form = format!("{ASK}&challenge={challenge}&value={value}");
    rig.ask(NEW, &here, &form).await.data();
    let again = rig.ask(NEW, &here, &form).await;
    assert!(again.line.contains("already exists"), "{again:?}");
    // What the realm demands, a security key is.
    let demand = "tfa=type%3Doath";
    rig.ask("PUT /access/domains/pve", ROOT, demand)
        .await
        .data();
    let (_, asked) = self::challenge(&rig, PAGE).await;
    assert!(asked["webauthn"].is_object(), "{asked}");
}

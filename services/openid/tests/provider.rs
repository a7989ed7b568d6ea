//! Logins at a real provider; without its modules the tests skip themselves saying so.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod rig;

use basalt_access::realms::{Kind, OpenId, Realm};
use basalt_api::methods::realms::{RealmFields, RealmType};
use basalt_openid::{Claims, Client, Error, Return};
use rig::{Provider, REDIRECT, SECRET};

const NONCE: &str = "a-nonce";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";

fn settings(provider: &Provider, client: &str) -> OpenId {
    let fields = RealmFields {
        issuer_url: Some(provider.issuer.clone()),
        client_id: Some(client.into()),
        capath: Some(provider.authority().display().to_string()),
        ..RealmFields::default()
    };
    match Realm::new(RealmType::Openid, fields).unwrap().kind {
        Kind::OpenId(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

fn client(provider: &Provider, name: &str, secret: Option<&str>) -> Client {
    Client::new(settings(provider, name), secret.map(str::to_owned)).unwrap()
}

/// Logs in as `name`, with the provider's answer changed on the way.
fn login(
    (provider, client): (&Provider, &Client),
    name: &str,
    change: impl Fn(&mut Return<'_>),
) -> Result<Claims, Error> {
    let url = client.login_url(REDIRECT, "a.state", NONCE, VERIFIER)?;
    let back = provider.visit(&url, name);
    assert_eq!(back["state"], "a.state");
    let mut login = Return {
        code: &back["code"],
        redirect: REDIRECT,
        verifier: VERIFIER,
        nonce: NONCE,
    };
    change(&mut login);
    client.claims(&login)
}

#[test]
fn a_login_tells_who_it_is_however_we_prove_ourselves() {
    let Some(provider) = Provider::start() else {
        return;
    };
    for (name, secret) in [("basalt", Some(SECRET)), ("public", None)] {
        let client = client(&provider, name, secret);
        let claims = login((&provider, &client), "ann", |_| {}).unwrap();
        assert_eq!(claims["sub"], "ann");
        assert_eq!(claims["email"], "ann@example.org");
        assert_eq!(claims["groups"], serde_json::json!(["ops", "night"]));
    }
    // Unless it is asked, it tells no more than who it is.
    let silent = OpenId {
        userinfo: false,
        ..settings(&provider, "basalt")
    };
    let client = Client::new(silent, Some(SECRET.into())).unwrap();
    let claims = login((&provider, &client), "bob", |_| {}).unwrap();
    assert_eq!((&claims["sub"], claims.get("email")), (&"bob".into(), None));
}

#[test]
fn whoever_is_not_the_one_who_began_gets_nothing() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let right = client(&provider, "basalt", Some(SECRET));
    let with =
        |change: &dyn Fn(&mut Return<'_>)| login((&provider, &right), "ann", change).unwrap_err();
    let other = "another-verifier-of-at-least-forty-three-characters";
    for error in [
        with(&|login| login.verifier = other),
        with(&|login| login.code = "invented"),
        with(&|login| login.redirect = "https://evil.example.net/"),
    ] {
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
    let error = with(&|login| login.nonce = "another");
    assert!(matches!(error, Error::Token(_)), "{error}");
    let wrong = client(&provider, "basalt", Some("wrong"));
    let error = login((&provider, &wrong), "ann", |_| {}).unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    // A disabled account comes back without a code.
    let url = right
        .login_url(REDIRECT, "a.state", NONCE, VERIFIER)
        .unwrap();
    let back = provider.visit(&url, "off");
    assert_eq!(
        (back["error"].as_str(), back.get("code")),
        ("access_denied", None)
    );
}

#[test]
fn another_certificate_or_issuer_is_refused() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let stranger = provider.folder.path().join("stranger.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&stranger, certificate.self_signed(&key).unwrap().pem()).unwrap();
    let with = |change: &dyn Fn(&mut OpenId)| {
        let mut settings = settings(&provider, "basalt");
        change(&mut settings);
        let client = Client::new(settings, None).unwrap();
        client
            .login_url(REDIRECT, "s", NONCE, VERIFIER)
            .unwrap_err()
    };
    let error = with(&|settings| settings.capath = Some(stranger.clone()));
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    // Its certificate is for the address alone.
    let named = provider.issuer.replace("127.0.0.1", "localhost");
    let error = with(&|settings| settings.issuer = named.clone());
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let below = format!("{}/other", provider.issuer);
    let error = with(&|settings| settings.issuer = below.clone());
    assert!(matches!(error, Error::Answer { .. }), "{error}");
    let keys = OpenId {
        capath: Some(provider.folder.path().join("server.key")),
        ..settings(&provider, "basalt")
    };
    assert!(matches!(
        Client::new(keys, None),
        Err(Error::Authorities(_))
    ));
}

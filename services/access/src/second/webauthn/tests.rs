//! Answers of a security key, and what passes for one and is none.

use super::*;
use crate::second::tests::authenticator::Authenticator;

const HERE: &str = "https://basalt.example.org:8006";

fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

fn new_options() -> serde_json::Value {
    let user = Userid::root();
    ask_new(&origin(HERE), &user, "first", std::iter::empty())
}

fn registered() -> (Authenticator, Credential) {
    let mut device = Authenticator::new(HERE);
    let answer = device.create(&new_options());
    let key = Credential::registered(&answer, "first", &origin(HERE)).unwrap();
    (device, key)
}

fn options(key: &Credential) -> serde_json::Value {
    ask("basalt.example.org", "second", std::iter::once(key))
}

#[test]
fn a_key_that_was_registered_answers() {
    let (mut device, mut key) = registered();
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<Credential>(&text).unwrap(), key);
    let options = options(&key);
    let known = &options["publicKey"]["allowCredentials"][0]["id"];
    assert_eq!(known.as_str().unwrap(), URL_SAFE_NO_PAD.encode(&device.id));
    let answer = Assertion::parse(&device.get(&options)).unwrap();
    assert_eq!(answer.challenge(), "second");
    assert!(answer.is_of(&key));
    assert_eq!(key.verify(&answer), Ok(()));
    // The same again is what a copy would say.
    assert_eq!(key.verify(&answer), Err(WebauthnError::Copied));
    // Another port of the same host is the same relying party.
    device.origin = "https://basalt.example.org".into();
    let answer = Assertion::parse(&device.get(&options)).unwrap();
    assert_eq!(key.verify(&answer), Ok(()));
}

#[test]
fn what_no_key_says_is_refused() {
    let (mut device, key) = registered();
    let options = options(&key);
    let mut verify = |change: &dyn Fn(&mut Authenticator, &mut serde_json::Value)| {
        let mut asked = options.clone();
        let before = (device.origin.clone(), device.flags);
        change(&mut device, &mut asked);
        let answer = Assertion::parse(&device.get(&asked)).unwrap();
        (device.origin, device.flags) = before;
        key.clone().verify(&answer)
    };
    let elsewhere = verify(&|device, _| device.origin = "https://evil.example.net".into());
    assert_eq!(elsewhere, Err(WebauthnError::Origin));
    let below = verify(&|device, _| device.origin = "https://a.basalt.example.org".into());
    assert_eq!(below, Err(WebauthnError::Origin));
    let other_host = verify(&|_, asked| asked["publicKey"]["rpId"] = "example.org".into());
    assert_eq!(other_host, Err(WebauthnError::Origin));
    assert_eq!(
        verify(&|device, _| device.flags = 0),
        Err(WebauthnError::Absent)
    );
    let mut stranger = Authenticator::new(HERE);
    stranger.counter = 100;
    let answer = Assertion::parse(&stranger.get(&options)).unwrap();
    assert!(!answer.is_of(&key));
    assert_eq!(key.clone().verify(&answer), Err(WebauthnError::Signature));
    // An answer to a registration is no login.
    let answer = device.create(&new_options());
    assert!(Assertion::parse(&answer).is_err());
}

#[test]
fn what_is_no_new_key_is_refused() {
    let mut device = Authenticator::new(HERE);
    let answer = device.create(&new_options());
    let register = |answer: &str, challenge: &str, at: &str| {
        Credential::registered(answer, challenge, &origin(at)).map(|_| ())
    };
    assert_eq!(register(&answer, "first", HERE), Ok(()));
    assert_eq!(register(&answer, "other", HERE), Err(WebauthnError::Kind));
    let elsewhere = "https://elsewhere.example.org:8006";
    assert_eq!(
        register(&answer, "first", elsewhere),
        Err(WebauthnError::Origin)
    );
    let mut whole: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let object = whole["response"]["attestationObject"]
        .as_str()
        .unwrap()
        .to_owned();
    for end in [0, 1, 20, object.len() / 2, object.len() - 4] {
        whole["response"]["attestationObject"] = object[..end].into();
        assert!(
            register(&whole.to_string(), "first", HERE).is_err(),
            "{end}"
        );
    }
    for bad in ["", "{}", "[]", "null"] {
        assert!(register(bad, "first", HERE).is_err(), "{bad}");
    }
}

#[test]
fn keys_are_bound_to_names() {
    assert_eq!(origin("https://LOCALHOST:8006").host(), "localhost");
    assert_eq!(origin("https://pve.lan").host(), "pve.lan");
    for bad in [
        "http://pve.lan",
        "https://192.0.2.1:8006",
        "https://[2001:db8::1]:8006",
        "https://pve.lan:80060",
        "https://pve.lan/x",
        "https://",
        "null",
    ] {
        assert!(bad.parse::<Origin>().is_err(), "{bad}");
    }
}

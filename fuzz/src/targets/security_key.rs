//! What browsers say for security keys: the answer as a whole, and the key's own part in it.

use std::sync::LazyLock;

use basalt_access::second::webauthn::{Assertion, Credential, Origin};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

static ORIGIN: LazyLock<Origin> = LazyLock::new(|| {
    let text = "https://basalt.example.org:8006";
    text.parse().expect("this is an origin with a name")
});

const CLIENT: &str =
    r#"{"type":"webauthn.KIND","challenge":"c","origin":"https://basalt.example.org:8006"}"#;

fn client(kind: &str) -> String {
    URL_SAFE_NO_PAD.encode(CLIENT.replace("KIND", kind))
}

/// Plays one input.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Credential::registered(text, "c", &ORIGIN);
        let _ = Assertion::parse(text);
    }
    let object = URL_SAFE_NO_PAD.encode(data);
    let answer = format!(
        r#"{{"response":{{"clientDataJSON":"{}","attestationObject":"{object}"}}}}"#,
        client("create"),
    );
    let Ok(mut key) = Credential::registered(&answer, "c", &ORIGIN) else {
        return;
    };
    let kept = serde_json::to_string(&key).expect("a key can be written");
    let read: Credential = serde_json::from_str(&kept).expect("what was written can be read");
    assert_eq!(read, key);
    // Nobody signed this.
    let answer = format!(
        r#"{{"rawId":"","response":{{"clientDataJSON":"{}","authenticatorData":"{object}","signature":"{object}"}}}}"#,
        client("get"),
    );
    if let Ok(assertion) = Assertion::parse(&answer) {
        assert!(key.verify(&assertion).is_err());
    }
}

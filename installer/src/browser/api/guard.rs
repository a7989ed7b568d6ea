//! What protects a visitor: sessions in cookies that no script and no other site can use, and headers
//! that keep foreign code out.

use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, ORIGIN};

use super::Answer;

/// Name of the session's cookie. The prefix makes browsers insist on its attributes.
const NAME: &str = "__Host-installer";

/// Headers on every answer.
const SECURITY: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// The cookie that carries a session's secret.
pub fn cookie(secret: &str) -> Result<HeaderValue, String> {
    format!("{NAME}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict")
        .parse()
        .map_err(|error: InvalidHeaderValue| error.to_string())
}

/// The session's secret in a request.
pub fn session(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

/// Whether a request that changes something comes from our own page. Other sites cannot set this
/// header without asking first, and are never allowed to; and browsers say who sends.
pub fn own_page(headers: &HeaderMap) -> Result<(), String> {
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if word("x-basalt-installer") != Some("1") {
        return Err("the request does not come from the installer's page".to_owned());
    }
    let host = word(HOST.as_str()).unwrap_or_default();
    match word(ORIGIN.as_str()) {
        Some(origin) if origin != format!("https://{host}") => {
            Err(format!("the request comes from {origin}"))
        }
        _ => Ok(()),
    }
}

/// Puts the headers on an answer.
pub fn secure(answer: &mut Answer) {
    for (name, value) in SECURITY {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let secret = "ab12";
        let set = cookie(secret).unwrap();
        let set = set.to_str().unwrap();
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(set.contains(attribute), "{set}");
        }
        let (pair, _) = set.split_once(';').unwrap();
        let line = format!("other=1; {pair}");
        assert_eq!(session(&headers(&[("cookie", &line)])), Some(secret));
        assert_eq!(session(&headers(&[("cookie", "installer=ab12")])), None);
        assert_eq!(session(&headers(&[])), None);
    }

    #[test]
    fn only_our_own_page_changes_anything() {
        let own = [("x-basalt-installer", "1"), ("host", "192.0.2.1:8006")];
        let with = |origin| headers(&[own[0], own[1], ("origin", origin)]);
        own_page(&headers(&own)).unwrap();
        own_page(&with("https://192.0.2.1:8006")).unwrap();
        for origin in ["https://192.0.2.1", "http://192.0.2.1:8006", "null"] {
            assert!(own_page(&with(origin)).is_err(), "{origin}");
        }
        assert!(own_page(&headers(&own[1..])).is_err());
    }
}

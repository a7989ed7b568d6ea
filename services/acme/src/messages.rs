//! What servers say (RFC 8555, section 7.1).

use crate::{Error, Response, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// How the names of ACME's problems begin.
const PROBLEMS: &str = "urn:ietf:params:acme:error:";
/// So many characters of a server's words are told.
const LONGEST_TEXT: usize = 1000;

/// Where what is (section 7.1.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    pub new_nonce: String,
    pub new_account: String,
    pub new_order: String,
    pub revoke_cert: String,
    #[serde(default)]
    pub meta: Meta,
}

/// What a server says about itself (RFC 8555, section 7.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Address of the terms of service.
    pub terms_of_service: Option<String>,
    /// Address of a page about it.
    pub website: Option<String>,
    /// Names that CAA records know the authority by.
    pub caa_identities: Option<Vec<String>>,
    /// Whether it takes only accounts of its customers.
    pub external_account_required: Option<bool>,
}

/// State of an order or an authorization (section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
}

/// An order (section 7.1.3).
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    pub status: Status,
    pub authorizations: Vec<String>,
    pub finalize: String,
    pub certificate: Option<String>,
    pub error: Option<Problem>,
}

/// Whether a name is proved (section 7.1.4).
#[derive(Debug, Deserialize)]
pub(crate) struct Authorization {
    pub identifier: Identifier,
    pub status: Status,
    #[serde(default)]
    pub challenges: Vec<Offer>,
    #[serde(default)]
    pub wildcard: bool,
}

impl Authorization {
    /// The name as the order had it.
    pub fn domain(&self) -> String {
        let star = if self.wildcard { "*." } else { "" };
        format!("{star}{}", self.identifier.value)
    }

    /// Why it is not valid, in the server's words.
    pub fn why(&self) -> String {
        let said = self.challenges.iter().find_map(|one| one.error.as_ref());
        match said {
            Some(problem) => problem.words(),
            None => format!("the authorization is {:?}", self.status).to_lowercase(),
        }
    }
}

/// A name.
#[derive(Debug, Deserialize)]
pub(crate) struct Identifier {
    pub value: String,
}

/// A kind of proof that the server would take (section 8).
#[derive(Debug, Deserialize)]
pub(crate) struct Offer {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    #[serde(default)]
    pub token: String,
    pub error: Option<Problem>,
}

/// Why a server refuses (RFC 7807; RFC 8555, section 6.7).
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    subproblems: Vec<Subproblem>,
}

#[derive(Debug, Deserialize)]
struct Subproblem {
    #[serde(default)]
    detail: String,
    identifier: Option<Identifier>,
}

impl Problem {
    /// The problem's name among ACME's.
    pub fn kind(&self) -> &str {
        self.kind.strip_prefix(PROBLEMS).unwrap_or(&self.kind)
    }

    /// Its detail, then what is said of single names.
    pub fn words(&self) -> String {
        let mut text = match self.detail.is_empty() {
            true => self.kind().to_owned(),
            false => self.detail.clone(),
        };
        for part in &self.subproblems {
            let name = part.identifier.as_ref().map_or("?", |one| &one.value);
            // Writing to a string cannot fail.
            let _ = write!(text, "; {name}: {}", part.detail);
        }
        plain(&text)
    }
}

/// A stranger's text, fit to be shown in a line.
fn plain(text: &str) -> String {
    let printable = text.chars().filter(|letter| !letter.is_control());
    printable.take(LONGEST_TEXT).collect()
}

/// The JSON of an answer.
pub(crate) fn json<T: DeserializeOwned>(url: &str, response: &Response) -> Result<T> {
    serde_json::from_slice(&response.body).map_err(|error| Error::Answer {
        url: url.to_owned(),
        reason: error.to_string(),
    })
}

/// The error that an answer is.
pub(crate) fn refusal(url: &str, response: &Response) -> Error {
    match serde_json::from_slice::<Problem>(&response.body) {
        Ok(problem) => Error::Refused {
            kind: plain(problem.kind()),
            detail: problem.words(),
            retry: response.wait(),
        },
        Err(_) => Error::Answer {
            url: url.to_owned(),
            reason: format!("status {}", response.status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_what_is_said_of_each_name() {
        let body = r#"{"type": "urn:ietf:params:acme:error:compound", "detail": "two\nfaults",
            "subproblems": [{"type": "x", "detail": "policy forbids it",
                "identifier": {"type": "dns", "value": "a.example"}}]}"#;
        let response = Response {
            status: 403,
            retry_after: Some("90".to_owned()),
            body: body.as_bytes().to_vec(),
            ..Response::default()
        };
        let text = refusal("https://ca", &response).to_string();
        assert_eq!(
            text,
            "the server refuses: twofaults; a.example: policy forbids it (compound); \
             try again in 2 minutes"
        );
        let bare = Response {
            status: 502,
            body: b"<html>".to_vec(),
            ..Response::default()
        };
        let text = refusal("https://ca", &bare).to_string();
        assert_eq!(text, "https://ca: status 502");
    }
}

//! The four kinds of target.

use super::MailTo;
use crate::propstring;
use crate::userid::Userid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::str::FromStr;

crate::words! {
    /// Kinds of target.
    pub enum TargetKind {
        /// Mail by way of another target's server.
        Sendmail = "sendmail",
        /// A server of Gotify.
        Gotify = "gotify",
        /// Mail by a server of its own.
        Smtp = "smtp",
        /// Anything that is asked over HTTP.
        Webhook = "webhook",
    }
}

/// A server of Gotify. Its token is kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gotify {
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether it is told nothing (default no).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Address of the server, e.g. `https://gotify.example.org`.
    #[schemars(length(min = 1, max = 2048))]
    pub server: String,
}

/// Mail by way of this host. The host has no mail server of its own: `relay` names the target whose
/// server takes the mail on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Sendmail {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether it is told nothing (default no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Name of the sender (default Basalt).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub author: Option<String>,
    /// Address of the sender (default that of the relay).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254))]
    pub from_address: Option<String>,
    /// Addresses that get the mail; a name without `@` is a user of realm pam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailto: Option<Vec<MailTo>>,
    /// Users that get the mail, at the addresses that they have here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailto_user: Option<Vec<Userid>>,
    /// The target of type smtp whose server and login send the mail. Without it nothing can be sent,
    /// for the host has no mail server of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub relay: Option<String>,
}

/// How a connection to a mail server is kept secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpMode {
    /// Not at all.
    Insecure,
    /// By TLS from the command STARTTLS on (RFC 3207).
    Starttls,
    /// By TLS from its beginning (RFC 8314).
    #[default]
    Tls,
}

impl SmtpMode {
    /// The port that servers usually have for it.
    pub fn port(self) -> u16 {
        match self {
            Self::Insecure => 25,
            Self::Starttls => 587,
            Self::Tls => 465,
        }
    }
}

/// What may be set of a mail server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct SmtpFields {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether it is told nothing (default no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Name of the sender (default Basalt).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub author: Option<String>,
    /// Addresses that get the mail; a name without `@` is a user of realm pam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailto: Option<Vec<MailTo>>,
    /// Users that get the mail, at the addresses that they have here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailto_user: Option<Vec<Userid>>,
    /// How the connection is kept secret (default tls).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<SmtpMode>,
    /// Port (default 465 for tls, 587 for starttls, 25 for insecure).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Name of the account at the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub username: Option<String>,
}

/// Mail by a server of its own. The account's password is kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Smtp {
    /// Name or address of the mail server.
    #[schemars(length(min = 1, max = 253))]
    pub server: String,
    /// Address of the sender.
    #[schemars(length(min = 1, max = 254))]
    pub from_address: String,
    /// The rest.
    #[serde(flatten)]
    pub fields: SmtpFields,
}

impl Smtp {
    /// How the connection is kept secret.
    pub fn mode(&self) -> SmtpMode {
        self.fields.mode.unwrap_or_default()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.fields.port.unwrap_or_else(|| self.mode().port())
    }

    /// Whether the password would go to somebody else than before, or less well kept.
    pub fn tells_others(&self, before: &Self) -> bool {
        let way = |one: &Self| (one.server.clone(), one.port(), one.mode());
        way(self) != way(before)
    }
}

/// What a webhook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookMethod {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// GET.
    Get,
}

/// What may be set of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct WebhookFields {
    /// Body of the request as base64; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether it is told nothing (default no).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Headers of the request: `name=NAME,value=BASE64`; the values are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Vec<HttpHeader>>,
    /// Secrets that templates use as `{{ secrets.NAME }}`: `name=NAME,value=BASE64`. Values are never
    /// shown; a secret whose value is left out keeps the one it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Vec<WebhookSecret>>,
}

/// A webhook. The values of its secrets are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// What is done.
    pub method: WebhookMethod,
    /// Address; a template.
    #[schemars(length(min = 1, max = 4096))]
    pub url: String,
    /// The rest.
    #[serde(flatten)]
    pub fields: WebhookFields,
}

impl Webhook {
    /// Scheme and server of the address, before templates are filled.
    fn server(&self) -> &str {
        let begins = self.url.find("://").map_or(0, |at| at + 3);
        let ends = self.url[begins..].find(['/', '?', '#', '\\']);
        ends.map_or(self.url.as_str(), |at| &self.url[..begins + at])
    }

    /// Whether secrets would go to somebody else than before.
    pub fn tells_others(&self, before: &Self) -> bool {
        self.server() != before.server()
    }
}

impl Gotify {
    /// Whether the token would go to somebody else than before.
    pub fn tells_others(&self, before: &Self) -> bool {
        self.server != before.server
    }
}

/// The `name` and the `value` of a property string.
fn named_value(text: &str) -> Result<(String, Option<String>), String> {
    let (mut name, mut value) = (None, None);
    for (key, found) in propstring::split(text, None)? {
        match key.as_str() {
            "name" => name = Some(found),
            "value" => value = Some(found),
            _ => return Err(format!("'{}' is none of: name, value", key.escape_debug())),
        }
    }
    let name = name.ok_or("'name' is missing: write name=NAME,value=BASE64")?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !(1..=128).contains(&name.len()) || !name.bytes().all(good) {
        let name = name.escape_debug();
        return Err(format!(
            "name: '{name}' must have letters, digits, '-' and '_' only"
        ));
    }
    Ok((name, value))
}

/// A header of a webhook's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHeader {
    /// Its name.
    pub name: String,
    /// Its value as base64; a template.
    pub value: String,
}

impl fmt::Display for HttpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name={},value={}", self.name, self.value)
    }
}

impl FromStr for HttpHeader {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = named_value(text)?;
        let value = value.ok_or("'value' is missing: write name=NAME,value=BASE64")?;
        Ok(Self { name, value })
    }
}

crate::text_field!(
    HttpHeader,
    "HttpHeader",
    json!({"type": "string", "maxLength": 8192})
);

/// A secret of a webhook. It is printed and stored without its value.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    /// Its name.
    pub name: String,
    /// Its value as base64, where somebody just gave it.
    pub value: Option<String>,
}

impl fmt::Display for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name={}", self.name)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WebhookSecret {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = named_value(text)?;
        Ok(Self { name, value })
    }
}

crate::text_field!(
    WebhookSecret,
    "WebhookSecret",
    json!({"type": "string", "maxLength": 8192})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_never_printed() {
        let secret: WebhookSecret = "name=key,value=Z2VoZWlt".parse().unwrap();
        assert_eq!(secret.value.as_deref(), Some("Z2VoZWlt"));
        let shown = format!(
            "{secret} {secret:?} {}",
            serde_json::to_string(&secret).unwrap()
        );
        assert!(!shown.contains("Z2VoZWlt"), "{shown}");
        for wrong in ["value=x", "name=a.b,value=x", "name=a,colour=x", "name="] {
            assert!(wrong.parse::<WebhookSecret>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_keeps_the_padding_of_its_value() {
        let text = "name=Content-Type,value=dGV4dA==";
        let header: HttpHeader = text.parse().unwrap();
        assert_eq!(header.value, "dGV4dA==");
        assert_eq!(header.to_string(), text);
        assert!("name=X".parse::<HttpHeader>().is_err());
        assert!("name=X\r\nY,value=eA==".parse::<HttpHeader>().is_err());
    }

    #[test]
    fn another_server_is_somebody_else() {
        let hook = |url: &str| Webhook {
            method: WebhookMethod::Post,
            url: url.to_owned(),
            fields: WebhookFields::default(),
        };
        let before = hook("https://a.example.org/{{ secrets.x }}");
        assert!(!hook("https://a.example.org/other?x").tells_others(&before));
        assert!(!hook("https://a.example.org").tells_others(&before));
        for other in [
            "http://a.example.org/",
            "https://b.example.org/",
            "https://a.example.org:8/",
        ] {
            assert!(hook(other).tells_others(&before), "{other}");
        }
    }
}

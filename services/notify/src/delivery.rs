//! What a target is sent of an event.

use crate::mime::Mail;
use crate::smtp::Server;
use crate::template::{Template, Values, url_encoded};
use crate::web::Request;
use crate::{Configured, Error, Event, Network, Result, Source};
use basalt_model::notify::{
    Gotify, MailAddress, MailTo, Sendmail, Severity, Smtp, Webhook, WebhookMethod,
};
use basalt_model::userid::Userid;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeMap;

/// The sender's name, when nobody set another.
const AUTHOR: &str = "Basalt";

/// What is sent.
pub enum Delivery {
    /// A request.
    Web(Request),
    /// A mail by way of a server.
    Mail(Box<(Server, Mail)>),
}

impl Delivery {
    /// What a target is sent of an event, by the settings as they are now.
    ///
    /// # Errors
    /// When there is no such target, or its settings do not say enough.
    pub fn prepare(source: &dyn Source, target: &str, event: &Event) -> Result<Self> {
        let all = source.configured().map_err(Error::Settings)?;
        let config = &all.config;
        if let Some(one) = config.gotify.get(target) {
            return gotify(one, all.secrets.gotify.get(target), event);
        }
        if let Some(one) = config.webhook.get(target) {
            let none = BTreeMap::new();
            let secrets = all.secrets.webhook.get(target).unwrap_or(&none);
            return webhook(one, secrets, event);
        }
        if let Some(one) = config.smtp.get(target) {
            let to = addresses(source, &one.fields.mailto, &one.fields.mailto_user)?;
            let author = one.fields.author.as_deref();
            let mail = mail(&one.from_address, author, to, event)?;
            return Ok(Self::Mail(Box::new((server(&all, target, one), mail))));
        }
        match config.sendmail.get(target) {
            Some(one) => sendmail(source, &all, one, event),
            None => Err(Error::NoTarget(target.to_owned())),
        }
    }

    /// Sends it. Blocks for a bounded time.
    ///
    /// # Errors
    /// When the server cannot be reached, takes too long or refuses.
    pub fn send(&self, network: &Network) -> Result<()> {
        match self {
            Self::Web(request) => request.send(network),
            Self::Mail(both) => both.0.send(network, &both.1),
        }
    }
}

/// A text that is kept as base64.
///
/// # Errors
/// When it is none.
pub fn decoded(text: &str) -> std::result::Result<String, String> {
    let bytes = STANDARD.decode(text.trim());
    let bytes = bytes.map_err(|_| "must be encoded as base64".to_owned())?;
    String::from_utf8(bytes).map_err(|_| "must be a text in UTF-8, encoded as base64".to_owned())
}

fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Notice | Severity::Unknown => 3,
        Severity::Warning => 5,
        Severity::Error => 9,
    }
}

fn gotify(gotify: &Gotify, token: Option<&String>, event: &Event) -> Result<Delivery> {
    let token = token.ok_or_else(|| Error::Settings("there is no token: set it".to_owned()))?;
    let body = json!({
        "title": event.title,
        "message": event.body,
        "priority": priority(event.severity),
        "extras": {"client::display": {"contentType": "text/plain"}},
    });
    Ok(Delivery::Web(Request {
        method: WebhookMethod::Post,
        url: format!("{}/message", gotify.server.trim_end_matches('/')),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-gotify-key".to_owned(), token.clone()),
        ],
        body: body.to_string().into_bytes(),
        secrets: vec![token.clone()],
    }))
}

fn webhook(
    webhook: &Webhook,
    secrets: &BTreeMap<String, String>,
    event: &Event,
) -> Result<Delivery> {
    let known = secrets.iter().map(|(name, value)| {
        let value = decoded(value).map_err(|text| Error::Settings(format!("{name}: {text}")))?;
        Ok((name.clone(), value))
    });
    let secrets = known.collect::<Result<BTreeMap<_, _>>>()?;
    let values = Values::new(event, &secrets);
    let fill = |field: &str, text: std::result::Result<String, String>| {
        let template = text.and_then(|text| Template::parse(&text));
        let template = template.map_err(|text| Error::Settings(format!("{field}: {text}")))?;
        Ok(template.fill(&values))
    };
    let mut headers = Vec::new();
    for header in webhook.fields.header.iter().flatten() {
        let value = fill("header", decoded(&header.value))?;
        // What an event says must not begin another header.
        let value = value.replace(|c: char| c.is_control(), " ");
        headers.push((header.name.clone(), value));
    }
    let body = webhook.fields.body.as_deref();
    let body = body.map(|body| fill("body", decoded(body))).transpose()?;
    let hidden = secrets
        .values()
        .flat_map(|value| [value.clone(), url_encoded(value)]);
    let hidden = hidden.collect();
    Ok(Delivery::Web(Request {
        method: webhook.method,
        url: fill("url", Ok(webhook.url.clone()))?,
        headers,
        body: body.unwrap_or_default().into_bytes(),
        secrets: hidden,
    }))
}

fn server(all: &Configured, name: &str, smtp: &Smtp) -> Server {
    let password = all.secrets.smtp.get(name).cloned().unwrap_or_default();
    let login = smtp.fields.username.clone();
    Server {
        host: smtp.server.clone(),
        port: smtp.port(),
        mode: smtp.mode(),
        login: login.map(|user| (user, password)),
    }
}

fn sendmail(
    source: &dyn Source,
    all: &Configured,
    sendmail: &Sendmail,
    event: &Event,
) -> Result<Delivery> {
    let Some(name) = &sendmail.relay else {
        return Err(Error::Settings(
            "no relay is set, and the host has no mail server of its own: add a target of type smtp \
             and set 'relay' to its name"
                .to_owned(),
        ));
    };
    let relay =
        all.config.smtp.get(name).ok_or_else(|| {
            Error::Settings(format!("the relay '{name}' is no target of type smtp"))
        })?;
    let to = addresses(source, &sendmail.mailto, &sendmail.mailto_user)?;
    let from = sendmail
        .from_address
        .as_deref()
        .unwrap_or(&relay.from_address);
    let author = sendmail
        .author
        .as_deref()
        .or(relay.fields.author.as_deref());
    let mail = mail(from, author, to, event)?;
    Ok(Delivery::Mail(Box::new((server(all, name, relay), mail))))
}

fn mail(from: &str, author: Option<&str>, to: Vec<MailAddress>, event: &Event) -> Result<Mail> {
    Ok(Mail {
        from: from.parse().map_err(Error::Settings)?,
        author: author.unwrap_or(AUTHOR).to_owned(),
        to,
        subject: event.title.clone(),
        body: event.body.clone(),
        severity: event.severity,
        time: event.time,
    })
}

/// The addresses of all who get a mail, each once.
fn addresses(
    source: &dyn Source,
    to: &Option<Vec<MailTo>>,
    users: &Option<Vec<Userid>>,
) -> Result<Vec<MailAddress>> {
    let mut found: Vec<MailAddress> = Vec::new();
    let mut without: Vec<&Userid> = Vec::new();
    let mut add = |address: MailAddress| {
        if !found.contains(&address) {
            found.push(address);
        }
    };
    let mut named: Vec<&Userid> = users.iter().flatten().collect();
    for one in to.iter().flatten() {
        match one {
            MailTo::Address(address) => add(address.clone()),
            MailTo::User(user) => named.push(user),
        }
    }
    for user in named {
        match source.address_of(user).and_then(|text| text.parse().ok()) {
            Some(address) => add(address),
            None => without.push(user),
        }
    }
    if found.is_empty() {
        let names: Vec<&str> = without.iter().map(|user| user.as_str()).collect();
        return Err(Error::Settings(format!(
            "nobody would get the mail: set the e-mail address of {}",
            names.join(", ")
        )));
    }
    for user in without {
        tracing::warn!(%user, "the user has no e-mail address and gets no mail");
    }
    Ok(found)
}

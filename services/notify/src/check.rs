//! What can be said of settings before anything is sent.

use crate::delivery::decoded;
use crate::matcher::expression;
use crate::template::Template;
use basalt_model::field::FieldErrors;
use basalt_model::notify::{
    FieldMatch, Gotify, MailAddress, MailTo, Matcher, Sendmail, Smtp, Webhook, WebhookSecret,
};
use basalt_model::userid::Userid;

/// What is wrong with a server of Gotify.
pub fn check_gotify(gotify: &Gotify) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let plain = gotify.server.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain || !is_web(&gotify.server) || gotify.server.contains(['?', '#']) {
        let text = "must be an address like https://gotify.example.org";
        errors.add("server", text);
    }
    errors
}

/// What is wrong with mail by a relay.
pub fn check_sendmail(sendmail: &Sendmail) -> FieldErrors {
    let mut errors = FieldErrors::default();
    recipients(&mut errors, &sendmail.mailto, &sendmail.mailto_user);
    author(&mut errors, &sendmail.author);
    if let Some(Err(text)) = sendmail
        .from_address
        .as_deref()
        .map(str::parse::<MailAddress>)
    {
        errors.add("from-address", text);
    }
    errors
}

/// What is wrong with mail by a server.
pub fn check_smtp(smtp: &Smtp) -> FieldErrors {
    let mut errors = FieldErrors::default();
    recipients(&mut errors, &smtp.fields.mailto, &smtp.fields.mailto_user);
    author(&mut errors, &smtp.fields.author);
    if let Err(text) = smtp.from_address.parse::<MailAddress>() {
        errors.add("from-address", text);
    }
    if rustls::pki_types::ServerName::try_from(smtp.server.as_str()).is_err() {
        errors.add("server", "must be the name or the address of a mail server");
    }
    let username = smtp.fields.username.as_deref();
    if username.is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
        errors.add("username", "must be a name without control characters");
    }
    errors
}

/// What is wrong with a webhook.
pub fn check_webhook(webhook: &Webhook) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let printable = !webhook.url.chars().any(char::is_control);
    if !printable || !is_web(&webhook.url) {
        errors.add("url", "must be an address like https://example.org/hook");
    }
    let secrets = webhook.fields.secret.as_deref().unwrap_or_default();
    template(&mut errors, "url", Ok(webhook.url.clone()), secrets);
    if let Some(body) = &webhook.fields.body {
        template(&mut errors, "body", decoded(body), secrets);
    }
    for header in webhook.fields.header.iter().flatten() {
        let name = &header.name;
        if ["host", "content-length", "transfer-encoding", "connection"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            errors.add(
                "header",
                format!("'{name}' is set by what is sent and where to"),
            );
        }
        template(&mut errors, "header", decoded(&header.value), secrets);
    }
    for secret in secrets {
        if secrets
            .iter()
            .filter(|other| other.name == secret.name)
            .count()
            > 1
        {
            errors.add("secret", format!("'{}' is given twice", secret.name));
        }
        // The reason would show what was given.
        if secret
            .value
            .as_deref()
            .is_some_and(|value| decoded(value).is_err())
        {
            errors.add(
                "secret",
                format!("'{}': its value is no text as base64", secret.name),
            );
        }
    }
    errors
}

/// What is wrong with a matcher; whether its targets are there is not looked at.
pub fn check_matcher(matcher: &Matcher) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for rule in matcher.match_field.iter().flatten() {
        if let FieldMatch::Regex { pattern, .. } = rule
            && let Err(text) = expression(pattern)
        {
            errors.add("match-field", format!("'{rule}': {text}"));
        }
    }
    errors
}

fn is_web(url: &str) -> bool {
    let schemes = ["https://", "http://"].into_iter();
    let rest = schemes.filter_map(|scheme| url.strip_prefix(scheme)).next();
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

fn recipients(errors: &mut FieldErrors, to: &Option<Vec<MailTo>>, users: &Option<Vec<Userid>>) {
    let nobody = to.iter().flatten().next().is_none() && users.iter().flatten().next().is_none();
    if nobody {
        let text = "is needed, or mailto-user: somebody must get the mail";
        errors.add("mailto", text);
    }
}

fn author(errors: &mut FieldErrors, author: &Option<String>) {
    if author
        .as_deref()
        .is_some_and(|name| name.chars().any(char::is_control))
    {
        errors.add("author", "must have no control characters");
    }
}

fn template(
    errors: &mut FieldErrors,
    field: &str,
    text: Result<String, String>,
    secrets: &[WebhookSecret],
) {
    let read = text.and_then(|text| Template::parse(&text));
    let template = match read {
        Ok(template) => template,
        Err(text) => return errors.add(field, text),
    };
    let known = |name: &str| secrets.iter().any(|secret| secret.name == name);
    if let Some(name) = template.secrets().find(|name| !known(name)) {
        errors.add(
            field,
            format!("there is no secret '{name}': add it to 'secret'"),
        );
    }
}

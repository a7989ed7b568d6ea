//! Targets: made and changed, each kind with its secrets.

use super::section::{deleted, merged, new_name};
use crate::call::Call;
use crate::notifications::Notifications;
use crate::router::Router;
use basalt_api::methods::notifications::{
    GotifyChange, GotifyCreate, GotifyNew, GotifyUpdate, NotifyNew, SendmailChange, SendmailCreate,
    SendmailUpdate, SmtpChange, SmtpCreate, SmtpNew, SmtpUpdate, WebhookChange, WebhookCreate,
    WebhookUpdate,
};
use basalt_api::{Error, Result};
use basalt_model::notify::{Gotify, NotifyConfig, Sendmail, Smtp, Webhook, WebhookSecret};
use basalt_notify::{check_gotify, check_sendmail, check_smtp, check_webhook};
use serde_json::json;
use std::collections::BTreeMap;

const AGAIN: &str = "is needed again: the server, or how it is reached, changes";

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<GotifyCreate, _, _, _>(gotify_create);
    router.on::<GotifyUpdate, _, _, _>(gotify_update);
    router.on::<SendmailCreate, _, _, _>(sendmail_create);
    router.on::<SendmailUpdate, _, _, _>(sendmail_update);
    router.on::<SmtpCreate, _, _, _>(smtp_create);
    router.on::<SmtpUpdate, _, _, _>(smtp_update);
    router.on::<WebhookCreate, _, _, _>(webhook_create);
    router.on::<WebhookUpdate, _, _, _>(webhook_update);
}

/// Refuses a token that no header can have.
fn check_token(token: &str) -> Result<()> {
    match token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Error::param("token", "must have printable characters only")),
    }
}

async fn gotify_create(call: Call, params: GotifyNew) -> Result<()> {
    let NotifyNew { name, settings } = params.new;
    let mut all = Notifications::read(&call.node.store)?;
    new_name(&all.config, &name)?;
    check_gotify(&settings).or(())?;
    check_token(&params.token)?;
    all.secrets.gotify.insert(name.clone(), params.token);
    all.config.gotify.insert(name, settings);
    all.store(&call.node.store).await
}

async fn gotify_update(call: Call, change: GotifyChange) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    let name = change.name;
    let set = json!({
        "comment": change.comment,
        "disable": change.disable,
        "server": change.server,
    });
    let after: Gotify = merged(&mut all, &name, &change.how, &set, &[])?;
    check_gotify(&after).or(())?;
    let before = all.config.gotify.insert(name.clone(), after.clone());
    match change.token {
        Some(token) => {
            check_token(&token)?;
            all.secrets.gotify.insert(name, token);
        }
        None if before.is_some_and(|before| after.tells_others(&before)) => {
            return Err(Error::param("token", AGAIN));
        }
        None => {}
    }
    all.store(&call.node.store).await
}

fn check_relayed(config: &NotifyConfig, sendmail: &Sendmail) -> Result<()> {
    let mut errors = check_sendmail(sendmail);
    let relay = sendmail.relay.as_deref();
    if let Some(name) = relay.filter(|name| !config.smtp.contains_key(*name)) {
        errors.add("relay", format!("smtp target '{name}' does not exist"));
    }
    Ok(errors.or(())?)
}

async fn sendmail_create(call: Call, new: NotifyNew<Sendmail>) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    new_name(&all.config, &new.name)?;
    check_relayed(&all.config, &new.settings)?;
    all.config.sendmail.insert(new.name, new.settings);
    all.store(&call.node.store).await
}

async fn sendmail_update(call: Call, change: SendmailChange) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    let after: Sendmail = merged(&mut all, &change.name, &change.how, &change.settings, &[])?;
    check_relayed(&all.config, &after)?;
    all.config.sendmail.insert(change.name, after);
    all.store(&call.node.store).await
}

/// Refuses a mail server that cannot work with its password.
fn check_login(smtp: &Smtp, password: Option<&str>) -> Result<()> {
    let mut errors = check_smtp(smtp);
    match (&smtp.fields.username, password) {
        (None, Some(_)) => errors.add("username", "is missing: password is its password"),
        (Some(_), None) => errors.add("password", "is missing: username needs it"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if password.is_some_and(|text| text.chars().any(char::is_control)) {
        errors.add("password", "must have no control characters");
    }
    Ok(errors.or(())?)
}

async fn smtp_create(call: Call, params: SmtpNew) -> Result<()> {
    let NotifyNew { name, settings } = params.new;
    let mut all = Notifications::read(&call.node.store)?;
    new_name(&all.config, &name)?;
    check_login(&settings, params.password.as_deref())?;
    if let Some(password) = params.password {
        all.secrets.smtp.insert(name.clone(), password);
    }
    all.config.smtp.insert(name, settings);
    all.store(&call.node.store).await
}

async fn smtp_update(call: Call, change: SmtpChange) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    let name = change.name;
    let mut set = serde_json::to_value(&change.fields).map_err(Error::failed)?;
    set["server"] = json!(change.server);
    set["from-address"] = json!(change.from_address);
    let after: Smtp = merged(&mut all, &name, &change.how, &set, &["password"])?;
    let before = all.config.smtp.insert(name.clone(), after.clone());
    let kept = all.secrets.smtp.remove(&name);
    // Without an account there is nothing that a password could be of.
    let gone = deleted(&change.how).any(|name| ["password", "username"].contains(&name));
    let kept = kept.filter(|_| !gone);
    let moved = before.is_some_and(|before| after.tells_others(&before));
    if change.password.is_none() && kept.is_some() && moved {
        return Err(Error::param("password", AGAIN));
    }
    let password = change.password.or(kept);
    check_login(&after, password.as_deref())?;
    all.secrets
        .smtp
        .extend(password.map(|password| (name, password)));
    all.store(&call.node.store).await
}

/// The values of a webhook's secrets: those that were given, and those that are kept.
fn values(
    secrets: &[WebhookSecret],
    kept: &BTreeMap<String, String>,
    moved: bool,
) -> Result<BTreeMap<String, String>> {
    let value = |secret: &WebhookSecret| {
        let WebhookSecret { name, value } = secret;
        let kept = kept.get(name).cloned();
        let missing = match kept.is_some() {
            true => format!("'{name}': its value {AGAIN}"),
            false => format!("'{name}' has no value: write name={name},value=BASE64"),
        };
        let value = value.clone().or(kept.filter(|_| !moved));
        let value = value.ok_or_else(|| Error::param("secret", missing))?;
        Ok((name.clone(), value))
    };
    secrets.iter().map(value).collect()
}

async fn webhook_create(call: Call, new: NotifyNew<Webhook>) -> Result<()> {
    let NotifyNew { name, settings } = new;
    let mut all = Notifications::read(&call.node.store)?;
    new_name(&all.config, &name)?;
    check_webhook(&settings).or(())?;
    let secrets = settings.fields.secret.as_deref().unwrap_or_default();
    let values = values(secrets, &BTreeMap::new(), false)?;
    if !values.is_empty() {
        all.secrets.webhook.insert(name.clone(), values);
    }
    all.config.webhook.insert(name, settings);
    all.store(&call.node.store).await
}

async fn webhook_update(call: Call, change: WebhookChange) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    let name = change.name;
    let mut set = serde_json::to_value(&change.fields).map_err(Error::failed)?;
    set["method"] = json!(change.method);
    set["url"] = json!(change.url);
    let mut after: Webhook = merged(&mut all, &name, &change.how, &set, &[])?;
    // On the way through JSON the values were lost, as they should be.
    if change.fields.secret.is_some() {
        after.fields.secret = change.fields.secret;
    }
    check_webhook(&after).or(())?;
    let before = all.config.webhook.insert(name.clone(), after.clone());
    let moved = before.is_some_and(|before| after.tells_others(&before));
    let kept = all.secrets.webhook.remove(&name).unwrap_or_default();
    let secrets = after.fields.secret.as_deref().unwrap_or_default();
    let values = values(secrets, &kept, moved)?;
    if !values.is_empty() {
        all.secrets.webhook.insert(name, values);
    }
    all.store(&call.node.store).await
}

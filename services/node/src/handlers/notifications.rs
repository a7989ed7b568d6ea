//! Who is told of what happens on the host.

mod section;
mod targets;

use crate::call::Call;
use crate::notifications::Notifications;
use crate::router::Router;
use crate::schedules;
use basalt_api::methods::NoParams;
use basalt_api::methods::notifications::{
    GotifyDelete, GotifyGet, GotifyList, MatcherChange, MatcherCreate, MatcherDelete, MatcherField,
    MatcherFieldList, MatcherFieldValue, MatcherFieldValueList, MatcherGet, MatcherList,
    MatcherUpdate, NotifyNew, NotifyPath, NotifyTarget, NotifyTargetList, NotifyTargetTest,
    SendmailDelete, SendmailGet, SendmailList, SmtpDelete, SmtpGet, SmtpList, WebhookDelete,
    WebhookGet, WebhookList,
};
use basalt_api::{Error, Result};
use basalt_model::notify::{EventType, Gotify, Matcher, NotifyConfig, Sendmail, Smtp, Webhook};
use section::{delete, list, merged, new_name, show};

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<NotifyTargetList, _, _, _>(all_targets);
    router.on::<NotifyTargetTest, _, _, _>(test);
    router.on::<MatcherFieldList, _, _, _>(async |_, _: NoParams| Ok(fields()));
    router.on::<MatcherFieldValueList, _, _, _>(values);
    router.on::<MatcherList, _, _, _>(list::<Matcher>);
    router.on::<MatcherGet, _, _, _>(show::<Matcher>);
    router.on::<MatcherCreate, _, _, _>(create);
    router.on::<MatcherUpdate, _, _, _>(update);
    router.on::<MatcherDelete, _, _, _>(delete::<Matcher>);
    router.on::<GotifyList, _, _, _>(list::<Gotify>);
    router.on::<GotifyGet, _, _, _>(show::<Gotify>);
    router.on::<GotifyDelete, _, _, _>(delete::<Gotify>);
    router.on::<SendmailList, _, _, _>(list::<Sendmail>);
    router.on::<SendmailGet, _, _, _>(show::<Sendmail>);
    router.on::<SendmailDelete, _, _, _>(delete::<Sendmail>);
    router.on::<SmtpList, _, _, _>(list::<Smtp>);
    router.on::<SmtpGet, _, _, _>(show::<Smtp>);
    router.on::<SmtpDelete, _, _, _>(delete::<Smtp>);
    router.on::<WebhookList, _, _, _>(list::<Webhook>);
    router.on::<WebhookGet, _, _, _>(show::<Webhook>);
    router.on::<WebhookDelete, _, _, _>(delete::<Webhook>);
    targets::register(router);
}

async fn all_targets(call: Call, _: NoParams) -> Result<Vec<NotifyTarget>> {
    let config = Notifications::read(&call.node.store)?.config;
    let target = config
        .targets()
        .map(|(name, kind, comment, disable)| NotifyTarget {
            name: name.to_owned(),
            kind,
            comment: comment.map(str::to_owned),
            disable,
            origin: config.origin(name),
        });
    Ok(target.collect())
}

async fn test(call: Call, path: NotifyPath) -> Result<()> {
    let tested = call.node.notifier.test(&path.name).await;
    tested.map_err(Error::failed)
}

fn fields() -> Vec<MatcherField> {
    let names = ["type", "hostname", "job-id"]
        .map(str::to_owned)
        .into_iter();
    names.map(|name| MatcherField { name }).collect()
}

async fn values(call: Call, _: NoParams) -> Result<Vec<MatcherFieldValue>> {
    let known = |kind: &EventType| MatcherFieldValue {
        field: "type".to_owned(),
        value: kind.to_string(),
        comment: Some(comment(*kind).to_owned()),
    };
    let node = MatcherFieldValue {
        field: "hostname".to_owned(),
        value: call.node.name.clone(),
        comment: None,
    };
    let jobs = schedules::read(&call.node.store)?.map(|stored| stored.value);
    let jobs = jobs.unwrap_or_default().into_iter();
    let job = jobs.map(|(id, job)| MatcherFieldValue {
        field: "job-id".to_owned(),
        value: id,
        comment: job.fields.comment,
    });
    let kinds = EventType::ALL.iter().map(known);
    Ok(kinds.chain([node]).chain(job).collect())
}

fn comment(kind: EventType) -> &'static str {
    match kind {
        EventType::CertificateRenewal => "The host's certificate was not renewed",
        EventType::UpdateFallback => "An update did not work, and the version before it runs",
        EventType::RealmSync => "Users and groups of a realm were not brought here",
        EventType::GuestPanic => "The guest of a virtual machine panicked",
        EventType::DiskHealth => "A disk is failing, or a mirror or pool lacks disks",
    }
}

/// Refuses a matcher that cannot work.
fn usable(config: &NotifyConfig, matcher: &Matcher) -> Result<()> {
    let mut errors = basalt_notify::check_matcher(matcher);
    let mut targets = matcher.target.iter().flatten();
    if let Some(name) = targets.find(|name| !config.has_target(name)) {
        errors.add("target", format!("target '{name}' does not exist"));
    }
    errors.or(()).map_err(Error::from)
}

async fn create(call: Call, new: NotifyNew<Matcher>) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    new_name(&all.config, &new.name)?;
    usable(&all.config, &new.settings)?;
    all.config.matcher.insert(new.name, new.settings);
    all.store(&call.node.store).await
}

async fn update(call: Call, change: MatcherChange) -> Result<()> {
    let mut all = Notifications::read(&call.node.store)?;
    let after: Matcher = merged(&mut all, &change.name, &change.how, &change.settings, &[])?;
    usable(&all.config, &after)?;
    all.config.matcher.insert(change.name, after);
    all.store(&call.node.store).await
}

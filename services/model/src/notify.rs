//! Notifications: who is told of what happens on the host, and how. These are the settings; that they
//! are followed is the work of `basalt-notify`.
//!
//! A *target* is a place that can be told: one of the four kinds in [`endpoints`]. A [`Matcher`] says
//! which events go to which targets. What only the host may know of a target lies apart, in
//! [`NotifySecrets`].

mod endpoints;
mod matcher;
mod recipient;

pub use endpoints::{
    Gotify, HttpHeader, Sendmail, Smtp, SmtpFields, SmtpMode, TargetKind, Webhook, WebhookFields,
    WebhookMethod, WebhookSecret,
};
pub use matcher::{FieldMatch, Matcher, MatcherMode, SeverityMatch};
pub use recipient::{MailAddress, MailTo};

use crate::userid::Userid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The target that is there from the beginning.
pub const MAIL_TO_ROOT: &str = "mail-to-root";
/// The matcher that is there from the beginning.
pub const DEFAULT_MATCHER: &str = "default-matcher";

crate::words! {
    /// How bad something is.
    pub enum Severity {
        /// As expected.
        Info = "info",
        /// Worth a look.
        Notice = "notice",
        /// Something may go wrong.
        Warning = "warning",
        /// Something went wrong.
        Error = "error",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

crate::words! {
    /// What an event is about: the value of its field `type`.
    pub enum EventType {
        /// A certificate was not renewed.
        CertificateRenewal = "certificate-renewal",
        /// An update was left behind, and the version before it runs.
        UpdateFallback = "update-fallback",
        /// Users and groups of a realm were not brought here.
        RealmSync = "realm-sync",
        /// The guest of a virtual machine panicked.
        GuestPanic = "guest-panic",
        /// Disks are failing, or what lies on several lacks some.
        DiskHealth = "disk-health",
    }
}

crate::words! {
    /// Where a setting comes from.
    pub enum Origin {
        /// Somebody made it.
        UserCreated = "user-created",
        /// It is there from the beginning.
        Builtin = "builtin",
        /// It is there from the beginning, and somebody changed it.
        ModifiedBuiltin = "modified-builtin",
    }
}

/// All settings, each kind by its names, which are unique over all kinds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotifyConfig {
    /// Servers of Gotify.
    pub gotify: BTreeMap<String, Gotify>,
    /// Mail by way of another target's server.
    pub sendmail: BTreeMap<String, Sendmail>,
    /// Mail by a server of its own.
    pub smtp: BTreeMap<String, Smtp>,
    /// Anything that is asked over HTTP.
    pub webhook: BTreeMap<String, Webhook>,
    /// Which events go where.
    pub matcher: BTreeMap<String, Matcher>,
}

/// What only the host may know of targets, by their names.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotifySecrets {
    /// Tokens of Gotify.
    pub gotify: BTreeMap<String, String>,
    /// Passwords at mail servers.
    pub smtp: BTreeMap<String, String>,
    /// Secrets of webhooks by their own names, as base64.
    pub webhook: BTreeMap<String, BTreeMap<String, String>>,
}

impl NotifyConfig {
    /// The settings with what is there from the beginning, where nobody changed it.
    pub fn with_builtins(mut self) -> Self {
        let target = self.sendmail.entry(MAIL_TO_ROOT.to_owned());
        target.or_insert_with(builtin_target);
        let matcher = self.matcher.entry(DEFAULT_MATCHER.to_owned());
        matcher.or_insert_with(builtin_matcher);
        self
    }

    /// The settings without what is there from the beginning anyway.
    pub fn without_builtins(mut self) -> Self {
        if self.sendmail.get(MAIL_TO_ROOT) == Some(&builtin_target()) {
            self.sendmail.remove(MAIL_TO_ROOT);
        }
        if self.matcher.get(DEFAULT_MATCHER) == Some(&builtin_matcher()) {
            self.matcher.remove(DEFAULT_MATCHER);
        }
        self
    }

    /// Where a target or matcher comes from.
    pub fn origin(&self, name: &str) -> Origin {
        let unchanged = match name {
            MAIL_TO_ROOT => self.sendmail.get(name) == Some(&builtin_target()),
            DEFAULT_MATCHER => self.matcher.get(name) == Some(&builtin_matcher()),
            _ => return Origin::UserCreated,
        };
        match unchanged {
            true => Origin::Builtin,
            false => Origin::ModifiedBuiltin,
        }
    }

    /// All targets: name, kind, description and whether it is told nothing.
    pub fn targets(&self) -> impl Iterator<Item = (&str, TargetKind, Option<&str>, bool)> {
        let gotify = self
            .gotify
            .iter()
            .map(|(name, one)| (name, TargetKind::Gotify, &one.comment, one.disable));
        let sendmail = self
            .sendmail
            .iter()
            .map(|(name, one)| (name, TargetKind::Sendmail, &one.comment, one.disable));
        let smtp = self.smtp.iter().map(|(name, one)| {
            (
                name,
                TargetKind::Smtp,
                &one.fields.comment,
                one.fields.disable,
            )
        });
        let webhook = self.webhook.iter().map(|(name, one)| {
            (
                name,
                TargetKind::Webhook,
                &one.fields.comment,
                one.fields.disable,
            )
        });
        let all = gotify.chain(sendmail).chain(smtp).chain(webhook);
        all.map(|(name, kind, comment, disable)| {
            let off = disable.unwrap_or(false);
            (name.as_str(), kind, comment.as_deref(), off)
        })
    }

    /// Whether there is a target of this name.
    pub fn has_target(&self, name: &str) -> bool {
        self.targets().any(|(known, ..)| known == name)
    }

    /// What needs a target: matchers, and targets that send their mail by its server.
    pub fn users_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let matchers = self.matcher.iter().filter(move |(_, matcher)| {
            let targets = matcher.target.as_deref().unwrap_or_default();
            targets.iter().any(|target| target == name)
        });
        let relayed = self.sendmail.iter();
        let relayed = relayed.filter(move |(_, one)| one.relay.as_deref() == Some(name));
        let matchers = matchers.map(|(name, _)| name.as_str());
        matchers.chain(relayed.map(|(name, _)| name.as_str()))
    }
}

fn builtin_target() -> Sendmail {
    Sendmail {
        comment: Some("Send mails to root@pam's email address".to_owned()),
        mailto_user: Some(vec![Userid::root()]),
        ..Sendmail::default()
    }
}

fn builtin_matcher() -> Matcher {
    Matcher {
        comment: Some("Route all notifications to mail-to-root".to_owned()),
        mode: Some(MatcherMode::All),
        target: Some(vec![MAIL_TO_ROOT.to_owned()]),
        ..Matcher::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_from_the_beginning_is_changed_and_put_back() {
        let mut config = NotifyConfig::default().with_builtins();
        assert_eq!(config.origin(MAIL_TO_ROOT), Origin::Builtin);
        assert_eq!(
            config.users_of(MAIL_TO_ROOT).collect::<Vec<_>>(),
            [DEFAULT_MATCHER]
        );
        assert_eq!(config.clone().without_builtins(), NotifyConfig::default());
        let target = config.sendmail.get_mut(MAIL_TO_ROOT).unwrap();
        target.disable = Some(true);
        assert_eq!(config.origin(MAIL_TO_ROOT), Origin::ModifiedBuiltin);
        let kept = config.clone().without_builtins();
        assert_eq!(kept.sendmail.len(), 1);
        assert_eq!(kept.with_builtins(), config);
    }
}

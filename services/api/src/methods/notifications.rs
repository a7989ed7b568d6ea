//! Notifications: who is told of what happens on the host.
//!
//! Targets are places that can be told; matchers say which events go to which of them. Both have one
//! space of names.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{
    MappingAudit, MappingModify, MappingUse, SysAccessNetwork, SysAudit, SysModify,
};
use basalt_model::notify::{
    Gotify, Matcher, Origin, Sendmail, Smtp, SmtpFields, TargetKind, Webhook, WebhookFields,
    WebhookMethod,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const PATH: &str = "/mapping/notifications";
const AUDIT: Permission = perm(PATH, &[MappingAudit]);
const LOOK: Permission = perm(PATH, &[MappingModify, MappingAudit]);
const USE: Permission = perm(PATH, &[MappingModify, MappingAudit, MappingUse]);
const MODIFY: Permission = perm(PATH, &[MappingModify]);
/// Who sets where the host sends something can have it ask any server of its network.
const CONNECT: Permission = Permission::All(&[
    MODIFY,
    Permission::Any(&[
        Permission::All(&[perm("/", &[SysAudit]), perm("/", &[SysModify])]),
        perm("/", &[SysAccessNetwork]),
    ]),
]);

/// A target or matcher by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyPath {
    /// Its name.
    pub name: String,
}

/// One in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Notify{T}Entry")]
pub struct NotifyEntry<T> {
    /// Its name.
    pub name: String,
    /// Whether it is there from the beginning.
    pub origin: Origin,
    /// The settings.
    #[serde(flatten)]
    pub settings: T,
}

/// One as it is set; its secrets stay here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Notify{T}")]
pub struct NotifyShown<T> {
    /// Its name.
    pub name: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: T,
    /// Changes whenever a setting of notifications does.
    pub digest: String,
}

/// A new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Notify{T}New")]
pub struct NotifyNew<T> {
    /// Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. No other target or matcher may
    /// have it.
    #[schemars(length(min = 2, max = 64))]
    pub name: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: T,
}

/// How settings are changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyChange {
    /// Names of settings to put back to their defaults.
    pub delete: Option<Vec<String>>,
    /// Refuse the change if the settings have another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// A new server of Gotify.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct GotifyNew {
    /// Its name and settings.
    #[serde(flatten)]
    pub new: NotifyNew<Gotify>,
    /// Token of an application; it is never shown.
    #[schemars(length(min = 1, max = 1024))]
    pub token: String,
}

/// Changed settings of a server of Gotify; what is absent stays.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct GotifyChange {
    /// Its name.
    pub name: String,
    /// Description.
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Whether it is told nothing (default no).
    pub disable: Option<bool>,
    /// Address of the server; the token is needed again when it changes.
    #[schemars(length(min = 1, max = 2048))]
    pub server: Option<String>,
    /// Token of an application; it is never shown.
    #[schemars(length(min = 1, max = 1024))]
    pub token: Option<String>,
    /// What else to do.
    #[serde(flatten)]
    pub how: NotifyChange,
}

/// Changed settings of mail by way of a relay; what is absent stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SendmailChange {
    /// Its name.
    pub name: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: Sendmail,
    /// What else to do.
    #[serde(flatten)]
    pub how: NotifyChange,
}

/// A new mail server.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct SmtpNew {
    /// Its name and settings.
    #[serde(flatten)]
    pub new: NotifyNew<Smtp>,
    /// Password of the account; it is never shown.
    #[schemars(length(max = 1024))]
    pub password: Option<String>,
}

/// Changed settings of a mail server; what is absent stays.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SmtpChange {
    /// Its name.
    pub name: String,
    /// Name or address of the mail server; the password is needed again when it, the port or the mode
    /// changes.
    #[schemars(length(min = 1, max = 253))]
    pub server: Option<String>,
    /// Address of the sender.
    #[schemars(length(min = 1, max = 254))]
    pub from_address: Option<String>,
    /// Other settings.
    #[serde(flatten)]
    pub fields: SmtpFields,
    /// Password of the account; it is never shown.
    #[schemars(length(max = 1024))]
    pub password: Option<String>,
    /// What else to do.
    #[serde(flatten)]
    pub how: NotifyChange,
}

/// Changed settings of a webhook; what is absent stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WebhookChange {
    /// Its name.
    pub name: String,
    /// What is done.
    pub method: Option<WebhookMethod>,
    /// Address; a template. The values of secrets are needed again when its server changes.
    #[schemars(length(min = 1, max = 4096))]
    pub url: Option<String>,
    /// Other settings.
    #[serde(flatten)]
    pub fields: WebhookFields,
    /// What else to do.
    #[serde(flatten)]
    pub how: NotifyChange,
}

/// Changed settings of a matcher; what is absent stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MatcherChange {
    /// Its name.
    pub name: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: Matcher,
    /// What else to do.
    #[serde(flatten)]
    pub how: NotifyChange,
}

/// A target in the list of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyTarget {
    /// Its name.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: TargetKind,
    /// Description.
    pub comment: Option<String>,
    /// Whether it is told nothing.
    pub disable: bool,
    /// Whether it is there from the beginning.
    pub origin: Origin,
}

/// A field that rules of matchers can look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatcherField {
    /// Its name.
    pub name: String,
}

/// A value that a field can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatcherFieldValue {
    /// Name of the field.
    pub field: String,
    /// The value.
    pub value: String,
    /// What it says.
    pub comment: Option<String>,
}

endpoints! {
    /// Lists all targets, of every kind.
    NotifyTargetList: Get "/cluster/notifications/targets" {
        params: NoParams,
        output: Vec<NotifyTarget>,
        permission: USE,
        cli: "notify targets",
    }

    /// Sends a test to a target, and fails if it does not get there.
    NotifyTargetTest: Post "/cluster/notifications/targets/{name}/test" {
        params: NotifyPath,
        output: (),
        permission: USE,
        cli: "notify test",
    }

    /// Lists the fields of events that matchers can look at.
    MatcherFieldList: Get "/cluster/notifications/matcher-fields" {
        params: NoParams,
        output: Vec<MatcherField>,
        permission: LOOK,
        cli: "notify fields",
    }

    /// Lists the values that fields of events can have, as far as they are known.
    MatcherFieldValueList: Get "/cluster/notifications/matcher-field-values" {
        params: NoParams,
        output: Vec<MatcherFieldValue>,
        permission: LOOK,
        cli: "notify values",
    }

    /// Lists the matchers.
    MatcherList: Get "/cluster/notifications/matchers" {
        params: NoParams,
        output: Vec<NotifyEntry<Matcher>>,
        permission: USE,
        cli: "notify matcher list",
    }

    /// Shows a matcher.
    MatcherGet: Get "/cluster/notifications/matchers/{name}" {
        params: NotifyPath,
        output: NotifyShown<Matcher>,
        permission: LOOK,
        cli: "notify matcher show",
    }

    /// Adds a matcher, which says which events go to which targets.
    MatcherCreate: Post "/cluster/notifications/matchers" {
        params: NotifyNew<Matcher>,
        output: (),
        permission: MODIFY,
        cli: "notify matcher create",
    }

    /// Changes a matcher.
    MatcherUpdate: Put "/cluster/notifications/matchers/{name}" {
        params: MatcherChange,
        output: (),
        permission: MODIFY,
        cli: "notify matcher set",
    }

    /// Removes a matcher; the one that is there from the beginning is put back to what it was.
    MatcherDelete: Delete "/cluster/notifications/matchers/{name}" {
        params: NotifyPath,
        output: (),
        permission: MODIFY,
        cli: "notify matcher delete",
    }

    /// Lists the targets that are servers of Gotify.
    GotifyList: Get "/cluster/notifications/endpoints/gotify" {
        params: NoParams,
        output: Vec<NotifyEntry<Gotify>>,
        permission: AUDIT,
        cli: "notify gotify list",
    }

    /// Shows a server of Gotify, without its token.
    GotifyGet: Get "/cluster/notifications/endpoints/gotify/{name}" {
        params: NotifyPath,
        output: NotifyShown<Gotify>,
        permission: LOOK,
        cli: "notify gotify show",
    }

    /// Adds a server of Gotify as target.
    GotifyCreate: Post "/cluster/notifications/endpoints/gotify" {
        params: GotifyNew,
        output: (),
        permission: CONNECT,
        cli: "notify gotify create",
    }

    /// Changes a server of Gotify.
    GotifyUpdate: Put "/cluster/notifications/endpoints/gotify/{name}" {
        params: GotifyChange,
        output: (),
        permission: CONNECT,
        cli: "notify gotify set",
    }

    /// Removes a server of Gotify, unless a matcher names it.
    GotifyDelete: Delete "/cluster/notifications/endpoints/gotify/{name}" {
        params: NotifyPath,
        output: (),
        permission: MODIFY,
        cli: "notify gotify delete",
    }

    /// Lists the targets that are mail by way of this host.
    SendmailList: Get "/cluster/notifications/endpoints/sendmail" {
        params: NoParams,
        output: Vec<NotifyEntry<Sendmail>>,
        permission: LOOK,
        cli: "notify sendmail list",
    }

    /// Shows a target that is mail by way of this host.
    SendmailGet: Get "/cluster/notifications/endpoints/sendmail/{name}" {
        params: NotifyPath,
        output: NotifyShown<Sendmail>,
        permission: LOOK,
        cli: "notify sendmail show",
    }

    /// Adds mail by way of this host as target.
    ///
    /// The host has no mail server of its own: set `relay` to a target of type smtp, or nothing can be
    /// sent.
    SendmailCreate: Post "/cluster/notifications/endpoints/sendmail" {
        params: NotifyNew<Sendmail>,
        output: (),
        permission: CONNECT,
        cli: "notify sendmail create",
    }

    /// Changes a target that is mail by way of this host.
    SendmailUpdate: Put "/cluster/notifications/endpoints/sendmail/{name}" {
        params: SendmailChange,
        output: (),
        permission: CONNECT,
        cli: "notify sendmail set",
    }

    /// Removes a target that is mail by way of this host, unless a matcher names it.
    ///
    /// The one that is there from the beginning is put back to what it was.
    SendmailDelete: Delete "/cluster/notifications/endpoints/sendmail/{name}" {
        params: NotifyPath,
        output: (),
        permission: MODIFY,
        cli: "notify sendmail delete",
    }

    /// Lists the targets that are mail servers.
    SmtpList: Get "/cluster/notifications/endpoints/smtp" {
        params: NoParams,
        output: Vec<NotifyEntry<Smtp>>,
        permission: LOOK,
        cli: "notify smtp list",
    }

    /// Shows a mail server, without its password.
    SmtpGet: Get "/cluster/notifications/endpoints/smtp/{name}" {
        params: NotifyPath,
        output: NotifyShown<Smtp>,
        permission: LOOK,
        cli: "notify smtp show",
    }

    /// Adds mail by a server as target.
    SmtpCreate: Post "/cluster/notifications/endpoints/smtp" {
        params: SmtpNew,
        output: (),
        permission: CONNECT,
        cli: "notify smtp create",
    }

    /// Changes a mail server.
    SmtpUpdate: Put "/cluster/notifications/endpoints/smtp/{name}" {
        params: SmtpChange,
        output: (),
        permission: CONNECT,
        cli: "notify smtp set",
    }

    /// Removes a mail server, unless a matcher names it or mail goes by way of it.
    SmtpDelete: Delete "/cluster/notifications/endpoints/smtp/{name}" {
        params: NotifyPath,
        output: (),
        permission: MODIFY,
        cli: "notify smtp delete",
    }

    /// Lists the targets that are webhooks.
    WebhookList: Get "/cluster/notifications/endpoints/webhook" {
        params: NoParams,
        output: Vec<NotifyEntry<Webhook>>,
        permission: AUDIT,
        cli: "notify webhook list",
    }

    /// Shows a webhook; of its secrets, the names.
    WebhookGet: Get "/cluster/notifications/endpoints/webhook/{name}" {
        params: NotifyPath,
        output: NotifyShown<Webhook>,
        permission: LOOK,
        cli: "notify webhook show",
    }

    /// Adds a webhook as target: a request whose address, headers and body are templates.
    ///
    /// In `{{ … }}` may stand title, message, severity, timestamp, fields.NAME and secrets.NAME, and
    /// url-encode, escape or json before it.
    WebhookCreate: Post "/cluster/notifications/endpoints/webhook" {
        params: NotifyNew<Webhook>,
        output: (),
        permission: CONNECT,
        cli: "notify webhook create",
    }

    /// Changes a webhook.
    WebhookUpdate: Put "/cluster/notifications/endpoints/webhook/{name}" {
        params: WebhookChange,
        output: (),
        permission: CONNECT,
        cli: "notify webhook set",
    }

    /// Removes a webhook, unless a matcher names it.
    WebhookDelete: Delete "/cluster/notifications/endpoints/webhook/{name}" {
        params: NotifyPath,
        output: (),
        permission: MODIFY,
        cli: "notify webhook delete",
    }
}

//! Certificates from authorities that speak ACME (RFC 8555): accounts, plugins that prove names,
//! and the certificate of a node.

use super::{NoParams, NodePath};
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::SysModify;
use basalt_model::acme::ConfigId;
use basalt_model::upid::Upid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const PLUGINS: Permission = perm("/", &[SysModify]);
const CERTIFICATE: Permission = perm("/nodes/{node}", &[SysModify]);

/// An account in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeAccountEntry {
    /// Name.
    pub name: ConfigId,
}

/// An account to make at an authority.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AcmeAccountNew {
    /// Its name here (default `default`).
    pub name: Option<ConfigId>,
    /// Mail addresses where the authority can reach somebody, separated by commas.
    #[schemars(length(max = 1024), extend("format" = "list"))]
    pub contact: String,
    /// Address of the authority's directory, `https://…` (default that of Let's Encrypt).
    #[schemars(length(max = 512))]
    pub directory: Option<String>,
    /// Address of the terms of service that you agree to, as the authority gives it.
    #[serde(rename = "tos_url")]
    #[schemars(length(max = 512))]
    pub tos_url: Option<String>,
    /// Name of the key that the authority gave you for this, if it wants one.
    #[schemars(length(min = 1, max = 512))]
    pub eab_kid: Option<String>,
    /// The key, in base64 for addresses; used once and not kept.
    #[schemars(length(min = 1, max = 512))]
    pub eab_hmac_key: Option<String>,
}

/// An account by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeAccountPath {
    /// Name of the account.
    pub name: ConfigId,
}

/// What changes of an account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeAccountChange {
    /// Name of the account.
    pub name: ConfigId,
    /// Mail addresses where the authority can reach somebody, separated by commas; without, the
    /// authority is only asked for the account as it is.
    #[schemars(length(max = 1024), extend("format" = "list"))]
    pub contact: Option<String>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AcmeAccount {
    /// What the authority says about it.
    pub account: Map<String, Value>,
    /// Address of the authority's directory.
    pub directory: String,
    /// Address of the account.
    pub location: String,
    /// Address of the terms of service that were agreed to.
    pub tos: Option<String>,
}

/// An authority to ask.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeDirectoryQuery {
    /// Address of its directory, `https://…` (default that of Let's Encrypt). One that is neither
    /// well known nor that of an account takes Sys.Modify.
    #[schemars(length(max = 512))]
    pub directory: Option<String>,
}

/// A well-known authority.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeDirectory {
    /// Name.
    pub name: String,
    /// Address of its directory.
    pub url: String,
}

/// What an authority says about itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcmeMeta {
    /// Names that CAA records know it by.
    pub caa_identities: Option<Vec<String>>,
    /// Whether it takes only accounts of its customers.
    pub external_account_required: Option<bool>,
    /// Address of its terms of service.
    pub terms_of_service: Option<String>,
    /// Address of a page about it.
    pub website: Option<String>,
}

/// A hook that plugins can use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeChallengeSchema {
    /// What `api` of a plugin says.
    pub id: String,
    /// Name.
    pub name: String,
    /// What its data may have; hooks do not say.
    pub schema: Map<String, Value>,
    /// Always `dns`.
    #[serde(rename = "type")]
    pub kind: AcmePluginType,
}

/// How a plugin proves names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcmePluginType {
    /// By a record in DNS that a hook sets (dns-01).
    Dns,
    /// By a page on port 80 (http-01).
    Standalone,
}

/// Which plugins to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmePluginQuery {
    /// Only these.
    #[serde(rename = "type")]
    pub kind: Option<AcmePluginType>,
}

/// What is configured of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AcmePluginFields {
    /// The hook that sets records: the name of a program in /var/lib/basalt/acme/hooks.
    #[schemars(length(min = 1, max = 64))]
    pub api: Option<String>,
    /// What the hook is given on its standard input: lines KEY=value, in base64.
    #[schemars(length(max = 65536))]
    pub data: Option<String>,
    /// Do not use it.
    pub disable: Option<bool>,
    /// Nodes that may use it, separated by commas (default all).
    #[schemars(length(max = 4096), extend("format" = "list"))]
    pub nodes: Option<String>,
    /// Seconds until everybody can see a record (default 30).
    #[schemars(range(max = 172800))]
    pub validation_delay: Option<u32>,
}

/// A new plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmePluginNew {
    /// Name.
    pub id: ConfigId,
    /// How it proves names.
    #[serde(rename = "type")]
    pub kind: AcmePluginType,
    /// What is configured.
    #[serde(flatten)]
    pub fields: AcmePluginFields,
}

/// A plugin by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmePluginPath {
    /// Name of the plugin.
    pub id: ConfigId,
}

/// What changes of a plugin; what is absent stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmePluginChange {
    /// Name of the plugin.
    pub id: ConfigId,
    /// Settings to set.
    #[serde(flatten)]
    pub fields: AcmePluginFields,
    /// Settings to put back to their defaults, separated by commas.
    #[schemars(length(max = 4096), extend("format" = "list"))]
    pub delete: Option<String>,
    /// Refuse the change if the plugin has another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// A plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmePlugin {
    /// Name.
    pub plugin: ConfigId,
    /// How it proves names.
    #[serde(rename = "type")]
    pub kind: AcmePluginType,
    /// What is configured.
    #[serde(flatten)]
    pub fields: AcmePluginFields,
    /// Changes whenever the plugin does.
    pub digest: String,
}

/// A certificate to order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeCertificateNew {
    /// Name of the node.
    pub node: String,
    /// Replace a certificate that was brought or ordered before.
    pub force: Option<bool>,
}

/// A certificate to renew.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcmeCertificateRenewal {
    /// Name of the node.
    pub node: String,
    /// Renew it though its end is not near.
    pub force: Option<bool>,
}

endpoints! {
    /// Lists the accounts at authorities.
    AcmeAccountList: Get "/cluster/acme/account" {
        params: NoParams,
        output: Vec<AcmeAccountEntry>,
        permission: Permission::AnyUser,
        cli: "acme account-list",
    }

    /// Makes an account at an authority.
    AcmeAccountCreate: Post "/cluster/acme/account" {
        params: AcmeAccountNew,
        output: Upid,
        permission: Permission::Root,
        kind: Task,
        cli: "acme account-create",
    }

    /// Shows an account.
    AcmeAccountGet: Get "/cluster/acme/account/{name}" {
        params: AcmeAccountPath,
        output: AcmeAccount,
        permission: Permission::Root,
        cli: "acme account-show",
    }

    /// Tells the authority who can be reached about an account, and reads the account anew.
    AcmeAccountUpdate: Put "/cluster/acme/account/{name}" {
        params: AcmeAccountChange,
        output: Upid,
        permission: Permission::Root,
        kind: Task,
        cli: "acme account-set",
    }

    /// Ends an account at its authority and forgets it.
    AcmeAccountDelete: Delete "/cluster/acme/account/{name}" {
        params: AcmeAccountPath,
        output: Upid,
        permission: Permission::Root,
        kind: Task,
        cli: "acme account-delete",
    }

    /// Shows where the terms of service of an authority are.
    AcmeTos: Get "/cluster/acme/tos" {
        params: AcmeDirectoryQuery,
        output: Option<String>,
        permission: Permission::AnyUser,
        cli: "acme terms",
    }

    /// Shows what an authority says about itself.
    AcmeMetaGet: Get "/cluster/acme/meta" {
        params: AcmeDirectoryQuery,
        output: AcmeMeta,
        permission: Permission::AnyUser,
        cli: "acme meta",
    }

    /// Lists well-known authorities.
    AcmeDirectories: Get "/cluster/acme/directories" {
        params: NoParams,
        output: Vec<AcmeDirectory>,
        permission: Permission::AnyUser,
        cli: "acme directories",
    }

    /// Lists the hooks that plugins can use.
    AcmeChallengeSchemas: Get "/cluster/acme/challenge-schema" {
        params: NoParams,
        output: Vec<AcmeChallengeSchema>,
        permission: Permission::AnyUser,
        cli: "acme hooks",
    }

    /// Lists the plugins that prove names.
    AcmePluginList: Get "/cluster/acme/plugins" {
        params: AcmePluginQuery,
        output: Vec<AcmePlugin>,
        permission: PLUGINS,
        cli: "acme plugin-list",
    }

    /// Adds a plugin that proves names.
    AcmePluginCreate: Post "/cluster/acme/plugins" {
        params: AcmePluginNew,
        output: (),
        permission: PLUGINS,
        cli: "acme plugin-create",
    }

    /// Shows a plugin.
    AcmePluginGet: Get "/cluster/acme/plugins/{id}" {
        params: AcmePluginPath,
        output: AcmePlugin,
        permission: PLUGINS,
        cli: "acme plugin-show",
    }

    /// Changes a plugin.
    AcmePluginUpdate: Put "/cluster/acme/plugins/{id}" {
        params: AcmePluginChange,
        output: (),
        permission: PLUGINS,
        cli: "acme plugin-set",
    }

    /// Removes a plugin.
    AcmePluginDelete: Delete "/cluster/acme/plugins/{id}" {
        params: AcmePluginPath,
        output: (),
        permission: PLUGINS,
        cli: "acme plugin-delete",
    }

    /// Orders the certificate that the node's settings describe, and shows it on port 8006.
    ///
    /// The certificate that was shown stays until the new one is there.
    AcmeCertificateOrder: Post "/nodes/{node}/certificates/acme/certificate" {
        params: AcmeCertificateNew,
        output: Upid,
        permission: CERTIFICATE,
        kind: Task,
        cli: "node certificate-order",
    }

    /// Orders the node's certificate anew when its end is near. The node does so by itself.
    AcmeCertificateRenew: Put "/nodes/{node}/certificates/acme/certificate" {
        params: AcmeCertificateRenewal,
        output: Upid,
        permission: CERTIFICATE,
        kind: Task,
        cli: "node certificate-renew",
    }

    /// Takes the node's certificate back at its authority, and goes back to the node's own.
    AcmeCertificateRevoke: Delete "/nodes/{node}/certificates/acme/certificate" {
        params: NodePath,
        output: Upid,
        permission: CERTIFICATE,
        kind: Task,
        cli: "node certificate-revoke",
    }
}

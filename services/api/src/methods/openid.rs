//! Logins at OpenID Connect providers.

use super::access::Ticket;
use crate::endpoints;
use crate::permission::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A login at a provider that begins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct OpenIdBegin {
    /// Name of the realm.
    #[schemars(length(max = 32))]
    pub realm: String,
    /// Where the provider sends the browser back to; the provider has to know it.
    #[schemars(length(max = 255))]
    pub redirect_url: String,
}

/// A login at a provider that comes back.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct OpenIdEnd {
    /// Code that the provider gave.
    #[schemars(length(max = 4096))]
    pub code: String,
    /// State that the address of the login had.
    #[schemars(length(max = 1024))]
    pub state: String,
    /// Where the provider sent the browser back to.
    #[schemars(length(max = 255))]
    pub redirect_url: String,
}

endpoints! {
    /// Begins a login at the provider of a realm.
    ///
    /// The result is the address to send the browser to. It comes back to `redirect-url` with `code`
    /// and `state`, within ten minutes.
    OpenIdAuthUrl: Post "/access/openid/auth-url" {
        params: OpenIdBegin,
        output: String,
        permission: Permission::World,
    }

    /// Completes a login at the provider of a realm.
    OpenIdLogin: Post "/access/openid/login" {
        params: OpenIdEnd,
        output: Ticket,
        permission: Permission::World,
    }
}

//! Logins at OpenID Connect providers.

use super::access::{note_login, ticket};
use crate::auth::openid::Back;
use crate::call::Call;
use crate::router::Router;
use basalt_api::Result;
use basalt_api::methods::access::Ticket;
use basalt_api::methods::openid::{OpenIdAuthUrl, OpenIdBegin, OpenIdEnd, OpenIdLogin};

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<OpenIdAuthUrl, _, _, _>(async |call, params| begin(&call, params).await);
    router.on::<OpenIdLogin, _, _, _>(async |call, params| end(&call, params).await);
}

async fn begin(call: &Call, login: OpenIdBegin) -> Result<String> {
    let access = &call.core.access;
    access.openid_begin(&login.realm, &login.redirect_url).await
}

async fn end(call: &Call, login: OpenIdEnd) -> Result<Ticket> {
    let access = &call.core.access;
    let back = Back {
        code: &login.code,
        state: &login.state,
        redirect: &login.redirect_url,
        from: call.from,
        page: call.page.as_ref(),
    };
    let (user, answer) = access.openid_end(back).await;
    note_login(call, user, &answer);
    Ok(ticket(access, answer?))
}

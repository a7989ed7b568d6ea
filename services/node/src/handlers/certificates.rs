//! The certificate that the gateway shows.

use crate::call::Call;
use crate::certificate::{self, custom};
use crate::router::Router;
use basalt_api::methods::NodePath;
use basalt_api::methods::certificates::{
    Certificate, CertificateBring, CertificateInfo, CertificateNew, CertificateRemoval,
    CertificateRemove,
};
use basalt_api::{Error, Result};
use std::path::PathBuf;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<CertificateInfo, _, _, _>(info);
    router.on::<CertificateBring, _, _, _>(bring);
    router.on::<CertificateRemove, _, _, _>(remove);
}

async fn info(call: Call, params: NodePath) -> Result<Vec<Certificate>> {
    call.node.check_name(&params.node)?;
    Ok(vec![certificate::read(&call.node.settings.state)?])
}

async fn bring(call: Call, params: CertificateNew) -> Result<Certificate> {
    call.node.check_name(&params.node)?;
    let (chain, key) = (params.certificates, params.key);
    let force = params.force.unwrap_or(false);
    change(&call, move |state| {
        custom::install(&state, &chain, key.as_deref(), None, force)
    })
    .await?;
    reload(&call, params.restart).await?;
    certificate::read(&call.node.settings.state)
}

async fn remove(call: Call, params: CertificateRemoval) -> Result<()> {
    call.node.check_name(&params.node)?;
    change(&call, |state| custom::remove(&state)).await?;
    reload(&call, params.restart).await
}

async fn change(
    call: &Call,
    what: impl FnOnce(PathBuf) -> Result<()> + Send + 'static,
) -> Result<()> {
    let state = call.node.settings.state.clone();
    let changing = tokio::task::spawn_blocking(move || what(state));
    changing.await.map_err(Error::failed)?
}

async fn reload(call: &Call, wanted: Option<bool>) -> Result<()> {
    if !wanted.unwrap_or(false) {
        return Ok(());
    }
    let reloaded = certificate::reload(&call.node.units).await;
    reloaded.map_err(Error::failed)
}

//! Accounts at authorities that speak ACME, what proves names, and the node's certificate.

use crate::acme::accounts::{self, New};
use crate::acme::order::{self, Deed};
use crate::acme::{DIRECTORIES, blocking, checked_directory, connect, hooks, plugins};
use crate::call::Call;
use crate::error::IntoApi;
use crate::router::Router;
use basalt_acme::{ExternalAccount, Meta};
use basalt_api::methods::NoParams;
use basalt_api::methods::acme::{
    AcmeAccount, AcmeAccountChange, AcmeAccountCreate, AcmeAccountDelete, AcmeAccountEntry,
    AcmeAccountGet, AcmeAccountList, AcmeAccountNew, AcmeAccountPath, AcmeAccountUpdate,
    AcmeCertificateOrder, AcmeCertificateRenew, AcmeCertificateRevoke, AcmeChallengeSchema,
    AcmeChallengeSchemas, AcmeDirectories, AcmeDirectory, AcmeDirectoryQuery, AcmeMeta,
    AcmeMetaGet, AcmePlugin, AcmePluginChange, AcmePluginCreate, AcmePluginDelete, AcmePluginGet,
    AcmePluginList, AcmePluginNew, AcmePluginPath, AcmePluginQuery, AcmePluginType,
    AcmePluginUpdate, AcmeTos,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::SysModify;
use basalt_model::acme::DEFAULT_ACCOUNT;
use basalt_model::upid::Upid;
use basalt_tasks::{NewTask, TaskContext};
use serde_json::Map;
use std::future::Future;
use std::sync::Arc;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<AcmeAccountList, _, _, _>(account_list);
    router.on::<AcmeAccountCreate, _, _, _>(account_create);
    router.on::<AcmeAccountGet, _, _, _>(account);
    router.on::<AcmeAccountUpdate, _, _, _>(account_update);
    router.on::<AcmeAccountDelete, _, _, _>(account_delete);
    router.on::<AcmeTos, _, _, _>(tos);
    router.on::<AcmeMetaGet, _, _, _>(meta);
    router.on::<AcmeDirectories, _, _, _>(directories);
    router.on::<AcmeChallengeSchemas, _, _, _>(challenge_schemas);
    router.on::<AcmePluginList, _, _, _>(plugin_list);
    router.on::<AcmePluginCreate, _, _, _>(plugin_create);
    router.on::<AcmePluginGet, _, _, _>(plugin);
    router.on::<AcmePluginUpdate, _, _, _>(plugin_update);
    router.on::<AcmePluginDelete, _, _, _>(plugin_delete);
    router.on::<AcmeCertificateOrder, _, _, _>(async |call, params| {
        certificate(&call, &params.node, Deed::Order, params.force)
    });
    router.on::<AcmeCertificateRenew, _, _, _>(async |call, params| {
        certificate(&call, &params.node, Deed::Renew, params.force)
    });
    router.on::<AcmeCertificateRevoke, _, _, _>(async |call, params| {
        certificate(&call, &params.node, Deed::Revoke, None)
    });
}

async fn account_list(call: Call, _: NoParams) -> Result<Vec<AcmeAccountEntry>> {
    let names = accounts::names(&call.core).into_iter();
    let entry = |name: String| {
        let name = name.parse().map_err(Error::failed)?;
        Ok(AcmeAccountEntry { name })
    };
    names.map(entry).collect()
}

/// Does something about an account as a task; one at a time.
fn account_task<W>(
    call: &Call,
    kind: &'static str,
    name: &str,
    work: impl FnOnce(TaskContext) -> W,
) -> Result<Upid>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let lock = call
        .core
        .tasks
        .lock(&format!("ACME account '{name}'"), kind);
    let task = NewTask {
        kind,
        id: name.to_owned(),
        user: call.auth(),
        lock: Some(lock.api()?),
    };
    tracing::info!(target: "audit", by = %call.auth(), account = name, kind, "ACME account");
    call.core.tasks.spawn(task, work).api()
}

async fn account_create(call: Call, params: AcmeAccountNew) -> Result<Upid> {
    let name = params.name.map(|name| name.to_string());
    let name = name.unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
    accounts::is_free(&call.core, &name)?;
    let customer = match (&params.eab_kid, &params.eab_hmac_key) {
        (Some(kid), Some(key)) => {
            let read = ExternalAccount::new(kid, key);
            Some(read.map_err(|error| Error::param("eab-hmac-key", error))?)
        }
        (None, None) => None,
        (Some(_), None) => return Err(Error::param("eab-hmac-key", "belongs to eab-kid")),
        (None, Some(_)) => return Err(Error::param("eab-kid", "belongs to eab-hmac-key")),
    };
    let new = New {
        contact: accounts::contacts(&params.contact)?,
        directory: checked_directory(params.directory.as_deref())?,
        tos: params.tos_url,
        name: name.clone(),
        customer,
    };
    let core = Arc::clone(&call.core);
    account_task(&call, "acmeregister", &name, |context| async move {
        context.log(format_args!("registering at {}", new.directory));
        let location = accounts::register(&core, new).await?;
        context.log(format_args!("the account is {location}"));
        Ok(())
    })
}

async fn account(call: Call, params: AcmeAccountPath) -> Result<AcmeAccount> {
    accounts::get(&call.core, params.name.as_str())
}

async fn account_update(call: Call, params: AcmeAccountChange) -> Result<Upid> {
    let name = params.name.to_string();
    accounts::get(&call.core, &name)?;
    let contact = params.contact.as_deref().map(accounts::contacts);
    let contact = contact.transpose()?;
    let (core, known) = (Arc::clone(&call.core), name.clone());
    account_task(&call, "acmeupdate", &name, |_| async move {
        accounts::update(&core, &known, contact).await
    })
}

async fn account_delete(call: Call, params: AcmeAccountPath) -> Result<Upid> {
    let name = params.name.to_string();
    accounts::get(&call.core, &name)?;
    let (core, known) = (Arc::clone(&call.core), name.clone());
    account_task(&call, "acmedeactivate", &name, |_| async move {
        accounts::deactivate(&core, &known).await
    })
}

/// What an authority says about itself. Only who may change the host lets it ask anywhere.
async fn ask(call: &Call, query: &AcmeDirectoryQuery) -> Result<Meta> {
    let directory = checked_directory(query.directory.as_deref())?;
    let mut well_known = DIRECTORIES.iter().map(|(_, url)| *url);
    if !well_known.any(|url| url == directory) && !accounts::is_known(&call.core, &directory) {
        call.require("/", &[SysModify])?;
    }
    let core = Arc::clone(&call.core);
    blocking(move || Ok(connect(&core, &directory)?.meta().clone())).await
}

async fn tos(call: Call, query: AcmeDirectoryQuery) -> Result<Option<String>> {
    Ok(ask(&call, &query).await?.terms_of_service)
}

async fn meta(call: Call, query: AcmeDirectoryQuery) -> Result<AcmeMeta> {
    let meta = ask(&call, &query).await?;
    Ok(AcmeMeta {
        caa_identities: meta.caa_identities,
        external_account_required: meta.external_account_required,
        terms_of_service: meta.terms_of_service,
        website: meta.website,
    })
}

async fn directories(_: Call, _: NoParams) -> Result<Vec<AcmeDirectory>> {
    let known = DIRECTORIES.iter().map(|(name, url)| AcmeDirectory {
        name: (*name).to_owned(),
        url: (*url).to_owned(),
    });
    Ok(known.collect())
}

async fn challenge_schemas(call: Call, _: NoParams) -> Result<Vec<AcmeChallengeSchema>> {
    let names = hooks::list(&call.core.settings.state).into_iter();
    let schemas = names.map(|name| AcmeChallengeSchema {
        id: name.clone(),
        name,
        schema: Map::new(),
        kind: AcmePluginType::Dns,
    });
    Ok(schemas.collect())
}

async fn plugin_list(call: Call, query: AcmePluginQuery) -> Result<Vec<AcmePlugin>> {
    let mut all = plugins::list(&call.core)?;
    all.retain(|plugin| query.kind.is_none_or(|kind| kind == plugin.kind));
    Ok(all)
}

async fn plugin_create(call: Call, new: AcmePluginNew) -> Result<()> {
    plugins::create(&call.core, &new.id, new.kind, new.fields).await?;
    tracing::info!(target: "audit", by = %call.auth(), plugin = %new.id, "ACME plugin created");
    Ok(())
}

async fn plugin(call: Call, params: AcmePluginPath) -> Result<AcmePlugin> {
    plugins::get(&call.core, &params.id)
}

async fn plugin_update(call: Call, change: AcmePluginChange) -> Result<()> {
    let delete = change.delete.as_deref().unwrap_or_default();
    let delete = delete
        .split([',', ';', ' '])
        .filter(|name| !name.is_empty());
    let delete: Vec<&str> = delete.collect();
    let digest = change.digest.as_deref();
    plugins::update(&call.core, &change.id, change.fields, &delete, digest).await?;
    tracing::info!(target: "audit", by = %call.auth(), plugin = %change.id, "ACME plugin changed");
    Ok(())
}

async fn plugin_delete(call: Call, params: AcmePluginPath) -> Result<()> {
    plugins::remove(&call.core, &params.id).await?;
    tracing::info!(target: "audit", by = %call.auth(), plugin = %params.id, "ACME plugin removed");
    Ok(())
}

fn certificate(call: &Call, node: &str, deed: Deed, force: Option<bool>) -> Result<Upid> {
    call.node.check_name(node)?;
    order::check(&call.core, deed, force.unwrap_or(false))?;
    tracing::info!(target: "audit", by = %call.auth(), ?deed, "certificate");
    order::start(&call.node, call.auth(), deed)
}

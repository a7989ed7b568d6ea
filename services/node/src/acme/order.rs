//! The certificate of this node: ordered, renewed, taken back. Each is a task.

use super::proofs::{Follower, Proofs, Way};
use super::{accounts, blocking, connect, hooks, plugins, renewal};
use crate::auth::now;
use crate::certificate::{self, custom};
use crate::core::Core;
use crate::error::IntoApi;
use crate::guests::suspend::NODE_CONFIG;
use crate::state::Node;
use basalt_acme::CertificateRequest;
use basalt_api::methods::nodes::NodeConfig;
use basalt_api::{Error, Result};
use basalt_model::acme::{AcmeDomain, ConfigId, STANDALONE};
use basalt_model::notify::{EventType, Severity};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_notify::Event;
use basalt_tasks::{NewTask, TaskContext};
use std::collections::BTreeMap;
use std::sync::Arc;
use x509_parser::pem::parse_x509_pem;

/// What is done about the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A first one is ordered.
    Order,
    /// It is ordered anew.
    Renew,
    /// It is taken back.
    Revoke,
}

impl Deed {
    fn task(self) -> &'static str {
        match self {
            Self::Order => "acmenewcert",
            Self::Renew => "acmerenew",
            Self::Revoke => "acmerevoke",
        }
    }
}

/// What the node's settings say about its certificate.
struct Plan {
    account: String,
    domains: Vec<String>,
    ways: BTreeMap<String, Way>,
}

impl Plan {
    /// Reads the settings.
    ///
    /// # Errors
    /// When what they name is not there, or cannot be used.
    fn read(core: &Core) -> Result<Self> {
        let stored = core.store.read::<NodeConfig>(NODE_CONFIG).api()?;
        let config = stored.map(|stored| stored.value.acme).unwrap_or_default();
        let names = config.names()?;
        if names.is_empty() {
            return Err(Error::failed(
                "the node's settings name no domain: set acme=domains=… or acmedomain0",
            ));
        }
        let plan = Self {
            account: config.account(),
            domains: names.iter().map(|name| name.domain.to_string()).collect(),
            ways: names
                .iter()
                .map(|name| Ok((name.domain.to_string(), way(core, name)?)))
                .collect::<Result<_>>()?,
        };
        accounts::get(core, &plan.account)?;
        Ok(plan)
    }
}

fn way(core: &Core, name: &AcmeDomain) -> Result<Way> {
    let standalone: ConfigId = STANDALONE.parse().map_err(Error::failed)?;
    let plugin = name.plugin.as_ref().unwrap_or(&standalone);
    match plugins::usable(core, plugin)? {
        None if name.domain.is_wildcard() || name.alias.is_some() => Err(Error::failed(
            format_args!("{}: only a record in DNS can prove it", name.domain),
        )),
        None => Ok(Way::Page),
        Some(plugin) => {
            hooks::check(&core.settings.state, &plugin.api).map_err(Error::failed)?;
            let alias = name.alias.as_ref().map(|alias| alias.as_str().to_owned());
            Ok(Way::Record { plugin, alias })
        }
    }
}

/// Refuses what cannot be done now: nothing to order, or nothing that was ordered; and, without
/// `force`, to replace another certificate, or to renew one whose end is not near.
pub fn check(core: &Core, deed: Deed, force: bool) -> Result<()> {
    let state = &core.settings.state;
    let ordered = custom::account(state);
    if deed != Deed::Order && ordered.is_none() {
        return Err(Error::failed(
            "the certificate is not one that was ordered by ACME",
        ));
    }
    match deed {
        Deed::Order if custom::is_brought(state) && !force => Err(Error::param(
            "force",
            "must be set to replace the certificate that was brought before",
        )),
        Deed::Renew if !force && !renewal::is_due(&certificate::read(state)?) => Err(Error::param(
            "force",
            "must be set to renew a certificate whose end is not near",
        )),
        Deed::Order | Deed::Renew => Plan::read(core).map(|_| ()),
        Deed::Revoke => accounts::get(core, &ordered.unwrap_or_default()).map(|_| ()),
    }
}

/// Begins a task. One at a time works on the certificate.
pub fn start(node: &Arc<Node>, user: &Authid, deed: Deed) -> Result<Upid> {
    let lock = node
        .tasks
        .lock("the node's certificate", deed.task())
        .api()?;
    let task = NewTask {
        kind: deed.task(),
        id: String::new(),
        user,
        lock: Some(lock),
    };
    let work = Arc::clone(node);
    let spawned = node.tasks.spawn(task, |context| async move {
        match deed {
            Deed::Order => order(&work, &context).await,
            Deed::Renew => {
                let renewed = order(&work, &context).await;
                if let Err(error) = &renewed {
                    work.notify(not_renewed(&work, error));
                }
                renewed
            }
            Deed::Revoke => revoke(&work, &context).await,
        }
    });
    spawned.api()
}

/// What people are told of a renewal that failed.
fn not_renewed(node: &Node, error: &Error) -> Event {
    let name = &node.name;
    let until = certificate::read(&node.settings.state).map(|one| one.notafter);
    let days = until.map_or(0, |end| end.saturating_sub(now()) / renewal::DAY);
    let body = format!(
        "The certificate of {name} was not renewed:\n\n{error}\n\nIt is valid for {days} more days. The \
         renewal is tried again within a day; the log of the task acmerenew says more.\n"
    );
    let title = format!("{name}: the certificate was not renewed");
    Event::new(
        EventType::CertificateRenewal,
        Severity::Error,
        &title,
        &body,
    )
}

async fn order(node: &Arc<Node>, context: &TaskContext) -> Result<()> {
    let plan = Plan::read(node)?;
    let before = certificate::fingerprint_in(&node.settings.state);
    let account = accounts::get(node, &plan.account)?;
    let key = accounts::key(node, &plan.account)?;
    context.log(format_args!(
        "account '{}' at {}",
        plan.account, account.directory
    ));
    let mut proofs = Proofs::open(Arc::clone(node), context.clone(), plan.ways).await?;
    let follower = Follower::new(context.clone());
    let (core, domains) = (Arc::clone(&node.core), plan.domains);
    let (chain, private) = blocking(move || {
        let mut client = connect(&core, &account.directory)?;
        let request = CertificateRequest::new(&domains)?;
        let mut session = client.session(&key, &account.location);
        let chain = session.obtain(&domains, &request, &mut proofs, &follower)?;
        Ok((chain, request.key))
    })
    .await?;
    let (state, by) = (node.settings.state.clone(), plan.account);
    if certificate::fingerprint_in(&state) != before {
        let text = "the certificate was replaced by another meanwhile, which stays";
        return Err(Error::failed(text));
    }
    change(move || custom::install(&state, &chain, Some(&private), Some(&by), true)).await?;
    context.log("the certificate is in place");
    reload(node, context).await;
    Ok(())
}

async fn revoke(node: &Arc<Node>, context: &TaskContext) -> Result<()> {
    let state = node.settings.state.clone();
    let name = custom::account(&state).unwrap_or_default();
    let (account, key) = (accounts::get(node, &name)?, accounts::key(node, &name)?);
    let pem = std::fs::read(state.join(certificate::FILE)).api()?;
    let (_, block) = parse_x509_pem(&pem).map_err(Error::failed)?;
    let core = Arc::clone(&node.core);
    context.log(format_args!(
        "taking the certificate back at {}",
        account.directory
    ));
    blocking(move || {
        let mut client = connect(&core, &account.directory)?;
        let revoked = client
            .session(&key, &account.location)
            .revoke(&block.contents);
        match revoked {
            Err(basalt_acme::Error::Refused { kind, .. }) if kind == "alreadyRevoked" => Ok(()),
            other => other,
        }
    })
    .await?;
    change(move || custom::remove(&state)).await?;
    context.log("the node's own certificate is back in place");
    reload(node, context).await;
    Ok(())
}

async fn change(what: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let changing = tokio::task::spawn_blocking(what);
    changing.await.map_err(Error::failed)?
}

/// Lets the gateway show the certificate. It does so from its next start on in any case.
async fn reload(node: &Node, context: &TaskContext) {
    if let Err(error) = certificate::reload(&node.units).await {
        context.warn(format_args!("the gateway still shows the old one: {error}"));
    }
}

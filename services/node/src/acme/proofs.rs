//! Shows the proofs of an order: pages on port 80, and records by hooks.

use super::hooks::{self, Action, Order};
use super::plugins::Dns;
use crate::state::Node;
use basalt_acme::{Challenge, Kind, Progress, Solver, Stopped, dns_record, http01};
use basalt_api::{Error, Result};
use basalt_tasks::TaskContext;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// How a name is proved.
#[derive(Debug, Clone)]
pub enum Way {
    /// By a page.
    Page,
    /// By a record that a hook sets.
    Record {
        /// What sets it.
        plugin: Dns,
        /// Where it is set instead of at the name.
        alias: Option<String>,
    },
}

/// Shows the proofs of an order, on a thread that may block.
pub struct Proofs {
    node: Arc<Node>,
    context: TaskContext,
    runtime: Handle,
    ways: BTreeMap<String, Way>,
    pages: http01::Pages,
    /// Answers on port 80, as long as this is there.
    _door: Option<AbortOnDropHandle<()>>,
}

impl Proofs {
    /// Opens port 80 if a name is proved by a page.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn open(
        node: Arc<Node>,
        context: TaskContext,
        ways: BTreeMap<String, Way>,
    ) -> Result<Self> {
        let pages = http01::Pages::default();
        let mut door = None;
        if ways.values().any(|way| matches!(way, Way::Page)) {
            let port = node.settings.challenge_port;
            let listener = listen(port).await;
            let listener = listener.map_err(|error| {
                Error::failed(format_args!("listening on port {port}: {error}"))
            })?;
            context.log(format_args!("answering on port {port}"));
            let serving = tokio::spawn(http01::serve(listener, pages.clone()));
            door = Some(AbortOnDropHandle::new(serving));
        }
        Ok(Self {
            node,
            context,
            runtime: Handle::current(),
            ways,
            pages,
            _door: door,
        })
    }

    /// Calls the hook of a name; nothing for one that is proved by a page.
    fn hook(&self, challenge: &Challenge, action: Action) -> std::result::Result<Duration, String> {
        let Some(Way::Record { plugin, alias }) = self.ways.get(&challenge.domain) else {
            return Ok(Duration::ZERO);
        };
        let record = dns_record(&challenge.domain, alias.as_deref());
        let text = challenge.txt();
        let order = Order {
            action,
            record: &record,
            text: &text,
        };
        let state = &self.node.settings.state;
        // A hook that was called comes to its end even if the task is to stop: only then is it
        // known that there is a record to take away.
        let call = hooks::run(&self.node.units, state, plugin, order);
        let printed = self.runtime.block_on(call)?;
        for line in printed {
            self.context.log(format_args!("{}: {line}", plugin.api));
        }
        Ok(plugin.delay)
    }
}

/// On IPv6 and IPv4, or on IPv4 where there is no other.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

impl Solver for Proofs {
    fn kind(&self, domain: &str) -> Kind {
        match self.ways.get(domain) {
            Some(Way::Record { .. }) => Kind::Dns01,
            Some(Way::Page) | None => Kind::Http01,
        }
    }

    fn show(&mut self, challenge: &Challenge) -> std::result::Result<Duration, String> {
        if challenge.kind == Kind::Http01 {
            self.pages.show(&challenge.token, &challenge.authorization);
        }
        self.hook(challenge, Action::Add)
    }

    fn withdraw(&mut self, challenge: &Challenge) -> std::result::Result<(), String> {
        self.pages.withdraw(&challenge.token);
        self.hook(challenge, Action::Remove).map(|_| ())
    }
}

/// Follows an order in the task's log, on a thread that may block.
pub struct Follower {
    context: TaskContext,
    runtime: Handle,
}

impl Follower {
    /// Follows on the present runtime.
    pub fn new(context: TaskContext) -> Self {
        Self {
            context,
            runtime: Handle::current(),
        }
    }
}

impl Progress for Follower {
    fn log(&self, text: &str) {
        self.context.log(text);
    }

    fn wait(&self, time: Duration) -> std::result::Result<(), Stopped> {
        if self.context.is_cancelled() {
            return Err(Stopped);
        }
        let waiting = self.context.unless_cancelled(tokio::time::sleep(time));
        self.runtime.block_on(waiting).map_err(|_| Stopped)
    }
}

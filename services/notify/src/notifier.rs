//! Takes events, and sees that those who want to know are told.
//!
//! Each target has a worker with room for some events beside the one that it tells of. A server that
//! does not answer costs its own target and nobody else: neither whoever emits an event nor other
//! targets wait. What is not told when the node ends is lost; the journal has every event.

use crate::delivery::Delivery;
use crate::{Error, Event, Result, matcher};
use basalt_model::notify::{NotifyConfig, NotifySecrets};
use basalt_model::userid::Userid;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// So many events wait for a target; what comes when there is no more room is not told.
const ROOM: usize = 32;

/// The settings with their secrets.
#[derive(Clone)]
pub struct Configured {
    /// The settings, with what is there from the beginning.
    pub config: NotifyConfig,
    /// The secrets.
    pub secrets: NotifySecrets,
}

/// Knows the settings as they are now. Nothing here waits.
pub trait Source: Send + Sync + 'static {
    /// All settings; or why they cannot be read.
    fn configured(&self) -> std::result::Result<Configured, String>;

    /// The address of a user for mail.
    fn address_of(&self, user: &Userid) -> Option<String>;

    /// Seconds by which the host's clock on the wall is ahead of universal time.
    fn utc_offset(&self, time: u64) -> i64;
}

/// How servers are reached.
#[derive(Debug, Clone)]
pub struct Network {
    /// Files with the certificates of authorities that are believed; some may not be there.
    pub authorities: Vec<PathBuf>,
    /// The host's own name, for mail servers.
    pub host: String,
    /// So long a server of the web may take.
    pub web_patience: Duration,
    /// So long a mail server may take, for all that is said.
    pub mail_patience: Duration,
    /// The waits before further tries, where one may go well.
    pub pauses: Vec<Duration>,
}

impl Network {
    /// What holds for a host of this name.
    pub fn new(host: String, authorities: Vec<PathBuf>) -> Self {
        Self {
            authorities,
            host,
            web_patience: Duration::from_secs(10),
            mail_patience: Duration::from_secs(60),
            pauses: [10, 60, 300, 900].map(Duration::from_secs).to_vec(),
        }
    }
}

/// Takes events. Clones are the same.
#[derive(Clone)]
pub struct Notifier {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn Source>,
    network: Network,
    workers: Mutex<BTreeMap<String, mpsc::Sender<Arc<Event>>>>,
}

impl Notifier {
    /// Follows the settings of a source.
    pub fn new(source: Arc<dyn Source>, network: Network) -> Self {
        Self {
            inner: Arc::new(Inner {
                source,
                network,
                workers: Mutex::default(),
            }),
        }
    }

    /// Tells of an event whoever wants to know. Never waits; must run within a Tokio runtime.
    pub fn emit(&self, event: Event) {
        let (severity, title) = (event.severity, &event.title);
        tracing::info!(%severity, title, fields = ?event.fields, "event");
        let config = match self.inner.source.configured() {
            Ok(all) => all.config,
            Err(error) => {
                tracing::error!(error, "nobody is told: the settings cannot be read");
                return;
            }
        };
        let time = i64::try_from(event.time).unwrap_or(0);
        let local = time.saturating_add(self.inner.source.utc_offset(event.time));
        let event = Arc::new(event);
        let mut workers = self
            .inner
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The worker of a target that is gone ends with what it has.
        workers.retain(|name, _| config.has_target(name));
        for target in matcher::targets(&config, &event, local) {
            let queue = workers.entry(target.to_owned()).or_insert_with(|| {
                let (queue, events) = mpsc::channel(ROOM);
                tokio::spawn(work(Arc::clone(&self.inner), target.to_owned(), events));
                queue
            });
            if queue.try_send(Arc::clone(&event)).is_err() {
                tracing::warn!(
                    target,
                    title = event.title,
                    "not told: too many events wait"
                );
            }
        }
    }

    /// Sends a test to a target, also to one that is told nothing; once, and says how it went.
    ///
    /// # Errors
    /// When it did not get there.
    pub async fn test(&self, target: &str) -> Result<()> {
        deliver(&self.inner, target, Arc::new(Event::test(target))).await
    }
}

/// Tells a target of what comes.
async fn work(inner: Arc<Inner>, target: String, mut events: mpsc::Receiver<Arc<Event>>) {
    while let Some(event) = events.recv().await {
        let mut pauses = inner.network.pauses.iter();
        loop {
            let told = deliver(&inner, &target, Arc::clone(&event)).await;
            let Err(error) = told else {
                tracing::info!(target, title = event.title, "told");
                break;
            };
            match pauses.next().filter(|_| error.is_temporary()) {
                Some(pause) => {
                    let seconds = pause.as_secs();
                    tracing::warn!(target, %error, seconds, "not told yet: tried again");
                    tokio::time::sleep(*pause).await;
                }
                None => {
                    tracing::error!(target, title = event.title, %error, "not told");
                    break;
                }
            }
        }
    }
}

async fn deliver(inner: &Arc<Inner>, target: &str, event: Arc<Event>) -> Result<()> {
    let (inner, target) = (Arc::clone(inner), target.to_owned());
    let sending = tokio::task::spawn_blocking(move || {
        let delivery = Delivery::prepare(inner.source.as_ref(), &target, &event)?;
        delivery.send(&inner.network)
    });
    let broken = |error: tokio::task::JoinError| Error::Settings(error.to_string());
    sending.await.map_err(broken)?
}

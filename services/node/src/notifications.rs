//! Notifications as they are stored, and what is told of by the node itself.
//!
//! Whoever has something to tell calls [`Node::notify`]. The sending is `basalt-notify`'s work.

pub mod disks;
pub mod fallback;
pub mod panics;

use crate::core::Core;
use crate::state::Node;
use crate::{host, host_config};
use basalt_api::{Error, Result};
use basalt_model::notify::{NotifyConfig, NotifySecrets};
use basalt_model::userid::Userid;
use basalt_notify::{Configured, Event, Network, Notifier, Source};
use basalt_store::{Expect, Store, Stored, Transaction};
use std::path::PathBuf;
use std::sync::Arc;

const CONFIG: &str = "notifications";
// Apart, so that nobody shows them by accident.
const SECRETS: &str = "notification-secrets";
/// The host's authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Authorities that are believed besides, below the folder of the store, if the file is there.
const OWN_AUTHORITIES: &str = "notify/authorities.pem";

/// Everything that is stored about notifications.
pub struct Notifications {
    stored: Option<Stored<NotifyConfig>>,
    stored_secrets: Option<Stored<NotifySecrets>>,
    /// The settings, with what is there from the beginning.
    pub config: NotifyConfig,
    /// The secrets.
    pub secrets: NotifySecrets,
}

impl Notifications {
    /// Reads it.
    pub fn read(store: &Arc<dyn Store>) -> Result<Self> {
        let stored = store.read::<NotifyConfig>(CONFIG).map_err(Error::failed)?;
        let stored_secrets = store.read::<NotifySecrets>(SECRETS);
        let stored_secrets = stored_secrets.map_err(Error::failed)?;
        let config = stored.as_ref().map(|stored| stored.value.clone());
        let secrets = stored_secrets.as_ref().map(|stored| stored.value.clone());
        Ok(Self {
            config: config.unwrap_or_default().with_builtins(),
            secrets: secrets.unwrap_or_default(),
            stored,
            stored_secrets,
        })
    }

    /// Changes whenever a setting does.
    pub fn digest(&self) -> String {
        match &self.stored {
            Some(stored) => stored.digest.clone(),
            None => basalt_store::digest(""),
        }
    }

    /// Stores what was made of it, unless somebody else did meanwhile.
    pub async fn store(self, store: &Arc<dyn Store>) -> Result<()> {
        let config = self.config.without_builtins();
        let put = || {
            Transaction::new()
                .expect(CONFIG, Expect::unchanged(&self.stored))
                .expect(SECRETS, Expect::unchanged(&self.stored_secrets))
                .put(CONFIG, &config)?
                .put(SECRETS, &self.secrets)
        };
        let change = put().map_err(Error::failed)?;
        store.commit(change).await.map_err(Error::failed)?;
        Ok(())
    }
}

/// The settings as the node has them.
struct Settings(Arc<Core>);

impl Source for Settings {
    fn configured(&self) -> std::result::Result<Configured, String> {
        let all = Notifications::read(&self.0.store).map_err(|error| error.one_line())?;
        Ok(Configured {
            config: all.config,
            secrets: all.secrets,
        })
    }

    fn address_of(&self, user: &Userid) -> Option<String> {
        let snapshot = self.0.access.snapshot();
        let set = snapshot.config.users.get(user);
        let set = set.and_then(|user| user.fields.email.clone());
        // The superuser's was asked for at the installation.
        let installed = || {
            let host = user
                .is_root()
                .then(|| host_config::read(&self.0.settings.state));
            Some(host??.email?.to_string())
        };
        set.filter(|text| !text.is_empty()).or_else(installed)
    }

    fn utc_offset(&self, time: u64) -> i64 {
        host::utc_offset(time)
    }
}

/// What tells people elsewhere, by the node's settings.
pub fn notifier(core: &Arc<Core>) -> Notifier {
    let state = &core.settings.state;
    let whole_name = host_config::read(state).map(|host| host.hostname.to_string());
    let authorities = vec![PathBuf::from(AUTHORITIES), state.join(OWN_AUTHORITIES)];
    let network = Network::new(whole_name.unwrap_or_else(|| core.name.clone()), authorities);
    Notifier::new(Arc::new(Settings(Arc::clone(core))), network)
}

impl Node {
    /// Tells of an event whoever wants to know. Never waits.
    pub fn notify(&self, event: Event) {
        self.notifier.emit(event.with("hostname", &self.name));
    }
}

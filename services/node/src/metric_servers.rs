//! The servers elsewhere that are told of figures, as they are stored.

use basalt_api::{Error, Result};
use basalt_model::field::FieldErrors;
use basalt_model::metrics::{MetricSecrets, MetricServer, Target};
use basalt_store::{Expect, Store, Stored, Transaction};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::sync::Arc;

const SERVERS: &str = "metric-servers";
// Apart, so that nobody shows them by accident.
const SECRETS: &str = "metric-secrets";

type Servers = BTreeMap<String, MetricServer>;
type Secrets = BTreeMap<String, MetricSecrets>;

/// Everything that is stored about servers.
pub struct MetricServers {
    servers: Option<Stored<Servers>>,
    secrets: Option<Stored<Secrets>>,
    /// The servers by their names.
    pub all: Servers,
    /// Their secrets.
    pub vault: Secrets,
}

impl MetricServers {
    /// Reads them.
    pub fn read(store: &Arc<dyn Store>) -> Result<Self> {
        let servers = store.read::<Servers>(SERVERS).map_err(Error::failed)?;
        let secrets = store.read::<Secrets>(SECRETS).map_err(Error::failed)?;
        Ok(Self {
            all: servers
                .as_ref()
                .map(|s| s.value.clone())
                .unwrap_or_default(),
            vault: secrets
                .as_ref()
                .map(|s| s.value.clone())
                .unwrap_or_default(),
            servers,
            secrets,
        })
    }

    /// Changes whenever one of them does.
    pub fn digest(&self) -> String {
        let digest = self.servers.as_ref().map(|stored| stored.digest.clone());
        digest.unwrap_or_default()
    }

    /// Stores what was made of them, unless somebody else did meanwhile.
    pub async fn store(self, store: &Arc<dyn Store>) -> Result<()> {
        let put = || {
            Transaction::new()
                .expect(SERVERS, Expect::unchanged(&self.servers))
                .expect(SECRETS, Expect::unchanged(&self.secrets))
                .put(SERVERS, &self.all)?
                .put(SECRETS, &self.vault)
        };
        let change = put().map_err(Error::failed)?;
        store.commit(change).await.map_err(Error::failed)?;
        Ok(())
    }
}

/// How a server is used.
pub fn target(
    server: &MetricServer,
    secrets: &MetricSecrets,
) -> std::result::Result<Target, FieldErrors> {
    server.target(secrets, |text| STANDARD.decode(text).ok())
}

/// The servers that are told of figures.
pub fn targets(store: &Arc<dyn Store>) -> BTreeMap<String, Target> {
    let servers = match MetricServers::read(store) {
        Ok(servers) => servers,
        Err(error) => {
            tracing::error!(%error, "metric servers");
            return BTreeMap::new();
        }
    };
    let none = MetricSecrets::default();
    let on = servers
        .all
        .iter()
        .filter(|(_, server)| server.fields.disable != Some(true));
    let used = on.filter_map(|(name, server)| {
        let secrets = servers.vault.get(name).unwrap_or(&none);
        match target(server, secrets) {
            Ok(target) => Some((name.clone(), target)),
            Err(error) => {
                tracing::error!(%error, server = name, "metric server");
                None
            }
        }
    });
    used.collect()
}

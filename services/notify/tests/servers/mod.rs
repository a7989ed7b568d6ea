//! Servers on loopback, and settings that lead to them.

pub mod http;
pub mod mail;

use basalt_model::notify::{NotifyConfig, NotifySecrets};
use basalt_model::userid::Userid;
use basalt_notify::{Configured, Network, Notifier, Source};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Nothing here takes so long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Settings that do not change.
struct Fixed(Configured);

impl Source for Fixed {
    fn configured(&self) -> Result<Configured, String> {
        Ok(self.0.clone())
    }

    fn address_of(&self, user: &Userid) -> Option<String> {
        user.is_root().then(|| "root@example.org".to_owned())
    }

    fn utc_offset(&self, _: u64) -> i64 {
        0
    }
}

/// A notifier with these settings and secrets, which believes the certificates in a file.
pub fn notifier(config: Value, secrets: Value, authorities: &[PathBuf]) -> Notifier {
    let config: NotifyConfig = serde_json::from_value(config).unwrap();
    let secrets: NotifySecrets = serde_json::from_value(secrets).unwrap();
    let network = Network {
        web_patience: PATIENCE,
        mail_patience: PATIENCE,
        pauses: vec![Duration::from_millis(1); 2],
        ..Network::new("n1.example.org".to_owned(), authorities.to_vec())
    };
    with_network(config, secrets, network)
}

pub fn with_network(config: NotifyConfig, secrets: NotifySecrets, network: Network) -> Notifier {
    let config = config.with_builtins();
    Notifier::new(Arc::new(Fixed(Configured { config, secrets })), network)
}

/// A certificate for this machine, as a server has it and as clients believe it.
pub fn certificate() -> (Arc<ServerConfig>, tempfile::TempDir, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authorities.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), folder, file)
}

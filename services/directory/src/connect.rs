//! Opens a connection, by TLS if that is wanted.

use crate::{Client, Error, tls};
use basalt_api::methods::realms::DirectoryMode;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use std::time::Duration;

/// A server may take so long to take a connection, and for each answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// Connects to the first server that answers.
    pub(crate) async fn connect(&self) -> Result<Ldap, Error> {
        let mut reasons = Vec::new();
        for server in &self.directory.servers {
            match self.connect_to(server).await {
                Ok(ldap) => return Ok(ldap),
                Err(error) => reasons.push(format!("{server}: {error}")),
            }
        }
        Err(Error::Unreachable(reasons.join("; ")))
    }

    async fn connect_to(&self, server: &str) -> Result<Ldap, Error> {
        let mode = self.directory.mode;
        let (scheme, port) = match mode {
            DirectoryMode::Ldap | DirectoryMode::Starttls => ("ldap", 389),
            DirectoryMode::Ldaps => ("ldaps", 636),
        };
        let port = self.directory.port.unwrap_or(port);
        let host = match server.contains(':') {
            true => format!("[{server}]"),
            false => server.to_owned(),
        };
        let mut settings = LdapConnSettings::new().set_conn_timeout(PATIENCE);
        if mode != DirectoryMode::Ldap {
            settings = settings
                .set_starttls(mode == DirectoryMode::Starttls)
                .set_config(tls::config(&self.directory)?);
        }
        let url = format!("{scheme}://{host}:{port}");
        let opened = LdapConnAsync::with_settings(settings, &url);
        let opened = tokio::time::timeout(PATIENCE, opened).await;
        let (connection, ldap) = opened.map_err(|_| Error::Answer("no answer".into()))??;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "connection to a directory");
            }
        });
        Ok(ldap)
    }
}

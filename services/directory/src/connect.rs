//! Opens a connection, by TLS if that is wanted.

use crate::{Client, Error, tls};
use basalt_api::methods::realms::DirectoryMode;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use std::net::Ipv6Addr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A server may take so long to take a connection, and for each answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How a server is called in a URL that has an IPv6 address; nobody resolves it, and no server is told.
const IPV6_SERVER: &str = "ipv6.invalid";

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
        let mut settings = LdapConnSettings::new();
        if mode != DirectoryMode::Ldap {
            settings = settings
                .set_starttls(mode == DirectoryMode::Starttls)
                .set_config(tls::config(&self.directory, server)?);
        }
        // The crate takes the brackets around an IPv6 address in a URL for a part of the name that the
        // certificate has to have: so it gets the connection, and another name (`tls` has the address).
        let host = match server.parse::<Ipv6Addr>() {
            Ok(_) => IPV6_SERVER,
            Err(_) => server,
        };
        let url = format!("{scheme}://{host}:{port}");
        let opened = async {
            let stream = TcpStream::connect((server, port)).await?.into_std()?;
            let settings = settings.set_std_stream(StdStream::Tcp(stream));
            LdapConnAsync::with_settings(settings, &url).await
        };
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

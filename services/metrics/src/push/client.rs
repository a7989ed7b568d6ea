//! Sends one sample to one server. Everything here blocks, each for a bounded time.

use super::otel;
use crate::Sample;
use basalt_model::metrics::{Compression, Target, Web};
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// The host's authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why a sample did not get there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no address for the name.
    #[error("{0}: no address")]
    NoAddress(String),
    /// The network, or a file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The web.
    #[error("{0}")]
    Web(String),
    /// The server refuses.
    #[error("the server answers with status {0}")]
    Status(u16),
}

/// Sends samples to a server.
pub struct Client {
    target: Target,
    /// For servers of the web.
    agent: Option<Agent>,
}

impl Client {
    /// A client for a server.
    ///
    /// # Errors
    /// When the host's authorities cannot be read.
    pub fn new(target: Target) -> Result<Self, Error> {
        let agent = match &target {
            Target::Udp { .. } | Target::Tcp { .. } => None,
            Target::Influx { web, .. } | Target::Otel { web, .. } => Some(agent(web)?),
        };
        Ok(Self { target, agent })
    }

    /// Sends a sample.
    ///
    /// # Errors
    /// When the server cannot be reached, takes too long or refuses.
    pub fn send(&self, sample: &Sample) -> Result<(), Error> {
        match &self.target {
            Target::Udp { server, mtu, path } => {
                let lines = match path {
                    Some(path) => sample.graphite_lines(path),
                    None => sample.influx_lines(),
                };
                packets(server, &batches(&lines, *mtu))
            }
            Target::Tcp {
                server,
                timeout,
                path,
            } => connection(server, *timeout, &sample.graphite_lines(path)),
            Target::Influx { web, token } => {
                let authorization = token.as_ref().map(|token| format!("Token {token}"));
                for body in batches(&sample.influx_lines(), web.longest) {
                    let mut headers = vec![("content-type", "text/plain; charset=utf-8")];
                    let known = authorization.as_deref();
                    headers.extend(known.map(|text| ("authorization", text)));
                    self.post(web, &headers, body.as_bytes())?;
                }
                Ok(())
            }
            Target::Otel {
                web,
                headers,
                attributes,
                compression,
            } => {
                let own = headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()));
                let mut all = vec![("content-type", "application/json")];
                all.extend(own);
                for body in otel::requests(sample, attributes, web.longest) {
                    match compression {
                        Compression::None => self.post(web, &all, body.as_bytes())?,
                        Compression::Gzip => {
                            let mut packed = GzEncoder::new(Vec::new(), Default::default());
                            packed.write_all(body.as_bytes())?;
                            let mut all = all.clone();
                            all.push(("content-encoding", "gzip"));
                            self.post(web, &all, &packed.finish()?)?;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn post(&self, web: &Web, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Error> {
        let Some(agent) = &self.agent else {
            return Err(Error::Web("there is no client".into()));
        };
        let mut request = agent.post(&web.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send(body);
        let answer = answer.map_err(|error| Error::Web(error.to_string()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Error::Status(status.as_u16())),
        }
    }
}

fn agent(web: &Web) -> Result<Agent, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    if !web.verify {
        tls = tls.disable_verification(true);
    } else if web.url.starts_with("https:") {
        let text = std::fs::read(AUTHORITIES)?;
        let trusted = parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        tls = tls.root_certs(RootCerts::Specific(Arc::new(trusted.collect())));
    }
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(web.timeout))
        .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.into())
}

/// Whole lines together, as many as `longest` bytes hold; a line that is longer goes alone.
fn batches(lines: &[String], longest: usize) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    for line in lines {
        match batches.last_mut() {
            Some(last) if last.len() + line.len() < longest => last.push_str(line),
            Some(_) | None => batches.push(line.clone()),
        }
        if let Some(last) = batches.last_mut() {
            last.push('\n');
        }
    }
    batches
}

fn addresses((host, port): &(String, u16)) -> Result<Vec<SocketAddr>, Error> {
    let found: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
    match found.is_empty() {
        true => Err(Error::NoAddress(host.clone())),
        false => Ok(found),
    }
}

fn packets(server: &(String, u16), packets: &[String]) -> Result<(), Error> {
    let addresses = addresses(server)?;
    let own: SocketAddr = match addresses[0] {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(addresses[0])?;
    for packet in packets {
        socket.send(packet.as_bytes())?;
    }
    Ok(())
}

fn connection(server: &(String, u16), timeout: Duration, lines: &[String]) -> Result<(), Error> {
    let mut last = None;
    for address in addresses(server)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(mut stream) => {
                stream.set_write_timeout(Some(timeout))?;
                let mut text = lines.join("\n");
                text.push('\n');
                return Ok(stream.write_all(text.as_bytes())?);
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error.into()),
        None => Err(Error::NoAddress(server.0.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_together_as_far_as_they_fit() {
        let lines = ["aaaa", "bbbb", "cccccccccccccc", "d"].map(str::to_owned);
        let expected = ["aaaa\nbbbb\n", "cccccccccccccc\n", "d\n"];
        assert_eq!(batches(&lines, 10), expected);
        assert!(batches(&[], 10).is_empty());
    }
}

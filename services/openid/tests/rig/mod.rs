//! A certified OpenID Connect provider that really runs, and a browser that visits it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the node's tests use it, too, and each only a part; what goes wrong ends a test"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Where logins come back to.
pub const REDIRECT: &str = "https://basalt.example.org:8006/";
/// Secret of the client `basalt`; the client `public` has none.
pub const SECRET: &str = "client-secret";

const PROVIDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openid/tests/provider");

/// A running provider.
pub struct Provider {
    process: Child,
    pub folder: tempfile::TempDir,
    pub issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Provider {
    /// Starts one, if its modules were fetched (`npm ci` in its folder).
    pub fn start() -> Option<Self> {
        let place = Path::new(PROVIDER);
        if !place.join("node_modules/oidc-provider").exists() {
            eprintln!("skipped: the modules of {PROVIDER} were not fetched");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let program = std::env::var_os("BASALT_NODE_JS").unwrap_or_else(|| "node".into());
        let mut process = Command::new(program)
            .current_dir(place)
            .args(["provider.mjs", &port.to_string()])
            .arg(folder.path())
            .arg(REDIRECT)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"), "no provider");
        // It goes on talking, and ends when nobody listens.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            process,
            folder,
            issuer: format!("https://127.0.0.1:{port}"),
        })
    }

    /// The file of the authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Goes where a browser is sent to log in, as the user `name`: the query that it comes back
    /// with.
    pub fn visit(&self, url: &str, name: &str) -> BTreeMap<String, String> {
        let pem = std::fs::read(self.authority()).unwrap();
        let authority = Certificate::from_pem(&pem).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![authority])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0);
        let agent: ureq::Agent = config.build().into();
        let mut url = format!("{url}&login_hint={name}");
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        for _ in 0..10 {
            if let Some(query) = url.strip_prefix(REDIRECT) {
                return pairs(query.trim_start_matches('?'));
            }
            let jar: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let answer = agent
                .get(&url)
                .header("cookie", jar.join("; "))
                .call()
                .unwrap();
            for cookie in answer.headers().get_all("set-cookie") {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let status = answer.status();
            let Some(place) = answer.headers().get("location") else {
                let body = answer.into_body().read_to_string().unwrap();
                panic!("{url}: {status} {body}");
            };
            let place = place.to_str().unwrap();
            url = match place.starts_with('/') {
                true => format!("{}{place}", self.issuer),
                false => place.to_owned(),
            };
        }
        panic!("the provider sends the browser round and round: {url}");
    }
}

/// The values of a query by their names.
pub fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let decoded = pairs.map(|(name, value)| {
        let value = value.replace('+', " ");
        let value = percent_encoding::percent_decode_str(&value).decode_utf8();
        (name.to_owned(), value.unwrap().into_owned())
    });
    decoded.collect()
}

fn certificates(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write("ca.pem", &authority.self_signed(&key).unwrap().pem());
    let issuer = rcgen::Issuer::new(authority, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    write(
        "server.pem",
        &server.signed_by(&key, &issuer).unwrap().pem(),
    );
    write("server.key", &key.serialize_pem());
}

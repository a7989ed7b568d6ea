//! What the tests order at, and with: a server, an authority, and somebody who shows proofs.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the node's tests use it, too, and each only a part; what goes wrong ends a test"
)]

pub mod hook;
pub mod jws;
mod outside;
pub mod server;

use basalt_acme::{
    AccountKey, CertificateRequest, Challenge, Client, Kind, Progress, Result, Solver, Stopped,
    Web, http01,
};
use hook::Hook;
use server::Server;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Shows proofs for real: pages on a listener of its own, and records by a hook.
pub struct Proofs {
    pages: http01::Pages,
    hook: Hook,
    /// Names that are proved by a record.
    pub by_record: Vec<String>,
    /// Show something else than the proof.
    pub wrong: bool,
    /// How long everybody needs to see a record.
    pub delay: Duration,
}

impl Proofs {
    /// Shows pages where the server looks for them.
    pub async fn new(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Hook::new();
        server.change(|state| {
            state.port = listener.local_addr().unwrap().port();
            state.zone = hook.zone();
        });
        let pages = http01::Pages::default();
        tokio::spawn(http01::serve(listener, pages.clone()));
        Self {
            pages,
            hook,
            by_record: Vec::new(),
            wrong: false,
            delay: Duration::ZERO,
        }
    }

    /// The records that are left.
    pub fn records(&self) -> String {
        std::fs::read_to_string(self.hook.zone()).unwrap_or_default()
    }
}

impl Solver for Proofs {
    fn kind(&self, domain: &str) -> Kind {
        match self.by_record.iter().any(|name| name == domain) {
            true => Kind::Dns01,
            false => Kind::Http01,
        }
    }

    fn show(&mut self, challenge: &Challenge) -> std::result::Result<Duration, String> {
        let record = basalt_acme::dns_record(&challenge.domain, None);
        match challenge.kind {
            Kind::Http01 if self.wrong => self.pages.show(&challenge.token, "something else"),
            Kind::Http01 => {
                self.pages.show(&challenge.token, &challenge.authorization);
            }
            Kind::Dns01 if self.wrong => self.hook.run("add", &record, "something-else")?,
            Kind::Dns01 => self.hook.run("add", &record, &challenge.txt())?,
        }
        Ok(self.delay)
    }

    fn withdraw(&mut self, challenge: &Challenge) -> std::result::Result<(), String> {
        match challenge.kind {
            Kind::Http01 => self.pages.withdraw(&challenge.token),
            Kind::Dns01 => {
                let record = basalt_acme::dns_record(&challenge.domain, None);
                self.hook.run("remove", &record, &challenge.txt())?;
            }
        }
        Ok(())
    }
}

/// Follows an order without waiting.
#[derive(Default)]
pub struct Follower {
    pub lines: Mutex<Vec<String>>,
    pub waits: Mutex<Vec<Duration>>,
    stop_at: Option<usize>,
    count: AtomicUsize,
}

impl Follower {
    /// Stops the work at its so-manieth wait.
    pub fn stopping(stop_at: usize) -> Self {
        Self {
            stop_at: Some(stop_at),
            ..Self::default()
        }
    }
}

impl Progress for Follower {
    fn log(&self, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }

    fn wait(&self, time: Duration) -> std::result::Result<(), Stopped> {
        self.waits.lock().unwrap().push(time);
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        match self.stop_at {
            Some(stop) if count >= stop => Err(Stopped),
            _ => Ok(()),
        }
    }
}

/// A client of the server.
pub fn connect(server: &Server) -> Result<Client> {
    let web = Web::new(&[&server.authority()])?;
    Client::connect(Box::new(web), &server.url("/directory"))
}

/// Registers an account and orders a certificate; answers its chain and its key.
pub fn order(
    server: &Server,
    domains: &[&str],
    proofs: &mut Proofs,
    follower: &Follower,
) -> Result<(String, String)> {
    let mut client = connect(server)?;
    let key = AccountKey::generate()?;
    let account = client.register(&key, &["ops@example.org".to_owned()], true, None)?;
    let domains: Vec<String> = domains.iter().map(|name| (*name).to_owned()).collect();
    let request = CertificateRequest::new(&domains)?;
    let mut session = client.session(&key, &account.location);
    let chain = session.obtain(&domains, &request, proofs, follower)?;
    Ok((chain, request.key))
}

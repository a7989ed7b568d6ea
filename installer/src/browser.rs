//! The questions in a browser on the local network.
//!
//! Whoever can read the console gets in: it shows the address, a code that works once, and the
//! fingerprint of the certificate, which is made in memory and forgotten. [`gate`] lets in,
//! [`serve`] speaks HTTPS, [`api`] answers, [`page`] is what the browser loads.

mod api;
mod gate;
mod page;
mod serve;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;

use crate::faces::Decision;
use crate::report::Board;
use crate::source::Source;
use crate::{network, terminal};
use api::Api;
use gate::Gate;

/// Port of the interface: the one the installed host will answer on.
const PORT: u16 = 8006;

/// Pause between two looks for new addresses.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a visitor may take to see how it ended.
const FAREWELL: Duration = Duration::from_secs(10);

/// The interface, as long as the installer runs.
pub struct Browser {
    gate: Arc<Gate>,
    again: Again,
}

/// Who wants to hear that a visitor starts over.
type Again = Arc<Mutex<Option<Sender<()>>>>;

impl Browser {
    /// Begins to answer, and tells on the consoles how to get in once there is an address.
    pub fn open(
        source: &Source,
        board: Board,
        consoles: &[String],
        sender: &Sender<Decision>,
    ) -> anyhow::Result<Self> {
        let identity = tls::Identity::make()?;
        let listener = listen()?;
        let gate = Arc::new(Gate::new());
        let again = Again::default();
        let api = Arc::new(Api::new(
            source.clone(),
            board,
            Arc::clone(&gate),
            sender.clone(),
            Arc::clone(&again),
        ));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no asynchronous runtime")?;
        let acceptor = identity.acceptor;
        std::thread::spawn(move || {
            let Err(error) = runtime.block_on(serve::accept(listener, acceptor, api));
            tracing::error!("the browser interface has ended: {error:#}");
        });
        let (watched, consoles) = (Arc::clone(&gate), consoles.to_vec());
        std::thread::spawn(move || announce(&watched, &identity.fingerprint, &consoles));
        Ok(Self { gate, again })
    }

    /// Waits until a visitor, if there is one, has seen how it ended.
    pub fn farewell(&self) {
        self.gate.wait_for_witness(FAREWELL);
    }

    /// Tells `sender` when a visitor wants to start over.
    pub fn on_again(&self, sender: Sender<()>) {
        *self.again.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }
}

fn listen() -> anyhow::Result<TcpListener> {
    let any = |address: IpAddr| TcpListener::bind(SocketAddr::new(address, PORT));
    let listener = any(Ipv6Addr::UNSPECIFIED.into())
        .or_else(|_| any(Ipv4Addr::UNSPECIFIED.into()))
        .with_context(|| format!("port {PORT}"))?;
    listener.set_nonblocking(true).context("listening")?;
    Ok(listener)
}

/// Tells how to get in whenever that has changed: another address, or another code.
fn announce(gate: &Gate, fingerprint: &str, consoles: &[String]) {
    let mut told = String::new();
    loop {
        let urls: Vec<String> = network::addresses().into_iter().map(url).collect();
        if !urls.is_empty() {
            let text = notice(&urls, gate.code().as_deref(), fingerprint);
            if text != told {
                for console in consoles {
                    terminal::write(console, &format!("\r\n{text}\r\n"));
                }
                told = text;
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn url(address: IpAddr) -> String {
    format!("https://{}/", SocketAddr::new(address, PORT))
}

fn notice(urls: &[String], code: Option<&str>, fingerprint: &str) -> String {
    match code {
        Some(code) => format!(
            "Or install from a browser: {} · code {code}\r\nCertificate SHA-256: {fingerprint}",
            urls.join(" or ")
        ),
        None => "The browser interface is closed: too many wrong codes. Start over to open it."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_says_where_and_how() {
        let urls = [
            url("192.0.2.1".parse().unwrap()),
            url("2001:db8::1".parse().unwrap()),
        ];
        let text = notice(&urls, Some("123-456"), "AA:BB");
        assert!(
            text.contains("https://192.0.2.1:8006/ or https://[2001:db8::1]:8006/ · code 123-456"),
            "{text}"
        );
        assert!(notice(&urls, None, "AA:BB").contains("closed"));
    }
}

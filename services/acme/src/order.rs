//! An order from its beginning to the certificate (RFC 8555, section 7.4).

use crate::key::encode;
use crate::messages::{Authorization, Offer, Order, Status, json};
use crate::{CertificateRequest, Error, Result, Session};
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::{Duration, Instant};

/// A server may take so long to look at the proofs, and again to make the certificate.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two questions when the server does not say.
const PAUSE: Duration = Duration::from_secs(3);
/// What a server says about the pause is kept within these.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How a name is proved (section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By a page on port 80.
    Http01,
    /// By a record in the domain name system.
    Dns01,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        })
    }
}

/// Something to show so that a name is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The name as it was ordered.
    pub domain: String,
    /// How it is proved.
    pub kind: Kind,
    /// What the server chose: letters, digits, `-` and `_` alone.
    pub token: String,
    /// What the page says (section 8.1).
    pub authorization: String,
}

impl Challenge {
    /// The text of the record (section 8.4).
    pub fn txt(&self) -> String {
        encode(Sha256::digest(self.authorization.as_bytes()))
    }
}

/// The name of the record that proves a name, or its `alias` if the record is a CNAME to that.
pub fn dns_record(domain: &str, alias: Option<&str>) -> String {
    let domain = alias.unwrap_or(domain);
    format!("_acme-challenge.{}", domain.trim_start_matches("*."))
}

/// Shows proofs, and takes them away.
pub trait Solver {
    /// How a name is proved.
    fn kind(&self, domain: &str) -> Kind;

    /// Shows a proof; answers how long it takes until everybody can see it. One that fails is
    /// withdrawn all the same.
    fn show(&mut self, challenge: &Challenge) -> std::result::Result<Duration, String>;

    /// Takes a proof away again, even when the work was stopped.
    fn withdraw(&mut self, challenge: &Challenge) -> std::result::Result<(), String>;
}

/// Somebody stopped the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Follows the work.
pub trait Progress {
    /// Is told what happens.
    fn log(&self, text: &str);

    /// Waits, unless the work is to stop.
    fn wait(&self, time: Duration) -> std::result::Result<(), Stopped>;
}

impl Session<'_> {
    /// Orders a certificate for these names and proves them; answers it with its chain in PEM. All
    /// proofs are shown together, and are withdrawn whatever the end is.
    ///
    /// # Errors
    /// [`Error::Proof`] says which name was not proved, and why; [`Error::Stopped`] comes from
    /// `progress`.
    pub fn obtain(
        &mut self,
        domains: &[String],
        request: &CertificateRequest,
        solver: &mut dyn Solver,
        progress: &dyn Progress,
    ) -> Result<String> {
        let name = |domain: &String| json!({"type": "dns", "value": domain});
        let names: Vec<_> = domains.iter().map(name).collect();
        let url = self.new_order();
        let answer = self.post(&url, Some(&json!({"identifiers": names})))?;
        let order: Order = json(&url, &answer)?;
        let place = answer.location.ok_or_else(|| Error::Answer {
            url,
            reason: "the order has no address".to_owned(),
        })?;
        progress.log(&format!("order {place} for {}", domains.join(", ")));
        let mut shown = Vec::new();
        let proved = self.prove(&order.authorizations, solver, progress, &mut shown);
        for challenge in &shown {
            if let Err(error) = solver.withdraw(challenge) {
                let domain = &challenge.domain;
                progress.log(&format!("the proof for {domain} stays behind: {error}"));
            }
        }
        proved?;
        self.finish(&place, request, progress)
    }

    /// Shows every proof that is asked for, then lets the server look.
    fn prove(
        &mut self,
        authorizations: &[String],
        solver: &mut dyn Solver,
        progress: &dyn Progress,
        shown: &mut Vec<Challenge>,
    ) -> Result<()> {
        let mut open = Vec::new();
        let mut delay = Duration::ZERO;
        for url in authorizations {
            progress.wait(Duration::ZERO)?;
            let answer = self.post(url, None)?;
            let found: Authorization = json(url, &answer)?;
            let domain = found.domain();
            match found.status {
                Status::Valid => {
                    progress.log(&format!("{domain} is proved already"));
                    continue;
                }
                Status::Pending => {}
                _ => return Err(refused(&found)),
            }
            let kind = solver.kind(&domain);
            let offer = choose(&found, kind)?;
            let challenge = self.challenge(url, domain, kind, offer)?;
            progress.log(&format!("showing the proof for {}", challenge.domain));
            shown.push(challenge.clone());
            let visible = solver.show(&challenge).map_err(|reason| Error::Show {
                domain: challenge.domain,
                reason,
            })?;
            delay = delay.max(visible);
            open.push((url, offer.url.clone()));
        }
        if !delay.is_zero() {
            let seconds = delay.as_secs();
            progress.log(&format!("waiting {seconds} s until everybody can see it"));
        }
        progress.wait(delay)?;
        for (_, challenge) in &open {
            self.post(challenge, Some(&json!({})))?;
        }
        for (url, _) in &open {
            let looked = |found: &Authorization| found.status != Status::Pending;
            let found = self.poll(url, progress, looked)?;
            if found.status != Status::Valid {
                return Err(refused(&found));
            }
            progress.log(&format!("{} is proved", found.domain()));
        }
        Ok(())
    }

    fn challenge(&self, url: &str, domain: String, kind: Kind, offer: &Offer) -> Result<Challenge> {
        let token = offer.token.clone();
        // It becomes part of a path: nothing but what section 8.3 allows may be in it.
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if token.is_empty() || token.len() > 255 || !token.bytes().all(good) {
            return Err(Error::Answer {
                url: url.to_owned(),
                reason: "the token is not in base64 for addresses".to_owned(),
            });
        }
        let authorization = format!("{token}.{}", self.key.thumbprint());
        Ok(Challenge {
            domain,
            kind,
            token,
            authorization,
        })
    }

    /// Hands in the request and fetches the certificate.
    fn finish(
        &mut self,
        place: &str,
        request: &CertificateRequest,
        progress: &dyn Progress,
    ) -> Result<String> {
        let mut order: Order = self.poll(place, progress, |order: &Order| {
            order.status != Status::Pending
        })?;
        if order.status == Status::Ready {
            progress.log("every name is proved: handing in the request");
            let payload = json!({"csr": encode(&request.der)});
            self.post(&order.finalize, Some(&payload))?;
            order = self.poll(place, progress, |order: &Order| {
                !matches!(order.status, Status::Ready | Status::Processing)
            })?;
        }
        let Some(url) = order.certificate.filter(|_| order.status == Status::Valid) else {
            let text = match order.error {
                Some(problem) => problem.words(),
                None => format!("it is {:?}", order.status).to_lowercase(),
            };
            return Err(Error::Order(text));
        };
        progress.log("fetching the certificate");
        self.download(&url)
    }

    /// Asks again and again until `done`, as often as the server wants.
    fn poll<T: DeserializeOwned>(
        &mut self,
        url: &str,
        progress: &dyn Progress,
        done: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut waited = Duration::ZERO;
        loop {
            let answer = self.post(url, None)?;
            let found = json(url, &answer)?;
            if done(&found) {
                return Ok(found);
            }
            if begun.elapsed().max(waited) >= PATIENCE {
                return Err(Error::Late {
                    url: url.to_owned(),
                    patience: PATIENCE,
                });
            }
            let pause = answer.wait().unwrap_or(PAUSE);
            let pause = pause.clamp(PAUSES.0, PAUSES.1);
            progress.wait(pause)?;
            waited += pause;
        }
    }
}

/// The offer of a kind.
fn choose(found: &Authorization, kind: Kind) -> Result<&Offer> {
    let wanted = kind.to_string();
    let offers = &found.challenges;
    let chosen = offers.iter().find(|offer| offer.kind == wanted);
    chosen.ok_or_else(|| {
        let kinds: Vec<&str> = offers.iter().map(|offer| offer.kind.as_str()).collect();
        Error::NoChallenge {
            domain: found.domain(),
            wanted: kind,
            offered: kinds.join(", "),
        }
    })
}

fn refused(found: &Authorization) -> Error {
    Error::Proof {
        domain: found.domain(),
        detail: found.why(),
    }
}

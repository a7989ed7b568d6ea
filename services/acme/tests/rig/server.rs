//! A server of RFC 8555 that believes nothing: it checks signatures, nonces and addresses of
//! requests, looks for proofs itself, and signs what was asked for with an authority of its own.

use super::jws::{Signed, decode, thumbprint};
use super::outside::{acceptor, page, record};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair, SanType};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Answer = Result<Reply, Refusal>;

/// A problem document.
#[derive(Debug)]
pub struct Refusal {
    status: u16,
    kind: String,
    detail: String,
}

impl Refusal {
    pub fn new(status: u16, kind: &str, detail: impl Display) -> Self {
        Self {
            status,
            kind: kind.to_owned(),
            detail: detail.to_string(),
        }
    }
}

/// What goes well.
struct Reply {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Reply {
    fn json(value: &Value) -> Self {
        Self {
            status: 200,
            location: None,
            body: value.to_string(),
        }
    }

    fn made(self, location: String) -> Self {
        Self {
            status: 201,
            location: Some(location),
            ..self
        }
    }
}

/// What the server knows, and how it is to behave.
#[derive(Default)]
pub struct State {
    /// Port where pages are looked for instead of 80.
    pub port: u16,
    /// The zone that records are looked for in.
    pub zone: PathBuf,
    /// So many good nonces are refused.
    pub bad_nonces: u32,
    /// Orders are refused, for there have been too many.
    pub limited: bool,
    /// The customer's name and key, if accounts must belong to one.
    pub customer: Option<(String, Vec<u8>)>,
    /// How many requests were refused for their nonce.
    pub refused_nonces: u32,
    /// Certificates that were taken back.
    pub revoked: Vec<Vec<u8>>,
    nonces: BTreeSet<String>,
    count: u64,
    accounts: BTreeMap<String, (Value, Value)>,
    orders: Vec<Order>,
}

struct Order {
    account: String,
    names: Vec<String>,
    tokens: Vec<String>,
    /// Of each name: `pending`, `valid` or why not.
    states: Vec<String>,
    /// Questions that are still answered with "not yet".
    slow: u32,
    chain: Option<String>,
    certificate: Vec<u8>,
}

/// A running server.
pub struct Server {
    base: String,
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Server {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        let issuer = Issuer::new(params, key);
        let acceptor = acceptor(&issuer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!(
            "https://127.0.0.1:{}",
            listener.local_addr().unwrap().port()
        );
        let state = Arc::new(Mutex::new(State::default()));
        let desk = Arc::new(Desk {
            base: base.clone(),
            state: Arc::clone(&state),
            authority: Authority { issuer, pem },
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&desk)));
            }
        });
        Self {
            base,
            folder,
            state,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// File with the authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, desk: Arc<Desk>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, std::convert::Infallible>(desk.answer(request).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // The client closes connections as it likes.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// Where requests are answered.
struct Desk {
    base: String,
    state: Arc<Mutex<State>>,
    authority: Authority,
}

impl Desk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer = self.decide(request).await;
        let nonce = {
            let mut state = self.state();
            state.count += 1;
            let nonce = format!("nonce-{}", state.count);
            state.nonces.insert(nonce.clone());
            nonce
        };
        let mut response = Response::builder().header("replay-nonce", nonce);
        let (status, body) = match answer {
            Ok(reply) => {
                if let Some(location) = reply.location {
                    response = response.header("location", location);
                }
                response = response.header("retry-after", "7");
                (reply.status, reply.body)
            }
            Err(refusal) => {
                if refusal.status == 429 {
                    response = response.header("retry-after", "3600");
                }
                let kind = format!("urn:ietf:params:acme:error:{}", refusal.kind);
                let body = json!({"type": kind, "detail": refusal.detail});
                (refusal.status, body.to_string())
            }
        };
        response.status(status).body(Full::from(body)).unwrap()
    }

    async fn decide(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/directory") => return Ok(self.directory()),
            (&Method::HEAD, "/nonce") => return Ok(Reply::json(&json!({}))),
            (&Method::POST, _) => {}
            _ => return Err(Refusal::new(405, "malformed", "not this way")),
        }
        if request.headers()["content-type"] != "application/jose+json" {
            return Err(Refusal::new(415, "malformed", "wrong type"));
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let signed = Signed::parse(&body)?;
        if signed.header("url") != self.url(&path) {
            return Err(Refusal::new(401, "unauthorized", "signed for elsewhere"));
        }
        self.take_nonce(signed.header("nonce"))?;
        if path == "/new-account" {
            return self.register(&signed);
        }
        let account = signed.header("kid").to_owned();
        let (jwk, object) = {
            let state = self.state();
            let known = state.accounts.get(&account).cloned();
            known.ok_or_else(|| Refusal::new(400, "accountDoesNotExist", "who are you?"))?
        };
        signed.verify(&jwk)?;
        if object["status"] != "valid" {
            return Err(Refusal::new(
                401,
                "unauthorized",
                "the account is not valid",
            ));
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts.as_slice() {
            ["account", _] => self.account(&account, &signed),
            ["new-order"] => self.order(&account, &signed),
            ["revoke"] => self.revoke(&signed),
            [kind, order, rest @ ..] => {
                let order: usize = order.parse().unwrap();
                if self.state().orders[order].account != account {
                    return Err(Refusal::new(403, "unauthorized", "not your order"));
                }
                let place = rest.first().map_or(0, |place| place.parse().unwrap());
                match *kind {
                    "order" => Ok(self.shown(order)),
                    "authz" => Ok(self.authorization(order, place)),
                    "http" | "dns" => self.prove(kind, order, place, &jwk).await,
                    "finalize" => self.finalize(order, &signed),
                    "cert" => Ok(Reply {
                        status: 200,
                        location: None,
                        body: self.state().orders[order].chain.clone().unwrap(),
                    }),
                    _ => Err(Refusal::new(404, "malformed", "nothing here")),
                }
            }
            _ => Err(Refusal::new(404, "malformed", "nothing here")),
        }
    }

    fn directory(&self) -> Reply {
        Reply::json(&json!({
            "newNonce": self.url("/nonce"),
            "newAccount": self.url("/new-account"),
            "newOrder": self.url("/new-order"),
            "revokeCert": self.url("/revoke"),
            "keyChange": self.url("/key-change"),
            "meta": {
                "termsOfService": "https://ca.example/terms",
                "externalAccountRequired": self.state().customer.is_some(),
            },
        }))
    }

    /// A nonce is good once.
    fn take_nonce(&self, nonce: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        let known = state.nonces.remove(nonce);
        if known && state.bad_nonces == 0 {
            return Ok(());
        }
        state.bad_nonces = state.bad_nonces.saturating_sub(1);
        state.refused_nonces += 1;
        Err(Refusal::new(400, "badNonce", "this nonce is not good"))
    }

    fn register(&self, signed: &Signed) -> Answer {
        let jwk = signed.protected["jwk"].clone();
        signed.verify(&jwk)?;
        let payload = signed.payload.clone().unwrap();
        if payload["termsOfServiceAgreed"] != true {
            return Err(Refusal::new(403, "userActionRequired", "agree first"));
        }
        let mut state = self.state();
        if let Some((kid, key)) = &state.customer {
            let binding = payload["externalAccountBinding"].to_string();
            let binding = Signed::parse(binding.as_bytes())?;
            binding.verify_customer(key)?;
            let about = binding.payload == Some(jwk.clone());
            if !about
                || binding.header("kid") != kid
                || binding.header("url") != signed.header("url")
            {
                return Err(Refusal::new(403, "unauthorized", "bound to somebody else"));
            }
        }
        let location = self.url(&format!("/account/{}", state.accounts.len()));
        let object = json!({"status": "valid", "contact": payload["contact"]});
        let known = (jwk, object.clone());
        state.accounts.insert(location.clone(), known);
        Ok(Reply::json(&object).made(location))
    }

    fn account(&self, account: &str, signed: &Signed) -> Answer {
        let mut state = self.state();
        let (_, object) = state.accounts.get_mut(account).unwrap();
        let change = signed.payload.clone().unwrap_or_default();
        for name in ["contact", "status"] {
            if let Some(value) = change.get(name) {
                object[name] = value.clone();
            }
        }
        Ok(Reply::json(object))
    }

    fn order(&self, account: &str, signed: &Signed) -> Answer {
        let mut state = self.state();
        if state.limited {
            let text = "too many certificates already issued for: example.org";
            return Err(Refusal::new(429, "rateLimited", text));
        }
        let payload = signed.payload.clone().unwrap();
        let names = payload["identifiers"].as_array().unwrap().iter();
        let names: Vec<String> = names
            .map(|name| name["value"].as_str().unwrap().to_owned())
            .collect();
        let number = state.orders.len();
        let tokens = (0..names.len()).map(|place| format!("token-{number}_{place}"));
        state.orders.push(Order {
            account: account.to_owned(),
            tokens: tokens.collect(),
            states: vec!["pending".to_owned(); names.len()],
            slow: 1,
            names,
            chain: None,
            certificate: Vec::new(),
        });
        drop(state);
        let location = self.url(&format!("/order/{number}"));
        Ok(self.shown(number).made(location))
    }

    fn shown(&self, number: usize) -> Reply {
        let mut state = self.state();
        let order = &mut state.orders[number];
        let all = |wanted: &str| order.states.iter().all(|state| state == wanted);
        let status = match order.chain {
            Some(_) if order.slow > 0 => "processing",
            Some(_) => "valid",
            None if all("valid") => "ready",
            None => "pending",
        };
        order.slow = order.slow.saturating_sub(1);
        let places = 0..order.names.len();
        let mut shown = json!({
            "status": status,
            "authorizations": places
                .map(|place| self.url(&format!("/authz/{number}/{place}")))
                .collect::<Vec<_>>(),
            "finalize": self.url(&format!("/finalize/{number}")),
        });
        if status == "valid" {
            shown["certificate"] = self.url(&format!("/cert/{number}")).into();
        }
        Reply::json(&shown)
    }

    fn authorization(&self, number: usize, place: usize) -> Reply {
        let state = self.state();
        let order = &state.orders[number];
        let (name, found) = (&order.names[place], &order.states[place]);
        let offer = |kind: &str| {
            let short = kind.trim_end_matches("-01");
            let url = self.url(&format!("/{short}/{number}/{place}"));
            let mut offer = json!({"type": kind, "url": url, "token": order.tokens[place]});
            if let Some(text) = found.strip_prefix("invalid: ") {
                let kind = "urn:ietf:params:acme:error:incorrectResponse";
                offer["error"] = json!({"type": kind, "detail": text});
            }
            offer
        };
        let wildcard = name.starts_with("*.");
        let kinds: &[&str] = match wildcard {
            true => &["dns-01"],
            false => &["http-01", "dns-01"],
        };
        Reply::json(&json!({
            "status": found.split(':').next(),
            "identifier": {"type": "dns", "value": name.trim_start_matches("*.")},
            "wildcard": wildcard,
            "challenges": kinds.iter().map(|kind| offer(kind)).collect::<Vec<_>>(),
        }))
    }

    /// Looks for a proof.
    async fn prove(&self, kind: &str, number: usize, place: usize, jwk: &Value) -> Answer {
        let (name, token, port, zone) = {
            let state = self.state();
            let order = &state.orders[number];
            let (name, token) = (order.names[place].clone(), order.tokens[place].clone());
            (name, token, state.port, state.zone.clone())
        };
        let wanted = format!("{token}.{}", thumbprint(jwk));
        let found = match kind {
            "http" => page(port, &token).await,
            _ => record(&zone, name.trim_start_matches("*.")),
        };
        let wanted = match kind {
            "http" => wanted,
            _ => URL_SAFE_NO_PAD.encode(Sha256::digest(wanted)),
        };
        let right = found.lines().any(|line| line == wanted);
        self.state().orders[number].states[place] = match right {
            true => "valid".to_owned(),
            false => format!("invalid: looked for the proof and found '{}'", found.trim()),
        };
        Ok(Reply::json(&json!({"status": "processing"})))
    }

    fn finalize(&self, number: usize, signed: &Signed) -> Answer {
        let payload = signed.payload.clone().unwrap();
        let der = decode(payload["csr"].as_str().unwrap())?;
        let mut request = CertificateSigningRequestParams::from_der(&der.into())
            .map_err(|error| Refusal::new(400, "badCSR", error))?;
        let mut state = self.state();
        let order = &mut state.orders[number];
        if order.states.iter().any(|state| state != "valid") {
            return Err(Refusal::new(403, "orderNotReady", "prove them first"));
        }
        let asked = request.params.subject_alt_names.iter();
        let asked: BTreeSet<String> = asked
            .map(|name| match name {
                SanType::DnsName(name) => name.as_str().to_owned(),
                other => format!("{other:?}"),
            })
            .collect();
        if asked != order.names.iter().cloned().collect() {
            let text = format!("asks for other names: {asked:?}");
            return Err(Refusal::new(400, "badCSR", text));
        }
        request.params.is_ca = rcgen::IsCa::ExplicitNoCa;
        let made = request.signed_by(&self.authority.issuer).unwrap();
        order.certificate = made.der().to_vec();
        order.chain = Some(format!("{}{}", made.pem(), self.authority.pem));
        order.slow = 2;
        drop(state);
        Ok(self.shown(number))
    }

    fn revoke(&self, signed: &Signed) -> Answer {
        let payload = signed.payload.clone().unwrap();
        let der = decode(payload["certificate"].as_str().unwrap())?;
        let mut state = self.state();
        if !state.orders.iter().any(|order| order.certificate == der) {
            return Err(Refusal::new(404, "malformed", "not one of ours"));
        }
        if state.revoked.contains(&der) {
            return Err(Refusal::new(400, "alreadyRevoked", "it is gone"));
        }
        state.revoked.push(der);
        Ok(Reply::json(&json!({})))
    }
}

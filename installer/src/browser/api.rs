//! Answers requests. What the page sends is an answer file in JSON, so that one reader checks what
//! comes from a file and what comes from a browser.

mod choices;
mod guard;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context;
use basalt_model::host::answer::{AnswerErrors, AnswerFile};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::gate::{Entry, Gate};
use super::{Again, page};
use crate::disks;
use crate::faces::Decision;
use crate::plan::{self, Plan};
use crate::report::{Board, Phase};
use crate::source::Source;

/// Largest body of a request.
const BODY_LIMIT: usize = 64 * 1024;
/// Such a body may take so long.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// An answer to a code takes so long, so that guessing is slow.
const CODE_DELAY: Duration = Duration::from_secs(1);

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests.
pub struct Api {
    source: Source,
    board: Board,
    gate: Arc<Gate>,
    sender: Sender<Decision>,
    again: Again,
    /// Held while a code is tried: one at a time.
    trying: Mutex<()>,
}

/// Why a request is refused.
struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({ "message": message.into() }),
        }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"))
    }
}

impl From<AnswerErrors> for Refusal {
    fn from(errors: AnswerErrors) -> Self {
        let list: Vec<Value> = errors
            .0
            .iter()
            .map(|error| json!({ "key": error.key, "message": error.message }))
            .collect();
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({ "errors": list }),
        }
    }
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

impl Api {
    /// Answers about the installation of `source`, whose standing is on the board.
    pub fn new(
        source: Source,
        board: Board,
        gate: Arc<Gate>,
        sender: Sender<Decision>,
        again: Again,
    ) -> Self {
        Self {
            source,
            board,
            gate,
            sender,
            again,
            trying: Mutex::new(()),
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let mut answer = match self.route(request).await {
            Ok(answer) => answer,
            Err(refusal) => send(refusal.status, &refusal.body),
        };
        guard::secure(&mut answer);
        answer
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if parts.method == Method::GET
            && let Some(file) = page::file(path)
        {
            let mut answer = Response::new(Full::from(file.text));
            let kind = HeaderValue::from_static(file.kind);
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            return Ok(answer);
        }
        if parts.method == Method::POST {
            guard::own_page(&parts.headers)
                .map_err(|why| Refusal::new(StatusCode::FORBIDDEN, why))?;
        }
        if (&parts.method, path) == (&Method::POST, "/api/session") {
            return self.enter(read(body).await?).await;
        }
        let session = guard::session(&parts.headers);
        if !session.is_some_and(|secret| self.gate.knows(secret)) {
            return Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "enter the code first",
            ));
        }
        match (parts.method, path) {
            (Method::GET, "/api/standing") => Ok(self.standing()),
            (Method::GET, "/api/log") => Ok(self.log()),
            (Method::GET, "/api/choices") => {
                let version = self.source.version.clone();
                let choices = blocking(move || choices::collect(&version)).await?;
                Ok(send(StatusCode::OK, &choices))
            }
            (Method::POST, "/api/check") => {
                let plan = self.plan(read(body).await?).await?;
                Ok(send(StatusCode::OK, &choices::summary(&plan)))
            }
            (Method::POST, "/api/install") => self.install(read(body).await?).await,
            (Method::POST, "/api/again") => self.start_over(),
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here")),
        }
    }

    async fn enter(&self, body: Bytes) -> Result<Answer, Refusal> {
        let code: Code = parse(&body)?;
        let one_at_a_time = self.trying.lock().await;
        tokio::time::sleep(CODE_DELAY).await;
        let entry = self.gate.enter(&code.code);
        drop(one_at_a_time);
        match entry {
            Entry::Granted(secret) => {
                let mut answer = send(StatusCode::OK, &json!({}));
                let cookie = guard::cookie(&secret)
                    .map_err(|why| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why))?;
                answer.headers_mut().insert(SET_COOKIE, cookie);
                Ok(answer)
            }
            Entry::Wrong(left) => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!("This is not the code on the console; {left} more attempts."),
            )),
            Entry::Closed => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "Too many wrong codes. Start over on the console.",
            )),
        }
    }

    fn standing(&self) -> Answer {
        let standing = self.board.read();
        if standing.phase == Phase::Finished {
            self.gate.witnessed();
        }
        send(
            StatusCode::OK,
            &json!({
                "version": self.source.version.to_string(),
                "phase": standing.phase,
                "line": standing.line,
                "copying": standing.copying,
            }),
        )
    }

    fn log(&self) -> Answer {
        let mut answer = Response::new(Full::from(self.board.read().log));
        let headers = answer.headers_mut();
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        let name = HeaderValue::from_static("attachment; filename=\"basalt-installation.log\"");
        headers.insert(CONTENT_DISPOSITION, name);
        answer
    }

    async fn install(&self, body: Bytes) -> Result<Answer, Refusal> {
        let plan = self.plan(body).await?;
        if self.board.read().phase != Phase::Asking {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "An installation has been started already.",
            ));
        }
        let decision = Decision {
            from: "a browser".to_owned(),
            plan: Ok(plan),
        };
        self.sender
            .send(decision)
            .map_err(|_| Refusal::new(StatusCode::CONFLICT, "Nobody listens any more."))?;
        Ok(send(StatusCode::ACCEPTED, &json!({})))
    }

    async fn plan(&self, body: Bytes) -> Result<Plan, Refusal> {
        let answers: toml::Table = parse(&body)?;
        let source = self.source.clone();
        blocking(move || {
            let disks = disks::list()?;
            let word = |table: &str, key: &str| answers.get(table)?.get(key)?.as_str();
            let plan = if word("existing", "action") == Some("repair") {
                let device = word("disk", "device").context("disk.device: which one?")?;
                plan::repair(device, &disks, &source)?
            } else {
                let text = toml::to_string(&answers).context("the answers cannot be written")?;
                plan::from_answers(&AnswerFile::parse(&text)?, &disks, &source)?
            };
            plan::check(&plan, &source)?;
            Ok(plan)
        })
        .await
    }

    fn start_over(&self) -> Result<Answer, Refusal> {
        let again = self
            .again
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match again.as_ref().map(|sender| sender.send(())) {
            Some(Ok(())) => Ok(send(StatusCode::ACCEPTED, &json!({}))),
            _ => Err(Refusal::new(
                StatusCode::CONFLICT,
                "There is nothing to start over.",
            )),
        }
    }
}

/// Runs what waits for disks or computes long beside the connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let lost = |error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}"));
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let whole = tokio::time::timeout(BODY_PATIENCE, Limited::new(body, BODY_LIMIT).collect());
    match whole.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request is broken or too large",
        )),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "too slow")),
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("not what was asked: {error}"),
        )
    })
}

fn send(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

//! What happens to a request: a web file, or a call that is checked and passed on.

use crate::access::Access;
use crate::body::{Body, passing, whole};
use crate::files::Files;
use crate::forward::{Content, Node, NodeError};
use basalt_access::{Caller, Refused};
use basalt_api::bag::{self, Bag};
use basalt_api::encode::{self, Answer, CONTENT_TYPE, Format};
use basalt_api::route::{Routes, Target};
use basalt_api::{Error, Kind, Permission, Verb};
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_TYPE as CONTENT_TYPE_HEADER, HeaderMap, HeaderName, HeaderValue,
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Largest body of a call that is no upload.
const BODY_LIMIT: usize = 1 << 20;
/// Such a body may take so long.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// Nothing more of an upload may come for so long.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(60);
/// An answer to wrong credentials takes so long.
const REFUSAL_DELAY: Duration = Duration::from_secs(3);

/// Headers on every answer: nothing of ours may be framed, sniffed or fed with foreign code.
const SECURITY: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; \
         style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=()",
    ),
];

/// Answers requests.
#[derive(Debug)]
pub struct Door {
    access: Access,
    node: Node,
    files: Files,
    routes: Routes,
}

impl Door {
    /// A door to `node`.
    pub fn new(access: Access, node: Node, files: Files) -> Self {
        Self {
            access,
            node,
            files,
            routes: Routes::new(),
        }
    }

    /// Answers a request from an address.
    pub async fn answer(&self, request: Request<Incoming>, from: &str) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let mut unread = !request.body().is_end_stream();
        let mut response = match Format::split(&path) {
            Some((format, below)) => match self.call(request, below, from, &mut unread).await {
                Ok(response) => response,
                Err(error) => render(encode::failure(format, &error)),
            },
            None => self.files.answer(&request).await,
        };
        let failed = response.status().is_client_error() || response.status().is_server_error();
        let headers = response.headers_mut();
        if unread && failed {
            // What is refused at once has a body that nobody reads. The connection ends with it, and a
            // client that was not told would send its next request there.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in SECURITY {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        response
    }

    /// Calls a method; `unread` is no longer set when the whole body was read.
    async fn call(
        &self,
        request: Request<Incoming>,
        path: &str,
        from: &str,
        unread: &mut bool,
    ) -> Result<Response<Body>, Error> {
        let verb = Verb::parse(request.method().as_str())
            .ok_or_else(|| Error::no_such_method(request.method(), path))?;
        let target = self.routes.find(verb, path)?;
        let (kind, permission, in_path) = match target {
            Target::Method(declared, in_path) => {
                (declared.method.kind, declared.method.permission, in_path)
            }
            Target::Index(_) => (Kind::Sync, Permission::AnyUser, Default::default()),
            Target::NotYet => {
                let changes = verb != Verb::Get;
                self.caller(request.headers(), changes, &Permission::AnyUser, from)
                    .await?;
                return Err(Error::not_yet(verb, path));
            }
        };
        let changes = verb != Verb::Get && kind != Kind::Upload;
        let caller = self
            .caller(request.headers(), changes, &permission, from)
            .await?;
        let mut bag = Bag::new();
        bag::add_form(&mut bag, request.uri().query().unwrap_or(""))?;
        let whole_path = request
            .uri()
            .path_and_query()
            .map_or("/", |p| p.as_str())
            .to_owned();
        match kind {
            Kind::Console => {
                self.authorize(&caller, &permission, bag, in_path).await?;
                self.node
                    .websocket(request, &whole_path, from)
                    .await
                    .map_err(absent)
            }
            Kind::Upload => {
                self.authorize(&caller, &permission, bag, in_path).await?;
                let (parts, body) = request.into_parts();
                let body = Content::Streamed(passing(body, UPLOAD_PATIENCE));
                self.pass_on(&parts, &whole_path, from, body).await
            }
            Kind::Sync | Kind::Task => {
                let (parts, body) = request.into_parts();
                let body = read(body).await?;
                *unread = false;
                bag::add_body(&mut bag, content_type(&parts.headers), &body)?;
                self.authorize(&caller, &permission, bag, in_path).await?;
                let body = Content::Whole(body);
                self.pass_on(&parts, &whole_path, from, body).await
            }
        }
    }

    /// Passes a call on. The answer to a change comes when the change is in force here, too: a new token
    /// lets in whoever reads it.
    async fn pass_on(
        &self,
        parts: &http::request::Parts,
        path_and_query: &str,
        from: &str,
        body: Content,
    ) -> Result<Response<Body>, Error> {
        let (verb, headers) = (&parts.method, &parts.headers);
        let call = self.node.call(verb, path_and_query, headers, from, body);
        let (answer, revision) = call.await.map_err(absent)?;
        if let Some(revision) = revision.filter(|_| verb != http::Method::GET) {
            self.access.reach(revision).await;
        }
        Ok(answer)
    }

    async fn caller(
        &self,
        headers: &HeaderMap,
        changes: bool,
        permission: &Permission,
        from: &str,
    ) -> Result<Caller, Error> {
        let Some(access) = self.access.snapshot().await else {
            return Err(Error::new(595, "the node service is not ready yet"));
        };
        match access.authenticate(headers, changes, now()) {
            Ok(caller) => Ok(caller),
            Err(_) if *permission == Permission::World => Ok(Caller::nobody()),
            Err(Refused::Nothing) => Err(Error::new(401, Refused::Nothing)),
            Err(refused) => {
                tracing::warn!(target: "audit", from, reason = %refused, "refused");
                // Time itself is meant: guessing tickets shall take long.
                tokio::time::sleep(REFUSAL_DELAY).await;
                Err(Error::new(401, refused))
            }
        }
    }

    async fn authorize(
        &self,
        caller: &Caller,
        permission: &Permission,
        mut bag: Bag,
        in_path: basalt_api::route::PathParams,
    ) -> Result<(), Error> {
        bag::add_path(&mut bag, in_path)?;
        let access = self.access.snapshot().await;
        let access = access.ok_or_else(|| Error::new(595, "the node service is not ready yet"))?;
        access.authorize(&caller.auth, permission, &bag)
    }
}

async fn read(body: Incoming) -> Result<Bytes, Error> {
    let collect = Limited::new(body, BODY_LIMIT).collect();
    match tokio::time::timeout(BODY_PATIENCE, collect).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Error::new(413, "the body is too large or broke off")),
        Err(_) => Err(Error::new(408, "the body takes too long")),
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE_HEADER)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
}

fn absent(error: NodeError) -> Error {
    tracing::warn!(%error, "node");
    Error::new(595, error)
}

fn render(answer: Answer) -> Response<Body> {
    let mut response = Response::new(whole(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE_HEADER, kind);
    if let Some(reason) = answer
        .reason
        .and_then(|r| ReasonPhrase::try_from(r.into_bytes()).ok())
    {
        response.extensions_mut().insert(reason);
    }
    response
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

//! The node's socket: HTTP/1.1 from the gateway, and from root's own commands.
//!
//! Every request goes the same way: its method is found, its caller is known, its parameters are
//! gathered, its permission is checked, and only then its handler runs. The gateway did all that
//! too; it is done again here because a fault of the gateway must not be root.

use crate::audit::Entry;
use crate::auth::now;
use crate::call::{Call, Extra};
use crate::core::Core;
use crate::router::{Router, Work};
use crate::state::Node;
use crate::upload::Upload;
use basalt_access::{Caller, Refused};
use basalt_api::bag::{self, Bag};
use basalt_api::encode::{self, Answer, CONTENT_TYPE, Format};
use basalt_api::route::{PathParams, Routes, Target};
use basalt_api::wire::Wire;
use basalt_api::{Declaration, Error, Kind, Permission, Reply, Result, Verb};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE as CONTENT_TYPE_HEADER, HeaderName, ORIGIN};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Set by the gateway on what it forwards: such a request is never taken for root's own.
pub const FORWARDED: HeaderName = HeaderName::from_static("x-basalt-forwarded");
/// Tells the gateway at which revision of who may what an answer was given.
pub const REVISION: HeaderName = HeaderName::from_static("x-basalt-revision");
/// Where the gateway asks who may what.
const ACCESS_PATH: &str = "/internal/access";
/// A question after changes is answered after so long at the latest.
const LONG_POLL: Duration = Duration::from_secs(25);
/// Largest body of a call that is no upload.
const BODY_LIMIT: usize = 1 << 20;

/// What answers on the node's socket.
pub struct Server {
    core: Arc<Core>,
    node: Arc<Node>,
    router: Router,
    routes: Routes,
}

impl Server {
    /// A server for the methods of `router`.
    pub fn new(core: Arc<Core>, node: Arc<Node>, router: Router) -> Self {
        Self {
            core,
            node,
            router,
            routes: Routes::new(),
        }
    }

    /// Answers one request. `is_root` is whether the process at the other end is root's.
    pub async fn answer(&self, request: Request<Incoming>, is_root: bool) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if path == ACCESS_PATH {
            return self.access(request.uri().query().unwrap_or("")).await;
        }
        let Some((format, below)) = Format::split(&path) else {
            return plain(StatusCode::NOT_FOUND, "there is nothing here");
        };
        let has_body = !request.body().is_end_stream();
        let mut response = match self.call(request, below, is_root).await {
            Ok(Outcome::Reply(reply)) => render(encode::success(format, &reply)),
            Ok(Outcome::Switch(headers)) => switch(headers),
            Err(error) => {
                if error.status >= 500 {
                    tracing::info!(path, error = error.one_line(), "call failed");
                }
                render(encode::failure(format, &error))
            }
        };
        let failed = response.status().is_client_error() || response.status().is_server_error();
        if has_body && failed {
            // A body that nobody has read ends the connection, of which the gateway has to know.
            let close = http::HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        let revision = self.core.access.snapshot().revision;
        response.headers_mut().insert(REVISION, revision.into());
        response
    }

    async fn call(&self, request: Request<Incoming>, path: &str, is_root: bool) -> Result<Outcome> {
        let verb = Verb::parse(request.method().as_str())
            .ok_or_else(|| Error::no_such_method(request.method(), path))?;
        let target = self.routes.find(verb, path)?;
        let (declared, in_path) = match target {
            Target::Method(declared, in_path) => (declared, in_path),
            Target::Index(children) => {
                self.caller(request.headers(), false, is_root)?;
                return Ok(Outcome::Reply(index(&children)?));
            }
            Target::NotYet => {
                self.caller(request.headers(), verb != Verb::Get, is_root)?;
                return Err(Error::not_yet(verb, path));
            }
        };
        let method = declared.method;
        let changes = verb != Verb::Get && method.kind != Kind::Upload;
        let caller = match self.caller(request.headers(), changes, is_root) {
            Ok(caller) => caller,
            Err(_) if method.permission == Permission::World => Caller::nobody(),
            Err(error) => return Err(error),
        };
        let from = request.headers().get(FORWARDED);
        let from = from.and_then(|v| v.to_str().ok()?.parse().ok());
        // Logins are noted where the user is known.
        let is_noted = verb != Verb::Get && method.permission != Permission::World;
        let (by, what) = (caller.auth.clone(), format!("{verb} {path}"));
        let core = Arc::clone(&self.core);
        let note = move |failed: Option<&Error>| {
            if is_noted {
                core.audit.note(&Entry::new(&by, from, &what, failed));
            }
        };
        let headers = request.headers().clone();
        let begun = self.begin(request, declared, in_path, caller, from).await;
        let work = match begun {
            Ok(work) => work,
            Err(error) => {
                note(Some(&error));
                return Err(error);
            }
        };
        let reply = match verb {
            Verb::Get => work.await?,
            _ => to_its_end(work, note).await?,
        };
        Ok(match method.kind {
            Kind::Console => Outcome::Switch(crate::console::switch_headers(&headers)?),
            Kind::Sync | Kind::Task | Kind::Upload => Outcome::Reply(reply),
        })
    }

    /// The work of a method, for somebody who may have it done.
    async fn begin(
        &self,
        request: Request<Incoming>,
        declared: Declaration,
        in_path: PathParams,
        caller: Caller,
        from: Option<IpAddr>,
    ) -> Result<Work> {
        let method = declared.method;
        let access = self.core.access.snapshot();
        let mut bag = Bag::new();
        bag::add_form(&mut bag, request.uri().query().unwrap_or(""))?;
        // An upload's permission must be known before its body is read.
        if method.kind == Kind::Upload {
            let mut known = bag.clone();
            bag::add_path(&mut known, in_path.clone())?;
            access.authorize(&caller.auth, &method.permission, &known)?;
        }
        let page = request.headers().get(ORIGIN);
        let page = page.and_then(|v| v.to_str().ok()?.parse().ok());
        let extra = gather(request, declared, &mut bag).await?;
        bag::add_path(&mut bag, in_path)?;
        access.authorize(&caller.auth, &method.permission, &bag)?;
        self.is_this_node(declared, &mut bag)?;
        let call = Call {
            node: Arc::clone(&self.node),
            core: Arc::clone(&self.core),
            caller,
            access,
            from,
            page,
            extra: Mutex::new(extra),
        };
        self.router.work(declared, call, bag)
    }

    fn caller(&self, headers: &HeaderMap, changes: bool, is_root: bool) -> Result<Caller> {
        let forwarded = headers.contains_key(FORWARDED);
        match self
            .core
            .access
            .snapshot()
            .authenticate(headers, changes, now())
        {
            Ok(caller) => Ok(caller),
            Err(Refused::Nothing) if is_root && !forwarded => Ok(Caller::local()),
            Err(refused) => Err(Error::new(401, refused)),
        }
    }

    /// A path that names a node must name this one; `localhost` does.
    fn is_this_node(&self, declared: Declaration, bag: &mut Bag) -> Result<()> {
        let name = &self.core.name;
        if !declared.method.path.starts_with("/nodes/{node}") {
            return Ok(());
        }
        match bag.get("node").and_then(Value::as_str) {
            Some(node) if node == name => Ok(()),
            Some("localhost") => {
                bag.insert("node".into(), Value::String(name.clone()));
                Ok(())
            }
            other => {
                let other = other.unwrap_or_default();
                Err(Error::failed(format_args!(
                    "no such cluster node '{other}'"
                )))
            }
        }
    }

    /// Who may what, as soon as it is another revision than the gateway's.
    async fn access(&self, query: &str) -> Response<Full<Bytes>> {
        let known = query
            .strip_prefix("revision=")
            .and_then(|n| n.parse::<u64>().ok());
        let mut watch = self.core.access.watch();
        let changed = watch.wait_for(|snapshot| Some(snapshot.revision) != known);
        match tokio::time::timeout(LONG_POLL, changed).await {
            Ok(Ok(snapshot)) => match serde_json::to_string(&snapshot.without_passwords()) {
                Ok(body) => render(Answer {
                    status: 200,
                    reason: None,
                    body,
                }),
                Err(e) => plain(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
            },
            Ok(Err(_)) | Err(_) => plain(StatusCode::NO_CONTENT, ""),
        }
    }
}

/// Does work that changes something, and notes how it ended, even if whoever asked for it is gone.
async fn to_its_end(
    work: Work,
    note: impl FnOnce(Option<&Error>) + Send + 'static,
) -> Result<Reply<Wire>> {
    let whole = tokio::spawn(async move {
        // Apart, so that a panic in it is noted as well.
        let done = tokio::spawn(work).await;
        let done = done.map_err(Error::failed).and_then(|done| done);
        note(done.as_ref().err());
        done
    });
    whole.await.map_err(Error::failed)?
}

enum Outcome {
    Reply(Reply<Wire>),
    Switch(HeaderMap),
}

/// Puts the body's parameters into the bag and keeps what is no parameter.
async fn gather(
    mut request: Request<Incoming>,
    declared: Declaration,
    bag: &mut Bag,
) -> Result<Extra> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE_HEADER)
        .and_then(|v| v.to_str().ok());
    let kind = kind.unwrap_or("").to_owned();
    match declared.method.kind {
        Kind::Upload => {
            let upload = Upload::open(&kind, request.into_body(), bag).await?;
            Ok(Extra::Upload(Box::new(upload)))
        }
        Kind::Console => Ok(Extra::Console(hyper::upgrade::on(&mut request))),
        Kind::Sync | Kind::Task => {
            let body = Limited::new(request.into_body(), BODY_LIMIT)
                .collect()
                .await;
            let body = body.map_err(|_| Error::new(413, "the body is too large or broke off"))?;
            bag::add_body(bag, &kind, &body.to_bytes())?;
            Ok(Extra::None)
        }
    }
}

fn index(children: &[&'static str]) -> Result<Reply<Wire>> {
    let children = children
        .iter()
        .map(|name| json!({ "subdir": name, "name": name }));
    let list = Wire::of(&Value::Array(children.collect()));
    list.map(Reply::from).map_err(Error::failed)
}

fn render(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = http::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE_HEADER, kind);
    if let Some(reason) = answer
        .reason
        .and_then(|r| ReasonPhrase::try_from(r.into_bytes()).ok())
    {
        response.extensions_mut().insert(reason);
    }
    response
}

fn switch(headers: HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

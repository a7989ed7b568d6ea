//! Checks an API call, then passes it on.

use crate::files::full;
use crate::mirror::Mirror;
use crate::proxy::{self, Node};
use crate::server::Body;
use basalt_api::bag::Bag;
use basalt_api::encode::{self, CONTENT_TYPE, Format};
use basalt_api::endpoint::{Kind, Verb};
use basalt_api::route::{PathParams, Routes, Target};
use basalt_api::{Error, Permission};
use http::{Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Largest body of a call that is no upload, in bytes.
const MAX_BODY: u64 = 1 << 20;
/// How long a refused login waits for its answer, so that guessing is slow.
const REFUSAL: Duration = Duration::from_secs(3);
/// Status that clients know as "the node behind this gateway is away".
const NODE_AWAY: u16 = 595;

/// The API's front.
#[derive(Debug)]
pub struct Api {
    routes: Routes,
    node: Node,
    mirror: Mirror,
}

impl Api {
    /// An API in front of `node`.
    pub fn new(node: Node, mirror: Mirror) -> Self {
        Self {
            routes: Routes::new(),
            node,
            mirror,
        }
    }

    /// Answers one call.
    pub async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let Some((format, path)) = Format::split(request.uri().path()) else {
            return refusal(
                Format::Json,
                &Error::new(501, "no such API: use /api2/json"),
            );
        };
        if let Err(e) = self.check(path, &request) {
            if e.status == StatusCode::UNAUTHORIZED.as_u16() {
                tracing::info!(%peer, path, "call without a valid login");
                tokio::time::sleep(REFUSAL).await;
            }
            return refusal(format, &e);
        }
        match self.node.forward(request).await {
            Ok(answer) => answer,
            Err(e @ (proxy::Error::Connect(_) | proxy::Error::Talk(_))) => {
                tracing::warn!(error = %e, "call not passed on");
                refusal(format, &Error::new(NODE_AWAY, e))
            }
        }
    }

    fn check(&self, path: &str, request: &Request<Incoming>) -> Result<(), Error> {
        let verb = Verb::parse(request.method().as_str())
            .ok_or_else(|| Error::no_such_method(request.method(), path))?;
        let (permission, kind, params) = match self.routes.find(verb, path)? {
            Target::Method(d, params) => (d.method.permission, d.method.kind, params),
            Target::Index(_) => (Permission::AnyUser, Kind::Sync, Default::default()),
        };
        let unbounded = request
            .body()
            .size_hint()
            .upper()
            .is_none_or(|size| size > MAX_BODY);
        if kind != Kind::Upload && unbounded {
            return Err(Error::new(
                413,
                format_args!("a call's body may have {MAX_BODY} bytes"),
            ));
        }
        if permission == Permission::World {
            return Ok(());
        }
        let snapshot = self
            .mirror
            .latest()
            .ok_or_else(|| Error::new(NODE_AWAY, "the node's service has not started yet"))?;
        let changes = verb != Verb::Get && kind != Kind::Upload;
        let caller = snapshot
            .authenticate(request.headers(), changes, now())
            .map_err(Error::unauthenticated)?;
        let params = bag(params);
        // What depends on the body is decided by the node, which reads it.
        if !decidable(&permission, &params) {
            return Ok(());
        }
        snapshot.authorize(&caller.auth, &permission, &params)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

fn bag(params: PathParams) -> Bag {
    params
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

/// Whether the parameters in the path are all that a permission asks about.
fn decidable(permission: &Permission, params: &Bag) -> bool {
    match permission {
        Permission::World | Permission::AnyUser | Permission::Root => true,
        Permission::Own(name) => params.contains_key(*name),
        Permission::Perm { path, .. } => path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .all(|name| params.contains_key(name)),
        Permission::All(parts) | Permission::Any(parts) => {
            parts.iter().all(|part| decidable(part, params))
        }
    }
}

fn refusal(format: Format, error: &Error) -> Response<Body> {
    let answer = encode::failure(format, error);
    let mut response = Response::new(full(answer.body.into()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(reason) = answer
        .reason
        .and_then(|r| ReasonPhrase::try_from(r.into_bytes()).ok())
    {
        response.extensions_mut().insert(reason);
    }
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(CONTENT_TYPE),
    );
    response
}

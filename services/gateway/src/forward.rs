//! Passes calls to the node's socket.

use crate::body::{Body, passing, whole};
use crate::pool::Pool;
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;

/// Tells the node that a request comes from outside, and from where.
const FORWARDED: HeaderName = HeaderName::from_static("x-basalt-forwarded");
/// Where the node tells at which revision of who may what it answered.
const REVISION: HeaderName = HeaderName::from_static("x-basalt-revision");
/// The node may take so long to begin an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);
/// Nothing more of an answer may come for so long.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Headers of a call that the node gets to see.
const PASSED: [HeaderName; 7] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    ORIGIN,
    HeaderName::from_static("csrfpreventiontoken"),
];
/// And those that make a websocket.
const PASSED_WEBSOCKET: [HeaderName; 5] = [
    CONNECTION,
    UPGRADE,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
];

/// The node does not answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Nobody listens on its socket.
    #[error("the node service does not answer: {0}")]
    Absent(std::io::Error),
    /// It broke off.
    #[error("the node service broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// It takes too long.
    #[error("the node service takes too long")]
    Late,
    /// The request cannot be passed on.
    #[error("the request cannot be passed on: {0}")]
    Request(#[from] http::Error),
}

/// What comes with a call.
#[derive(Debug)]
pub enum Content {
    /// Parameters.
    Whole(Bytes),
    /// A file, of any length.
    Streamed(Body),
}

/// The node, by its socket.
#[derive(Debug, Clone)]
pub struct Node {
    pool: Arc<Pool>,
}

impl Node {
    /// The node that listens on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            pool: Arc::new(Pool::new(socket)),
        }
    }

    /// Reads something small.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), NodeError> {
        let request = Request::get(path)
            .header(HOST, "node")
            .header(FORWARDED, "gateway");
        let request = request.body(whole(Bytes::new()))?;
        let response = answer(self.pool.send_alone(request)).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// Passes a call on. Beside the answer comes the revision of who may what at which it was given.
    pub async fn call(
        &self,
        verb: &http::Method,
        path_and_query: &str,
        headers: &HeaderMap,
        from: &str,
        body: Content,
    ) -> Result<(Response<Body>, Option<u64>), NodeError> {
        let request = |body| self.request(verb, path_and_query, headers, &PASSED, from, body);
        let response = match body {
            Content::Whole(body) => answer(self.pool.send(request(whole(body))?)).await?,
            Content::Streamed(body) => answer(self.pool.send_alone(request(body)?)).await?,
        };
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(CONNECTION);
        let revision = parts.headers.remove(REVISION);
        let revision = revision.and_then(|value| value.to_str().ok()?.parse().ok());
        let answer = Response::from_parts(parts, passing(body, BODY_PATIENCE));
        Ok((answer, revision))
    }

    /// Passes a websocket on: the answer, and then bytes both ways.
    pub async fn websocket(
        &self,
        mut client: Request<Incoming>,
        path_and_query: &str,
        from: &str,
    ) -> Result<Response<Body>, NodeError> {
        let headers = client.headers();
        let names: Vec<HeaderName> = PASSED.into_iter().chain(PASSED_WEBSOCKET).collect();
        let empty = whole(Bytes::new());
        let request = self.request(
            client.method(),
            path_and_query,
            headers,
            &names,
            from,
            empty,
        )?;
        let mut response = answer(self.pool.send_alone(request)).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let inside = hyper::upgrade::on(&mut response);
            let outside = hyper::upgrade::on(&mut client);
            tokio::spawn(async move {
                let (Ok(inside), Ok(outside)) = tokio::join!(inside, outside) else {
                    return;
                };
                let (mut inside, mut outside) = (TokioIo::new(inside), TokioIo::new(outside));
                if let Err(error) = copy_bidirectional(&mut inside, &mut outside).await {
                    tracing::debug!(%error, "websocket");
                }
            });
        }
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(REVISION);
        Ok(Response::from_parts(parts, passing(body, BODY_PATIENCE)))
    }

    fn request(
        &self,
        verb: &http::Method,
        path_and_query: &str,
        headers: &HeaderMap,
        names: &[HeaderName],
        from: &str,
        body: Body,
    ) -> Result<Request<Body>, NodeError> {
        let mut request = Request::builder()
            .method(verb)
            .uri(path_and_query)
            .body(body)?;
        for name in names {
            for value in headers.get_all(name) {
                request.headers_mut().append(name, value.clone());
            }
        }
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("node"));
        let from = HeaderValue::from_str(from).map_err(http::Error::from)?;
        request.headers_mut().insert(FORWARDED, from);
        Ok(request)
    }
}

/// Waits for the beginning of an answer, but not for ever.
async fn answer(
    coming: impl Future<Output = Result<Response<Incoming>, NodeError>>,
) -> Result<Response<Incoming>, NodeError> {
    let answer = tokio::time::timeout(ANSWER_PATIENCE, coming);
    answer.await.map_err(|_| NodeError::Late)?
}

//! A gateway as a child process, and a node that the test plays itself.

use basalt_access::config::{AccessConfig, User};
use basalt_access::{Snapshot, TicketKey};
use basalt_api::methods::acl::{AclEntry, AclKind};
use basalt_daemons::Gateway;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio_rustls::client::TlsStream;

/// The revision of who may what that the node tells of when a user was changed.
pub const CHANGED: u64 = 3;

/// What reached the node of the test.
#[derive(Debug)]
pub struct Seen {
    pub line: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// A gateway and the node behind it.
pub struct Rig {
    pub key: TicketKey,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    /// Tells how many bytes of an upload reached the node so far.
    pub received: watch::Receiver<usize>,
    snapshot: watch::Sender<Snapshot>,
    gateway: Gateway,
    _folder: tempfile::TempDir,
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

impl Rig {
    pub async fn start() -> Self {
        Self::with_node(true).await
    }

    pub async fn without_node() -> Self {
        Self::with_node(false).await
    }

    async fn with_node(node: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = TicketKey::generate();
        let mut config = AccessConfig::default();
        config
            .users
            .insert("jo@pve".parse().unwrap(), User::default());
        let (snapshot, _) = watch::channel(Snapshot {
            revision: 1,
            config,
            pools: basalt_access::Pools::default(),
            realms: basalt_access::Realms::default(),
            verifier: key.verifier(),
        });
        let (told, seen) = mpsc::unbounded_channel();
        let (count, received) = watch::channel(0);
        if node {
            let listener = UnixListener::bind(folder.path().join("node.sock")).unwrap();
            tokio::spawn(play_node(listener, snapshot.subscribe(), told, count));
        }
        let program = env!("CARGO_BIN_EXE_basalt-gateway");
        let socket = folder.path().join("node.sock");
        let gateway = Gateway::start(program, socket).await.unwrap();
        Self {
            key,
            seen,
            received,
            snapshot,
            gateway,
            _folder: folder,
        }
    }

    /// Gives a role to the user `jo@pve`; the gateway is told at once.
    pub fn give(&self, path: &str, role: &str) {
        self.snapshot.send_modify(|snapshot| {
            snapshot.revision += 1;
            snapshot.config.acl.push(AclEntry {
                path: path.into(),
                kind: AclKind::User,
                ugid: "jo@pve".into(),
                roleid: role.into(),
                propagate: true,
            });
        });
    }

    /// The headers of a login of `jo@pve`.
    pub fn login(&self) -> String {
        let user = "jo@pve".parse().unwrap();
        let ticket = self.key.ticket(&user, now());
        let csrf = self.key.csrf(&user, now());
        format!("Cookie: PVEAuthCookie={ticket}\r\nCSRFPreventionToken: {csrf}\r\n")
    }

    pub async fn plain(&self) -> TcpStream {
        TcpStream::connect(self.gateway.address()).await.unwrap()
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let protocols = ["h2", "http/1.1"];
        self.gateway.connect(&protocols).await.unwrap()
    }

    /// Sends a request as it is written and reads the whole answer.
    pub async fn ask(&self, line: &str, headers: &str, body: &[u8]) -> String {
        let mut stream = self.connect().await;
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The gateway may refuse a body before it has read it.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

async fn play_node(
    listener: UnixListener,
    snapshot: watch::Receiver<Snapshot>,
    told: mpsc::UnboundedSender<Seen>,
    count: watch::Sender<usize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (snapshot, told, count) = (snapshot.clone(), told.clone(), count.clone());
        let service = service_fn(move |request| {
            let (snapshot, told, count) = (snapshot.clone(), told.clone(), count.clone());
            async move { Ok::<_, Infallible>(answer(request, snapshot, told, count).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    mut snapshot: watch::Receiver<Snapshot>,
    told: mpsc::UnboundedSender<Seen>,
    count: watch::Sender<usize>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    if request.uri().path() == "/internal/access" {
        let query = request.uri().query().unwrap_or("");
        let known = query
            .strip_prefix("revision=")
            .and_then(|n| n.parse::<u64>().ok());
        let found = snapshot.wait_for(|s| Some(s.revision) != known).await;
        let text = found.map(|s| serde_json::to_string(&*s).unwrap());
        return Response::new(full(text.unwrap_or_default()));
    }
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    if line.contains("vncwebsocket") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut buffer = [0; 64];
            let read = stream.read(&mut buffer).await.unwrap();
            buffer[..read].reverse();
            stream.write_all(&buffer[..read]).await.unwrap();
        });
        let mut response = Response::new(full(String::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert("connection", "Upgrade".parse().unwrap());
        response
            .headers_mut()
            .insert("upgrade", "websocket".parse().unwrap());
        return response;
    }
    let mut body = Vec::new();
    let mut incoming = request.into_body();
    while let Some(Ok(frame)) = incoming.frame().await {
        if let Ok(bytes) = frame.into_data() {
            count.send_modify(|n| *n += bytes.len());
            body.extend_from_slice(&bytes);
        }
    }
    let fails = line.contains("/access/roles");
    let changes = line.contains("/access/users");
    let _ = told.send(Seen {
        line,
        headers,
        body: body.into(),
    });
    let mut response = Response::new(full(r#"{"data":"from the node"}"#.into()));
    if changes {
        let revision = CHANGED.into();
        response.headers_mut().insert("x-basalt-revision", revision);
    }
    if fails {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let reason = hyper::ext::ReasonPhrase::from_static(b"role 'x' already exists");
        response.extensions_mut().insert(reason);
    }
    response
}

//! A console from a browser's websocket to a guest's socket.

use super::*;
use http_body_util::Full;
use hyper::service::service_fn;
use std::convert::Infallible;
use tokio::io::DuplexStream;
use tokio_tungstenite::client_async;

/// A websocket whose other end is a serial port's socket, as the node joins them.
async fn connect() -> (
    WebSocketStream<DuplexStream>,
    UnixStream,
    oneshot::Receiver<()>,
) {
    connect_to(Target::Serial(PathBuf::new())).await
}

/// The same for any target, whose socket of bytes is replaced by a pair.
async fn connect_to(
    target: Target,
) -> (
    WebSocketStream<DuplexStream>,
    UnixStream,
    oneshot::Receiver<()>,
) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (guest, guest_far) = UnixStream::pair().unwrap();
    let (closed, when_closed) = oneshot::channel();
    let parts = Mutex::new(Some((guest_far, closed)));
    let target = Mutex::new(Some(target));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let (guest, closed) = parts.lock().unwrap().take().unwrap();
        let headers = switch_headers(request.headers()).unwrap();
        let upgrade = hyper::upgrade::on(&mut request);
        let target = target.lock().unwrap().take().unwrap();
        tokio::spawn(serve(upgrade, guest, target, "root@pam:T".into(), closed));
        let mut response = http::Response::new(Full::<Bytes>::default());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        async move { Ok::<_, Infallible>(response) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    tokio::spawn(
        server
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades(),
    );
    let (socket, _) = client_async("ws://node/", near).await.unwrap();
    (socket, guest, when_closed)
}

async fn next(socket: &mut WebSocketStream<DuplexStream>) -> Option<Bytes> {
    match socket.next().await?.unwrap() {
        Message::Binary(bytes) => Some(bytes),
        Message::Close(_) => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_after_the_greeting() {
    let (mut socket, mut guest, when_closed) = connect().await;
    socket
        .send(Message::text("root@pam:T\n0:5:una"))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), "OK");
    socket
        .send(Message::binary(&b"me1:80:24:20:1:\r"[..]))
        .await
        .unwrap();
    let mut typed = [0; 6];
    guest.read_exact(&mut typed).await.unwrap();
    assert_eq!(&typed, b"uname\r");
    guest.write_all(b"\xffLinux").await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), &b"\xffLinux"[..]);
    drop(guest);
    assert_eq!(next(&mut socket).await, None);
    assert!(when_closed.await.is_err());
}

#[tokio::test]
async fn a_wrong_greeting_ends_it_before_the_guest_is_touched() {
    let (mut socket, mut guest, _closed) = connect().await;
    socket
        .send(Message::text("root@pam:X\n0:1:a"))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await, None);
    assert_eq!(guest.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stopped_task_ends_its_console() {
    let (mut socket, _guest, when_closed) = connect().await;
    socket.send(Message::text("root@pam:T\n")).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), "OK");
    drop(when_closed);
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn a_terminal_learns_the_size_of_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control.sock");
    let runtime = tokio::net::UnixListener::bind(&control).unwrap();
    let (mut socket, _guest, _closed) = connect_to(Target::Terminal {
        socket: PathBuf::new(),
        control,
    })
    .await;
    socket
        .send(Message::text("root@pam:T\n1:132:43:"))
        .await
        .unwrap();
    let (connection, _) = runtime.accept().await.unwrap();
    let mut line = String::new();
    let mut connection = tokio::io::BufReader::new(connection);
    tokio::io::AsyncBufReadExt::read_line(&mut connection, &mut line)
        .await
        .unwrap();
    let request: basalt_model::container::Request = serde_json::from_str(&line).unwrap();
    let expected = basalt_model::container::Request::ConsoleResize {
        columns: 132,
        rows: 43,
    };
    assert_eq!(request, expected);
}

/// A monitor's side of the beginning of RFB.
async fn greet_as_monitor(guest: &mut UnixStream) {
    guest.write_all(b"RFB 003.008\n").await.unwrap();
    let mut version = [0; 12];
    guest.read_exact(&mut version).await.unwrap();
    guest.write_all(&[1, 1]).await.unwrap();
    assert_eq!(guest.read_u8().await.unwrap(), 1);
    guest.write_u32(0).await.unwrap();
}

/// The beginning of RFB as a viewer sees it that answers the challenge with a password.
async fn log_in(
    version: &[u8],
    password: &str,
) -> (
    WebSocketStream<DuplexStream>,
    UnixStream,
    oneshot::Receiver<()>,
    Bytes,
) {
    let target = Target::Screen {
        socket: PathBuf::new(),
        password: Some("PVEVNC:T".into()),
    };
    let (mut socket, mut guest, open) = connect_to(target).await;
    greet_as_monitor(&mut guest).await;
    assert_eq!(next(&mut socket).await.unwrap()[..], *b"RFB 003.008\n");
    socket
        .send(Message::binary(version.to_vec()))
        .await
        .unwrap();
    let offer = next(&mut socket).await.unwrap();
    if version == b"RFB 003.003\n" {
        assert_eq!(offer[..], [0, 0, 0, 2]);
    } else {
        assert_eq!(offer[..], [1, 2]);
        socket.send(Message::binary(&[2][..])).await.unwrap();
    }
    let challenge: [u8; 16] = next(&mut socket).await.unwrap()[..].try_into().unwrap();
    let response = screen::respond(challenge, password).to_vec();
    socket.send(Message::binary(response)).await.unwrap();
    let result = next(&mut socket).await.unwrap();
    (socket, guest, open, result)
}

#[tokio::test]
async fn a_viewer_with_the_password_reaches_the_screen() {
    for version in [b"RFB 003.003\n", b"RFB 003.007\n", b"RFB 003.008\n"] {
        let (mut socket, mut guest, _open, result) = log_in(version, "PVEVNC:T and more").await;
        assert_eq!(result[..], [0; 4]);
        socket.send(Message::binary(&[1][..])).await.unwrap();
        assert_eq!(guest.read_u8().await.unwrap(), 1);
        guest.write_all(b"pixels").await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap()[..], *b"pixels");
    }
}

#[tokio::test]
async fn a_viewer_without_it_is_told_and_sent_away() {
    let (mut socket, mut guest, _open, result) = log_in(b"RFB 003.008\n", "guess").await;
    assert_eq!(result[..4], [0, 0, 0, 1]);
    assert!(result[8..].starts_with(b"the password is wrong"));
    assert_eq!(next(&mut socket).await, None);
    assert_eq!(guest.read(&mut [0]).await.unwrap(), 0);
}

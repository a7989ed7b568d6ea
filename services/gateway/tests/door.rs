//! What the gateway lets through, on real connections.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod rig;

use rig::Rig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn what_is_open_to_the_world_passes_and_is_marked() {
    let mut rig = Rig::start().await;
    let body = b"username=root%40pam&password=x";
    let headers = "Content-Type: application/x-www-form-urlencoded\r\nX-Other: 1\r\n\
                   X-Basalt-Forwarded: no\r\n";
    let answer = rig
        .ask("POST /api2/json/access/ticket", headers, body)
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("from the node\"}"), "{answer}");
    let seen = rig.seen.recv().await.unwrap();
    assert_eq!(seen.line, "POST /api2/json/access/ticket");
    assert_eq!(seen.body.as_ref(), body);
    assert_eq!(seen.headers["x-basalt-forwarded"], "127.0.0.1");
    assert!(!seen.headers.contains_key("x-other"));
}

#[tokio::test]
async fn nobody_without_login_or_rights_reaches_the_node() {
    let mut rig = Rig::start().await;
    let login = rig.login();
    let start = "POST /api2/json/nodes/n/qemu/100/status/start";
    let asked = [
        rig.ask("GET /api2/json/version", "", b"").await,
        rig.ask(start, &login, b"").await,
        rig.ask("POST /api2/json/nodes/n/qemu", &login, b"vmid=100")
            .await,
        rig.ask("GET /api2/json/nonsense", &login, b"").await,
        rig.ask("GET /internal/access.json", &login, b"").await,
        rig.ask("PATCH /api2/json/version", &login, b"").await,
    ];
    let lines: Vec<&str> = asked.iter().map(|a| a.lines().next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 401 No ticket",
            "HTTP/1.1 403 Permission check failed (/vms/100, VM.PowerMgmt)",
            "HTTP/1.1 403 Permission check failed (/vms/100, VM.Allocate)",
            "HTTP/1.1 501 Method 'GET /nonsense' not implemented",
            "HTTP/1.1 404 Not Found",
            "HTTP/1.1 501 Method 'PATCH /version' not implemented",
        ]
    );
    assert!(rig.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_change_of_rights_holds_at_once() {
    let mut rig = Rig::start().await;
    let login = rig.login();
    let start = "POST /api2/json/nodes/n/qemu/100/status/start";
    assert!(
        rig.ask(start, &login, b"")
            .await
            .starts_with("HTTP/1.1 403")
    );
    rig.give("/vms", "PVEVMUser");
    // The gateway is told over its open question; ask until that arrived.
    let allowed = async {
        while !rig
            .ask(start, &login, b"")
            .await
            .starts_with("HTTP/1.1 200")
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), allowed)
        .await
        .unwrap();
    assert!(
        rig.seen
            .recv()
            .await
            .unwrap()
            .headers
            .contains_key("cookie")
    );
}

#[tokio::test]
async fn a_change_is_answered_when_it_is_in_force() {
    let mut rig = Rig::start().await;
    rig.give("/", "Administrator");
    let login = rig.login();
    let status = "GET /api2/json/cluster/status";
    while !rig
        .ask(status, &login, b"")
        .await
        .starts_with("HTTP/1.1 200")
    {}
    let mut seen = std::mem::replace(&mut rig.seen, tokio::sync::mpsc::unbounded_channel().1);
    let change = rig.ask("POST /api2/json/access/users", &login, b"userid=x%40pve");
    tokio::pin!(change);
    let reached = async {
        while !seen.recv().await.unwrap().line.starts_with("POST") {}
        // By the time of this answer the other would have come, too.
        rig.ask("GET /api2/json/access/users", &login, b"").await
    };
    let other = tokio::select! {
        early = &mut change => panic!("{early}"),
        other = reached => other,
    };
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    rig.give("/vms", "PVEVMUser");
    let answer = change.await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("x-basalt-revision"), "{answer}");
}

#[tokio::test]
async fn a_change_needs_the_csrf_token_and_a_forged_ticket_waits() {
    let mut rig = Rig::start().await;
    rig.give("/", "Administrator");
    let login = rig.login();
    let cookie = login.lines().next().unwrap();
    let begun = std::time::Instant::now();
    let put = rig
        .ask(
            "PUT /api2/json/access/acl",
            &format!("{cookie}\r\n"),
            b"path=/",
        )
        .await;
    assert!(
        put.starts_with("HTTP/1.1 401 Permission denied - invalid csrf token\r\n"),
        "{put}"
    );
    let forged = cookie.replace("jo@pve", "root@pam");
    let get = rig
        .ask("GET /api2/json/version", &format!("{forged}\r\n"), b"")
        .await;
    assert!(
        get.starts_with("HTTP/1.1 401 permission denied - invalid PVE ticket\r\n"),
        "{get}"
    );
    assert!(begun.elapsed().as_secs() >= 6);
    assert!(rig.seen.try_recv().is_err());
}

#[tokio::test]
async fn the_reason_phrase_of_the_node_passes() {
    let rig = Rig::start().await;
    let answer = rig
        .ask("GET /api2/json/access/roles", &rig.login(), b"")
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 500 role 'x' already exists\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_is_not_there_yet_is_told_to_users_only() {
    let mut rig = Rig::start().await;
    let missing = "GET /api2/json/nodes/n/ceph/cfg";
    let anonymous = rig.ask(missing, "", b"").await;
    assert!(anonymous.starts_with("HTTP/1.1 401 "), "{anonymous}");
    let answer = rig.ask(missing, &rig.login(), b"").await;
    let line = "HTTP/1.1 501 Method 'GET /nodes/n/ceph/cfg' not implemented: \
                it is not there yet in Basalt\r\n";
    assert!(answer.starts_with(line), "{answer}");
    // The node is not asked.
    assert!(rig.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_client_is_told_that_an_unread_body_ends_the_connection() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    let head = format!(
        "POST /api2/json/nodes/n/ceph/init HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 9\r\n\r\n",
        rig.login()
    );
    // The body is still on its way when the answer is made.
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn only_http_1_is_spoken_and_every_answer_is_guarded() {
    let rig = Rig::start().await;
    let stream = rig.connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for path in ["/", "/vm/100", "/api2/json/version", "/gone.js"] {
        let answer = rig
            .ask(&format!("GET {path}"), "", b"")
            .await
            .to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'self'",
            "nosniff",
            "x-frame-options",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_browser_without_tls_is_sent_to_https() {
    let rig = Rig::start().await;
    let mut stream = rig.plain().await;
    let request = b"GET /vm/100?x=1 HTTP/1.1\r\nHost: host.test:8006\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    assert!(
        answer.contains("location: https://host.test:8006/vm/100?x=1\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn without_a_node_files_are_served_and_calls_say_so() {
    let rig = Rig::without_node().await;
    let page = rig.ask("GET /", "", b"").await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.ends_with("the page"),
        "{page}"
    );
    let call = rig.ask("GET /api2/json/access/domains", "", b"").await;
    assert!(
        call.starts_with("HTTP/1.1 595 the node service is not ready yet"),
        "{call}"
    );
    let call = rig.ask("GET /api2/extjs/access/domains", "", b"").await;
    assert!(
        call.starts_with("HTTP/1.1 200") && call.contains(r#""success":0"#),
        "{call}"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let mut rig = Rig::start().await;
    let body = vec![b'a'; (1 << 20) + 1];
    let answer = rig.ask("POST /api2/json/access/ticket", "", &body).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
        "{answer}"
    );
    assert!(rig.seen.try_recv().is_err());
}

#[tokio::test]
async fn an_upload_passes_piece_by_piece() {
    let mut rig = Rig::start().await;
    rig.give("/storage", "PVEDatastoreAdmin");
    let mut head = format!(
        "POST /api2/json/nodes/n/storage/local/upload HTTP/1.1\r\nHost: localhost\r\n\
         Content-Length: {}\r\nConnection: close\r\n",
        16 << 20
    );
    head.push_str(&rig.login());
    head.push_str("\r\n");
    let mut stream = loop {
        // Until the gateway was told of the new right.
        let mut stream = rig.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[1; 1 << 20]).await.unwrap();
        let answer = tokio::select! {
            found = rig.received.wait_for(|n| *n >= 1 << 20) => { found.unwrap(); None }
            read = async { let mut b = [0; 64]; stream.read(&mut b).await } => Some(read),
        };
        if answer.is_none() {
            break stream;
        }
    };
    // The first piece is at the node before the last one was sent.
    for _ in 1..16 {
        stream.write_all(&[1; 1 << 20]).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(rig.seen.recv().await.unwrap().body.len(), 16 << 20);
}

#[tokio::test]
async fn a_websocket_passes_bytes_both_ways() {
    let rig = Rig::start().await;
    rig.give("/vms", "PVEVMUser");
    let head = format!(
        "GET /api2/json/nodes/n/qemu/100/vncwebsocket?port=5900&vncticket=x HTTP/1.1\r\n\
         Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
        rig.login()
    );
    let mut stream = loop {
        let mut stream = rig.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        if answer.starts_with(b"HTTP/1.1 101 ") {
            break stream;
        }
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
    };
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"olleh");
}

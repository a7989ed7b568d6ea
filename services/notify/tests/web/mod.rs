//! Events get to real servers over HTTP.

use crate::servers::http::Server;
use crate::servers::{notifier, with_network};
use basalt_model::notify::{EventType, NotifyConfig, NotifySecrets, Severity};
use basalt_notify::{Event, Network};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

fn event() -> Event {
    let kind = EventType::CertificateRenewal;
    let body = "line one\n\"line\" two & more";
    Event::new(kind, Severity::Error, "A \"bad\" day", body).with("hostname", "n1")
}

/// A matcher that sends everything to one target.
fn to(target: &str) -> Value {
    json!({"all": {"target": [target]}, "default-matcher": {"disable": true}})
}

#[tokio::test(flavor = "multi_thread")]
async fn gotify_gets_its_token_and_what_happened() {
    let server = Server::start(&["200 OK"]);
    let config = json!({
        "gotify": {"phone": {"server": server.url("/push/")}},
        "matcher": to("phone"),
    });
    let notifier = notifier(config, json!({"gotify": {"phone": "geheim"}}), &[]);
    notifier.emit(event());
    let asked = server.next();
    assert_eq!(asked.line, "POST /push/message HTTP/1.1");
    assert_eq!(asked.header("x-gotify-key"), Some("geheim"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body["title"], "A \"bad\" day");
    assert_eq!(body["message"], "line one\n\"line\" two & more");
    assert_eq!(body["priority"], 9);
}

/// Settings of a webhook whose address, headers and body use everything.
fn hook(url: &str) -> (Value, Value) {
    let text = |text: &str| STANDARD.encode(text);
    let body = r#"{"t":"{{ escape title }}","m":{{ json message }},"f":{{ json fields }},"s":"{{ severity }}"}"#;
    let config = json!({
        "webhook": {"hook": {
            "method": "post",
            "url": format!("{url}/{{{{ secrets.path }}}}?title={{{{ url-encode title }}}}&k={{{{ url-encode secrets.key }}}}"),
            "header": [
                format!("name=Authorization,value={}", text("Bearer {{ secrets.key }}")),
                format!("name=Content-Type,value={}", text("application/json")),
                format!("name=X-Host,value={}", text("{{ fields.hostname }} {{ message }}")),
            ],
            "body": text(body),
            "secret": ["name=key", "name=path"],
        }},
        "matcher": to("hook"),
    });
    let secrets = json!({"webhook": {"hook": {"key": text("k=1/2"), "path": text("room-7")}}});
    (config, secrets)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_filled_with_the_event_and_its_secrets() {
    let server = Server::start(&["204 No Content"]);
    let (config, secrets) = hook(&server.url(""));
    notifier(config, secrets, &[]).emit(event());
    let asked = server.next();
    let line = "POST /room-7?title=A%20%22bad%22%20day&k=k%3D1%2F2 HTTP/1.1";
    assert_eq!(asked.line, line);
    assert_eq!(asked.header("authorization"), Some("Bearer k=1/2"));
    // A line break of the event begins no header.
    assert_eq!(
        asked.header("x-host"),
        Some("n1 line one \"line\" two & more")
    );
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let fields = json!({"type": "certificate-renewal", "hostname": "n1"});
    let whole = json!({"t": "A \"bad\" day", "m": "line one\n\"line\" two & more", "f": fields, "s": "error"});
    assert_eq!(body, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_sends_what_it_says() {
    for (method, line) in [("get", "GET / HTTP/1.1"), ("put", "PUT / HTTP/1.1")] {
        for body in ["", "{{ title }}"] {
            let server = Server::start(&["200 OK"]);
            let config = json!({
                "webhook": {"hook": {"method": method, "url": server.url("/"), "body": STANDARD.encode(body)}},
                "matcher": to("hook"),
            });
            notifier(config, json!({}), &[]).emit(event());
            let asked = server.next();
            assert_eq!(asked.line, line);
            assert_eq!(asked.body.is_empty(), body.is_empty(), "{method} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_is_asked_again_and_one_that_refuses_is_not() {
    let server = Server::start(&["503 Busy", "429 Slow", "200 OK", "401 No", "200 OK"]);
    let config = json!({
        "gotify": {"phone": {"server": server.url("")}},
        "matcher": to("phone"),
    });
    let notifier = notifier(config, json!({"gotify": {"phone": "geheim"}}), &[]);
    let titled = |title: &str| Event {
        title: title.to_owned(),
        ..event()
    };
    for title in ["first", "second", "third"] {
        notifier.emit(titled(title));
    }
    let titles = [(); 5].map(|()| {
        let body: Value = serde_json::from_str(&server.next().body).unwrap();
        body["title"].as_str().unwrap().to_owned()
    });
    assert_eq!(titles, ["first", "first", "first", "second", "third"]);
    assert!(server.is_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_server_and_keep_secrets() {
    let server = Server::start(&["403 Forbidden"]);
    let (config, secrets) = hook(&server.url(""));
    let refused = notifier(config, secrets, &[])
        .test("hook")
        .await
        .unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("127.0.0.1") && refused.contains("403"),
        "{refused}"
    );
    // Nobody listens at a port that was just given back; the second address cannot be one.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [
        format!("http://{closed}"),
        "http://{{ secrets.key }} x".to_owned(),
    ] {
        let (config, secrets) = hook(&url);
        let error = notifier(config, secrets, &[])
            .test("hook")
            .await
            .unwrap_err();
        let error = error.to_string();
        for secret in ["k=1/2", "k%3D1%2F2", "room-7"] {
            assert!(
                !refused.contains(secret) && !error.contains(secret),
                "{error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_holds_nobody_up() {
    // Connections are made by the kernel, and never read.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let server = Server::start(&["200 OK"]);
    let config = json!({
        "gotify": {"stuck": {"server": silent}, "well": {"server": server.url("")}},
        "matcher": {
            "all": {"target": ["stuck"]},
            "one": {"target": ["well"], "match-severity": ["warning"]},
        },
    });
    let secrets = json!({"gotify": {"stuck": "t", "well": "t"}});
    let notifier = notifier(config, secrets, &[]);
    for _ in 0..1000 {
        notifier.emit(event());
    }
    notifier.emit(Event {
        severity: Severity::Warning,
        ..event()
    });
    server.next();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_ends_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = json!({
        "gotify": {"web": {"server": format!("http://127.0.0.1:{port}")}},
        "smtp": {"mail": {"server": "127.0.0.1", "port": port, "mode": "insecure",
            "from-address": "a@b", "mailto": ["a@b"]}},
    });
    let config: NotifyConfig = serde_json::from_value(config).unwrap();
    let secrets: NotifySecrets = serde_json::from_value(json!({"gotify": {"web": "t"}})).unwrap();
    let short = Duration::from_millis(50);
    let network = Network {
        web_patience: short,
        mail_patience: short,
        ..Network::new("n1".to_owned(), Vec::new())
    };
    let notifier = with_network(config, secrets, network);
    for target in ["web", "mail"] {
        let error = notifier.test(target).await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
    }
    let none = notifier.test("nobody").await.unwrap_err().to_string();
    assert_eq!(none, "target 'nobody' does not exist");
}

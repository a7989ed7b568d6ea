//! Who is told of what happens.

use crate::rig::{JO, ROOT, Rig};
use basalt_api::bag::encode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A server that Gotify's messages are sent to.
pub struct Listener {
    port: u16,
    messages: Receiver<Value>,
}

impl Listener {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, messages) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = Vec::new();
                let mut buffer = [0; 4096];
                let message = loop {
                    let count = stream.read(&mut buffer).unwrap();
                    assert!(count > 0, "the message is cut");
                    bytes.extend(&buffer[..count]);
                    let text = String::from_utf8_lossy(&bytes);
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                    if let Some(Ok(message)) = body.map(serde_json::from_str) {
                        break message;
                    }
                };
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).unwrap();
                if heard.send(message).is_err() {
                    return;
                }
            }
        });
        Self { port, messages }
    }

    /// Has everything sent here, and to nobody else.
    pub async fn subscribe(&self, rig: &Rig) {
        let form = format!("name=phone&server=http://127.0.0.1:{}&token=t", self.port);
        let post = "POST /cluster/notifications/endpoints/gotify";
        rig.ask(post, ROOT, &form).await.data();
        let put = "PUT /cluster/notifications/matchers/default-matcher";
        rig.ask(put, ROOT, "target=phone").await.data();
    }

    /// The title of the next message.
    pub async fn title(&self) -> String {
        tokio::task::block_in_place(|| {
            let patience = Duration::from_secs(60);
            let message = self.messages.recv_timeout(patience).expect("nobody tells");
            message["title"].as_str().unwrap().to_owned()
        })
    }
}

async fn ask(rig: &Rig, line: &str, form: &str) -> crate::rig::Answer {
    rig.ask(line, ROOT, form).await
}

#[tokio::test]
async fn targets_are_set_and_their_secrets_stay() {
    let mut rig = Rig::start().await;
    let text = |text: &str| encode(&STANDARD.encode(text));
    let smtp = "name=mail&server=mail.example.org&from-address=host%40example.org&mode=starttls\
                &mailto=ann%40example.org&mailto=root&username=host&password=much-too-secret";
    let url = encode("https://chat.example.org/{{ secrets.room }}");
    let secret = format!("secret=name%3Droom,value%3D{}", text("much-too-secret"));
    let hook = format!(
        "name=chat&method=post&url={url}&{secret}&body={}",
        text("{{ title }}")
    );
    let gotify = "name=phone&server=https://g.example.org&token=much-too-secret";
    for (kind, form) in [("smtp", smtp), ("webhook", &hook), ("gotify", gotify)] {
        let post = format!("POST /cluster/notifications/endpoints/{kind}");
        ask(&rig, &post, form).await.data();
        let again = ask(&rig, &post, form).await;
        assert!(again.line.contains("already exists"), "{again:?}");
    }
    // Names are unique over all kinds.
    let other = gotify.replace("phone", "mail");
    let other = ask(&rig, "POST /cluster/notifications/endpoints/gotify", &other).await;
    assert!(other.line.contains("already exists"), "{other:?}");
    rig.crash().await;
    for (kind, name) in [("smtp", "mail"), ("webhook", "chat"), ("gotify", "phone")] {
        let one = ask(
            &rig,
            &format!("GET /cluster/notifications/endpoints/{kind}/{name}"),
            "",
        )
        .await;
        let list = ask(
            &rig,
            &format!("GET /cluster/notifications/endpoints/{kind}"),
            "",
        )
        .await;
        assert_eq!(one.data()["name"], name);
        assert!(one.data()["digest"].is_string());
        assert_eq!(list.data()[0]["origin"], "user-created");
        for shown in [&one.body, &list.body] {
            let shown = shown.to_string();
            let encoded = STANDARD.encode("much-too-secret");
            assert!(
                !shown.contains("much-too-secret") && !shown.contains(&encoded),
                "{shown}"
            );
        }
    }
    let mail = ask(&rig, "GET /cluster/notifications/endpoints/smtp/mail", "").await;
    assert_eq!(mail.data()["mailto"], json!(["ann@example.org", "root"]));
    let chat = ask(
        &rig,
        "GET /cluster/notifications/endpoints/webhook/chat",
        "",
    )
    .await;
    assert_eq!(chat.data()["secret"], json!(["name=room"]));
    let targets = ask(&rig, "GET /cluster/notifications/targets", "").await;
    let targets = targets.data().as_array().unwrap().clone();
    let names: Vec<&str> = targets
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["phone", "mail-to-root", "mail", "chat"]);
}

#[tokio::test]
async fn secrets_go_to_nobody_else_unless_they_are_given_again() {
    let rig = Rig::start().await;
    let create = async |kind: &str, form: &str| {
        ask(
            &rig,
            &format!("POST /cluster/notifications/endpoints/{kind}"),
            form,
        )
        .await
        .data();
    };
    create("gotify", "name=phone&server=https://a.example.org&token=t").await;
    let mail =
        "name=mail&server=a.example.org&from-address=a%40b&mailto=a%40b&username=u&password=p";
    create("smtp", mail).await;
    let hook =
        "name=hook&method=get&url=https://a.example.org/x&secret=name%3Dk,value%3DcGFzcw%3D%3D";
    create("webhook", hook).await;
    for (line, harmless, moved, again, name) in [
        (
            "gotify/phone",
            "comment=x",
            "server=https://b.example.org",
            "token=t",
            "token",
        ),
        (
            "smtp/mail",
            "author=x",
            "server=b.example.org",
            "password=p",
            "password",
        ),
        (
            "smtp/mail",
            "comment=x",
            "mode=insecure",
            "password=p",
            "password",
        ),
        (
            "webhook/hook",
            "secret=name%3Dk&url=https://a.example.org/y",
            "url=https://b.example.org/x",
            "secret=name%3Dk,value%3DcGFzcw%3D%3D",
            "secret",
        ),
    ] {
        let put = format!("PUT /cluster/notifications/endpoints/{line}");
        ask(&rig, &put, harmless).await.data();
        let refused = ask(&rig, &put, moved).await;
        assert!(
            refused.body["errors"][name].is_string(),
            "{line}: {refused:?}"
        );
        ask(&rig, &put, &format!("{moved}&{again}")).await.data();
    }
    // Without its account a password is of nobody.
    let put = "PUT /cluster/notifications/endpoints/smtp/mail";
    ask(&rig, put, "delete=username&delete=author").await.data();
    let shown = ask(&rig, "GET /cluster/notifications/endpoints/smtp/mail", "").await;
    assert!(shown.data()["username"].is_null() && shown.data()["author"].is_null());
    let back = ask(&rig, put, "username=u").await;
    assert!(back.body["errors"]["password"].is_string(), "{back:?}");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let rig = Rig::start().await;
    let text = |text: &str| encode(&STANDARD.encode(text));
    let hook = |more: String| format!("name=hook&method=post&url=https://a.example.org&{more}");
    let body = hook(format!("body={}", text("{{ secrets.none }}")));
    let header = hook(format!("header=name%3DX,value%3D{}", text("{{ colour }}")));
    let mail = "name=mail&server=a.example.org&from-address=a%40b";
    for (place, form, name) in [
        (
            "endpoints/gotify",
            "name=1x&server=https://a&token=t",
            "name",
        ),
        (
            "endpoints/gotify",
            "name=good&server=ftp://a&token=t",
            "server",
        ),
        ("endpoints/gotify", "name=good&server=https://a", "token"),
        ("endpoints/smtp", &format!("{mail}&mailto=a%40"), "mailto"),
        ("endpoints/smtp", mail, "mailto"),
        (
            "endpoints/smtp",
            &format!("{mail}&mailto=a%40b&username=u"),
            "password",
        ),
        (
            "endpoints/smtp",
            &format!("{mail}&mailto=a%40b&port=0"),
            "port",
        ),
        (
            "endpoints/sendmail",
            "name=good&mailto=a%40b&relay=none",
            "relay",
        ),
        ("endpoints/webhook", &body, "body"),
        ("endpoints/webhook", &header, "header"),
        (
            "endpoints/webhook",
            &hook("secret=name%3Dk".to_owned()),
            "secret",
        ),
        ("endpoints/webhook", &hook("body=%7B%7B".to_owned()), "body"),
        ("matchers", "name=good&target=nobody", "target"),
        (
            "matchers",
            "name=good&match-field=regex:type%3D(",
            "match-field",
        ),
        (
            "matchers",
            "name=good&match-severity=awful",
            "match-severity",
        ),
        (
            "matchers",
            "name=good&match-calendar=someday",
            "match-calendar",
        ),
    ] {
        let line = format!("POST /cluster/notifications/{place}");
        let answer = ask(&rig, &line, form).await;
        assert_eq!(answer.status(), 400, "{form}: {answer:?}");
        assert!(
            answer.body["errors"][name].is_string(),
            "{name}: {answer:?}"
        );
    }
    let targets = ask(&rig, "GET /cluster/notifications/targets", "").await;
    assert_eq!(targets.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_there_from_the_beginning_is_changed_and_put_back() {
    let rig = Rig::start().await;
    let put = "PUT /cluster/notifications/matchers/default-matcher";
    let get = "GET /cluster/notifications/matchers/default-matcher";
    let before = ask(&rig, get, "").await.data().clone();
    assert_eq!(before["target"], json!(["mail-to-root"]));
    let form = format!("mode=any&digest={}", before["digest"].as_str().unwrap());
    ask(&rig, put, &form).await.data();
    let stale = ask(&rig, put, &form).await;
    assert!(stale.body["errors"]["digest"].is_string(), "{stale:?}");
    let list = ask(&rig, "GET /cluster/notifications/matchers", "").await;
    assert_eq!(list.data()[0]["origin"], "modified-builtin");
    ask(
        &rig,
        "DELETE /cluster/notifications/matchers/default-matcher",
        "",
    )
    .await
    .data();
    let list = ask(&rig, "GET /cluster/notifications/matchers", "").await;
    assert_eq!(list.data()[0]["origin"], "builtin");
    assert_eq!(list.data()[0]["mode"], "all");

    let form = "name=mail&server=a.example.org&from-address=a%40b&mailto=a%40b";
    ask(&rig, "POST /cluster/notifications/endpoints/smtp", form)
        .await
        .data();
    let relayed = "PUT /cluster/notifications/endpoints/sendmail/mail-to-root";
    ask(&rig, relayed, "relay=mail").await.data();
    let used = "DELETE /cluster/notifications/endpoints/smtp/mail";
    let refused = ask(&rig, used, "").await;
    let text = refused.body["errors"]["name"].as_str().unwrap();
    assert!(text.contains("'mail-to-root'"), "{text}");
    let target = "DELETE /cluster/notifications/endpoints/sendmail/mail-to-root";
    ask(&rig, target, "").await.data();
    ask(&rig, used, "").await.data();
    let gone = ask(&rig, used, "").await;
    assert!(gone.line.contains("does not exist"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_gets_there_or_says_what_is_missing() {
    let rig = Rig::start().await;
    let test = async |name: &str| {
        let line = format!("POST /cluster/notifications/targets/{name}/test");
        ask(&rig, &line, "").await
    };
    let no_relay = test("mail-to-root").await;
    assert!(no_relay.line.contains("no relay is set"), "{no_relay:?}");
    // A port that was just given back: nobody listens.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let form = format!(
        "name=mail&server=127.0.0.1&port={}&mode=insecure&from-address=a%40b&mailto-user=jo%40pve",
        closed.port()
    );
    ask(&rig, "POST /cluster/notifications/endpoints/smtp", &form)
        .await
        .data();
    let unknown = test("mail").await;
    assert!(
        unknown.line.contains("set the e-mail address of jo@pve"),
        "{unknown:?}"
    );
    let set = "email=jo%40example.org";
    ask(&rig, "PUT /access/users/jo@pve", set).await.data();
    let unreachable = test("mail").await;
    assert!(
        unreachable.line.contains(&format!("{closed}: ")),
        "{unreachable:?}"
    );
    assert!(test("nobody").await.line.contains("does not exist"));
    let listener = Listener::start();
    listener.subscribe(&rig).await;
    test("phone").await.data();
    assert_eq!(listener.title().await, "Test notification");
    let fields = ask(&rig, "GET /cluster/notifications/matcher-fields", "").await;
    assert_eq!(
        *fields.data(),
        json!([{"name": "type"}, {"name": "hostname"}, {"name": "job-id"}])
    );
    let values = ask(&rig, "GET /cluster/notifications/matcher-field-values", "").await;
    let values = values.data().to_string();
    assert!(
        values.contains("update-fallback") && values.contains("\"n1\""),
        "{values}"
    );
    let denied = rig
        .ask("POST /cluster/notifications/targets/phone/test", JO, "")
        .await;
    assert_eq!(denied.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_left_behind_is_told_of_once() {
    let mut rig = Rig::start().await;
    let listener = Listener::start();
    listener.subscribe(&rig).await;
    let fail = |rig: &Rig, version: &str| {
        let said = json!({"failed_update": {"version": version, "reasons": ["node: no answer"]}});
        std::fs::write(rig.path("run/init.json"), said.to_string()).unwrap();
    };
    fail(&rig, "0.2.0");
    rig.crash().await;
    assert_eq!(listener.title().await, "n1: version 0.2.0 was left behind");
    rig.crash().await;
    let test = "POST /cluster/notifications/targets/phone/test";
    ask(&rig, test, "").await.data();
    assert_eq!(listener.title().await, "Test notification");
    fail(&rig, "0.3.0");
    rig.crash().await;
    assert_eq!(listener.title().await, "n1: version 0.3.0 was left behind");
}

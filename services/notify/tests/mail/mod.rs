//! Events get to real mail servers.

use crate::servers::mail::{Manner, Server};
use crate::servers::{certificate, notifier};
use basalt_model::notify::{EventType, Severity};
use basalt_notify::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn smtp(server: &Server, more: Value) -> Value {
    let mut one = json!({"server": "localhost", "port": server.port, "mode": "tls",
        "from-address": "host@example.org", "mailto": ["ann@example.org", "root"]});
    for (name, value) in more.as_object().unwrap() {
        one[name] = value.clone();
    }
    json!({"smtp": {"mail": one}, "matcher": {"all": {"target": ["mail"]}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_gets_there_by_tls_with_a_login() {
    let (tls, _folder, trusted) = certificate();
    let server = Server::start(Manner {
        offers: &["AUTH LOGIN PLAIN"],
        tls: Some(tls),
        from_start: true,
        ..Manner::default()
    });
    let config = smtp(&server, json!({"username": "host", "author": "Höst"}));
    let notifier = notifier(config, json!({"smtp": {"mail": "geheim"}}), &[trusted]);
    let kind = EventType::UpdateFallback;
    notifier.emit(Event::new(
        kind,
        Severity::Error,
        "It fell back",
        "It is\n.again\n",
    ));
    let told = server.next();
    let login = STANDARD.encode("\0host\0geheim");
    let expected = [
        "TLS EHLO n1.example.org".to_owned(),
        format!("TLS AUTH PLAIN {login}"),
        "TLS MAIL FROM:<host@example.org>".to_owned(),
        "TLS RCPT TO:<ann@example.org>".to_owned(),
        "TLS RCPT TO:<root@example.org>".to_owned(),
        "TLS DATA".to_owned(),
        "TLS QUIT".to_owned(),
    ];
    assert_eq!(told.commands, expected);
    let name = STANDARD.encode("Höst");
    assert!(
        told.message
            .contains(&format!("From: =?utf-8?B?{name}?= <host@example.org>\r\n"))
    );
    assert!(
        told.message
            .contains("To: ann@example.org,\r\n root@example.org\r\n")
    );
    assert!(told.message.contains("Subject: It fell back\r\n"));
    assert_eq!(told.body(), "It is\r\n.again\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_comes_before_the_login() {
    let (tls, _folder, trusted) = certificate();
    let server = Server::start(Manner {
        offers: &["STARTTLS", "AUTH=LOGIN", "AUTH LOGIN"],
        tls: Some(tls),
        ..Manner::default()
    });
    let config = smtp(&server, json!({"mode": "starttls", "username": "host"}));
    let notifier = notifier(config, json!({"smtp": {"mail": "geheim"}}), &[trusted]);
    notifier.test("mail").await.unwrap();
    let told = server.next();
    let before = told
        .commands
        .iter()
        .take_while(|line| !line.starts_with("TLS "));
    assert_eq!(
        before.collect::<Vec<_>>(),
        ["EHLO n1.example.org", "STARTTLS"]
    );
    let login = ["host", "geheim"].map(|text| format!("TLS {}", STANDARD.encode(text)));
    assert_eq!(told.commands[3], "TLS AUTH LOGIN");
    assert_eq!(told.commands[4..6], login);
    assert!(
        told.body()
            .starts_with("This is a test of the notification target 'mail'.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_a_server_that_cannot_keep_it_secret() {
    let (tls, _folder, trusted) = certificate();
    let (_, _other, stranger) = certificate();
    let plain = Manner {
        offers: &["AUTH PLAIN"],
        ..Manner::default()
    };
    // Bytes in the clear that came before TLS must not count as said within it.
    let injecting = Manner {
        offers: &["STARTTLS"],
        tls: Some(tls.clone()),
        replies: &[("STARTTLS", "220 go on\r\n250 injected")],
        ..Manner::default()
    };
    let unknown = Manner {
        offers: &["STARTTLS"],
        tls: Some(tls),
        ..Manner::default()
    };
    for (manner, believed, reason) in [
        (plain, &trusted, "it offers no STARTTLS"),
        (injecting, &trusted, "before TLS begins"),
        (unknown, &stranger, "certificate"),
    ] {
        let server = Server::start(manner);
        let config = smtp(&server, json!({"mode": "starttls", "username": "host"}));
        let secrets = json!({"smtp": {"mail": "geheim"}});
        let error = notifier(config, secrets, std::slice::from_ref(believed))
            .test("mail")
            .await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        let told = server.next();
        let said = |word: &str| told.commands.iter().any(|line| line.contains(word));
        assert!(!said("AUTH") && !said("MAIL"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_is_told() {
    let refusing = |replies| {
        Server::start(Manner {
            replies,
            ..Manner::default()
        })
    };
    let test = async |server: &Server| {
        let config = smtp(server, json!({"mode": "insecure"}));
        notifier(config, json!({}), &[]).test("mail").await
    };
    let server = refusing(&[("MAIL", "550-go\r\n550 away")]);
    let error = test(&server).await.unwrap_err();
    assert!(
        error.to_string().contains("refuses: 550 go away"),
        "{error}"
    );
    assert!(!error.is_temporary());
    let server = refusing(&[("MAIL", "451 later")]);
    assert!(test(&server).await.unwrap_err().is_temporary());
    let server = refusing(&[("RCPT", "550 unknown")]);
    assert!(test(&server).await.is_err());
    assert!(!server.next().commands.contains(&"DATA".to_owned()));
    // One who can get the mail gets it, whatever becomes of the others.
    let server = refusing(&[("RCPT TO:<ann@", "550 unknown")]);
    test(&server).await.unwrap();
    assert!(server.next().body().contains("test"));
    let server = refusing(&[("EHLO", "hello!")]);
    let error = test(&server).await.unwrap_err().to_string();
    assert!(error.contains("no SMTP"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_root_goes_by_the_relay_that_is_set() {
    let server = Server::start(Manner::default());
    let mut config = smtp(
        &server,
        json!({"mode": "insecure", "mailto": ["nobody@example.org"]}),
    );
    config["matcher"] = json!({});
    let without = notifier(config.clone(), json!({}), &[]);
    let error = without.test("mail-to-root").await.unwrap_err().to_string();
    assert!(error.contains("no relay is set"), "{error}");
    config["sendmail"] = json!({"mail-to-root": {"mailto-user": ["root@pam"], "relay": "mail"}});
    let notifier = notifier(config, json!({}), &[]);
    // The matcher that is there from the beginning takes everything.
    let kind = EventType::CertificateRenewal;
    notifier.emit(Event::new(kind, Severity::Warning, "Look", "here"));
    let told = server.next();
    assert_eq!(told.commands[1], "MAIL FROM:<host@example.org>");
    assert_eq!(told.commands[2], "RCPT TO:<root@example.org>");
    assert!(
        told.message
            .contains("To: root@example.org\r\nSubject: Look\r\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_for_nobody_says_whose_address_is_missing() {
    let server = Server::start(Manner::default());
    let config = smtp(&server, json!({"mode": "insecure", "mailto": ["jo"]}));
    let error = notifier(config, json!({}), &[])
        .test("mail")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("set the e-mail address of jo@pam"),
        "{error}"
    );
}

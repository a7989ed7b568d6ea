//! Logins and searches against a real slapd; without one the tests skip themselves saying so.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod rig;

use basalt_access::realms::Realm;
use basalt_api::methods::realms::{DirectoryMode, RealmFields, RealmType};
use basalt_directory::{Client, Error};
use rig::{READER_SECRET, Slapd};
use std::net::{IpAddr, Ipv6Addr};

fn fields(slapd: &Slapd) -> RealmFields {
    RealmFields {
        server1: Some("127.0.0.1".into()),
        port: Some(slapd.plain),
        base_dn: Some("dc=example,dc=org".into()),
        user_attr: Some("uid".into()),
        bind_dn: Some("cn=reader,dc=example,dc=org".into()),
        sync_attributes: Some("email=mail,firstname=givenName,lastname=sn".into()),
        ..RealmFields::default()
    }
}

fn client(fields: RealmFields, secret: Option<&str>) -> Client {
    let realm = Realm::new(RealmType::Ldap, fields).unwrap();
    Client::new(
        realm.directory().unwrap().clone(),
        secret.map(str::to_owned),
    )
}

#[tokio::test]
async fn a_user_is_found_and_bound() {
    let Some(slapd) = Slapd::start(false) else {
        return;
    };
    let reader = client(fields(&slapd), Some(READER_SECRET));
    let fits =
        async |name: &str, password: &str| reader.authenticate(name, password).await.unwrap();
    assert!(fits("ann", "ann-secret").await);
    assert!(!fits("ann", "bob-secret").await);
    // A bind without a password would succeed, as nobody.
    assert!(!fits("ann", "").await);
    assert!(!fits("nobody", "x").await);
    // A name is a name, not a filter.
    assert!(!fits("a*", "ann-secret").await);
    assert!(!fits("ann)(uid=*", "ann-secret").await);
    reader.check().await.unwrap();
    let wrong = client(fields(&slapd), Some("other"));
    assert!(matches!(wrong.check().await, Err(Error::Refused { .. })));
    let without = client(fields(&slapd), None)
        .authenticate("ann", "ann-secret")
        .await;
    assert!(matches!(without, Err(Error::NoPassword)));
}

#[tokio::test]
async fn without_an_account_the_search_is_anonymous_or_the_name_a_part_of_the_dn() {
    for anonymous in [true, false] {
        let Some(slapd) = Slapd::start(anonymous) else {
            return;
        };
        let base = if anonymous {
            "dc=example,dc=org"
        } else {
            "ou=people,dc=example,dc=org"
        };
        let fields = RealmFields {
            bind_dn: None,
            base_dn: Some(base.into()),
            ..fields(&slapd)
        };
        let client = client(fields, None);
        assert!(client.authenticate("ann", "ann-secret").await.unwrap());
        assert!(!client.authenticate("ann", "wrong").await.unwrap());
        let evil = "ann,ou=people,dc=example,dc=org";
        assert!(!client.authenticate(evil, "ann-secret").await.unwrap());
    }
}

#[tokio::test]
async fn a_certificate_is_believed_only_from_the_authority_and_for_the_name() {
    let Some(slapd) = Slapd::start(false) else {
        return;
    };
    let modes = [
        (DirectoryMode::Ldaps, slapd.tls),
        (DirectoryMode::Starttls, slapd.plain),
    ];
    for (mode, port) in modes {
        let with = |verify, server: &str, capath: Option<String>| {
            let fields = RealmFields {
                mode: Some(mode),
                port: Some(port),
                verify: Some(verify),
                server1: Some(server.into()),
                capath,
                ..fields(&slapd)
            };
            client(fields, Some(READER_SECRET))
        };
        let authority = Some(slapd.authority());
        let right = with(true, "127.0.0.1", authority.clone());
        assert!(
            right.authenticate("ann", "ann-secret").await.unwrap(),
            "{mode:?}"
        );
        let folder = with(
            true,
            "127.0.0.1",
            Some(slapd.folder.path().display().to_string()),
        );
        folder.check().await.unwrap();
        let other_name = with(true, "localhost", authority).check().await;
        assert!(
            matches!(other_name, Err(Error::Unreachable(_))),
            "{other_name:?}"
        );
        let stranger = slapd.folder.path().join("stranger.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&stranger, certificate.self_signed(&key).unwrap().pem()).unwrap();
        let stranger = Some(stranger.display().to_string());
        let untrusted = with(true, "127.0.0.1", stranger).check().await;
        assert!(
            matches!(untrusted, Err(Error::Unreachable(_))),
            "{untrusted:?}"
        );
        with(false, "localhost", None).check().await.unwrap();
    }
}

#[tokio::test]
async fn an_ipv6_address_is_in_the_certificate_or_refused() {
    let here: IpAddr = Ipv6Addr::LOCALHOST.into();
    let others = ["127.0.0.1", "::2"].map(|other| other.parse().unwrap());
    for certified in [here].into_iter().chain(others) {
        let Some(slapd) = Slapd::start_at(here, certified, false) else {
            return;
        };
        for (mode, port) in [
            (DirectoryMode::Ldaps, slapd.tls),
            (DirectoryMode::Starttls, slapd.plain),
        ] {
            let with = |verify| RealmFields {
                server1: Some("[::1]".into()),
                mode: Some(mode),
                port: Some(port),
                verify: Some(verify),
                capath: Some(slapd.authority()),
                ..fields(&slapd)
            };
            let found = client(with(true), Some(READER_SECRET))
                .authenticate("ann", "ann-secret")
                .await;
            match found {
                Ok(fits) => assert!(fits && certified == here, "{mode:?} {certified}"),
                Err(Error::Unreachable(why)) => {
                    let refused = why.contains("invalid peer certificate");
                    assert!(refused && certified != here, "{mode:?} {certified}: {why}");
                }
                Err(error) => panic!("{mode:?} {certified}: {error}"),
            }
            let unverified = client(with(false), Some(READER_SECRET));
            unverified.check().await.unwrap();
        }
        let clear = RealmFields {
            server1: Some("::1".into()),
            ..fields(&slapd)
        };
        let clear = client(clear, Some(READER_SECRET));
        assert!(clear.authenticate("ann", "ann-secret").await.unwrap());
    }
}

#[tokio::test]
async fn users_and_groups_are_read_and_the_second_server_stands_in() {
    let Some(slapd) = Slapd::start(false) else {
        return;
    };
    let fields = RealmFields {
        // Nobody listens there.
        server1: Some("127.0.0.2".into()),
        server2: Some("127.0.0.1".into()),
        ..fields(&slapd)
    };
    let found = client(fields.clone(), Some(READER_SECRET))
        .read(true)
        .await
        .unwrap();
    let mut users = found.users;
    users.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["Bob", "ann"]);
    let ann = &users[1].fields;
    assert_eq!(ann.email.as_deref(), Some("ann@example.org"));
    assert_eq!(ann.firstname.as_deref(), Some("Ann"));
    assert_eq!(users[0].fields.email, None);
    assert_eq!(found.groups.len(), 1);
    assert_eq!(
        (found.groups[0].name.as_str(), found.groups[0].members.len()),
        ("ops", 2)
    );
    let filtered = RealmFields {
        filter: Some("mail=*".into()),
        ..fields
    };
    let found = client(filtered, Some(READER_SECRET))
        .read(false)
        .await
        .unwrap();
    assert_eq!((found.users.len(), found.groups.len()), (1, 0));
}

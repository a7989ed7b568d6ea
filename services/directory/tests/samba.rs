//! Logins and searches against a real domain controller of Active Directory.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod rig;

use basalt_access::realms::Realm;
use basalt_api::methods::realms::{DirectoryMode, RealmFields, RealmType};
use basalt_directory::{Client, Error};
use rig::samba::{READER, Samba};

fn fields(samba: &Samba) -> RealmFields {
    RealmFields {
        server1: Some(samba.address.clone()),
        domain: Some("example.org".into()),
        mode: Some(DirectoryMode::Ldaps),
        verify: Some(true),
        capath: Some(samba.authority().display().to_string()),
        bind_dn: Some("reader@example.org".into()),
        filter: Some("(&(objectCategory=person)(!(isCriticalSystemObject=TRUE)))".into()),
        group_filter: Some("cn=ops".into()),
        sync_attributes: Some("email=mail,firstname=givenName,lastname=sn".into()),
        ..RealmFields::default()
    }
}

fn client(fields: RealmFields) -> Client {
    let realm = Realm::new(RealmType::Ad, fields).unwrap();
    Client::new(realm.directory().unwrap().clone(), Some(READER.into()))
}

#[tokio::test]
async fn a_domain_says_whose_password_is_right_and_who_is_there() {
    let Some(samba) = Samba::start() else { return };
    let domain = client(fields(&samba));
    let fits =
        async |name: &str, password: &str| domain.authenticate(name, password).await.unwrap();
    assert!(fits("ann", "Ann.Secret1").await);
    assert!(!fits("ann", "Off.Secret1").await);
    assert!(!fits("ann", "").await);
    assert!(!fits("nobody", "Ann.Secret1").await);
    // The password is right, but the account is disabled.
    assert!(!fits("off", "Off.Secret1").await);
    samba.tool(&["user", "enable", "off"]);
    assert!(fits("off", "Off.Secret1").await);

    let found = domain.read(true).await.unwrap();
    let mut names: Vec<&str> = found.users.iter().map(|user| user.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ann", "off", "reader"]);
    let ann = found.users.iter().find(|user| user.name == "ann").unwrap();
    assert_eq!(ann.fields.email.as_deref(), Some("ann@example.org"));
    assert_eq!(found.groups.len(), 1);
    assert_eq!(found.groups[0].name, "ops");
    assert_eq!(found.groups[0].members, std::slice::from_ref(&ann.dn));

    let starttls = RealmFields {
        mode: Some(DirectoryMode::Starttls),
        ..fields(&samba)
    };
    assert!(
        client(starttls)
            .authenticate("ann", "Ann.Secret1")
            .await
            .unwrap()
    );
    // Another authority did not sign its certificate.
    let untrusted = RealmFields {
        capath: None,
        ..fields(&samba)
    };
    let refused = client(untrusted).authenticate("ann", "Ann.Secret1").await;
    let Err(Error::Unreachable(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("invalid peer certificate"), "{why}");
    // In the clear the domain takes no password at all.
    let clear = RealmFields {
        mode: None,
        verify: None,
        capath: None,
        ..fields(&samba)
    };
    assert!(
        !client(clear)
            .authenticate("ann", "Ann.Secret1")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_domain_at_an_ipv6_address_needs_a_certificate_for_it() {
    let Some(mut samba) = Samba::start_at_ipv6() else {
        return;
    };
    for mode in [DirectoryMode::Ldaps, DirectoryMode::Starttls] {
        let fields = RealmFields {
            mode: Some(mode),
            ..fields(&samba)
        };
        let fits = client(fields).authenticate("ann", "Ann.Secret1").await;
        assert!(fits.unwrap(), "{mode:?}");
    }
    samba.certify_for("::2");
    for mode in [DirectoryMode::Ldaps, DirectoryMode::Starttls] {
        let fields = RealmFields {
            mode: Some(mode),
            ..fields(&samba)
        };
        let refused = client(fields).authenticate("ann", "Ann.Secret1").await;
        let Err(Error::Unreachable(why)) = refused else {
            panic!("{mode:?}: {refused:?}");
        };
        assert!(why.contains("invalid peer certificate"), "{mode:?}: {why}");
    }
}

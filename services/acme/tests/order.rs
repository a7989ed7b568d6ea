//! Orders at a server that looks at everything.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod rig;

use basalt_acme::{AccountKey, Error, ExternalAccount, Result};
use rcgen::PublicKeyData;
use rig::server::Server;
use rig::{Follower, Proofs, connect, order};
use std::time::Duration;
use tokio::task::block_in_place;
use x509_parser::pem::Pem;
use x509_parser::prelude::GeneralName;

/// Names in the first certificate of a chain whose key is `key`.
fn names(chain: &str, key: &str) -> Vec<String> {
    let key = rcgen::KeyPair::from_pem(key).unwrap();
    let chain: Vec<Pem> = Pem::iter_from_buffer(chain.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .unwrap();
    assert_eq!(chain.len(), 2);
    let found = chain[0].parse_x509().unwrap();
    assert_eq!(found.public_key().raw, key.subject_public_key_info());
    let names = found.subject_alternative_name().unwrap().unwrap();
    let names = names.value.general_names.iter();
    names
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_proved_by_pages_and_by_records() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    proofs.by_record = vec!["b.example.org".to_owned(), "*.example.org".to_owned()];
    proofs.delay = Duration::from_secs(30);
    let follower = Follower::default();
    let wanted = ["a.example.org", "b.example.org", "*.example.org"];
    let ordered = block_in_place(|| order(&server, &wanted, &mut proofs, &follower));
    let (chain, key) = ordered.unwrap();
    assert_eq!(names(&chain, &key), wanted);
    assert_eq!(proofs.records(), "", "every record is taken away again");
    let waits = follower.waits.lock().unwrap();
    let count = |time| {
        waits
            .iter()
            .filter(|wait| **wait == Duration::from_secs(time))
            .count()
    };
    assert_eq!(count(30), 1, "one delay for all records: {waits:?}");
    assert!(
        count(7) > 0,
        "asks as seldom as the server wants: {waits:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_is_told_in_the_words_of_the_server() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    proofs.wrong = true;
    for by_record in [false, true] {
        proofs.by_record = vec!["a.example.org".to_owned(); usize::from(by_record)];
        let wanted = ["a.example.org"];
        let follower = Follower::default();
        let ordered = block_in_place(|| order(&server, &wanted, &mut proofs, &follower));
        let error = ordered.unwrap_err();
        assert!(matches!(&error, Error::Proof { domain, .. } if domain == "a.example.org"));
        let text = error.to_string();
        assert!(
            text.contains("looked for the proof and found 'something"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_not_proved_by_a_page() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    let follower = Follower::default();
    let ordered = block_in_place(|| order(&server, &["*.a.org"], &mut proofs, &follower));
    let text = ordered.unwrap_err().to_string();
    assert_eq!(
        text,
        "*.a.org cannot be proved by http-01: the server offers dns-01"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_nonce_costs_another_try_but_not_for_ever() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    server.change(|state| state.bad_nonces = 3);
    let mut order = || {
        let follower = Follower::default();
        block_in_place(|| order(&server, &["a.example.org"], &mut proofs, &follower))
    };
    order().unwrap();
    assert_eq!(server.change(|state| state.refused_nonces), 3);
    server.change(|state| state.bad_nonces = u32::MAX);
    let error = order().unwrap_err();
    assert!(matches!(&error, Error::Refused { kind, .. } if kind == "badNonce"));
    assert_eq!(server.change(|state| state.refused_nonces), 3 + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_told_with_its_end() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    server.change(|state| state.limited = true);
    let follower = Follower::default();
    let ordered = block_in_place(|| order(&server, &["a.example.org"], &mut proofs, &follower));
    assert_eq!(
        ordered.unwrap_err().to_string(),
        "the server refuses: too many certificates already issued for: example.org \
         (rateLimited); try again in 60 minutes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_order_leaves_no_proof_behind() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    proofs.by_record = vec!["a.example.org".to_owned(), "b.example.org".to_owned()];
    let mut stopped = 0;
    for stop_at in 1.. {
        let follower = Follower::stopping(stop_at);
        let wanted = ["a.example.org", "b.example.org"];
        let ordered = block_in_place(|| order(&server, &wanted, &mut proofs, &follower));
        assert_eq!(proofs.records(), "");
        match ordered {
            Err(Error::Stopped) => stopped += 1,
            Err(error) => panic!("{error}"),
            Ok(_) => break,
        }
    }
    assert!(stopped > 3, "it can be stopped at any wait, not {stopped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_customers_need_the_customers_key() {
    let server = Server::start().await;
    let secret = b"a key that the authority gave".to_vec();
    server.change(|state| state.customer = Some(("customer-7".to_owned(), secret)));
    let register = |customer: Option<(&str, &str)>| -> Result<_> {
        let mut client = connect(&server)?;
        let customer = customer.map(|(kid, key)| ExternalAccount::new(kid, key));
        let key = AccountKey::generate()?;
        client.register(&key, &[], true, customer.transpose()?.as_ref())
    };
    let encoded = "YSBrZXkgdGhhdCB0aGUgYXV0aG9yaXR5IGdhdmU=";
    block_in_place(|| {
        let error = register(None).unwrap_err();
        assert!(matches!(error, Error::ExternalAccountRequired));
        let error = register(Some(("customer-7", "b3RoZXI"))).unwrap_err();
        assert!(
            error.to_string().contains("the binding is wrong"),
            "{error}"
        );
        let error = register(Some(("customer-8", encoded))).unwrap_err();
        assert!(error.to_string().contains("somebody else"), "{error}");
        let error = register(Some(("customer-7", "no base64!"))).unwrap_err();
        assert!(matches!(error, Error::Key(_)));
        let account = register(Some(("customer-7", encoded))).unwrap();
        assert_eq!(account.object["status"], "valid");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_agrees_changes_and_ends() {
    let server = Server::start().await;
    block_in_place(|| {
        let mut client = connect(&server).unwrap();
        let key = AccountKey::generate().unwrap();
        let error = client.register(&key, &[], false, None).unwrap_err();
        assert!(matches!(error, Error::Terms(url) if url == "https://ca.example/terms"));
        let account = client.register(&key, &[], true, None).unwrap();
        // The key is the account: what was kept of it is enough.
        let key = AccountKey::from_pkcs8(key.pkcs8()).unwrap();
        let mut client = connect(&server).unwrap();
        let mut session = client.session(&key, &account.location);
        let now = session
            .set_contact(&["new@example.org".to_owned()])
            .unwrap();
        assert_eq!(now["contact"][0], "mailto:new@example.org");
        session.deactivate().unwrap();
        let error = session.set_contact(&[]).unwrap_err();
        assert!(matches!(&error, Error::Refused { kind, .. } if kind == "unauthorized"));
        let elsewhere = server.url("/account/99");
        let mut other = client.session(&key, &elsewhere);
        let error = other.deactivate().unwrap_err();
        assert!(error.to_string().contains("who are you?"), "{error}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_taken_back_once() {
    let server = Server::start().await;
    let mut proofs = Proofs::new(&server).await;
    block_in_place(|| {
        let mut client = connect(&server).unwrap();
        let key = AccountKey::generate().unwrap();
        let account = client.register(&key, &[], true, None).unwrap();
        let domains = ["a.example.org".to_owned()];
        let request = basalt_acme::CertificateRequest::new(&domains).unwrap();
        let mut session = client.session(&key, &account.location);
        let follower = Follower::default();
        let chain = session.obtain(&domains, &request, &mut proofs, &follower);
        let chain = chain.unwrap();
        let (certificate, _) = Pem::read(std::io::Cursor::new(&chain)).unwrap();
        session.revoke(&certificate.contents).unwrap();
        let revoked = server.change(|state| state.revoked.clone());
        assert_eq!(revoked, std::slice::from_ref(&certificate.contents));
        let error = session.revoke(&certificate.contents).unwrap_err();
        assert!(matches!(&error, Error::Refused { kind, .. } if kind == "alreadyRevoked"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_not_believed() {
    let server = Server::start().await;
    let other = Server::start().await;
    block_in_place(|| {
        let web = basalt_acme::Web::new(&[&other.authority()]).unwrap();
        let url = server.url("/directory");
        let error = basalt_acme::Client::connect(Box::new(web), &url)
            .err()
            .unwrap();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        let plain = url.replace("https:", "http:");
        let web = basalt_acme::Web::new(&[&server.authority()]).unwrap();
        let error = basalt_acme::Client::connect(Box::new(web), &plain)
            .err()
            .unwrap();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    });
}

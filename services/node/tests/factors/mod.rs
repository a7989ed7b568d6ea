//! Second factors: what opens, what does not, and what is demanded.

use crate::rig::{Answer, ROOT, Rig};
use basalt_access::second::Secret;
use basalt_api::bag::encode;
use std::time::{SystemTime, UNIX_EPOCH};

const ADDRESS: &str = "otpauth://totp/ann?secret=JBSWY3DPEHPK3PXP";

/// The code of so many steps from now.
fn code(ahead: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let secret: Secret = ADDRESS.parse().unwrap();
    secret.code(now / 30 + ahead)
}

async fn login(rig: &Rig, more: &str) -> Answer {
    let form = format!("username=ann%40pve{more}");
    rig.ask("POST /access/ticket", "", &form).await
}

/// The challenge that the right password brings.
async fn challenge(rig: &Rig) -> String {
    let answer = login(rig, "&password=a+good+secret").await;
    assert_eq!(answer.data()["NeedTFA"], 1);
    assert!(answer.data()["CSRFPreventionToken"].is_null());
    let challenge = answer.data()["ticket"].as_str().unwrap();
    assert!(challenge.starts_with("PVE:!tfa!"), "{challenge}");
    encode(challenge)
}

/// Headers of `ann`, by a login that needs no second factor yet.
async fn ann(rig: &Rig) -> String {
    let secret = "userid=ann%40pve&password=a+good+secret";
    rig.ask("POST /access/users", ROOT, secret).await.data();
    let answer = login(rig, "&password=a+good+secret").await;
    let (ticket, csrf) = (
        &answer.data()["ticket"],
        &answer.data()["CSRFPreventionToken"],
    );
    let (ticket, csrf) = (encode(ticket.as_str().unwrap()), csrf.as_str().unwrap());
    format!("Cookie: PVEAuthCookie={ticket}\r\nCSRFPreventionToken: {csrf}\r\n")
}

#[tokio::test]
async fn a_login_takes_the_password_and_a_code_once() {
    let mut rig = Rig::start().await;
    let ann = ann(&rig).await;
    let new = "POST /access/tfa/ann@pve";
    let form =
        |code: &str, more: &str| format!("type=totp&totp={}&value={code}{more}", encode(ADDRESS));
    // A ticket alone is not enough, nor a code that is wrong, nor a token.
    let bare = rig.ask(new, &ann, &form(&code(0), "")).await;
    assert!(bare.body["errors"]["password"].is_string(), "{bare:?}");
    let wrong = rig
        .ask(new, &ann, &form("1", "&password=a+good+secret"))
        .await;
    assert!(wrong.body["errors"]["value"].is_string(), "{wrong:?}");
    assert_eq!(rig.ask(new, ROOT, &form(&code(0), "")).await.status(), 403);
    let right = form(&code(0), "&password=a+good+secret&description=phone");
    let made = rig.ask(new, &ann, &right).await;
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let recovery = "type=recovery&password=a+good+secret";
    let made = rig.ask(new, &ann, recovery).await;
    let codes = made.data()["recovery"].as_array().unwrap().clone();
    rig.crash().await;
    let list = rig.ask("GET /access/tfa/ann@pve", ROOT, "").await;
    assert_eq!(list.data().as_array().unwrap().len(), 2);
    assert!(!list.body.to_string().contains("JBSWY3DPEHPK3PXP"));
    let types = rig
        .ask("GET /access/users/ann@pve/tfa?multiple=1", ROOT, "")
        .await;
    assert_eq!(
        types.data()["types"],
        serde_json::json!(["totp", "recovery"])
    );

    let due = challenge(&rig).await;
    // The challenge itself opens nothing.
    let cookie = format!("Cookie: PVEAuthCookie={due}\r\n");
    assert_eq!(rig.ask("GET /version", &cookie, "").await.status(), 401);
    assert_eq!(login(&rig, &format!("&password={due}")).await.status(), 401);
    let next = code(1);
    let answer = format!("&tfa-challenge={due}&password=totp%3A{next}");
    let open = login(&rig, &answer).await;
    assert!(
        open.data()["ticket"]
            .as_str()
            .unwrap()
            .starts_with("PVE:ann@pve:")
    );
    rig.crash().await;
    assert_eq!(login(&rig, &answer).await.status(), 401);
    let with_password = format!("&password=a+good+secret&otp={next}");
    assert_eq!(login(&rig, &with_password).await.status(), 401);
    // A recovery code opens once.
    let due = challenge(&rig).await;
    let paper = codes[4].as_str().unwrap();
    let answer = format!("&tfa-challenge={due}&password=recovery%3A{paper}");
    login(&rig, &answer).await.data();
    assert_eq!(login(&rig, &answer).await.status(), 401);
    // Another user's challenge is none.
    let foreign = format!("username=jo%40pve&tfa-challenge={due}&password=recovery%3A{paper}");
    assert_eq!(
        rig.ask("POST /access/ticket", "", &foreign).await.status(),
        401
    );
    let gone = format!("DELETE /access/tfa/ann@pve/{id}?password=a+good+secret");
    rig.ask(&gone, &ann, "").await.data();
    let gone = "DELETE /access/tfa/ann@pve/recovery?password=a+good+secret";
    rig.ask(gone, &ann, "").await.data();
    login(&rig, "&password=a+good+secret").await.data()["cap"]
        .as_object()
        .unwrap();
}

#[tokio::test]
async fn a_realm_demands_a_factor_and_guessing_is_slowed() {
    let rig = Rig::start().await;
    let ann = ann(&rig).await;
    let demand = "tfa=type%3Doath";
    rig.ask("PUT /access/domains/pve", ROOT, demand)
        .await
        .data();
    let refused = login(&rig, "&password=a+good+secret").await;
    assert!(
        refused.line.contains("demands a second factor"),
        "{refused:?}"
    );
    let add = format!(
        "type=totp&totp={}&value={}&password=a+good+secret",
        encode(&format!("{ADDRESS}&digits=8")),
        code(0)
    );
    let other = rig.ask("POST /access/tfa/ann@pve", &ann, &add).await;
    assert!(other.body["errors"]["totp"].is_string(), "{other:?}");
    let add = add.replace("%26digits%3D8", "");
    rig.ask("POST /access/tfa/ann@pve", &ann, &add).await.data();
    let due = challenge(&rig).await;
    // One after the other is slow; all at once must not be better.
    let guess = format!("&tfa-challenge={due}&password=totp%3A000000");
    let guesses = (0..12).map(|_| login(&rig, &guess));
    let guesses = futures_util::future::join_all(guesses).await;
    assert!(guesses.iter().all(|answer| answer.status() == 401));
    let locked = rig.ask("GET /access/tfa", ROOT, "").await;
    assert_eq!(locked.data()[0]["totp-locked"], 1);
    let wait = login(&rig, "&password=a+good+secret").await;
    assert!(wait.line.contains("too many failed logins"), "{wait:?}");
    let unlocked = rig
        .ask("PUT /access/users/ann@pve/unlock-tfa", ROOT, "")
        .await;
    assert_eq!(unlocked.data(), 1);
    let locked = rig.ask("GET /access/tfa", ROOT, "").await;
    assert!(locked.data()[0]["totp-locked"].is_null());
}

//! Codes open once, and guessing ends.

use super::*;
use authenticator::Authenticator;

#[path = "../../tests/authenticator/mod.rs"]
pub mod authenticator;

const NOW: u64 = 1_800_000_000;

fn about() -> About {
    About {
        description: "phone".into(),
        created: NOW - 300,
        enable: true,
    }
}

fn with_totp() -> (UserFactors, Secret) {
    let text = "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP";
    let secret: Secret = text.parse().unwrap();
    let mut user = UserFactors::default();
    let wrong = user.add_totp(about(), secret.clone(), "000000");
    assert_eq!((wrong, user.is_empty()), (None, true));
    let code = secret.code((NOW - 300) / 30);
    user.add_totp(about(), secret.clone(), &code).unwrap();
    (user, secret)
}

fn challenge(user: &UserFactors) -> Option<Challenge> {
    user.challenge(None, || unreachable!("there are no keys"))
}

#[test]
fn a_code_is_taken_once_and_none_before_it_after_it() {
    let (mut user, secret) = with_totp();
    let code = |step| Answer::Totp(secret.code(step));
    let here = NOW / 30;
    assert!(!user.verify(&code(here - 2), NOW));
    assert!(user.verify(&code(here), NOW));
    assert!(!user.verify(&code(here), NOW));
    assert!(!user.verify(&code(here - 1), NOW));
    let stored = serde_json::to_string(&user).unwrap();
    let mut user: UserFactors = serde_json::from_str(&stored).unwrap();
    assert!(!user.verify(&code(here), NOW + 20));
    assert!(user.verify(&code(here + 1), NOW + 30));
}

#[test]
fn wrong_codes_lock_until_a_recovery_code_or_an_administrator() {
    let (mut user, secret) = with_totp();
    let codes = user.add_recovery(about()).unwrap();
    assert_eq!(
        (codes.len(), user.add_recovery(about())),
        (RECOVERY_CODES, None)
    );
    let right = Answer::Totp(secret.code(NOW / 30));
    let wrong = Answer::parse("totp:12345").unwrap();
    for _ in 0..WRONG_CODES {
        assert!(!user.totp_locked());
        assert!(!user.verify(&wrong, NOW));
    }
    assert!(user.totp_locked() && !user.verify(&right, NOW));
    let recovery = Answer::parse(&format!("recovery:{}", codes[3].to_uppercase())).unwrap();
    assert!(user.verify(&recovery, NOW));
    assert!(!user.verify(&recovery, NOW));
    assert_eq!(
        challenge(&user).unwrap().recovery,
        [0, 1, 2, 4, 5, 6, 7, 8, 9]
    );
    assert!(user.verify(&right, NOW));
}

#[test]
fn recovery_codes_that_are_used_up_still_bar_the_door() {
    let mut user = UserFactors::default();
    assert_eq!(challenge(&user), None);
    for code in user.add_recovery(about()).unwrap() {
        assert!(user.verify(&Answer::Recovery(code), NOW));
    }
    let left = challenge(&user).unwrap();
    assert!(!left.totp && left.recovery.is_empty());
    user.about_mut(RECOVERY).unwrap().enable = false;
    assert_eq!(challenge(&user), None);
    assert!(user.remove(RECOVERY) && user.is_empty());
}

#[test]
fn a_challenge_is_answered_by_a_key_once() {
    let origin = "https://basalt.example.org:8006";
    let mut device = Authenticator::new(origin);
    let page = origin.parse().unwrap();
    let asked = webauthn::ask_new(&page, &Userid::root(), "new", std::iter::empty());
    let key = Credential::registered(&device.create(&asked), "new", &page).unwrap();
    let mut user = UserFactors::default();
    let id = user.add_key(about(), key.clone()).unwrap();
    assert_eq!(user.add_key(about(), key), None);
    assert!(user.has_real());
    // By another name there is nothing to ask, but the door stays shut.
    let elsewhere = user.challenge(Some("other.example.org"), || unreachable!());
    assert_eq!(elsewhere.unwrap().webauthn, None);
    let due = user.challenge(Some("basalt.example.org"), || "due".to_owned());
    let due = due.unwrap().webauthn.unwrap();
    let answer = |json: &str| Answer::parse(&format!("webauthn:{json}")).unwrap();
    let first = answer(&device.get(&due));
    assert!(user.verify(&first, NOW));
    let stored = serde_json::to_string(&user).unwrap();
    let mut user: UserFactors = serde_json::from_str(&stored).unwrap();
    assert!(!user.verify(&first, NOW));
    // The key would answer the same challenge again.
    assert!(!user.verify(&answer(&device.get(&due)), NOW + 300));
    let mut next = due.clone();
    next["publicKey"]["challenge"] = "next".into();
    user.about_mut(&id).unwrap().enable = false;
    assert!(!user.verify(&answer(&device.get(&next)), NOW));
    user.about_mut(&id).unwrap().enable = true;
    assert!(user.verify(&answer(&device.get(&next)), NOW));
    let mut stranger = Authenticator::new(origin);
    assert!(!user.verify(&answer(&stranger.get(&next)), NOW));
    assert!(user.remove(&id) && user.is_empty());
}

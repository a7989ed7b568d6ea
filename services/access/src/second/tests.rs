//! Codes open once, and guessing ends.

use super::*;

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
        user.challenge().unwrap().recovery,
        [0, 1, 2, 4, 5, 6, 7, 8, 9]
    );
    assert!(user.verify(&right, NOW));
}

#[test]
fn recovery_codes_that_are_used_up_still_bar_the_door() {
    let mut user = UserFactors::default();
    assert_eq!(user.challenge(), None);
    for code in user.add_recovery(about()).unwrap() {
        assert!(user.verify(&Answer::Recovery(code), NOW));
    }
    let left = user.challenge().unwrap();
    assert!(!left.totp && left.recovery.is_empty());
    user.about_mut(RECOVERY).unwrap().enable = false;
    assert_eq!(user.challenge(), None);
    assert!(user.remove(RECOVERY) && user.is_empty());
}

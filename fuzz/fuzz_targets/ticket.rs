//! Tickets, CSRF tokens and console tickets, as clients send them.
#![no_main]

use std::sync::LazyLock;

use basalt_access::{TicketKey, Verifier};
use libfuzzer_sys::fuzz_target;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| TicketKey::generate().verifier());

/// Some time in 2027.
const NOW: u64 = 1_800_000_000;

fuzz_target!(|text: &str| {
    // Nobody has the key, so nothing the fuzzer makes may be accepted.
    assert!(VERIFIER.ticket(text, NOW).is_err());
    let (user, text) = text.split_once('\n').unwrap_or(("root@pam", text));
    if let Ok(user) = user.parse() {
        assert!(VERIFIER.csrf(text, &user, NOW).is_err());
    }
    if let Ok(user) = user.parse() {
        assert!(
            VERIFIER
                .console(text, &user, "/vms/100", 5900, NOW)
                .is_err()
        );
    }
});

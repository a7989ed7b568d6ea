//! Tickets, CSRF tokens and console tickets, as clients send them.

use std::sync::LazyLock;

use basalt_access::{TicketKey, Verifier};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| TicketKey::generate().verifier());

/// Some time in 2027.
const NOW: u64 = 1_800_000_000;

/// Plays one input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
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
}

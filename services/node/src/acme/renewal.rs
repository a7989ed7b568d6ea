//! Renews the certificate that was ordered, before its end.

use super::order::{self, Deed};
use crate::auth::now;
use crate::certificate::{self, custom};
use crate::state::Node;
use basalt_api::methods::certificates::Certificate;
use basalt_model::userid::{Authid, Userid};
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;

const HOUR: u64 = 3600;
/// Seconds of a day.
pub const DAY: u64 = 24 * HOUR;
/// A certificate is renewed so long before its end, or a third of its life if that is less.
const MARGIN: u64 = 30 * DAY;
/// The first look comes within this after the start.
const FIRST: std::ops::Range<u64> = 5 * 60..HOUR;

/// Seconds of a certificate's life.
fn life(certificate: &Certificate) -> u64 {
    certificate.notafter.saturating_sub(certificate.notbefore)
}

/// Whether the end is near.
pub fn is_due(certificate: &Certificate) -> bool {
    is_due_at(certificate, now())
}

fn is_due_at(certificate: &Certificate, now: u64) -> bool {
    let margin = MARGIN.min(life(certificate) / 3);
    now.saturating_add(margin) >= certificate.notafter
}

/// Until the next look: a day, less for a certificate of a few days, and up to a quarter more, so
/// that not all hosts of the world come at the same time.
fn pause(certificate: Option<&Certificate>) -> Duration {
    let usual = certificate.map_or(DAY, |one| (life(one) / 12).clamp(HOUR, DAY));
    let more = rand::thread_rng().gen_range(0..=usual / 4);
    Duration::from_secs(usual + more)
}

/// Looks after the certificate as long as the node runs. A renewal is a task; one that fails is
/// tried again at the next look.
pub async fn keep(node: Arc<Node>) {
    let first = rand::thread_rng().gen_range(FIRST);
    tokio::time::sleep(Duration::from_secs(first)).await;
    loop {
        let certificate = look(&node);
        tokio::time::sleep(pause(certificate.as_ref())).await;
    }
}

/// The certificate that was ordered, if it was; a renewal that it needs is begun.
fn look(node: &Arc<Node>) -> Option<Certificate> {
    let state = &node.settings.state;
    custom::account(state)?;
    let certificate = certificate::read(state);
    let certificate = certificate
        .inspect_err(|error| tracing::error!(%error, "the certificate cannot be renewed"))
        .ok()?;
    if is_due(&certificate) {
        let root = Authid {
            user: Userid::root(),
            token: None,
        };
        let begun = order::start(node, &root, Deed::Renew);
        match begun {
            Ok(upid) => tracing::info!(%upid, "the certificate is renewed"),
            Err(error) => tracing::error!(%error, "the certificate is not renewed"),
        }
    }
    Some(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasting(days: u64) -> Certificate {
        Certificate {
            filename: String::new(),
            fingerprint: String::new(),
            subject: String::new(),
            issuer: String::new(),
            notbefore: 1000 * DAY,
            notafter: (1000 + days) * DAY,
            san: Vec::new(),
            public_key_type: String::new(),
            public_key_bits: 0,
            pem: String::new(),
        }
    }

    #[test]
    fn a_certificate_is_renewed_in_time_however_short_its_life_is() {
        for (days, due) in [(365, 335), (90, 60), (6, 4)] {
            let one = lasting(days);
            let at = |day: u64| is_due_at(&one, (1000 + day) * DAY);
            assert!(!at(due - 1) && at(due) && at(days + 1), "{days}");
            // There are several looks between that and the end.
            let left = (days - due) * DAY;
            assert!(pause(Some(&one)).as_secs() * 3 < left, "{days}");
        }
    }
}

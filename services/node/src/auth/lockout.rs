//! How guessing ends: whoever fails often waits, and the longer the oftener.
//!
//! Failures are counted by user and by address, since one address can try many users and many
//! addresses one user. Only what is remembered is bounded, never what is refused: names that do
//! not exist are not counted, and of addresses the oldest is forgotten first.

use basalt_model::userid::Userid;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After so many failures in a row a user has to wait longer and longer.
const FREE_OF_USER: u32 = 5;
/// An address may be that of many: after so many.
const FREE_OF_ADDRESS: u32 = 30;
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After so long without a failure there was none.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// So many users, and so many addresses, are remembered.
const REMEMBERED: usize = 1000;

/// Failed logins of late.
pub struct Lockout {
    users: Mutex<Counts<Userid>>,
    addresses: Mutex<Counts<IpAddr>>,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            users: Mutex::new(Counts::new(FREE_OF_USER)),
            addresses: Mutex::new(Counts::new(FREE_OF_ADDRESS)),
        }
    }
}

impl Lockout {
    /// How long a user from an address still has to wait.
    pub fn wait(&self, user: &Userid, from: Option<IpAddr>) -> Option<Duration> {
        let now = Instant::now();
        let of_user = lock(&self.users).wait(user, now);
        let from = from.map(network);
        let of_address = from.and_then(|from| lock(&self.addresses).wait(&from, now));
        of_user.max(of_address)
    }

    /// Counts a failure; the user only if there is one of that name.
    pub fn failed(&self, user: Option<&Userid>, from: Option<IpAddr>) {
        let now = Instant::now();
        if let Some(user) = user {
            lock(&self.users).note(user.clone(), now);
        }
        if let Some(from) = from {
            lock(&self.addresses).note(network(from), now);
        }
    }

    /// Forgets the failures of a user who got in. Those of the address stay: whoever guesses may
    /// have an account, too.
    pub fn succeeded(&self, user: &Userid) {
        lock(&self.users).seen.remove(user);
    }
}

fn lock<K>(counts: &Mutex<Counts<K>>) -> MutexGuard<'_, Counts<K>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: of IPv6 the first 64 bits, as the rest is the client's to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four => four,
    }
}

struct Counts<K> {
    free: u32,
    seen: HashMap<K, (u32, Instant)>,
}

impl<K: Hash + Eq + Clone> Counts<K> {
    fn new(free: u32) -> Self {
        Self {
            free,
            seen: HashMap::new(),
        }
    }

    fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let (count, last) = *self.seen.get(key)?;
        let over = count.checked_sub(self.free)?;
        let wait = Duration::from_secs(5 << over.min(6)).min(LONGEST_WAIT);
        let passed = now.saturating_duration_since(last);
        wait.checked_sub(passed).filter(|wait| !wait.is_zero())
    }

    fn note(&mut self, key: K, now: Instant) {
        let age = |last: &Instant| now.saturating_duration_since(*last);
        if self.seen.len() >= REMEMBERED && !self.seen.contains_key(&key) {
            self.seen.retain(|_, (_, last)| age(last) < FORGOTTEN);
            let oldest = self.seen.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone())
                && self.seen.len() >= REMEMBERED
            {
                self.seen.remove(&oldest);
            }
        }
        let (count, last) = self.seen.entry(key).or_insert((0, now));
        if age(last) > FORGOTTEN {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_end_and_are_bounded() {
        let mut counts = Counts::new(2);
        let begin = Instant::now();
        counts.note(1, begin);
        assert_eq!(counts.wait(&1, begin), None);
        counts.note(1, begin);
        assert_eq!(counts.wait(&1, begin), Some(Duration::from_secs(5)));
        counts.note(1, begin);
        assert_eq!(counts.wait(&1, begin), Some(Duration::from_secs(10)));
        assert_eq!(counts.wait(&1, begin + Duration::from_secs(10)), None);
        assert_eq!(counts.wait(&2, begin), None);
        for _ in 0..100 {
            counts.note(1, begin);
        }
        assert_eq!(counts.wait(&1, begin), Some(LONGEST_WAIT));
        counts.note(1, begin + FORGOTTEN + Duration::from_secs(1));
        assert_eq!(counts.wait(&1, begin + FORGOTTEN), None);
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_remembered() {
        let mut counts = Counts::new(1);
        let begin = Instant::now();
        for n in 0..3 * REMEMBERED as u64 {
            counts.note(n, begin + Duration::from_millis(n));
        }
        assert_eq!(counts.seen.len(), REMEMBERED);
        assert!(counts.seen.contains_key(&(3 * REMEMBERED as u64 - 1)));
    }

    #[test]
    fn an_address_waits_whatever_user_it_tries() {
        let lockout = Lockout::default();
        let from = |text: &str| Some(text.parse().unwrap());
        for _ in 0..FREE_OF_ADDRESS {
            lockout.failed(None, from("2001:db8::1"));
        }
        let user = Userid::root();
        assert!(lockout.wait(&user, from("2001:db8::2")).is_some());
        assert!(lockout.wait(&user, from("2001:db8:0:1::1")).is_none());
        assert!(lockout.wait(&user, None).is_none());
    }
}

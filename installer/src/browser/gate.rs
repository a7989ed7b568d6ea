//! Who may come in: a code that is shown on the console works once, and a session follows.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use rand::rngs::OsRng;
use subtle::ConstantTimeEq;

/// Wrong codes after which nobody is let in any more. One guess in a million is right.
const MOST_WRONG: u32 = 10;

/// Sessions at a time; the oldest ends when another begins.
const MOST_SESSIONS: usize = 8;

/// Bytes of a session's secret.
const SECRET: usize = 32;

/// The gate.
#[derive(Debug)]
pub struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inside {
    code: String,
    wrong: u32,
    sessions: Vec<String>,
    /// A visitor has seen how the installation ended.
    witnessed: bool,
}

/// What came of an attempt to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Let in, with this secret.
    Granted(String),
    /// So many more attempts.
    Wrong(u32),
    /// No more attempts.
    Closed,
}

impl Gate {
    /// A gate with a fresh code.
    pub fn new() -> Self {
        Self {
            inside: Mutex::new(Inside {
                code: fresh_code(),
                wrong: 0,
                sessions: Vec::new(),
                witnessed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// The code as the console shows it; none when the gate is closed.
    pub fn code(&self) -> Option<String> {
        let inside = self.lock();
        let (left, right) = inside.code.split_at(3);
        (inside.wrong < MOST_WRONG).then(|| format!("{left}-{right}"))
    }

    /// Tries a code; blanks and dashes do not count.
    pub fn enter(&self, code: &str) -> Entry {
        let digits: String = code
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect();
        let mut inside = self.lock();
        if inside.wrong >= MOST_WRONG {
            return Entry::Closed;
        }
        if !bool::from(digits.as_bytes().ct_eq(inside.code.as_bytes())) {
            inside.wrong += 1;
            return match MOST_WRONG - inside.wrong {
                0 => Entry::Closed,
                left => Entry::Wrong(left),
            };
        }
        inside.code = fresh_code();
        let mut bytes = [0_u8; SECRET];
        OsRng.fill(&mut bytes);
        let secret = hex::encode(bytes);
        if inside.sessions.len() >= MOST_SESSIONS {
            inside.sessions.remove(0);
        }
        inside.sessions.push(secret.clone());
        Entry::Granted(secret)
    }

    /// Whether this is a session's secret.
    pub fn knows(&self, secret: &str) -> bool {
        let same = |session: &String| bool::from(session.as_bytes().ct_eq(secret.as_bytes()));
        // Every session is compared, so that time does not tell which one it was.
        self.lock().sessions.iter().filter(|s| same(s)).count() > 0
    }

    /// A visitor has seen how it ended.
    pub fn witnessed(&self) {
        self.lock().witnessed = true;
        self.changed.notify_all();
    }

    /// Waits for such a visitor, if anybody has ever come in.
    pub fn wait_for_witness(&self, limit: Duration) {
        let inside = self.lock();
        if inside.sessions.is_empty() {
            return;
        }
        let waiting = |inside: &mut Inside| !inside.witnessed;
        // Nobody is lost when the visitor has left: the machine goes on by itself.
        drop(self.changed.wait_timeout_while(inside, limit, waiting));
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Every change is complete before anything could panic.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh_code() -> String {
    format!("{:06}", OsRng.gen_range(0..1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once() {
        let gate = Gate::new();
        let code = gate.code().unwrap();
        assert_eq!((code.len(), code.find('-')), (7, Some(3)));
        let Entry::Granted(secret) = gate.enter(&format!(" {code} ")) else {
            panic!("not let in");
        };
        assert!(gate.knows(&secret));
        assert!(!gate.knows("") && !gate.knows(&secret[1..]));
        // One in a million times the next code is the same.
        if gate.code().unwrap() != code {
            assert_eq!(gate.enter(&code), Entry::Wrong(9));
        }
    }

    #[test]
    fn guessing_closes_the_gate_for_new_visitors_only() {
        let gate = Gate::new();
        let Entry::Granted(secret) = gate.enter(&gate.code().unwrap()) else {
            panic!("not let in");
        };
        for left in (1..MOST_WRONG).rev() {
            assert_eq!(gate.enter("no code"), Entry::Wrong(left));
        }
        let code = gate.code().unwrap();
        assert_eq!(gate.enter("no code"), Entry::Closed);
        assert_eq!(gate.code(), None);
        assert_eq!(gate.enter(&code), Entry::Closed);
        assert!(gate.knows(&secret));
    }

    #[test]
    fn old_sessions_make_room() {
        let gate = Gate::new();
        let mut secrets = Vec::new();
        for _ in 0..=MOST_SESSIONS {
            let Entry::Granted(secret) = gate.enter(&gate.code().unwrap()) else {
                panic!("not let in");
            };
            secrets.push(secret);
        }
        assert!(!gate.knows(&secrets[0]));
        assert!(gate.knows(&secrets[MOST_SESSIONS]));
    }
}

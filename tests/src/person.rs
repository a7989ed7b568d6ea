//! A person at the serial console of a machine, typing and reading.

use crate::lab::Guarded;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::poll;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Pause between two looks at the screen.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks that go by before an answer is typed again: ten seconds, for hashing a password takes some.
const LOOKS_BEFORE_AGAIN: u32 = 50;

/// Somebody who sits there.
pub struct Person<'a> {
    machine: &'a Guarded,
    keyboard: UnixStream,
    /// All that was written to the console. The log will not do: QEMU repeats letters in it when its
    /// reader is slow.
    screen: Arc<Mutex<Vec<u8>>>,
    limit: Duration,
    /// Bytes of the screen that have been read already.
    read: usize,
}

impl<'a> Person<'a> {
    /// Sits down; nothing may take longer than `limit`.
    pub fn at(machine: &'a Guarded, limit: Duration) -> Result<Self> {
        let keyboard = machine.node.serial()?;
        let mut output = keyboard.try_clone()?;
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                lock(&shown).extend_from_slice(&bytes[..length]);
            }
        });
        Ok(Self {
            machine,
            keyboard,
            screen,
            limit,
            read: 0,
        })
    }

    /// Reads on until `words` are there.
    pub fn sees(&mut self, words: &str) -> Result<()> {
        self.sees_while(words, "")
    }

    /// Reads on until `words` are there, and presses a key at each look until then.
    pub fn sees_while(&mut self, words: &str, key: &str) -> Result<()> {
        self.sees_pressing(words, key, 1)
    }

    /// Types an answer, and again now and then, until `words` are there: a program that empties its
    /// input when it begins to ask, as `sulogin` does, may have missed it.
    pub fn insists(&mut self, answer: &str, words: &str) -> Result<()> {
        self.sees_pressing(words, &format!("{answer}\r"), LOOKS_BEFORE_AGAIN)
    }

    /// Reads on until `words` are there, and presses keys at every so many looks until then.
    fn sees_pressing(&mut self, words: &str, keys: &str, every: u32) -> Result<()> {
        let mut looks = 0;
        let found = poll::until(self.limit, PAUSE, || {
            if let Some(line) = self.machine.node.log().fatal() {
                bail!("the system died: {line}");
            }
            ensure!(self.machine.node.running(), "the machine has ended");
            let found = {
                let screen = lock(&self.screen);
                let rest = &screen[self.read..];
                rest.windows(words.len())
                    .position(|window| window == words.as_bytes())
            };
            if found.is_none() && looks % every == 0 {
                self.keyboard.write_all(keys.as_bytes())?;
            }
            looks += 1;
            Ok(found.map(|at| self.read + at + words.len()))
        })?;
        self.read = found.with_context(|| format!("{words:?} was not asked or said"))?;
        Ok(())
    }

    /// Waits for a question and answers it.
    pub fn answers(&mut self, question: &str, answer: &str) -> Result<()> {
        self.sees(question)?;
        self.types(&format!("{answer}\r"))
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }
}

fn lock(screen: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    // Bytes are only ever added, so a panic elsewhere leaves nothing half done.
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Installing by hand: questions on the serial console, and a browser.

use super::browser;
use super::faces::untouched;
use crate::lab::{Guarded, Lab};
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::install::{self, Attempt, LIMIT, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Root's password on hosts installed by hand.
const PASSWORD: &str = "correct-horse";

/// A person at the serial console, typing and reading.
struct Person<'a> {
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
    fn at(machine: &'a Guarded, limit: Duration) -> Result<Self> {
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
    fn sees(&mut self, words: &str) -> Result<()> {
        let found = poll::until(self.limit, Duration::from_millis(200), || {
            if let Some(line) = self.machine.node.log().fatal() {
                bail!("the installer's system died: {line}");
            }
            ensure!(self.machine.node.running(), "the machine has ended");
            let screen = lock(&self.screen);
            let rest = &screen[self.read..];
            let found = rest
                .windows(words.len())
                .position(|window| window == words.as_bytes());
            Ok(found.map(|at| self.read + at + words.len()))
        })?;
        self.read = found.with_context(|| format!("{words:?} was not asked or said"))?;
        Ok(())
    }

    /// Waits for a question and answers it.
    fn answers(&mut self, question: &str, answer: &str) -> Result<()> {
        self.sees(question)?;
        write!(self.keyboard, "{answer}\r")?;
        Ok(())
    }

    /// Answers everything up to the last question.
    fn answers_all(&mut self) -> Result<()> {
        self.answers("Keyboard", "")?;
        self.sees("serial basalt-system")?;
        self.sees("holds nothing")?;
        for (question, answer) in [
            ("Install on disk number", "1"),
            ("Guests' disks, by number", ""),
            ("Password for root", PASSWORD),
            ("The same again", PASSWORD),
            ("Host name", "visitor"),
            ("Address, as", ""),
            ("Time zone", "Europe/Nowhere"),
            ("no time zone `Europe/Nowhere`", "Europe/Berlin"),
            ("e-mail", "admin@example.org"),
        ] {
            self.answers(question, answer)?;
        }
        self.sees("everything on it is lost: nothing")?;
        self.sees("E-mail     admin@example.org")
    }
}

fn lock(screen: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    // Bytes are only ever added, so a panic elsewhere leaves nothing half done.
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Questions on the serial console are answered to the end, declined at the last moment, and then
/// answered again: the host boots and lets root in.
pub fn by_terminal(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, limit) = installer(lab)?;
    let mut person = Person::at(&machine, limit)?;
    person.answers("Press Enter to begin", "")?;
    person.answers_all()?;
    person.answers("Type YES to erase the disk", "no")?;
    person.sees("Nothing was changed")?;
    untouched(&machine.node.dir().join(DISK))?;
    person.answers_all()?;
    person.answers("Type YES to erase the disk", "YES")?;
    installed_and_boots(&mut machine, limit)?;
    machine.done();
    Ok(())
}

/// A browser on the network installs, once it has the code from the console: the host boots and lets
/// root in.
pub fn by_browser(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, limit) = installer(lab)?;
    let code = poll::until(limit, Duration::from_millis(300), || {
        let text = machine.node.log().text();
        let code = text.split("code ").nth(1).and_then(|rest| rest.get(..7));
        Ok::<_, anyhow::Error>(code.map(str::to_owned))
    })?;
    let code = code.context("the console shows no code for a browser")?;
    let url = machine.node.url();
    browser::run(
        "installer.mjs",
        &[
            ("BASALT_URL", url.as_ref()),
            ("BASALT_CODE", code.as_ref()),
            ("BASALT_PASSWORD", PASSWORD.as_ref()),
        ],
    )?;
    machine.wait_serial("started on a browser", Duration::ZERO)?;
    installed_and_boots(&mut machine, limit)?;
    machine.done();
    Ok(())
}

/// A machine with one empty disk that was started from the medium, and how long things may take.
fn installer(lab: &mut Lab<'_>) -> Result<(Guarded, Duration)> {
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let medium = &lab.shared.built.iso;
    install::begin(&mut machine.node, medium, &Attempt::default(), accel)?;
    Ok((machine, LIMIT * accel.patience()))
}

fn installed_and_boots(machine: &mut Guarded, limit: Duration) -> Result<()> {
    if let Outcome::Failed(why) = install::wait(&machine.node, limit)? {
        bail!("{why}");
    }
    machine.node.wait_end(limit)?;
    machine.power_on()?;
    // Only the password lets anybody in: there is no key on this host.
    machine.wait_serial("is healthy at", limit)?;
    crate::api::Api::login(machine.node.state().port, PASSWORD)?;
    Ok(())
}

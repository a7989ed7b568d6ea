//! Installing by hand: questions on the serial console, and a browser.

use super::browser;
use super::faces::untouched;
use crate::lab::{Guarded, Lab};
use crate::person::Person;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::install::{self, Attempt, LIMIT, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use basalt_model::host::answer::GuestStorage;
use std::time::Duration;

/// Root's password on hosts installed by hand.
pub const PASSWORD: &str = "correct-horse";
/// Their name.
pub const HOSTNAME: &str = "visitor";

/// What a person answers otherwise than with the Enter key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Whether the other disk is to hold everything once more.
    pub second_disk: bool,
    /// What guests' disks are to lie in.
    pub storage: GuestStorage,
}

/// Answers everything up to the last question.
fn answers_all(person: &mut Person<'_>, wishes: Wishes) -> Result<()> {
    person.answers("Keyboard", "")?;
    person.sees("serial basalt-system")?;
    person.sees("holds nothing")?;
    person.answers("Install on disk number", "1")?;
    if wishes.second_disk {
        person.answers("Second disk number", "1")?;
    }
    let number = GuestStorage::ALL
        .iter()
        .position(|storage| *storage == wishes.storage)
        .context("a storage that nobody offers")?;
    person.answers("Guests' disks, by number", &(number + 1).to_string())?;
    if wishes.storage != GuestStorage::Directory {
        person.answers("Size of the system's own part", "")?;
    }
    for (question, answer) in [
        ("Password for root", PASSWORD),
        ("The same again", PASSWORD),
        ("Host name", HOSTNAME),
        ("Address, as", ""),
        ("Time zone", "Europe/Nowhere"),
        ("no time zone `Europe/Nowhere`", "Europe/Berlin"),
        ("e-mail", "admin@example.org"),
    ] {
        person.answers(question, answer)?;
    }
    person.sees("everything on it is lost: nothing")?;
    person.sees("E-mail     admin@example.org")
}

/// Questions on the serial console are answered to the end, declined at the last moment, and then
/// answered again: the host boots and lets root in.
pub fn by_terminal(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, limit) = installer(lab, &Attempt::default())?;
    let mut person = Person::at(&machine, limit)?;
    person.answers("Press Enter to begin", "")?;
    answers_all(&mut person, Wishes::default())?;
    person.answers("Type YES to erase the disk", "no")?;
    person.sees("Nothing was changed")?;
    untouched(&machine.node.dir().join(DISK))?;
    answers_all(&mut person, Wishes::default())?;
    person.answers("Type YES to erase the disk", "YES")?;
    installed(&mut machine, limit)?;
    boots(&mut machine, limit)?;
    machine.done();
    Ok(())
}

/// Answers every question on the serial console of an installer, and waits until it has finished.
pub fn at_terminal(machine: &mut Guarded, wishes: Wishes, limit: Duration) -> Result<()> {
    let mut person = Person::at(machine, limit)?;
    person.answers("Press Enter to begin", "")?;
    answers_all(&mut person, wishes)?;
    person.answers("Type YES to erase the disk", "YES")?;
    installed(machine, limit)
}

/// A browser on the network installs, once it has the code from the console: the host boots and lets
/// root in.
pub fn by_browser(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, limit) = installer(lab, &Attempt::default())?;
    in_browser(&mut machine, Wishes::default(), limit)?;
    boots(&mut machine, limit)?;
    machine.done();
    Ok(())
}

/// Fills in the page of an installer, and waits until it has finished.
pub fn in_browser(machine: &mut Guarded, wishes: Wishes, limit: Duration) -> Result<()> {
    let code = poll::until(limit, Duration::from_millis(300), || {
        let text = machine.node.log().text();
        let code = text.split("code ").nth(1).and_then(|rest| rest.get(..7));
        Ok::<_, anyhow::Error>(code.map(str::to_owned))
    })?;
    let code = code.context("the console shows no code for a browser")?;
    let url = machine.node.url();
    let second = if wishes.second_disk { "yes" } else { "no" };
    browser::run(
        "installer.mjs",
        &[
            ("BASALT_URL", url.as_ref()),
            ("BASALT_CODE", code.as_ref()),
            ("BASALT_PASSWORD", PASSWORD.as_ref()),
            ("BASALT_SECOND_DISK", second.as_ref()),
            ("BASALT_STORAGE", wishes.storage.as_str().as_ref()),
        ],
    )?;
    machine.wait_serial("started on a browser", Duration::ZERO)?;
    installed(machine, limit)
}

/// A machine with empty disks that was started from the medium, and how long things may take.
pub fn installer(lab: &mut Lab<'_>, attempt: &Attempt<'_>) -> Result<(Guarded, Duration)> {
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let medium = &lab.shared.built.iso;
    install::begin(&mut machine.node, medium, attempt, accel)?;
    Ok((machine, LIMIT * accel.patience()))
}

/// Waits until an installation that was begun has finished and the machine is off.
fn installed(machine: &mut Guarded, limit: Duration) -> Result<()> {
    if let Outcome::Failed(why) = install::wait(&machine.node, limit)? {
        bail!("{why}");
    }
    let off = machine.node.wait_end(limit)?;
    ensure!(
        off,
        "the machine does not switch itself off after the installation"
    );
    Ok(())
}

fn boots(machine: &mut Guarded, limit: Duration) -> Result<()> {
    machine.power_on()?;
    // Only the password lets anybody in: there is no key on this host.
    machine.says_healthy(limit)?;
    crate::api::Api::login(machine.node.state().port, PASSWORD)?;
    Ok(())
}

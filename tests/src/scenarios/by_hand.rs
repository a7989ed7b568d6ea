//! Installing by hand: questions on the serial console, and a browser.

use super::browser;
use super::faces::untouched;
use crate::lab::{Guarded, Lab};
use crate::person::Person;
use anyhow::{Context, Result, bail};
use basalt_image::appliance::install::{self, Attempt, LIMIT, Outcome};
use basalt_image::appliance::node::DISK;
use basalt_image::appliance::poll;
use std::time::Duration;

/// Root's password on hosts installed by hand.
const PASSWORD: &str = "correct-horse";

/// Answers everything up to the last question.
fn answers_all(person: &mut Person<'_>) -> Result<()> {
    person.answers("Keyboard", "")?;
    person.sees("serial basalt-system")?;
    person.sees("holds nothing")?;
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
        person.answers(question, answer)?;
    }
    person.sees("everything on it is lost: nothing")?;
    person.sees("E-mail     admin@example.org")
}

/// Questions on the serial console are answered to the end, declined at the last moment, and then
/// answered again: the host boots and lets root in.
pub fn by_terminal(lab: &mut Lab<'_>) -> Result<()> {
    let (mut machine, limit) = installer(lab)?;
    let mut person = Person::at(&machine, limit)?;
    person.answers("Press Enter to begin", "")?;
    answers_all(&mut person)?;
    person.answers("Type YES to erase the disk", "no")?;
    person.sees("Nothing was changed")?;
    untouched(&machine.node.dir().join(DISK))?;
    answers_all(&mut person)?;
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

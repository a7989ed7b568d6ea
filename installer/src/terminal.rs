//! The questions on the console.
//!
//! Plain lines, so that it works the same on a screen and on a serial line of any kind. Every
//! console is asked at once; the one where the last question is answered first decides.

mod dialog;
mod stop;
mod tty;

use std::fs;
use std::sync::mpsc::Sender;

use basalt_model::host::{Keyboard, MacAddress, TimeZone};

use crate::disks::{self, Disk};
use crate::engine::encryption;
use crate::existing::{self, Existing};
use crate::faces::Decision;
use crate::source::Source;
use crate::{keyboard, plan};
use dialog::{Dialog, Machine};
use tty::Tty;

pub use stop::Stop;
pub use tty::write;

/// The consoles somebody may sit at: the first screen, and the serial lines in use.
pub fn consoles() -> Vec<String> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let mut consoles = vec!["/dev/tty1".to_owned()];
    let serial = active
        .split_ascii_whitespace()
        .filter(|name| !name.starts_with("tty0"));
    consoles.extend(serial.map(|name| format!("/dev/{name}")));
    consoles.dedup();
    consoles.retain(|console| tty::can_open(console));
    consoles
}

/// This machine, as the questions see it.
struct Here {
    cards: Vec<(String, MacAddress)>,
}

impl Machine for Here {
    fn disks(&self) -> anyhow::Result<Vec<Disk>> {
        disks::list()
    }

    fn cards(&self) -> &[(String, MacAddress)] {
        &self.cards
    }

    fn existing(&self, disk: &Disk) -> Option<Existing> {
        existing::find(&disk.path)
    }

    fn has_keyboard(&self, keyboard: &Keyboard) -> bool {
        keyboard::exists(keyboard)
    }

    fn use_keyboard(&self, keyboard: &Keyboard) {
        keyboard::load(keyboard);
    }

    fn has_time_zone(&self, zone: &TimeZone) -> bool {
        plan::has_time_zone(zone)
    }

    fn recovery_key(&self) -> Option<String> {
        encryption::check()
            .is_ok()
            .then(encryption::fresh_recovery_key)
    }
}

/// Begins to ask on every console.
pub fn start(consoles: &[String], source: &Source, stop: &Stop, sender: &Sender<Decision>) {
    let (sender, version) = (sender.clone(), source.version.clone());
    on_each(
        consoles,
        stop,
        move |dialog| dialog.run(&version),
        move |from, plan| {
            // Nobody listens any more when another one was faster.
            let _ = sender.send(Decision { from, plan });
        },
    );
}

/// Begins a dialog on every console, and tells for each, by its path, what came of it.
pub fn on_each<T>(
    consoles: &[String],
    stop: &Stop,
    ask: impl Fn(&mut Dialog<'_>) -> anyhow::Result<T> + Clone + Send + 'static,
    tell: impl Fn(String, anyhow::Result<T>) + Clone + Send + 'static,
) {
    for console in consoles {
        let (console, stop, ask, tell) = (console.clone(), stop.clone(), ask.clone(), tell.clone());
        std::thread::spawn(move || {
            let outcome = Tty::open(&console, &stop)
                .map_err(anyhow::Error::from)
                .and_then(|mut tty| {
                    let here = Here {
                        cards: plan::network_cards("/sys/class/net".as_ref()),
                    };
                    ask(&mut Dialog::new(&mut tty, &here))
                });
            tell(console, outcome);
        });
    }
}

/// Sends a word when somebody presses Enter on any console.
pub fn on_enter(consoles: &[String], stop: &Stop, sender: &Sender<()>) {
    for console in consoles {
        let (sender, console, stop) = (sender.clone(), console.clone(), stop.clone());
        std::thread::spawn(move || {
            if let Ok(mut tty) = Tty::open(&console, &stop)
                && dialog::Talk::ask(&mut tty, "").is_ok()
            {
                // Nobody listens any more when another one was faster.
                let _ = sender.send(());
            }
        });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::disks::Disk;

    pub fn disk() -> Disk {
        Disk {
            path: "/dev/vda".into(),
            size: 32 << 30,
            model: "model".to_owned(),
            serial: "serial".to_owned(),
            content: "nothing".to_owned(),
            busy: None,
            is_medium: false,
        }
    }
}

//! The questions on the console.
//!
//! Plain lines, so that it works the same on a screen and on a serial line of any kind. Every
//! console is asked at once; the one where the last question is answered first decides.

mod dialog;
mod tty;

use std::fs;
use std::sync::mpsc;

use anyhow::Context;

use crate::disks;
use crate::plan::Plan;
use crate::source::Source;
use dialog::Dialog;
use tty::Tty;

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
    consoles.retain(|console| Tty::open(console).is_ok());
    consoles
}

/// Asks on every console; the first complete set of answers is the plan.
pub fn ask(consoles: &[String], source: &Source) -> anyhow::Result<Plan> {
    let (sender, receiver) = mpsc::channel();
    for console in consoles {
        let (sender, console, version) = (sender.clone(), console.clone(), source.version.clone());
        std::thread::spawn(move || {
            let answer = Tty::open(&console)
                .map_err(anyhow::Error::from)
                .and_then(|mut tty| {
                    let cards = crate::plan::network_cards("/sys/class/net".as_ref());
                    Dialog::new(&mut tty, disks::list, &cards).run(&version)
                });
            // Nobody listens any more when another console was faster.
            let _ = sender.send((console, answer));
        });
    }
    drop(sender);
    let mut last = None;
    while let Ok((console, answer)) = receiver.recv() {
        match answer {
            Ok(plan) => {
                for other in consoles.iter().filter(|other| **other != console) {
                    write(
                        other,
                        "\r\nThe installation was started on another console.\r\n",
                    );
                }
                return Ok(plan);
            }
            Err(error) => {
                tracing::warn!(console, "the dialog ended: {error:#}");
                last = Some(error);
            }
        }
    }
    Err(last.context("there is no console to ask on, and no answer file")?)
}

/// Waits until somebody presses Enter on any console.
pub fn wait_for_enter(consoles: &[String]) {
    let (sender, receiver) = mpsc::channel();
    for console in consoles {
        let (sender, console) = (sender.clone(), console.clone());
        std::thread::spawn(move || {
            if let Ok(mut tty) = Tty::open(&console)
                && dialog::Talk::ask(&mut tty, "").is_ok()
            {
                // Nobody listens any more when another console was faster.
                let _ = sender.send(());
            }
        });
    }
    drop(sender);
    if receiver.recv().is_err() {
        // Without any console the reason stays in the journal; starting over at once would only
        // repeat it.
        std::thread::park();
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

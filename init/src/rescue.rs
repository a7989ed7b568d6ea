//! `basalt-init rescue`: says what a rescue boot is and how to leave it, and asks for root's password.

use std::convert::Infallible;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::paths::Paths;
use crate::record;
use crate::run::screen::Screens;

/// Asks for root's password on every console and starts a shell.
const SULOGIN: &str = "/usr/sbin/sulogin";

/// How long a password is waited for: nobody may sit there, and the host has work to do.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How long a refusal stays on the screen before the host starts as usual.
const READING_TIME: Duration = Duration::from_secs(30);

/// Becomes the question for root's password; returns only when nobody can be let in.
pub fn run(paths: &Paths) -> anyhow::Result<Infallible> {
    let screens = Screens::new(paths);
    let version = record::running_version(paths)
        .map_or_else(|_| "?".to_owned(), |version| version.to_string());
    let name = fs::read_to_string(paths.etc("hostname")).unwrap_or_default();
    let minutes = PATIENCE.as_secs() / 60;
    screens.tell(&[
        &format!("Basalt {version}: rescue shell on {}", name.trim()),
        "",
        "No guest runs, and the network is off: `systemctl start systemd-networkd` brings it up.",
        "What you change below /var lasts; all else is as before at the next boot.",
        "This boot says nothing of how well the version works.",
        "",
        "To leave, type `exit` or press Ctrl+D: the host starts as usual.",
        &format!("Without a password it does so after {minutes} minutes."),
    ]);
    let shadow = fs::read_to_string(paths.etc("shadow")).context("/etc/shadow")?;
    if !has_password(&shadow) {
        screens.tell(&["Root has no password on this host, so nobody can be let in."]);
        // Time itself is meant: somebody may want to read it.
        std::thread::sleep(READING_TIME);
        bail!("root has no password");
    }
    let error = Command::new(SULOGIN)
        .arg(format!("--timeout={}", PATIENCE.as_secs()))
        .exec();
    Err(error).context(SULOGIN)
}

/// Whether some password fits for root.
fn has_password(shadow: &str) -> bool {
    shadow
        .lines()
        .filter_map(|line| line.strip_prefix("root:"))
        .filter_map(|rest| rest.split(':').next())
        .any(|hash| hash.starts_with('$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_root_has_no_password() {
        assert!(has_password("daemon:*:1:\nroot:$6$salt$hash:1:0:::::\n"));
        for locked in [
            "root:*:1::::::\n",
            "root:!$6$a$b:1:\n",
            "root::1:\n",
            "rooter:$6$a$b:\n",
        ] {
            assert!(!has_password(locked), "{locked}");
        }
    }
}

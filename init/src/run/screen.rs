//! The status screen on the first virtual terminal, and the same in plain lines on the serial line.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use basalt_update::mirror::array::Array;

use super::state::State;
use crate::paths::Paths;

/// Clears the terminal, hides the cursor, never blanks.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J\x1b[?25l\x1b[9;0]";

/// Longest line on the screen.
const WIDTH: usize = 78;

/// Where the state is shown.
pub struct Screens {
    terminal: PathBuf,
    serial: Option<PathBuf>,
    said: Vec<News>,
}

/// A line for the serial line.
struct News {
    line: String,
    /// Whether it was written: while a login is begun there, the terminal takes nothing.
    heard: bool,
}

impl Screens {
    /// Finds out what there is to write on.
    pub fn new(paths: &Paths) -> Self {
        let consoles =
            fs::read_to_string(paths.at("/sys/class/tty/console/active")).unwrap_or_default();
        let serial = consoles
            .split_ascii_whitespace()
            .find(|name| name.starts_with("ttyS"))
            .map(|name| paths.at("/dev").join(name));
        Self {
            terminal: paths.at("/dev/tty1"),
            serial,
            said: Vec::new(),
        }
    }

    /// Shows lines on the screen, and the same on the serial line.
    pub fn tell(&self, lines: &[&str]) {
        let text = lines.join("\r\n  ");
        for place in [Some(&self.terminal), self.serial.as_ref()]
            .into_iter()
            .flatten()
        {
            write(place, &format!("\r\n\r\n  {text}\r\n\r\n"));
        }
    }

    /// Shows a state on the screen.
    pub fn show(&self, state: &State) {
        let lines = lines(state);
        write(
            &self.terminal,
            &format!("{CLEAR}\r\n{}\r\n", lines.join("\r\n")),
        );
    }

    /// Says on the serial line what is new in a state, and what it has not heard so far. It is a log:
    /// only what changes is worth a line.
    pub fn say(&mut self, state: &State) {
        let Some(line) = summary(state) else {
            return;
        };
        let lines: Vec<String> = [Some(line), undone(state), warning(state)]
            .into_iter()
            .flatten()
            .collect();
        self.said.retain(|news| lines.contains(&news.line));
        for line in lines {
            if self.said.iter().all(|news| news.line != line) {
                tracing::info!("{line}");
                self.said.push(News { line, heard: false });
            }
        }
        for news in self.said.iter_mut().filter(|news| !news.heard) {
            let text = format!("\r\nbasalt: {}\r\n", news.line);
            news.heard = self
                .serial
                .as_ref()
                .is_none_or(|serial| write(serial, &text));
        }
    }
}

/// Whether all of it was written.
fn write(path: &Path, text: &str) -> bool {
    // A terminal that is switched off or held back must not stop the supervisor.
    let flags = nix::fcntl::OFlag::O_NOCTTY | nix::fcntl::OFlag::O_NONBLOCK;
    let written = File::options()
        .write(true)
        .custom_flags(flags.bits())
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = &written {
        tracing::debug!(path = %path.display(), %error, "not shown");
    }
    written.is_ok()
}

/// The state in one line, once there is something to say.
fn summary(state: &State) -> Option<String> {
    let health = state.health.as_ref()?;
    let place = state.url.as_deref().unwrap_or("no network address");
    Some(if health.healthy {
        format!("version {} is healthy at {place}", state.version)
    } else {
        format!(
            "version {} is not healthy: {}",
            state.version,
            health.reasons.join("; ")
        )
    })
}

/// What became of an update that was undone.
fn undone(state: &State) -> Option<String> {
    let failed = state.failed_update.as_ref()?;
    let why = if failed.reasons.is_empty() {
        "it stopped before its health checks could say why".to_owned()
    } else {
        failed.reasons.join("; ")
    };
    Some(format!(
        "version {} failed and was undone: {why}",
        failed.version
    ))
}

/// What is not lost yet, but would be with the next disk. How far the way back is does not count as
/// news.
fn warning(state: &State) -> Option<String> {
    let mirror = state.mirror.as_ref()?;
    let text = Array {
        percent: None,
        ..mirror.clone()
    };
    Some(match mirror.percent {
        None => format!("the mirror is {}", text.describe()),
        Some(_) => "the mirror is being made whole".to_owned(),
    })
}

/// The lines of the screen.
pub fn lines(state: &State) -> Vec<String> {
    let mut lines = vec![format!("  Basalt {}", state.version), String::new()];
    let mut row = |name: &str, value: &str| {
        for (index, part) in wrap(value, WIDTH - 20).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            lines.push(format!("  {name:<16}{part}"));
        }
    };
    row(
        "Web interface",
        state.url.as_deref().unwrap_or("no network address yet"),
    );
    row("Host", &state.hostname);
    if let Some(slot) = state.slot {
        row("Slot", &slot.to_string());
    }
    match &state.health {
        None => row("Health", "starting"),
        Some(health) if health.healthy => row("Health", "healthy"),
        Some(health) => row(
            "Health",
            &format!("not healthy: {}", health.reasons.join("; ")),
        ),
    }
    if let Some(mirror) = &state.mirror {
        row("Mirror", &mirror.describe());
    }
    for unit in state.services.iter().filter(|unit| unit.active != "active") {
        row(
            "Service",
            &format!("{} is {} ({})", unit.name, unit.active, unit.sub),
        );
    }
    for problem in &state.problems {
        row("Problem", problem);
    }
    if let Some(undone) = undone(state) {
        row("Update", &undone);
    }
    lines.extend([String::new(), "  Alt+F2 brings a login prompt.".to_owned()]);
    lines
}

/// Breaks a text at spaces into lines of at most `width` characters, control characters removed.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let word: String = word
            .chars()
            .filter(|c| !c.is_control())
            .take(width)
            .collect();
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(word);
        } else if let Some(last) = lines.last_mut() {
            if line > 0 {
                last.push(' ');
            }
            last.push_str(&word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::record::Failure;

    fn state() -> State {
        State {
            version: "0.1.0".to_owned(),
            variant: "release".to_owned(),
            slot: Some('a'),
            hostname: "node1".to_owned(),
            addresses: vec!["192.0.2.10".parse().unwrap()],
            url: Some("https://192.0.2.10:8006".to_owned()),
            health: None,
            services: Vec::new(),
            failed_update: None,
            problems: Vec::new(),
            mirror: None,
        }
    }

    #[test]
    fn a_degraded_mirror_is_a_warning() {
        use basalt_update::mirror::array::MemberState;
        let mut state = state();
        let mut show = |members: &[(&str, MemberState)], percent| {
            let members = members.iter().map(|(name, s)| ((*name).to_owned(), *s));
            state.mirror = Some(Array {
                members: members.collect(),
                percent,
            });
            (lines(&state).join("\n"), warning(&state).unwrap())
        };
        let whole = MemberState::Whole;
        let (screen, told) = show(&[("vda6", whole), ("vdb6", whole)], None);
        assert!(screen.contains("Mirror          whole"), "{screen}");
        assert_eq!(told, "the mirror is whole");
        let (_, told) = show(&[("vda6", whole)], None);
        assert_eq!(told, "the mirror is degraded: the data is on vda6 alone");
        let coming = [("vda6", whole), ("vdb6", MemberState::Recovering)];
        let (screen, told) = show(&coming, Some(40));
        assert!(screen.contains("40 % done"), "{screen}");
        assert_eq!(told, show(&coming, Some(41)).1);
    }

    #[test]
    fn the_screen_says_what_matters() {
        let mut state = state();
        let text = lines(&state).join("\n");
        assert!(
            text.contains("Web interface   https://192.0.2.10:8006"),
            "{text}"
        );
        assert!(text.contains("Health          starting"), "{text}");
        assert_eq!(summary(&state), None);

        let reasons = vec!["node: does not listen".to_owned()];
        state.health = Some(Health {
            healthy: false,
            reasons,
        });
        state.failed_update = Some(Failure {
            version: "0.2.0".parse().unwrap(),
            reasons: Vec::new(),
        });
        state.problems = vec!["x ".repeat(100)];
        let shown = lines(&state);
        assert!(shown.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(
            shown
                .join("\n")
                .contains("version 0.2.0 failed and was undone")
        );
        assert!(
            summary(&state)
                .unwrap()
                .contains("not healthy: node: does not listen")
        );
    }

    #[test]
    fn escapes_never_reach_the_terminal() {
        assert_eq!(wrap("a\x1b[2Jb c", 20), ["a[2Jb c"]);
        assert_eq!(wrap("", 20), [""]);
    }

    #[test]
    fn the_serial_line_hears_each_news_once() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        for folder in ["/dev", "/sys/class/tty/console"] {
            fs::create_dir_all(paths.at(folder)).unwrap();
        }
        fs::write(paths.at("/sys/class/tty/console/active"), "tty0 ttyS0\n").unwrap();
        let serial = paths.at("/dev/ttyS0");
        fs::write(&serial, "").unwrap();
        let mut screens = Screens::new(&paths);
        let mut state = state();
        screens.say(&state);
        assert_eq!(fs::read_to_string(&serial).unwrap(), "");
        state.health = Some(Health {
            healthy: true,
            reasons: Vec::new(),
        });
        // A line that takes nothing hears it later.
        fs::rename(&serial, paths.at("/dev/away")).unwrap();
        screens.say(&state);
        fs::rename(paths.at("/dev/away"), &serial).unwrap();
        screens.say(&state);
        let said = fs::read_to_string(&serial).unwrap();
        assert_eq!(
            said,
            "\r\nbasalt: version 0.1.0 is healthy at https://192.0.2.10:8006\r\n"
        );
        fs::write(&serial, "").unwrap();
        screens.say(&state);
        assert_eq!(fs::read_to_string(&serial).unwrap(), "");
    }
}

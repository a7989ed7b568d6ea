//! Starting a process apart from us, and naming it so that a reused process id is never mistaken for it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;

/// A command that runs the words added to it apart from our terminal; unless `detached` it ends with
/// us, however we end.
pub fn apart(detached: bool) -> Command {
    if detached {
        return Command::new("setsid");
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "setsid"]);
    command
}

/// A process id together with the process's start time (in clock ticks since the host's boot).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`.
    pub start: u64,
}

impl ProcessId {
    /// Names the running process `pid`.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        read_stat(pid).map(|stat| Self {
            pid,
            start: stat.start,
        })
    }

    /// Whether this very process still runs (a zombie does not).
    pub fn alive(self) -> bool {
        read_stat(self.pid).is_some_and(|stat| stat.start == self.start && !stat.ended)
    }

    /// Sends a signal if the process still runs.
    pub fn signal(self, signal: Signal) {
        if self.alive() {
            // It may end between the look and the signal; then there is nobody left to tell.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

struct Stat {
    ended: bool,
    start: u64,
}

fn read_stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name (field 2) may hold spaces and parentheses, so count from the last `)`.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some(Stat {
        ended: matches!(state, "Z" | "X"),
        start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_a_wrong_start_time_is_not_us() {
        let us = ProcessId::of(std::process::id()).unwrap();
        assert!(us.alive());
        assert!(
            !ProcessId {
                start: us.start + 1,
                ..us
            }
            .alive()
        );
    }

    #[test]
    fn an_ended_child_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = ProcessId::of(child.id());
        child.wait().unwrap();
        assert!(!id.is_some_and(ProcessId::alive));
    }

    #[test]
    fn odd_command_names_do_not_shift_the_fields() {
        let stat =
            parse_stat("7 (a) b) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 5").unwrap();
        assert!(stat.ended);
        assert_eq!(stat.start, 99);
    }
}

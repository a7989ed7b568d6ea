//! A process cloned into new namespaces that waits for its word, sets itself up and becomes
//! another program, telling its maker how that went.
//!
//! The line between the two is a socket that closes itself when the program is executed: the end
//! of the line without a failure on it means that the set-up succeeded.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};

use crate::step::{Step, StepError};
use crate::sys::{self, ChildProcess};

/// What the first process reports, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    /// Something that can be lived without.
    Warning(String),
    /// The set-up ended here.
    Failed(String),
}

/// A cloned process that waits for [`FirstProcess::go`].
#[derive(Debug)]
pub struct FirstProcess {
    /// The process.
    pub process: ChildProcess,
    line: UnixStream,
}

impl FirstProcess {
    /// Clones a process into new namespaces, a user namespace among them. There `set_up` runs as
    /// that namespace's root, and executes a program when all is well. The process dies with its
    /// maker.
    pub fn clone_into(
        namespaces: libc::c_int,
        cgroup: Option<BorrowedFd<'_>>,
        set_up: impl FnOnce(&Line<'_>) -> Result<Infallible, StepError>,
    ) -> Result<Self, StepError> {
        let (ours, theirs) = UnixStream::pair().step("make a socket pair")?;
        let process = sys::clone_child(namespaces, cgroup, || {
            let line = Line(&theirs);
            let Err(error) = line.await_word().and_then(|()| set_up(&line));
            line.report(&Report::Failed(error.to_string()));
            1
        })
        .step("create the namespaces")?;
        Ok(Self {
            process,
            line: ours,
        })
    }

    /// Gives the word, once the id maps are written; returns when the program is executed.
    pub fn go(mut self) -> Result<ChildProcess, StepError> {
        self.line.write_all(b"g").step("start the set-up inside")?;
        for line in BufReader::new(&self.line).lines() {
            let line = line.step("read the set-up's report")?;
            match serde_json::from_str(&line).step("read the set-up's report")? {
                Report::Warning(text) => tracing::warn!("{text}"),
                Report::Failed(text) => return Err(StepError::told(text)),
            }
        }
        Ok(self.process)
    }
}

/// The cloned process's end of the line.
#[derive(Debug)]
pub struct Line<'a>(&'a UnixStream);

impl Line<'_> {
    /// Reports something that can be lived without.
    pub fn warn(&self, error: &StepError) {
        self.report(&Report::Warning(error.to_string()));
    }

    fn await_word(&self) -> Result<(), StepError> {
        die_with_maker()?;
        let mut socket = self.0;
        socket.read_exact(&mut [0]).step("wait for the word")?;
        become_root().step("become the namespace's root")?;
        // Changing the user took the death signal back.
        die_with_maker()
    }

    fn report(&self, report: &Report) {
        if let Ok(mut text) = serde_json::to_vec(report) {
            text.push(b'\n');
            let mut socket = self.0;
            // When it cannot be told, our maker is dead and so are we.
            let _dead = socket.write_all(&text);
        }
    }
}

fn die_with_maker() -> Result<(), StepError> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("follow the maker's end")
}

/// The clone has the host root's ids, which are nobody's in its user namespace.
pub fn become_root() -> rustix::io::Result<()> {
    let gid = rustix::fs::Gid::ROOT;
    let uid = rustix::fs::Uid::ROOT;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

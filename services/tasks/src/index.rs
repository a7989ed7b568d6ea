//! Which tasks ended and how: one line each, `UPID time outcome`, oldest first.

use crate::{Outcome, Task, files::log_path};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// So many tasks are remembered; logs of older ones are removed.
const REMEMBERED: usize = 2000;
/// The file is written anew when it has this many lines more than that.
const SLACK: usize = 500;

/// Tasks that ended, that run, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// Those that ended.
    #[default]
    Ended,
    /// Those that run.
    Running,
    /// Both.
    All,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Ended, running or both.
    pub source: Source,
    /// What the task works on.
    pub id: Option<String>,
    /// Part of the user's id.
    pub user: Option<String>,
    /// Kind of task.
    pub kind: Option<String>,
    /// Only tasks that failed.
    pub errors: bool,
    /// Only tasks that ended so: `ok`, `error`, `warning`, `unknown`; empty is all.
    pub outcomes: Vec<String>,
    /// Started at this time or later.
    pub since: Option<u64>,
    /// Started at this time or earlier.
    pub until: Option<u64>,
}

/// A part of a list, and how long the whole is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Length of the whole.
    pub total: u64,
}

impl Filter {
    pub(crate) fn takes(&self, task: &Task) -> bool {
        let upid = &task.upid;
        let outcome = task.end.as_ref().map(|(_, outcome)| outcome);
        let failed = matches!(outcome, Some(Outcome::Failed(_)));
        let word = match outcome {
            Some(Outcome::Ok) => "ok",
            Some(Outcome::Warnings(_)) => "warning",
            Some(Outcome::Failed(_)) => "error",
            None => "unknown",
        };
        let in_source = match self.source {
            Source::Ended => task.end.is_some(),
            Source::Running => task.end.is_none(),
            Source::All => true,
        };
        in_source
            && self.id.as_ref().is_none_or(|id| *id == upid.id)
            && self
                .user
                .as_ref()
                .is_none_or(|user| upid.user.to_string().contains(user))
            && self.kind.as_ref().is_none_or(|kind| *kind == upid.kind)
            && (!self.errors || failed)
            && (self.outcomes.is_empty() || self.outcomes.iter().any(|o| o == word))
            && self.since.is_none_or(|since| upid.starttime >= since)
            && self.until.is_none_or(|until| upid.starttime <= until)
    }
}

/// The tasks that ended, newest last.
#[derive(Debug)]
pub(crate) struct Index {
    folder: PathBuf,
    pub(crate) ended: VecDeque<Task>,
    lines: usize,
    /// Whether the file lacks something, or ends within a line, because the disk was full.
    incomplete: bool,
}

impl Index {
    pub(crate) fn load(folder: &Path) -> io::Result<Self> {
        let text = match std::fs::read(folder.join("index")) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e),
        };
        // A line that was cut off by a power failure is passed over.
        let ended: VecDeque<Task> = text.lines().filter_map(parse).collect();
        let mut index = Self {
            folder: folder.into(),
            lines: text.lines().count(),
            ended,
            incomplete: false,
        };
        let whole = text.is_empty() || text.ends_with('\n');
        if !whole || index.ended.len() > REMEMBERED || index.lines != index.ended.len() {
            index.rewrite()?;
        }
        Ok(index)
    }

    /// Adds a task that ended. What cannot be written is known all the same, and written with the next.
    pub(crate) fn add(&mut self, task: Task) -> io::Result<()> {
        let line = print(&task);
        self.ended.push_back(task);
        if self.incomplete || self.lines >= REMEMBERED + SLACK {
            return self.rewrite();
        }
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.folder.join("index"))
            .and_then(|mut file| file.write_all(line.as_bytes()));
        self.incomplete = written.is_err();
        self.lines += 1;
        written
    }

    /// Writes the file anew without what is too old, and removes the logs of that.
    fn rewrite(&mut self) -> io::Result<()> {
        while self.ended.len() > REMEMBERED {
            if let Some(old) = self.ended.pop_front() {
                match std::fs::remove_file(log_path(&self.folder, &old.upid)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        let text: String = self.ended.iter().map(print).collect();
        let new = self.folder.join("index.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        // The old one must not be gone before the new one is there.
        file.sync_all()?;
        std::fs::rename(new, self.folder.join("index"))?;
        self.lines = self.ended.len();
        self.incomplete = false;
        Ok(())
    }
}

fn print(task: &Task) -> String {
    let (time, outcome) = match &task.end {
        Some((time, outcome)) => (*time, outcome.to_string()),
        None => (task.upid.starttime, "unknown".to_owned()),
    };
    format!("{} {time:08X} {}\n", task.upid, outcome.replace('\n', " "))
}

fn parse(line: &str) -> Option<Task> {
    let mut words = line.splitn(3, ' ');
    let upid = words.next()?.parse().ok()?;
    let time = u64::from_str_radix(words.next()?, 16).ok()?;
    let outcome = Outcome::parse(words.next()?);
    Some(Task {
        upid,
        end: Some((time, outcome)),
        progress: None,
    })
}

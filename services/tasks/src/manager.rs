//! Starts tasks, knows which run, and remembers how they ended.

use crate::context::{Shared, TaskContext};
use crate::files::{LogFile, log_path, read_log};
use crate::index::{Filter, Index, Page};
use crate::locks::{GuestLock, Locks};
use crate::{Error, Outcome, Source, Task};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::task::TaskTracker;

/// What a task does; the error is a line.
type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What a new task is.
#[derive(Debug)]
pub struct NewTask<'a> {
    /// Kind, e.g. `qmstart`.
    pub kind: &'a str,
    /// What it works on, e.g. a guest's number; may be empty.
    pub id: String,
    /// Who wants it.
    pub user: &'a Authid,
    /// The guest it holds until it ended.
    pub lock: Option<GuestLock>,
}

/// Starts tasks, knows which run, and remembers how they ended. Clones are the same manager.
#[derive(Debug, Clone)]
pub struct TaskManager {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: String,
    folder: PathBuf,
    sequence: AtomicU64,
    running: Mutex<BTreeMap<String, Arc<Shared>>>,
    index: Mutex<Index>,
    locks: Locks,
    tracker: TaskTracker,
}

impl TaskManager {
    /// Opens the folder of task files. Tasks that ran when the last process ended without
    /// finishing them end now, with that as the reason.
    pub fn open(node: &str, folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let index = open_folder(&folder).map_err(|e| files(&folder, e))?;
        Ok(Self {
            inner: Arc::new(Inner {
                node: node.into(),
                folder,
                sequence: AtomicU64::new(0),
                running: Mutex::default(),
                index: Mutex::new(index),
                locks: Locks::default(),
                tracker: TaskTracker::new(),
            }),
        })
    }

    /// Takes hold of a guest, e.g. `lock("VM 100", "start")`, or says what holds it.
    pub fn lock(&self, guest: &str, holder: &str) -> Result<GuestLock, Error> {
        self.inner.locks.take(guest, holder)
    }

    /// Takes hold of a guest, waiting for other work to let go of it if that does not take long.
    pub async fn lock_within(
        &self,
        guest: &str,
        holder: &str,
        patience: Duration,
    ) -> Result<GuestLock, Error> {
        self.inner.locks.take_within(guest, holder, patience).await
    }

    /// What holds a guest at present.
    pub fn lock_holder(&self, guest: &str) -> Option<String> {
        self.inner.locks.holder(guest)
    }

    /// Starts a task. What `work` answers becomes the task's end.
    pub fn spawn<F, W, E>(&self, task: NewTask<'_>, work: F) -> Result<Upid, Error>
    where
        F: FnOnce(TaskContext) -> W,
        W: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let shared = self.begin(&task)?;
        let work = work(TaskContext {
            shared: Arc::clone(&shared),
        });
        let work = async { work.await.map_err(|error| one_line(&error.to_string())) };
        self.run(Arc::clone(&shared), task.lock, Box::pin(work));
        Ok(shared.upid.clone())
    }

    /// Begins a task's log, and has it among those that run.
    fn begin(&self, task: &NewTask<'_>) -> Result<Arc<Shared>, Error> {
        let inner = &self.inner;
        let upid = inner.next_upid(task);
        let log = begin(&inner.folder, &upid).map_err(|e| files(&inner.folder, e))?;
        let shared = Arc::new(Shared::new(upid.clone(), log));
        inner
            .running_tasks()
            .insert(upid.to_string(), Arc::clone(&shared));
        tracing::info!(upid = %upid, "task started");
        Ok(shared)
    }

    /// Has the work done. (One type for the work of all tasks: the compiler makes what runs it once.)
    fn run(&self, shared: Arc<Shared>, lock: Option<GuestLock>, work: Work) {
        let inner = Arc::clone(&self.inner);
        self.inner.tracker.spawn(async move {
            // A task of its own, so that a panic in it becomes the task's end.
            let outcome = match tokio::spawn(work).await {
                Ok(Ok(())) if shared.warnings() > 0 => Outcome::Warnings(shared.warnings()),
                Ok(Ok(())) => Outcome::Ok,
                Ok(Err(error)) => Outcome::Failed(error),
                Err(error) => Outcome::Failed(one_line(&format!("task broke off: {error}"))),
            };
            // The guest is free before anybody can see that the task ended.
            drop(lock);
            inner.end(&shared, outcome);
        });
    }

    /// A task by its id.
    pub fn get(&self, upid: &Upid) -> Result<Task, Error> {
        if let Some(shared) = self.inner.running_tasks().get(&upid.to_string()) {
            return Ok(running(shared));
        }
        let index = self.inner.index();
        let found = index.ended.iter().rev().find(|task| task.upid == *upid);
        found.cloned().ok_or(Error::NoSuchTask)
    }

    /// The tasks that `filter` and `visible` take, newest first.
    pub fn list(
        &self,
        filter: &Filter,
        start: u64,
        limit: u64,
        visible: impl Fn(&Upid) -> bool,
    ) -> Page<Task> {
        let mut all = Vec::new();
        if filter.source != Source::Ended {
            all.extend(
                self.inner
                    .running_tasks()
                    .values()
                    .map(|shared| running(shared)),
            );
        }
        if filter.source != Source::Running {
            all.extend(self.inner.index().ended.iter().rev().cloned());
        }
        all.retain(|task| filter.takes(task) && visible(&task.upid));
        all.sort_by_key(|task| std::cmp::Reverse(task.upid.starttime));
        let total = all.len() as u64;
        let items = all
            .into_iter()
            .skip(start as usize)
            .take(limit as usize)
            .collect();
        Page { items, total }
    }

    /// Lines of a task's log from `start`, at most `limit`.
    pub async fn log(&self, upid: &Upid, start: u64, limit: u64) -> Result<Page<String>, Error> {
        self.get(upid)?;
        let path = log_path(&self.inner.folder, upid);
        let read = tokio::task::spawn_blocking(move || read_log(&path, start, limit)).await;
        let read = read.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let (items, total) = read.map_err(|e| files(&self.inner.folder, e))?;
        Ok(Page { items, total })
    }

    /// Asks a task to stop; one that ended already is left as it is.
    pub fn stop(&self, upid: &Upid) -> Result<(), Error> {
        let shared = self.inner.running_tasks().get(&upid.to_string()).cloned();
        let Some(shared) = shared else {
            return self.get(upid).map(|_| ());
        };
        shared.log.write("received a request to stop");
        shared.cancel.cancel();
        Ok(())
    }

    /// Waits until a task ended.
    pub async fn wait(&self, upid: &Upid) -> Result<Outcome, Error> {
        loop {
            let ended = match self.inner.running_tasks().get(&upid.to_string()) {
                Some(shared) => shared.ended.clone(),
                None => break,
            };
            ended.cancelled().await;
        }
        let (_, outcome) = self.get(upid)?.end.ok_or(Error::NoSuchTask)?;
        Ok(outcome)
    }

    /// Ends all tasks before the process ends: asks them to stop and waits a while. Those that do
    /// not end in time are given their reason at the next start.
    pub async fn shutdown(&self, patience: Duration) {
        for shared in self.inner.running_tasks().values() {
            shared.log.write("the node is stopping");
            shared.cancel.cancel();
        }
        self.inner.tracker.close();
        if tokio::time::timeout(patience, self.inner.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("tasks are left unfinished");
        }
    }
}

impl Inner {
    fn running_tasks(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Shared>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_upid(&self, task: &NewTask<'_>) -> Upid {
        Upid {
            node: self.node.clone(),
            pid: std::process::id(),
            pstart: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            starttime: now(),
            kind: task.kind.into(),
            // The id is a field between colons and part of a file's name.
            id: task
                .id
                .replace(|c: char| ":/".contains(c) || c.is_whitespace(), "-"),
            user: task.user.clone(),
        }
    }

    fn end(&self, shared: &Shared, outcome: Outcome) {
        let upid = &shared.upid;
        shared.log.write(&match &outcome {
            Outcome::Ok => "TASK OK".to_owned(),
            Outcome::Warnings(n) => format!("TASK WARNINGS: {n}"),
            Outcome::Failed(reason) => format!("TASK ERROR: {reason}"),
        });
        tracing::info!(%upid, %outcome, "task ended");
        let task = Task {
            upid: upid.clone(),
            end: Some((now(), outcome)),
            progress: None,
        };
        // First known as ended, then no longer as running: a reader always finds it.
        let noted = self.index().add(task);
        self.running_tasks().remove(&upid.to_string());
        shared.ended.cancel();
        // The mark of a task whose end could not be written stays: the next start gives it one.
        let done = noted.and_then(|()| std::fs::remove_file(active_path(&self.folder, upid)));
        if let Err(error) = done {
            tracing::error!(%upid, %error, "the task's end is not written down");
        }
    }
}

fn running(shared: &Shared) -> Task {
    Task {
        upid: shared.upid.clone(),
        end: None,
        progress: shared.progress(),
    }
}

fn active_path(folder: &Path, upid: &Upid) -> PathBuf {
    folder.join("active").join(upid.to_string())
}

/// Marks a task as running and opens its log. The mark comes first: a log without one would stay for ever.
fn begin(folder: &Path, upid: &Upid) -> std::io::Result<LogFile> {
    let mark = active_path(folder, upid);
    std::fs::File::create(&mark)?;
    let log = LogFile::create(folder, upid);
    if log.is_err() {
        std::fs::remove_file(mark)?;
    }
    log
}

/// Loads the index and ends what the last process left running.
fn open_folder(folder: &Path) -> std::io::Result<Index> {
    std::fs::create_dir_all(folder.join("active"))?;
    let mut index = Index::load(folder)?;
    for entry in std::fs::read_dir(folder.join("active"))? {
        let entry = entry?;
        let parsed = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<Upid>().ok());
        let known = |upid: &Upid| index.ended.iter().any(|task| task.upid == *upid);
        if let Some(upid) = parsed.filter(|upid| !known(upid)) {
            let reason = "node restarted before the task ended";
            LogFile::create(folder, &upid)?.write(&format!("TASK ERROR: {reason}"));
            let end = Some((now(), Outcome::Failed(reason.into())));
            index.add(Task {
                upid,
                end,
                progress: None,
            })?;
        }
        std::fs::remove_file(entry.path())?;
    }
    Ok(index)
}

fn files(folder: &Path, source: std::io::Error) -> Error {
    Error::Files {
        folder: folder.into(),
        source,
    }
}

fn one_line(text: &str) -> String {
    text.trim().replace('\n', "; ")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

//! The histories of all objects: one file each, and in memory only what is not in it yet.
//!
//! A file is replaced as a whole, so a power cut leaves the old or the new one. What was sampled since
//! the last [`Histories::flush`] is lost with the power. A file that is damaged is put aside, and its
//! history begins anew. Everything here that reads or writes blocks.

use crate::history::{DAY, DECADE, History, MONTH, Plan, Shape, YEAR};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most samples of an object that wait for a disk that cannot be written.
const MOST_WAITING: usize = 240;
/// What a damaged file is renamed to, behind its name; no name has this sign.
const DAMAGED: &str = "~damaged";
/// What a file is called, behind its name, before it is whole.
const NEW: &str = "~";

const ONE_YEAR: &[Shape] = &[DAY, MONTH, YEAR];

/// Series of a node: parts from 0 to 1, bytes, bytes a second, and percent for pressure.
pub const NODE: Plan = Plan {
    series: &[
        "cpu",
        "iowait",
        "loadavg",
        "maxcpu",
        "memtotal",
        "memused",
        "memavailable",
        "arcsize",
        "swaptotal",
        "swapused",
        "roottotal",
        "rootused",
        "netin",
        "netout",
        "pressurecpusome",
        "pressureiosome",
        "pressureiofull",
        "pressurememorysome",
        "pressurememoryfull",
    ],
    shapes: &[DAY, MONTH, YEAR, DECADE],
};

/// Series of a guest.
pub const GUEST: Plan = Plan {
    series: &[
        "cpu",
        "maxcpu",
        "mem",
        "maxmem",
        "disk",
        "maxdisk",
        "netin",
        "netout",
        "diskread",
        "diskwrite",
    ],
    shapes: ONE_YEAR,
};

/// Series of a storage.
pub const STORAGE: Plan = Plan {
    series: &["total", "used"],
    shapes: ONE_YEAR,
};

/// Something that has a history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// The node itself.
    Node,
    /// The guest of this number.
    Guest(u32),
    /// The storage of this name, which must do as a part of a file's name.
    Storage(String),
}

impl Object {
    /// What is kept of it.
    pub fn plan(&self) -> Plan {
        match self {
            Self::Node => NODE,
            Self::Guest(_) => GUEST,
            Self::Storage(_) => STORAGE,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name.split_once('-') {
            None => (name == "node").then_some(Self::Node),
            Some(("guest", vmid)) => vmid.parse().ok().map(Self::Guest),
            Some(("storage", id)) => Some(Self::Storage(id.to_owned())),
            Some(_) => None,
        }
    }
}

/// The name of its file.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Guest(vmid) => write!(f, "guest-{vmid}"),
            Self::Storage(id) => write!(f, "storage-{id}"),
        }
    }
}

/// A sample that is not in its file yet.
#[derive(Debug, Clone)]
struct Sample {
    time: u64,
    values: Box<[f32]>,
}

/// The histories of all objects, in a folder.
#[derive(Debug)]
pub struct Histories {
    folder: PathBuf,
    waiting: Mutex<BTreeMap<Object, VecDeque<Sample>>>,
    /// Held by whoever is at a file.
    files: Mutex<()>,
}

impl Histories {
    /// Those in a folder, which is made with the first file.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            waiting: Mutex::default(),
            files: Mutex::default(),
        }
    }

    /// Takes a sample: the time in seconds since 1970, and a value for each series of the plan.
    pub fn note(&self, object: Object, time: u64, values: impl IntoIterator<Item = f64>) {
        // Seven digits are more than a chart shows, and half of what has to be written.
        let values = values.into_iter().map(|value| value as f32).collect();
        let mut all = lock(&self.waiting);
        let waiting = all.entry(object).or_default();
        if waiting.len() == MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(Sample { time, values });
    }

    /// The history of an object, up to its last sample; empty if there is none.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn read(&self, object: &Object) -> io::Result<History> {
        let _files = lock(&self.files);
        self.with_waiting(object).map(|(history, _)| history)
    }

    /// Writes down what waits, and removes the files of objects that `is_there` does not know. What
    /// cannot be written waits on.
    pub fn flush(&self, is_there: impl Fn(&Object) -> bool) {
        let waiting: Vec<Object> = lock(&self.waiting).keys().cloned().collect();
        for object in waiting {
            if let Err(error) = self.write(&object) {
                tracing::error!(%error, %object, "history is not written");
            }
        }
        if let Err(error) = self.tidy(is_there) {
            tracing::warn!(%error, "histories of what is gone");
        }
    }

    /// Forgets an object, so that another one of its name begins anew.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn forget(&self, object: &Object) -> io::Result<()> {
        let _files = lock(&self.files);
        lock(&self.waiting).remove(object);
        remove_if_there(&self.path(object))
    }

    fn path(&self, object: &Object) -> PathBuf {
        self.folder.join(object.to_string())
    }

    /// The history with the samples that wait, and how many those are.
    fn with_waiting(&self, object: &Object) -> io::Result<(History, usize)> {
        let mut history = self.load(object)?;
        let all = lock(&self.waiting);
        let waiting = all.get(object).map(VecDeque::iter).unwrap_or_default();
        let count = waiting.len();
        for sample in waiting {
            history.add(sample.time, &sample.values);
        }
        Ok((history, count))
    }

    fn load(&self, object: &Object) -> io::Result<History> {
        let (path, plan) = (self.path(object), object.plan());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(History::new(plan)),
            Err(e) => return Err(e),
        };
        match History::from_bytes(plan, &bytes) {
            Ok(history) => Ok(history),
            Err(error) => {
                let aside = self.folder.join(format!("{object}{DAMAGED}"));
                fs::rename(&path, &aside)?;
                let aside = aside.display();
                tracing::error!(%error, %object, %aside, "history begins anew");
                Ok(History::new(plan))
            }
        }
    }

    fn write(&self, object: &Object) -> io::Result<()> {
        let _files = lock(&self.files);
        let (history, count) = self.with_waiting(object)?;
        if count == 0 {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        replace(&self.path(object), &history.to_bytes())?;
        let mut all = lock(&self.waiting);
        if let Some(waiting) = all.get_mut(object) {
            // A full queue may have lost some from its front meanwhile; then a sample is lost.
            waiting.drain(..count.min(waiting.len()));
            if waiting.is_empty() {
                all.remove(object);
            }
        }
        Ok(())
    }

    fn tidy(&self, is_there: impl Fn(&Object) -> bool) -> io::Result<()> {
        let _files = lock(&self.files);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let whose = [DAMAGED, NEW].iter().find_map(|end| name.strip_suffix(end));
            let gone = |object: Object| !is_there(&object);
            if Object::parse(whose.unwrap_or(name)).is_some_and(gone) {
                remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// A fault while it was held leaves nothing half done: what it guards is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces a file so that a power cut leaves the old or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Consolidation, Span};

    const NOW: u64 = 1_800_000_000;
    const LAST: Span = Span {
        shape: DAY,
        rows: 2,
    };

    fn used(histories: &Histories, object: &Object) -> Vec<f32> {
        let history = histories.read(object).unwrap();
        let rows = history.rows(LAST, Consolidation::Average, NOW + 60);
        rows.iter().map(|row| row.values[1]).collect()
    }

    #[test]
    fn samples_are_seen_at_once_and_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let histories = Histories::new(&path);
        let local = Object::Storage("local".into());
        histories.note(local.clone(), NOW, [100.0, 40.0]);
        assert_eq!(used(&histories, &local)[0], 40.0);
        assert!(!path.exists());
        histories.flush(|_| true);
        let again = Histories::new(&path);
        again.note(local.clone(), NOW + 60, [100.0, 50.0]);
        assert_eq!(used(&again, &local), [40.0, 50.0]);
        again.flush(|_| true);
        again.flush(|_| true);
        assert_eq!(used(&Histories::new(&path), &local), [40.0, 50.0]);
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let histories = Histories::new(folder.path());
        let local = Object::Storage("local".into());
        histories.note(local.clone(), NOW, [100.0, 40.0]);
        histories.flush(|_| true);
        let path = folder.path().join("storage-local");
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        histories.note(local.clone(), NOW + 60, [100.0, 50.0]);
        let found = used(&histories, &local);
        assert!(found[0].is_nan() && found[1] == 50.0, "{found:?}");
        histories.flush(|_| true);
        assert_eq!(
            fs::read(folder.path().join("storage-local~damaged")).unwrap(),
            bytes
        );
        assert_eq!(used(&Histories::new(folder.path()), &local)[1], 50.0);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let histories = Histories::new(folder.path());
        let (one, other) = (Object::Guest(100), Object::Guest(101));
        for object in [&one, &other, &Object::Node] {
            let values = object.plan().series.iter().map(|_| 1.0);
            histories.note(object.clone(), NOW, values);
        }
        histories.flush(|_| true);
        histories.forget(&one).unwrap();
        assert!(used(&histories, &one)[0].is_nan());
        histories.flush(|object| *object != other);
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["node"]);
    }

    #[test]
    fn what_cannot_be_written_waits_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        // A file is where the folder should be.
        fs::write(&path, "x").unwrap();
        let histories = Histories::new(&path);
        for minute in 0..MOST_WAITING as u64 + 10 {
            histories.note(Object::Storage("a".into()), 60 * minute, [1.0, 1.0]);
        }
        histories.flush(|_| true);
        let waiting = lock(&histories.waiting).values().next().unwrap().len();
        assert_eq!(waiting, MOST_WAITING);
        fs::remove_file(&path).unwrap();
        histories.flush(|_| true);
        assert!(lock(&histories.waiting).is_empty());
        assert!(path.join("storage-a").exists());
    }
}

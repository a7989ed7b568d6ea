//! Log files: written line by line, read in pages.

use basalt_model::upid::Upid;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Longest line that is kept; the rest of a longer one is cut off.
const LONGEST_LINE: usize = 8192;

/// The log of a running task.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Mutex<File>,
}

/// Where the log of a task is.
pub(crate) fn log_path(folder: &Path, upid: &Upid) -> PathBuf {
    folder
        .join(upid.bucket().to_string())
        .join(upid.to_string())
}

impl LogFile {
    pub(crate) fn create(folder: &Path, upid: &Upid) -> io::Result<Self> {
        let path = log_path(folder, upid);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)?;
        Ok(Self {
            file: Mutex::new(file),
        })
    }

    /// Writes lines. A log that cannot be written must not stop the work: that is only traced.
    pub(crate) fn write(&self, text: &str) {
        let mut out = String::with_capacity(text.len() + 1);
        for line in text.trim_end().split('\n') {
            let end = line.floor_char_boundary(LONGEST_LINE.min(line.len()));
            out.push_str(line[..end].trim_end_matches('\r'));
            out.push('\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(out.as_bytes()) {
            tracing::warn!(%error, "task log");
        }
    }
}

/// Reads lines of a log from `start`, at most `limit`; also says how many there are in all.
pub(crate) fn read_log(path: &Path, start: u64, limit: u64) -> io::Result<(Vec<String>, u64)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(e),
    };
    let mut lines = Vec::new();
    let mut total = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        if total >= start && (lines.len() as u64) < limit {
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        total += 1;
    }
    Ok((lines, total))
}

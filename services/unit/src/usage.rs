//! What a unit has consumed, read from its cgroup.

use std::io;
use std::path::{Path, PathBuf};

/// Counters and gauges of one cgroup (version 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time used since the start, in microseconds.
    pub cpu_usec: u64,
    /// Memory in use, in bytes, page cache that can be dropped not counted.
    pub memory_bytes: u64,
    /// Memory limit in bytes; none means no limit.
    pub memory_max_bytes: Option<u64>,
    /// Swap in use, in bytes.
    pub swap_bytes: u64,
    /// Bytes read from block devices.
    pub read_bytes: u64,
    /// Bytes written to block devices.
    pub written_bytes: u64,
    /// Processes and threads.
    pub tasks: u64,
}

impl Usage {
    /// Reads the cgroup that systemd names `control_group` (with a leading slash).
    pub fn of(control_group: &str) -> io::Result<Self> {
        Self::read(&PathBuf::from(format!("/sys/fs/cgroup{control_group}")))
    }

    /// Reads a cgroup directory. A counter whose controller is off reads as zero; a directory
    /// that is not there is an error.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let cpu = std::fs::read_to_string(directory.join("cpu.stat"))?;
        let optional =
            |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        let memory_stat = optional("memory.stat");
        let (read_bytes, written_bytes) = io_totals(&optional("io.stat"));
        Ok(Self {
            cpu_usec: keyed(&cpu, "usage_usec"),
            memory_bytes: number(&optional("memory.current"))
                .saturating_sub(keyed(&memory_stat, "inactive_file")),
            memory_max_bytes: optional("memory.max").trim().parse().ok(),
            swap_bytes: number(&optional("memory.swap.current")),
            read_bytes,
            written_bytes,
            tasks: number(&optional("pids.current")),
        })
    }
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The value of `key` in a file of `key value` lines.
fn keyed(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .map_or(0, |(_, value)| number(value))
}

/// Bytes read and written over all devices of an `io.stat` file.
fn io_totals(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        text.split_whitespace()
            .filter_map(|word| word.split_once('='))
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| number(value))
            .sum()
    };
    (sum("rbytes"), sum("wbytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_cgroup() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write(
            "cpu.stat",
            "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
        );
        write("memory.current", "4096000\n");
        write("memory.stat", "anon 1\nfile 3\ninactive_file 96000\n");
        write("memory.max", "536870912\n");
        write(
            "io.stat",
            "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=5 wbytes=7\n",
        );
        assert_eq!(
            Usage::read(directory.path()).unwrap(),
            Usage {
                cpu_usec: 1500,
                memory_bytes: 4_000_000,
                memory_max_bytes: Some(536_870_912),
                swap_bytes: 0,
                read_bytes: 15,
                written_bytes: 27,
                tasks: 0,
            }
        );
    }

    #[test]
    fn no_limit_and_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cpu.stat"), "usage_usec 1\n").unwrap();
        std::fs::write(directory.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(
            Usage::read(directory.path()).unwrap().memory_max_bytes,
            None
        );
        assert!(Usage::read(&directory.path().join("absent")).is_err());
    }
}

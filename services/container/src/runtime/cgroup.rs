//! The container's cgroup, below the one that systemd delegated to this unit.
//!
//! ```text
//! basalt-ct-101.service/        delegated, ours
//! ├── runtime                   this process (a cgroup with children may hold no processes)
//! └── container                 limits, owned by the host's root
//!     └── …                     the container's own, owned by its root
//! ```
//!
//! The container's root owns the directory and the files that the kernel lists as safe to
//! delegate, not the limits; a cgroup namespace makes `container` its `/`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_model::container::{ContainerSpec, IdMap};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, Uid, chown};

use crate::step::{Step, StepError};

const RUNTIME: &str = "runtime";
const CONTAINER: &str = "container";
/// Most processes and threads of one container.
const MAX_TASKS: u32 = 32768;
/// Period of the CPU quota in microseconds.
const CPU_PERIOD_USEC: u64 = 100_000;
/// How long killed processes may take to vanish.
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// The unit's cgroup with this process moved into a leaf of it.
#[derive(Debug)]
pub struct Delegated {
    path: PathBuf,
}

impl Delegated {
    /// Takes over the cgroup that this process is in.
    pub fn adopt() -> Result<Self, StepError> {
        let path = own_cgroup().step("find the unit's cgroup")?;
        let leaf = path.join(RUNTIME);
        create(&leaf).step("create the runtime's cgroup")?;
        fs::write(leaf.join("cgroup.procs"), "0").step("enter the runtime's cgroup")?;
        let controllers = fs::read_to_string(path.join("cgroup.controllers"))
            .step("read the delegated controllers")?;
        let enable: String = controllers
            .split_whitespace()
            .map(|name| format!("+{name} "))
            .collect();
        fs::write(path.join("cgroup.subtree_control"), enable)
            .step("enable the cgroup controllers")?;
        Ok(Self { path })
    }

    /// Makes the container's cgroup with its limits, owned by the container's root.
    pub fn container(&self, spec: &ContainerSpec) -> Result<ContainerCgroup, StepError> {
        let cgroup = ContainerCgroup {
            path: self.path.join(CONTAINER),
        };
        // One that a killed predecessor left behind would carry its nested cgroups.
        cgroup.remove()?;
        create(&cgroup.path).step("create the container's cgroup")?;
        cgroup.limit(spec)?;
        cgroup.delegate(spec.id_map)?;
        Ok(cgroup)
    }
}

/// The cgroup that is the container's `/`.
#[derive(Debug)]
pub struct ContainerCgroup {
    path: PathBuf,
}

impl ContainerCgroup {
    /// Absolute path below the cgroup file system's mount point.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, to clone a process into.
    pub fn open(&self) -> io::Result<OwnedFd> {
        Ok(File::open(&self.path)?.into())
    }

    /// Kills every process in it.
    pub fn kill(&self) -> Result<(), StepError> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.step("kill the container's processes"),
        }
    }

    /// Kills what is left in it and removes it with everything below.
    pub fn remove(&self) -> Result<(), StepError> {
        if !self.path.exists() {
            return Ok(());
        }
        self.kill()?;
        self.wait_empty()
            .step("wait for the container's processes")?;
        remove_tree(&self.path).step("remove the container's cgroup")
    }

    fn limit(&self, spec: &ContainerSpec) -> Result<(), StepError> {
        let mebibytes = |count: u64| (count << 20).to_string();
        for (file, value) in [
            ("cpu.max", quota(spec.cpu_limit_percent)),
            ("cpu.weight", spec.cpu_weight.to_string()),
            ("memory.max", mebibytes(spec.memory_mib)),
            ("pids.max", MAX_TASKS.to_string()),
        ] {
            fs::write(self.path.join(file), value).step_with(|| format!("set {file}"))?;
        }
        // The file is missing when the kernel keeps no account of swap; memory.max holds anyway.
        match fs::write(self.path.join("memory.swap.max"), mebibytes(spec.swap_mib)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StepError::new("set memory.swap.max", error))
            }
            _ => Ok(()),
        }
    }

    fn delegate(&self, map: IdMap) -> Result<(), StepError> {
        let owner = (Uid::from_raw(map.host), Gid::from_raw(map.host));
        let give = |path: &Path| chown(path, Some(owner.0), Some(owner.1));
        give(&self.path).step("give the cgroup to the container")?;
        let files = fs::read_to_string("/sys/kernel/cgroup/delegate")
            .step("read the kernel's list of delegable cgroup files")?;
        for file in files.lines() {
            match give(&self.path.join(file)) {
                Err(rustix::io::Errno::NOENT) | Ok(()) => {}
                Err(error) => {
                    return Err(StepError::new(
                        format!("give {file} to the container"),
                        error,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Waits until no process is left.
    fn wait_empty(&self) -> io::Result<()> {
        let events = File::open(self.path.join("cgroup.events"))?;
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            let text = fs::read_to_string(self.path.join("cgroup.events"))?;
            // Reading through the polled descriptor arms the next notification.
            let mut byte = [0; 64];
            rustix::io::pread(&events, &mut byte, 0)?;
            if text.lines().any(|line| line == "populated 0") {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            wait_priority(events.as_fd(), left)?;
        }
    }
}

/// What `cpu.max` is for so many hundredths of a processor, or all.
pub(crate) fn quota(limit_percent: Option<u32>) -> String {
    match limit_percent {
        Some(percent) => {
            let quota = u64::from(percent) * CPU_PERIOD_USEC / 100;
            format!("{quota} {CPU_PERIOD_USEC}")
        }
        None => format!("max {CPU_PERIOD_USEC}"),
    }
}

fn wait_priority(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
    let limit = Timespec {
        tv_sec: limit.as_secs().cast_signed(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    match poll(
        &mut [PollFd::from_borrowed_fd(fd, PollFlags::PRI)],
        Some(&limit),
    ) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn create(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Removes a cgroup and those below it, innermost first.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// The directory of this process's cgroup (version 2).
fn own_cgroup() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount_point = cgroup2_mount_point(&mounts)
        .ok_or_else(|| io::Error::other("no cgroup2 file system is mounted"))?;
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let name = unified_name(&text)
        .ok_or_else(|| io::Error::other("the process is in no cgroup of version 2"))?;
    Ok(PathBuf::from(format!("{mount_point}{name}")))
}

fn cgroup2_mount_point(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let kind = right.split(' ').next()?;
        (kind == "cgroup2")
            .then(|| left.split(' ').nth(4))
            .flatten()
    })
}

/// The unified hierarchy's entry of a `/proc/…/cgroup` file.
fn unified_name(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_unified_hierarchy() {
        let mounts = "22 1 0:21 / /proc rw - proc proc rw\n\
                      30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2_mount_point(mounts), Some("/sys/fs/cgroup"));
        assert_eq!(
            cgroup2_mount_point("22 1 0:21 / /proc rw - proc proc rw\n"),
            None
        );
        let text = "4:memory:/x\n0::/basalt-guests.slice/basalt-ct-101.service\n";
        assert_eq!(
            unified_name(text),
            Some("/basalt-guests.slice/basalt-ct-101.service")
        );
    }
}

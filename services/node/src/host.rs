//! Figures of the host, read from /proc.

use crate::figures::Samples;
use basalt_api::methods::nodes::{
    BootInfo, CpuInfo, KernelInfo, MirrorInfo, MirrorMember, NodeStatus, Usage,
};
use basalt_network::interfaces::{self, Kind};
use basalt_update::block::Blocks;
use basalt_update::mirror::array::Array;
use std::path::Path;
use std::time::Duration;

/// What the data partition is mounted on.
const DATA: &str = "/var";
/// The unit of times in /proc; the same on every Linux of this architecture.
pub const TICKS_PER_SECOND: u64 = 100;

/// How busy the host is, as lists show it.
#[derive(Debug)]
pub struct Load {
    /// Part of all processors' time, from 0 to 1.
    pub cpu: f64,
    /// Processors.
    pub cpus: u64,
    /// Memory.
    pub memory: Usage,
    /// Data partition.
    pub rootfs: Usage,
    /// Seconds since the boot.
    pub uptime: u64,
}

/// How busy the host is; cheap, because lists ask for it often.
pub fn load(samples: &Samples) -> Load {
    let stat = read("/proc/stat");
    let cpus = processors(&stat);
    Load {
        cpu: (samples.load("host", cpu_times(&stat).0) / cpus.max(1) as f64).min(1.0),
        cpus,
        memory: memory(&read("/proc/meminfo")).0,
        rootfs: data_usage(),
        uptime: uptime(),
    }
}

/// State and figures of the host.
pub fn status(samples: &Samples) -> NodeStatus {
    let stat = read("/proc/stat");
    let cpuinfo = cpu_info(&read("/proc/cpuinfo"));
    let cpus = cpuinfo.cpus.max(1) as f64;
    let (busy, waiting) = cpu_times(&stat);
    let (memory, swap) = memory(&read("/proc/meminfo"));
    let (netin, netout) = traffic();
    let kernel = kernel();
    NodeStatus {
        cpu: (samples.load("host", busy) / cpus).min(1.0),
        wait: (samples.load("host-wait", waiting) / cpus).min(1.0),
        cpuinfo,
        loadavg: read("/proc/loadavg")
            .split_whitespace()
            .take(3)
            .map(str::to_owned)
            .collect(),
        memory,
        swap,
        rootfs: data_usage(),
        uptime: uptime(),
        netin,
        netout,
        kversion: format!("{} {} {}", kernel.sysname, kernel.release, kernel.version),
        current_kernel: kernel,
        pveversion: product(),
        boot_info: boot_info(),
        mirror: Array::read(&Blocks::default()).map(mirror_info),
    }
}

fn mirror_info(array: Array) -> MirrorInfo {
    MirrorInfo {
        whole: array.is_whole(),
        text: array.describe(),
        percent: array.percent,
        members: array
            .members
            .into_iter()
            .map(|(device, state)| MirrorMember {
                device,
                state: state.as_str().to_owned(),
            })
            .collect(),
    }
}

/// Seconds since the boot.
pub fn uptime() -> u64 {
    let text = read("/proc/uptime");
    let seconds = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    seconds.unwrap_or(0.0) as u64
}

unsafe extern "C" {
    /// Reads the host's time zone again if it is another now.
    fn tzset();
}

/// Seconds by which local time is ahead of universal time.
pub fn utc_offset(time: u64) -> i64 {
    let seconds = libc::time_t::try_from(time).unwrap_or(0);
    // SAFETY: it takes nothing, and locks what it changes.
    unsafe { tzset() };
    let mut local = std::mem::MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; on success the structure is filled.
    let filled = unsafe { libc::localtime_r(&raw const seconds, local.as_mut_ptr()) };
    if filled.is_null() {
        return 0;
    }
    // SAFETY: localtime_r succeeded and so filled all of it.
    unsafe { local.assume_init() }.tm_gmtoff
}

/// Name and version of the product, as the API's clients read it.
pub fn product() -> String {
    format!("basalt/{}", env!("CARGO_PKG_VERSION"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// How many processors there are figures of.
fn processors(stat: &str) -> u64 {
    let numbered = |line: &&str| {
        let rest = line.strip_prefix("cpu");
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    stat.lines().filter(numbered).count() as u64
}

/// Time that all processors together were busy, and that they waited for disks.
fn cpu_times(stat: &str) -> (Duration, Duration) {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    // user, nice, system, irq, softirq, steal; guest time is part of user's.
    let busy = at(0) + at(1) + at(2) + at(5) + at(6) + at(7);
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
    (time(busy), time(at(4)))
}

fn memory(meminfo: &str) -> (Usage, Usage) {
    let bytes = |key: &str| {
        let line = meminfo
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let memory = Usage {
        total,
        used: total.saturating_sub(available),
        free: bytes("MemFree"),
        available: Some(available),
        avail: None,
    };
    let (total, free) = (bytes("SwapTotal"), bytes("SwapFree"));
    let used = total.saturating_sub(free);
    (
        memory,
        Usage {
            total,
            used,
            free,
            ..Usage::default()
        },
    )
}

fn data_usage() -> Usage {
    let Ok(stat) = rustix::fs::statvfs(DATA) else {
        return Usage::default();
    };
    let bytes = |blocks: u64| blocks * stat.f_frsize;
    Usage {
        total: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks - stat.f_bfree),
        free: bytes(stat.f_bfree),
        available: None,
        avail: Some(bytes(stat.f_bavail)),
    }
}

fn cpu_info(text: &str) -> CpuInfo {
    let value = |line: &str, key: &str| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    };
    let all =
        |key: &str| -> Vec<String> { text.lines().filter_map(|line| value(line, key)).collect() };
    let first = |key: &str| all(key).into_iter().next().unwrap_or_default();
    let distinct = |values: Vec<String>| {
        values
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len() as u64
    };
    let cpus = all("processor").len() as u64;
    let sockets = distinct(all("physical id")).max(1);
    let per_socket = first("cpu cores").parse::<u64>().unwrap_or(0);
    let flags = first("flags");
    let virtualization = flags.split(' ').any(|flag| flag == "vmx" || flag == "svm");
    CpuInfo {
        model: first("model name"),
        sockets,
        cores: if per_socket == 0 {
            cpus
        } else {
            per_socket * sockets
        },
        cpus,
        mhz: first("cpu MHz"),
        flags,
        hvm: u8::from(virtualization).to_string(),
    }
}

/// Bytes that the host's cards received and sent.
fn traffic() -> (u64, u64) {
    let all = interfaces::list().unwrap_or_default();
    let cards = all.iter().filter(|interface| interface.kind == Kind::Card);
    cards
        .map(|card| interfaces::counters(&card.name))
        .fold((0, 0), |(received, sent), card| {
            (received + card.received, sent + card.sent)
        })
}

fn kernel() -> KernelInfo {
    let uname = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    KernelInfo {
        machine: text(uname.machine()),
        release: text(uname.release()),
        sysname: text(uname.sysname()),
        version: text(uname.version()),
    }
}

fn boot_info() -> BootInfo {
    let efi = Path::new("/sys/firmware/efi").exists();
    let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    // Four bytes of attributes, then one that is 1 when it is on.
    let secure = std::fs::read(variable)
        .ok()
        .and_then(|bytes| bytes.get(4).map(|on| *on == 1));
    let mode = if efi { "efi" } else { "legacy-bios" };
    BootInfo {
        mode: mode.to_owned(),
        secureboot: efi.then(|| secure.unwrap_or(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        let text = "processor\t: 0\nmodel name\t: Model X\nphysical id\t: 0\ncpu cores\t: 2\n\
                    cpu MHz\t: 2000.1\nflags\t: fpu svm\n\
                    processor\t: 1\nmodel name\t: Model X\nphysical id\t: 0\ncpu cores\t: 2\n";
        let info = cpu_info(text);
        assert_eq!((info.cpus, info.cores, info.sockets), (2, 2, 1));
        assert_eq!((info.model.as_str(), info.hvm.as_str()), ("Model X", "1"));
    }

    #[test]
    fn processors_have_numbers() {
        let stat = "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\nctxt 9\n";
        assert_eq!(processors(stat), 2);
        assert_eq!(
            load(&Samples::default()).cpus,
            status(&Samples::default()).cpuinfo.cpus
        );
    }

    #[test]
    fn caches_are_not_memory_in_use() {
        let (memory, swap) =
            memory("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 60 kB\nSwapTotal: 0 kB\n");
        assert_eq!(
            (memory.total, memory.used, memory.free),
            (102_400, 40_960, 10_240)
        );
        assert_eq!(swap, Usage::default());
    }

    #[test]
    fn waiting_is_not_work() {
        let (busy, waiting) = cpu_times("cpu  100 0 100 5000 300 0 0 0 50 0\ncpu0 1 1 1\n");
        assert_eq!(busy, Duration::from_secs(2));
        assert_eq!(waiting, Duration::from_secs(3));
    }

    #[test]
    fn this_host_has_figures() {
        let status = status(&Samples::default());
        assert!(status.memory.total > 0 && status.cpuinfo.cpus > 0 && status.uptime > 0);
        assert_eq!(status.loadavg.len(), 3);
    }
}

//! Figures of guests: what they use of what they were given.

mod first_disks;
mod pressure;
pub mod sampler;

pub use first_disks::FirstDisks;
pub use sampler::Recent;

use crate::guests::Guest;
use crate::host::TICKS_PER_SECOND;
use crate::state::Node;
use basalt_api::methods::guest::{BalloonInfo, GuestState, GuestStatus};
use basalt_api::{Error, Result};
use basalt_container::Containers;
use basalt_model::balloon::BalloonStatus;
use basalt_model::disk::PauseReason;
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::lxc::LxcConfig;
use basalt_model::machine::{RunState, Status};
use basalt_model::qemu::QemuConfig;
use basalt_model::vmid::Vmid;
use basalt_network::interfaces;
use basalt_unit::{UnitState, Usage};
use basalt_vm::Machines;
use futures_util::{StreamExt, stream};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The container's own part of its unit's cgroup.
const CONTAINER_CGROUP: &str = "container";
/// Two looks closer together than this say too little.
const LEAST_STEP: Duration = Duration::from_millis(900);

/// So many guests of a list are looked at together: one that is slow to answer does not hold up the others.
const LOOKS_AT_ONCE: usize = 32;
/// A monitor that is busy, since its machine is just being started or saved, has so long to give its
/// figures; they are left out then. Clients give up after five seconds.
const MONITOR_PATIENCE: Duration = Duration::from_secs(1);

/// The host's processors. Asked once: finding out reads several files, and lists need it for every
/// container.
static HOST_CPUS: LazyLock<f64> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64));

/// Finer state of a virtual machine that runs, and whose guest says that it panicked.
pub const GUEST_PANICKED: &str = "guest-panicked";

/// Processor time of guests and of the host at the last look, to make a load of it.
#[derive(Debug, Default)]
pub struct Samples {
    seen: Mutex<HashMap<String, Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    busy: Duration,
    load: f64,
}

impl Samples {
    /// The load of `what` since an earlier look, in processors; `busy` is its time so far.
    pub fn load(&self, what: &str, busy: Duration) -> f64 {
        self.load_at(what, busy, Instant::now())
    }

    fn load_at(&self, what: &str, busy: Duration, at: Instant) -> f64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Sample {
            at,
            busy,
            load: 0.0,
        };
        let Some(before) = seen.get(what).copied() else {
            seen.insert(what.to_owned(), fresh);
            return 0.0;
        };
        let step = at.saturating_duration_since(before.at);
        // Time that runs backwards belongs to a guest that was started anew.
        let Some(used) = busy.checked_sub(before.busy) else {
            seen.insert(what.to_owned(), fresh);
            return 0.0;
        };
        if step < LEAST_STEP {
            return before.load;
        }
        let load = used.as_secs_f64() / step.as_secs_f64();
        seen.insert(what.to_owned(), Sample { load, ..fresh });
        load
    }
}

/// What a running guest uses.
struct Running {
    usage: Usage,
    pid: Option<u32>,
    uptime: u64,
}

impl Node {
    /// The figures of every guest of one kind.
    pub async fn guest_list(&self, kind: GuestKind) -> Result<Vec<GuestStatus>> {
        let up = match kind {
            GuestKind::Qemu => self.machines.up().await.map_err(Error::failed)?,
            GuestKind::Lxc => self.containers.up().await.map_err(Error::failed)?,
        };
        let up: HashSet<String> = up.into_iter().collect();
        let guests = self.guests();
        let mut list = Vec::new();
        let mut running = Vec::new();
        for guest in guests.iter().filter(|guest| guest.kind() == kind) {
            let mut status = stopped(guest);
            (status.maxdisk, status.disk) = self.first_disk_lately(guest).await;
            if up.contains(&unit(guest)) {
                running.push((list.len(), Arc::clone(guest), status.clone()));
            }
            list.push(status);
        }
        let looks = running
            .into_iter()
            .map(|(at, guest, mut status)| async move {
                self.add_life(&guest, &mut status).await;
                (at, status)
            });
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        while let Some((at, status)) = looks.next().await {
            list[at] = status;
        }
        Ok(list)
    }

    /// The figures of a guest.
    pub async fn guest_status(&self, guest: &Guest) -> Result<GuestStatus> {
        let mut status = stopped(guest);
        (status.maxdisk, status.disk) = self.first_disk(guest).await;
        self.add_life(guest, &mut status).await;
        Ok(status)
    }

    /// Adds what a guest does, if it runs.
    async fn add_life(&self, guest: &Guest, status: &mut GuestStatus) {
        let Some(running) = self.running(guest).await else {
            return;
        };
        self.add_running(guest, status, &running);
        // What runs may still be what was configured before.
        if let Some(config) = self.running_config(guest.kind(), guest.vmid) {
            status.cpus = cpus(&config);
            status.maxmem = memory(&config);
            if matches!(&config, GuestConfig::Qemu(config) if config.hugepages.is_some()) {
                // All of it is taken, and no cgroup counts it.
                status.mem = status.maxmem;
            }
        }
        status.cpu = (status.cpu / status.cpus).min(1.0);
        if guest.kind() == GuestKind::Qemu {
            self.add_monitor(guest.vmid, status).await;
        }
    }

    async fn running(&self, guest: &Guest) -> Option<Running> {
        let below = match guest.kind() {
            GuestKind::Qemu => "",
            GuestKind::Lxc => CONTAINER_CGROUP,
        };
        let state: UnitState = self.units.state(&unit(guest)).await.ok()??;
        if !state.active.is_up() {
            return None;
        }
        let cgroup = format!("{}/{below}", state.control_group);
        let usage = Usage::of(cgroup.trim_end_matches('/')).unwrap_or_default();
        let uptime = state
            .main_pid
            .and_then(process_age)
            .map_or(0, |age| age.as_secs());
        Some(Running {
            usage,
            pid: state.main_pid,
            uptime,
        })
    }

    fn add_running(&self, guest: &Guest, status: &mut GuestStatus, running: &Running) {
        status.status = GuestState::Running;
        status.pid = running.pid;
        // Just started is not stopped.
        status.uptime = running.uptime.max(1);
        status.mem = running.usage.memory_bytes;
        status.diskread = running.usage.read_bytes;
        status.diskwrite = running.usage.written_bytes;
        let busy = Duration::from_micros(running.usage.cpu_usec);
        let key = format!("{}/{}", guest.vmid, running.pid.unwrap_or(0));
        status.cpu = self.samples.load(&key, busy);
        for port in ports(guest) {
            // What the host sends, the guest receives.
            let counters = interfaces::counters(&port);
            status.netin += counters.sent;
            status.netout += counters.received;
        }
        match guest.kind() {
            GuestKind::Qemu => status.qmpstatus = Some("running".to_owned()),
            GuestKind::Lxc => status.swap = Some(running.usage.swap_bytes),
        }
    }

    /// Adds what only the monitor of a machine knows.
    async fn add_monitor(&self, vmid: Vmid, status: &mut GuestStatus) {
        let asked = tokio::time::timeout(MONITOR_PATIENCE, self.machines.status(vmid)).await;
        let Ok(answer) = asked else {
            tracing::debug!(%vmid, "monitor gives no figures in time");
            return;
        };
        match answer {
            Ok(machine) => {
                status.qmpstatus = Some(finer_state(&machine).to_owned());
                if let Some(balloon) = &machine.balloon {
                    add_balloon(balloon, status);
                }
                status.diskread = machine.disks.iter().map(|disk| disk.read_bytes).sum();
                status.diskwrite = machine.disks.iter().map(|disk| disk.written_bytes).sum();
            }
            Err(error) => tracing::debug!(%error, %vmid, "monitor gives no figures"),
        }
    }
}

/// The name of the unit that a guest runs in.
fn unit(guest: &Guest) -> String {
    match guest.kind() {
        GuestKind::Qemu => Machines::unit(guest.vmid),
        GuestKind::Lxc => Containers::unit(guest.vmid.get()),
    }
}

/// What a machine does, in the word of Proxmox VE where it has one.
fn finer_state(machine: &Status) -> &'static str {
    match (machine.state, &machine.reason) {
        // A machine that paused itself says why.
        (RunState::Paused, Some(PauseReason::IoError { .. })) => "io-error",
        (RunState::Paused, Some(PauseReason::Watchdog)) => "watchdog",
        (RunState::Paused, None) => "paused",
        (RunState::Running, _) if machine.panicked.is_some() => GUEST_PANICKED,
        (RunState::Running, _) => "running",
    }
}

/// Adds what a guest says of its memory. Memory in use is what it says, as far as it can be: no more
/// than it has.
fn add_balloon(balloon: &BalloonStatus, status: &mut GuestStatus) {
    let figures = &balloon.figures;
    status.balloon = Some(balloon.actual);
    status.freemem = figures.free;
    if let Some(used) = figures.used() {
        status.mem = used.min(status.maxmem);
    }
    status.ballooninfo = Some(BalloonInfo {
        actual: balloon.actual,
        max_mem: status.maxmem,
        free_mem: figures.free,
        total_mem: figures.total,
        mem_swapped_in: figures.swapped_in,
        mem_swapped_out: figures.swapped_out,
        major_page_faults: figures.major_faults,
        minor_page_faults: figures.minor_faults,
        last_update: figures.updated,
    });
}

fn stopped(guest: &Guest) -> GuestStatus {
    let config = &guest.record.config;
    let (kind, swap, serial, qmpstatus) = match config {
        GuestConfig::Qemu(_) => (None, None, Some(true), Some("stopped".to_owned())),
        GuestConfig::Lxc(config) => (
            Some("lxc".to_owned()),
            Some(config.swap_mib() << 20),
            None,
            None,
        ),
    };
    GuestStatus {
        vmid: guest.vmid,
        name: config.name(guest.vmid),
        status: GuestState::Stopped,
        qmpstatus,
        kind,
        cpus: cpus(config),
        cpu: 0.0,
        maxmem: memory(config),
        mem: 0,
        freemem: None,
        balloon: None,
        ballooninfo: None,
        maxswap: swap,
        swap: swap.map(|_| 0),
        maxdisk: 0,
        disk: 0,
        diskread: 0,
        diskwrite: 0,
        netin: 0,
        netout: 0,
        uptime: 0,
        pid: None,
        lock: guest.record.lock.map(|lock| lock.to_string()),
        tags: config
            .tags()
            .map(ToString::to_string)
            .filter(|tags| !tags.is_empty()),
        template: config.is_template().then_some(true),
        serial,
    }
}

/// Processors of a guest; a container without a limit has the host's.
fn cpus(config: &GuestConfig) -> f64 {
    match config {
        GuestConfig::Qemu(config) => config.vcpus() as f64,
        GuestConfig::Lxc(config) => {
            let cores = config.cores.map(|cores| cores.get() as f64);
            let limit = config.cpulimit.and_then(|limit| limit.percent());
            let limit = limit.map(|percent| f64::from(percent) / 100.0);
            [cores, limit]
                .into_iter()
                .flatten()
                .fold(*HOST_CPUS, f64::min)
        }
    }
}

fn memory(config: &GuestConfig) -> u64 {
    match config {
        GuestConfig::Qemu(config) => QemuConfig::memory_mib(config) << 20,
        GuestConfig::Lxc(config) => LxcConfig::memory_mib(config) << 20,
    }
}

/// The host's ends of a guest's cards.
fn ports(guest: &Guest) -> Vec<String> {
    let vmid = guest.vmid;
    match &guest.record.config {
        GuestConfig::Qemu(config) => config
            .net
            .keys()
            .map(|index| format!("tap{vmid}i{index}"))
            .collect(),
        GuestConfig::Lxc(config) => config
            .net
            .keys()
            .map(|index| format!("veth{vmid}i{index}"))
            .collect(),
    }
}

/// How long a process has been running.
fn process_age(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let since_boot: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let age = since_boot - started(&stat)? / TICKS_PER_SECOND as f64;
    Some(Duration::from_secs_f64(age.max(0.0)))
}

/// Clock ticks from the boot to the start of a process. Its name, in brackets, may hold anything.
fn started(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_time_used_over_time_passed() {
        let samples = Samples::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(samples.load_at("a", second, start), 0.0);
        assert_eq!(samples.load_at("a", second * 3, start + second * 4), 0.5);
        // Too soon: the last load stands.
        let soon = start + second * 4 + Duration::from_millis(10);
        assert_eq!(samples.load_at("a", second * 4, soon), 0.5);
        // Started anew.
        assert_eq!(
            samples.load_at("a", Duration::ZERO, start + second * 9),
            0.0
        );
    }

    /// What an older monitor says has no word of a panic.
    #[test]
    fn a_machine_says_that_its_guest_panicked_unless_it_stands() {
        let state = |text: &str| {
            let text = format!("{{{text},\"vcpus\":1,\"disks\":[],\"nics\":[]}}");
            finer_state(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(state(r#""state":"running""#), "running");
        assert_eq!(
            state(r#""state":"running","panicked":1700000000"#),
            GUEST_PANICKED
        );
        assert_eq!(state(r#""state":"paused","panicked":1700000000"#), "paused");
        assert_eq!(
            state(r#""state":"paused","reason":{"kind":"watchdog"}"#),
            "watchdog"
        );
    }

    #[test]
    fn the_start_of_a_process_is_behind_its_name() {
        let mut fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        fields[0] = "S".to_owned();
        let stat = format!("7 (odd ) name) {}", fields.join(" "));
        assert_eq!(started(&stat), Some(22.0));
        assert!(process_age(std::process::id()).is_some());
    }
}

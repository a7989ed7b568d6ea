//! Takes a sample of everything once a minute: for the histories, and for servers elsewhere.

use super::{Samples, pressure};
use crate::auth::now;
use crate::handlers::storage;
use crate::metric_servers;
use crate::notifications::panics;
use crate::state::Node;
use basalt_api::methods::guest::{GuestState, GuestStatus};
use basalt_api::methods::nodes::NodeStatus;
use basalt_api::methods::storage::StorageStatus;
use basalt_metrics::history::Plan;
use basalt_metrics::sample::{Figure, Measured, Subject};
use basalt_metrics::{Histories, Object, Push, Sample};
use basalt_model::guest::GuestKind;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Once in so long, and in the middle of it, so that no row of a history goes without.
const PERIOD: Duration = Duration::from_secs(60);
/// Between the two looks that the first sample takes.
const FIRST_STEP: Duration = Duration::from_secs(2);
/// A storage that takes longer is left out.
const STORAGE_PATIENCE: Duration = Duration::from_secs(10);
/// So many samples go into the files at once.
const SAMPLES_A_FLUSH: u32 = 60;
/// So many samples are kept for whoever asks for the last half hour.
const RECENT: usize = 30;

/// The last samples, the newest last.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<Arc<Sample>>>);

impl Recent {
    fn add(&self, sample: Arc<Sample>) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == RECENT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Those samples, the oldest first.
    pub fn all(&self) -> Vec<Arc<Sample>> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().cloned().collect()
    }
}

/// Takes samples until it is dropped.
pub async fn run(node: Arc<Node>) {
    let mut sampler = Sampler::new(&node);
    let mut push = Push::default();
    sampler.look().await;
    tokio::time::sleep(FIRST_STEP).await;
    let mut unwritten = 0;
    loop {
        let seen = sampler.look().await;
        sampler.note(&seen);
        panics::tell(&node, &seen.guests).await;
        let sample = Arc::new(seen.sample(&node.name));
        push.set(metric_servers::targets(&node.store));
        push.send(&sample);
        node.recent.add(sample);
        unwritten += 1;
        if unwritten == SAMPLES_A_FLUSH {
            unwritten = 0;
            node.flush_histories().await;
        }
        let passed = SystemTime::now().duration_since(UNIX_EPOCH);
        tokio::time::sleep(until_next(passed.unwrap_or_default())).await;
    }
}

/// How long it is from a time of the clock to the middle of the next minute that has not had its
/// middle yet.
fn until_next(now: Duration) -> Duration {
    let period = PERIOD.as_millis();
    let into = (now.as_millis() + period / 2) % period;
    Duration::from_millis(u64::try_from(period - into).unwrap_or(0))
}

impl Node {
    /// Writes down what histories have in memory, and forgets those of what is gone.
    pub async fn flush_histories(&self) {
        let node = self.clone();
        let flushing = tokio::task::spawn_blocking(move || {
            let guests = node.guests();
            let storages = node.storages.all();
            node.histories.flush(|object| match object {
                Object::Node => true,
                Object::Guest(vmid) => guests.iter().any(|guest| guest.vmid.get() == *vmid),
                Object::Storage(name) => storages.iter().any(|(id, ..)| id.as_str() == name),
            });
        });
        if let Err(error) = flushing.await {
            tracing::error!(%error, "histories");
        }
    }
}

/// What a look at everything found.
struct Seen {
    time: u64,
    at: Instant,
    host: Option<(NodeStatus, HashMap<&'static str, f64>)>,
    guests: Vec<(GuestKind, GuestStatus)>,
    storages: Vec<StorageStatus>,
}

/// Looks at everything, apart from others that look: loads are those since its own last look.
struct Sampler {
    node: Node,
    rates: Rates,
}

impl Sampler {
    fn new(node: &Node) -> Self {
        let samples = Arc::new(Samples::default());
        Self {
            node: Node {
                samples,
                ..node.clone()
            },
            rates: Rates::default(),
        }
    }

    async fn look(&self) -> Seen {
        let samples = Arc::clone(&self.node.samples);
        let host = tokio::task::spawn_blocking(move || {
            (crate::host::status(&samples), pressure::figures())
        });
        let mut seen = Seen {
            time: now(),
            at: Instant::now(),
            host: host.await.ok(),
            guests: Vec::new(),
            storages: Vec::new(),
        };
        for kind in [GuestKind::Qemu, GuestKind::Lxc] {
            match self.node.guest_list(kind).await {
                Ok(list) => seen.guests.extend(list.into_iter().map(|one| (kind, one))),
                Err(error) => tracing::warn!(%error, "no figures of guests"),
            }
        }
        for (id, config, driver) in self.node.storages.all() {
            let asked = storage::status(id.clone(), &config, &driver);
            match tokio::time::timeout(STORAGE_PATIENCE, asked).await {
                Ok(status) if status.active => seen.storages.push(status),
                Ok(_) => {}
                Err(_) => tracing::warn!(storage = %id, "does not say how much room there is"),
            }
        }
        seen
    }

    /// Notes what was seen in the histories.
    fn note(&mut self, seen: &Seen) {
        let (at, rates) = (seen.at, &mut self.rates);
        let histories: &Histories = &self.node.histories;
        let note = |object: Object, value: &mut dyn FnMut(&'static str) -> f64| {
            let Plan { series, .. } = object.plan();
            let values: Vec<f64> = series.iter().map(|name| value(name)).collect();
            histories.note(object, seen.time, values);
        };
        if let Some((status, more)) = &seen.host {
            let mut rate = |name, total: u64| rates.rate(&Object::Node, name, total, at);
            note(Object::Node, &mut |name| match name {
                "netin" => rate(name, status.netin),
                "netout" => rate(name, status.netout),
                _ => node_value(status, more, name),
            });
        }
        for (_, status) in &seen.guests {
            let object = Object::Guest(status.vmid.get());
            let mut rate = |name, total: u64| rates.rate(&object, name, total, at);
            note(object.clone(), &mut |name| match name {
                "netin" => rate(name, status.netin),
                "netout" => rate(name, status.netout),
                "diskread" => rate(name, status.diskread),
                "diskwrite" => rate(name, status.diskwrite),
                _ => guest_value(status, name),
            });
        }
        for status in &seen.storages {
            let object = Object::Storage(status.storage.to_string());
            note(object, &mut |name| match name {
                "total" => status.total as f64,
                "used" => status.used as f64,
                _ => f64::NAN,
            });
        }
        rates.forget_before(at);
    }
}

/// A value of the node by the name of its series; `NaN` if it has none.
fn node_value(status: &NodeStatus, more: &HashMap<&'static str, f64>, name: &str) -> f64 {
    match name {
        "cpu" => status.cpu,
        "iowait" => status.wait,
        "loadavg" => load_average(status, 0),
        "maxcpu" => status.cpuinfo.cpus as f64,
        "memtotal" => status.memory.total as f64,
        "memused" => status.memory.used as f64,
        "memavailable" => status
            .memory
            .available
            .map_or(f64::NAN, |bytes| bytes as f64),
        "swaptotal" => status.swap.total as f64,
        "swapused" => status.swap.used as f64,
        "roottotal" => status.rootfs.total as f64,
        "rootused" => status.rootfs.used as f64,
        _ => more.get(name).copied().unwrap_or(f64::NAN),
    }
}

fn load_average(status: &NodeStatus, index: usize) -> f64 {
    let text = status.loadavg.get(index);
    text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// A value of a guest by the name of its series; `NaN` if it has none.
fn guest_value(status: &GuestStatus, name: &str) -> f64 {
    let is_up = status.status == GuestState::Running;
    match name {
        // A guest that is off uses nothing, which is not the same as using little.
        "cpu" | "mem" if !is_up => f64::NAN,
        "cpu" => status.cpu,
        "mem" => status.mem as f64,
        "maxcpu" => status.cpus,
        "maxmem" => status.maxmem as f64,
        "disk" => status.disk as f64,
        "maxdisk" => status.maxdisk as f64,
        _ => f64::NAN,
    }
}

impl Seen {
    /// The same for servers elsewhere.
    fn sample(&self, node: &str) -> Sample {
        let mut measured = Vec::new();
        measured.extend(self.host.iter().map(|(status, _)| measured_node(status)));
        let guests = self.guests.iter();
        measured.extend(guests.map(|(kind, status)| measured_guest(*kind, status)));
        measured.extend(self.storages.iter().map(measured_storage));
        Sample {
            time: self.time,
            node: node.to_owned(),
            measured,
        }
    }
}

fn measured_node(status: &NodeStatus) -> Measured {
    let gauge = Figure::gauge;
    let bytes = |group, name, metric, bytes: u64| gauge(group, name, metric, bytes as f64);
    let load = |index| load_average(status, index);
    let (memory, swap, root) = (&status.memory, &status.swap, &status.rootfs);
    let figures = vec![
        gauge("system", "uptime", "uptime", status.uptime as f64),
        gauge("cpustat", "cpu", "cpu_current", status.cpu),
        gauge("cpustat", "wait", "cpu_iowait", status.wait),
        gauge("cpustat", "cpus", "cpu_max", status.cpuinfo.cpus as f64),
        gauge("cpustat", "avg1", "cpu_avg1", load(0)),
        gauge("cpustat", "avg5", "cpu_avg5", load(1)),
        gauge("cpustat", "avg15", "cpu_avg15", load(2)),
        bytes("memory", "memtotal", "mem_total", memory.total),
        bytes("memory", "memused", "mem_used", memory.used),
        bytes("memory", "swaptotal", "swap_total", swap.total),
        bytes("memory", "swapused", "swap_used", swap.used),
        bytes("blockstat", "total", "disk_total", root.total),
        bytes("blockstat", "used", "disk_used", root.used),
        Figure::counter("nics", "receive", "net_in", status.netin as f64),
        Figure::counter("nics", "transmit", "net_out", status.netout as f64),
    ];
    Measured {
        subject: Subject::Node,
        figures,
    }
}

fn measured_guest(kind: GuestKind, status: &GuestStatus) -> Measured {
    let gauge = |name, metric, value| Figure::gauge("system", name, metric, value);
    let total = |name, metric, bytes: u64| Figure::counter("system", name, metric, bytes as f64);
    let figures = vec![
        gauge("uptime", "uptime", status.uptime as f64),
        gauge("cpu", "cpu_current", status.cpu),
        gauge("cpus", "cpu_max", status.cpus),
        gauge("mem", "mem_used", status.mem as f64),
        gauge("maxmem", "mem_total", status.maxmem as f64),
        gauge("disk", "disk_used", status.disk as f64),
        gauge("maxdisk", "disk_total", status.maxdisk as f64),
        total("netin", "net_in", status.netin),
        total("netout", "net_out", status.netout),
        total("diskread", "disk_read", status.diskread),
        total("diskwrite", "disk_write", status.diskwrite),
    ];
    Measured {
        subject: Subject::Guest {
            kind: kind.as_str(),
            vmid: status.vmid.get(),
            name: status.name.clone(),
        },
        figures,
    }
}

fn measured_storage(status: &StorageStatus) -> Measured {
    let bytes = |name, metric, bytes: u64| Figure::gauge("system", name, metric, bytes as f64);
    let figures = vec![
        bytes("total", "disk_total", status.total),
        bytes("used", "disk_used", status.used),
        bytes("avail", "disk_free", status.avail),
    ];
    Measured {
        subject: Subject::Storage {
            name: status.storage.to_string(),
            driver: status.kind.to_string(),
        },
        figures,
    }
}

/// What was counted at the last look, to make rates of it.
#[derive(Debug, Default)]
struct Rates {
    before: HashMap<(Object, &'static str), (Instant, u64)>,
}

impl Rates {
    /// How much was added a second since the last look; `NaN` at the first, and when it counts anew.
    fn rate(&mut self, object: &Object, name: &'static str, total: u64, at: Instant) -> f64 {
        let before = self.before.insert((object.clone(), name), (at, total));
        let Some((then, earlier)) = before else {
            return f64::NAN;
        };
        let passed = at.saturating_duration_since(then).as_secs_f64();
        match total.checked_sub(earlier) {
            Some(added) if passed > 0.0 => added as f64 / passed,
            Some(_) | None => f64::NAN,
        }
    }

    /// Forgets what was not counted at the last look.
    fn forget_before(&mut self, at: Instant) {
        self.before.retain(|_, (when, _)| *when == at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_metrics::histories::NODE;

    #[test]
    fn samples_lie_in_the_middle_of_minutes() {
        let wait = |seconds: f64| until_next(Duration::from_secs_f64(seconds)).as_secs_f64();
        assert_eq!(wait(600.0), 30.0);
        assert_eq!(wait(629.0), 1.0);
        assert_eq!(wait(630.0), 60.0);
        assert_eq!(wait(659.5), 30.5);
    }

    #[test]
    fn rates_are_growth_over_time() {
        let mut rates = Rates::default();
        let (start, step) = (Instant::now(), Duration::from_secs(10));
        let guest = Object::Guest(100);
        assert!(rates.rate(&guest, "netin", 500, start).is_nan());
        assert_eq!(rates.rate(&guest, "netin", 1500, start + step), 100.0);
        // Started anew: its counters begin at zero.
        assert!(rates.rate(&guest, "netin", 10, start + 2 * step).is_nan());
        assert_eq!(rates.rate(&guest, "netin", 60, start + 3 * step), 5.0);
        rates.forget_before(start + 4 * step);
        assert!(rates.before.is_empty());
    }

    #[test]
    fn every_series_of_a_node_has_a_value() {
        let status = crate::host::status(&Samples::default());
        let more = pressure::KEYS.iter().map(|key| (*key, 1.0)).collect();
        for name in NODE.series {
            let counted = ["netin", "netout"].contains(name);
            assert!(
                counted || !node_value(&status, &more, name).is_nan(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_last_half_hour_is_kept() {
        let recent = Recent::default();
        for time in 0..RECENT as u64 + 5 {
            recent.add(Arc::new(Sample {
                time,
                node: "n1".into(),
                measured: Vec::new(),
            }));
        }
        let times: Vec<u64> = recent.all().iter().map(|sample| sample.time).collect();
        assert_eq!(times, (5..RECENT as u64 + 5).collect::<Vec<_>>());
    }
}

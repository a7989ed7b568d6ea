//! Clients that change things as fast as they can, and know what was acknowledged.

use crate::api::{Api, NODE, Refusal, encode};
use crate::guest::Guest;
use anyhow::{Context, Error, Result, ensure};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// What an answer of the gateway says when the node does not answer.
const NO_NODE: u16 = 595;
/// Numbers of the machines that are made begin here.
const FIRST: u32 = 1000;
/// So many machines are there before the first is removed.
const FEW: usize = 2;
/// How long tasks that a daemon was killed in may take to end.
const SETTLED: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// What the clients of one round share.
#[derive(Clone)]
pub struct Load<'a> {
    api: &'a Api,
    done: Sender<()>,
    stop: Arc<AtomicBool>,
}

impl<'a> Load<'a> {
    /// Clients that say after every change that it was acknowledged.
    pub fn new(api: &'a Api, done: Sender<()>) -> Self {
        Self {
            api,
            done,
            stop: Arc::default(),
        }
    }

    /// Has the clients end after what they have begun.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn acknowledged(&self) {
        // Whoever counts has counted enough.
        let _ = self.done.send(());
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }
}

/// Why a client did not come to its end.
enum Broken {
    /// A daemon was killed meanwhile: nobody knows whether the change was made.
    Off,
    /// Something that must not be.
    Wrong(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        match error.downcast_ref::<Refusal>() {
            Some(refusal) if refusal.status != NO_NODE => Self::Wrong(error),
            _ => Self::Off,
        }
    }
}

/// What one client does.
pub enum Work {
    /// One value that only ever grows.
    Count(Counter),
    /// Machines that are made and removed, each by a task.
    Make(Machines),
}

impl Work {
    /// Works until all stop, or a daemon is gone.
    pub fn go_on(&mut self, load: &Load<'_>) -> Result<()> {
        while load.goes_on() {
            let step = match self {
                Self::Count(counter) => counter.step(load.api),
                Self::Make(machines) => machines.step(load.api),
            };
            match step {
                Ok(()) => load.acknowledged(),
                Err(Broken::Off) => return Ok(()),
                Err(Broken::Wrong(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A value, the last that was tried, and the last that was acknowledged.
pub struct Counter {
    path: String,
    field: &'static str,
    tried: u64,
    acknowledged: u64,
}

impl Counter {
    fn new(path: impl Into<String>, field: &'static str) -> Self {
        Self {
            path: path.into(),
            field,
            tried: 0,
            acknowledged: 0,
        }
    }

    fn step(&mut self, api: &Api) -> Result<(), Broken> {
        self.tried += 1;
        api.put(&self.path, &[(self.field, &self.tried.to_string())])?;
        self.acknowledged = self.tried;
        Ok(())
    }

    fn check(&mut self, api: &Api) -> Result<()> {
        let read = api.get(&self.path)?;
        let text = read[self.field].as_str().unwrap_or("0").trim();
        let found: u64 = text.parse().with_context(|| format!("{text:?}"))?;
        let range = self.acknowledged..=self.tried;
        ensure!(
            range.contains(&found),
            "{} of {} is {found}, not in {range:?}",
            self.field,
            self.path
        );
        self.acknowledged = found;
        Ok(())
    }
}

/// Machines that must be there, one that nobody knows of, and the tasks of all.
#[derive(Default)]
pub struct Machines {
    there: BTreeSet<u32>,
    unsure: Option<u32>,
    made: u32,
    tasks: BTreeSet<String>,
    interrupted: usize,
}

impl Machines {
    /// Makes one more, or removes the oldest.
    fn step(&mut self, api: &Api) -> Result<(), Broken> {
        match self.there.first().copied() {
            Some(oldest) if self.there.len() > FEW => {
                self.there.remove(&oldest);
                self.unsure = Some(oldest);
                let upid = api.delete(&format!("/nodes/{NODE}/qemu/{oldest}"))?;
                self.end(api, &upid)?;
            }
            _ => {
                let next = FIRST + self.made;
                self.made += 1;
                self.unsure = Some(next);
                let number = next.to_string();
                let form = [("vmid", number.as_str()), ("virtio0", "local:1")];
                let upid = api.post(&format!("/nodes/{NODE}/qemu"), &form)?;
                self.end(api, &upid)?;
                self.there.insert(next);
            }
        }
        self.unsure = None;
        Ok(())
    }

    fn end(&mut self, api: &Api, upid: &Value) -> Result<(), Broken> {
        self.tasks.extend(upid.as_str().map(str::to_owned));
        let end = api.task_end(upid, SETTLED)?;
        match end.as_str() {
            "OK" => Ok(()),
            // The node was killed, and is back.
            "" => Err(Broken::Wrong(anyhow::anyhow!(
                "{upid} ended without a reason"
            ))),
            _ if end.contains("restarted") => Err(Broken::Off),
            _ => Err(Broken::Wrong(anyhow::anyhow!("{upid} ended with {end}"))),
        }
    }

    fn check(&mut self, api: &Api) -> Result<()> {
        self.check_tasks(api)?;
        let list = api.get(&format!("/nodes/{NODE}/qemu"))?;
        let list: Vec<&Value> = list.as_array().into_iter().flatten().collect();
        let locked = list.iter().find(|vm| !vm["lock"].is_null());
        ensure!(locked.is_none(), "a machine stays locked: {locked:?}");
        let numbers = list.iter().filter_map(|vm| vm["vmid"].as_u64());
        let found: BTreeSet<u32> = numbers
            .map(|vmid| vmid as u32)
            .filter(|vmid| *vmid >= FIRST)
            .collect();
        if let Some(unsure) = self.unsure.take().filter(|unsure| found.contains(unsure)) {
            self.there.insert(unsure);
        }
        let there = &self.there;
        ensure!(found == *there, "there is {found:?}, not {there:?}");
        let volumes = api.get(&format!(
            "/nodes/{NODE}/storage/local/content?content=images"
        ))?;
        let owners = volumes.as_array().into_iter().flatten();
        let owners = owners.filter_map(|volume| volume["vmid"].as_u64());
        let owners: BTreeSet<u32> = owners
            .map(|vmid| vmid as u32)
            .filter(|vmid| *vmid >= FIRST)
            .collect();
        ensure!(owners == found, "{owners:?} have volumes, not {found:?}");
        Ok(())
    }

    /// All tasks have ended, also those that nobody was told of, and those that were told say how.
    fn check_tasks(&mut self, api: &Api) -> Result<()> {
        let active = format!("/nodes/{NODE}/tasks?source=active");
        let settled = poll::until(SETTLED, LOOK_AGAIN, || {
            let list = api.get(&active)?;
            Ok::<_, Error>(list.as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
        settled.context("tasks go on for ever")?;
        for upid in std::mem::take(&mut self.tasks) {
            let path = format!("/nodes/{NODE}/tasks/{}/status", encode(&upid));
            let status = api.get(&path).with_context(|| format!("{upid} is lost"))?;
            let end = status["exitstatus"].as_str().unwrap_or_default();
            ensure!(
                status["status"] == "stopped" && (end == "OK" || end.contains("restarted")),
                "{upid}: {status}"
            );
            self.interrupted += usize::from(end != "OK");
        }
        Ok(())
    }
}

/// What all clients know together, from round to round.
pub struct Ledger {
    work: Vec<Work>,
}

impl Ledger {
    /// Changes of users, of the cluster, of these guests while they run, and of others.
    pub fn new(api: &Api, guests: [Guest; 2]) -> Result<Self> {
        api.post("/access/users", &[("userid", "counter@pve")])?;
        let mut counters = vec![
            Counter::new("/access/users/counter@pve", "comment"),
            Counter::new("/cluster/options", "description"),
        ];
        let config = |guest: Guest| Counter::new(format!("{}/config", guest.path()), "description");
        counters.extend(guests.map(config));
        let counters = counters.into_iter().map(Work::Count);
        let machines = Work::Make(Machines::default());
        Ok(Self {
            work: counters.chain([machines]).collect(),
        })
    }

    /// What each client does.
    pub fn work(&mut self) -> impl Iterator<Item = &mut Work> {
        self.work.iter_mut()
    }

    /// Says what must hold once all daemons run again.
    pub fn check(&mut self, api: &Api) -> Result<()> {
        self.work().try_for_each(|work| match work {
            Work::Count(counter) => counter.check(api),
            Work::Make(machines) => machines.check(api),
        })
    }

    /// What was done, in one line.
    pub fn summary(&self) -> String {
        let (mut changes, mut made, mut interrupted) = (0, 0, 0);
        for work in &self.work {
            match work {
                Work::Count(counter) => changes += counter.acknowledged,
                Work::Make(machines) => {
                    made += machines.made;
                    interrupted += machines.interrupted;
                }
            }
        }
        format!("{changes} values written, {made} machines made, {interrupted} tasks interrupted")
    }
}

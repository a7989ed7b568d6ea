//! Clients that change things as fast as they can, and know what was acknowledged.

mod counter;
mod things;

use anyhow::{Result, ensure};
use basalt_api::bag::encode;
use basalt_daemons::{Client, Gateway, ROOT};
use counter::Counter;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use things::Things;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What an answer of the gateway says when the node does not answer.
const NO_NODE: u16 = 595;
/// After so many looks what is not in order stays so.
const MOST_LOOKS: usize = 200;
/// So many of the last tasks are looked at; the node forgets older ones than this.
const LAST_TASKS: usize = 1500;

/// What one client does, and what it knows.
#[derive(Debug)]
enum Work {
    Count(Counter),
    Make(Things),
}

/// What all clients know together.
#[derive(Debug)]
pub struct Ledger {
    work: Vec<Work>,
    tasks: Vec<String>,
    changes: usize,
    interrupted: BTreeSet<String>,
}

impl Default for Ledger {
    fn default() -> Self {
        let counters = counter::ALL.iter().map(Counter::new).map(Work::Count);
        let things = things::ALL.iter().map(Things::new).map(Work::Make);
        Self {
            work: counters.chain(things).collect(),
            tasks: Vec::new(),
            changes: 0,
            interrupted: BTreeSet::new(),
        }
    }
}

/// Clients at work.
pub struct Load {
    clients: JoinSet<(Work, Vec<String>)>,
    done: watch::Receiver<usize>,
    stop: Arc<AtomicBool>,
    ledger: Ledger,
}

impl Load {
    /// Sets the clients to work, each on a connection of its own.
    pub async fn start(gateway: &Gateway, mut ledger: Ledger) -> Self {
        let (count, done) = watch::channel(0);
        let count = Arc::new(count);
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for mut work in std::mem::take(&mut ledger.work) {
            let client = Client::connect(gateway, ROOT).await.unwrap();
            let mut desk = Desk {
                client,
                tasks: Vec::new(),
                count: Arc::clone(&count),
            };
            let stop = Arc::clone(&stop);
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let step = match &mut work {
                        Work::Count(counter) => counter.step(&mut desk).await,
                        Work::Make(things) => things.step(&mut desk).await,
                    };
                    // What the daemons were killed in is neither done nor not done.
                    if step.is_err() {
                        break;
                    }
                }
                (work, desk.tasks)
            });
        }
        Self {
            clients,
            done,
            stop,
            ledger,
        }
    }

    /// Waits until so many changes were acknowledged.
    pub async fn after(&self, changes: usize) {
        let mut done = self.done.clone();
        done.wait_for(|done| *done >= changes).await.unwrap();
    }

    /// Ends the work, after something that it needs was killed.
    pub async fn end(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            let (work, tasks) = ended.unwrap();
            self.ledger.work.push(work);
            self.ledger.tasks.extend(tasks);
        }
        self.ledger.changes += *self.done.borrow();
        self.ledger
    }
}

/// What a client has in hand.
struct Desk {
    client: Client,
    tasks: Vec<String>,
    count: Arc<watch::Sender<usize>>,
}

impl Desk {
    /// Makes a change; an error is that nobody knows whether it was made. A task has ended well.
    async fn change(&mut self, line: &str, form: &str) -> Result<()> {
        let answer = self.client.call(line, form).await?;
        ensure!(answer.status != NO_NODE, "the node is gone");
        let data = answer.data().unwrap_or_else(|e| panic!("{line}: {e:#}"));
        if let Some(upid) = data.as_str().filter(|text| text.starts_with("UPID:")) {
            self.tasks.push(upid.to_owned());
            self.end_of(upid).await?;
        }
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn end_of(&mut self, upid: &str) -> Result<()> {
        let line = format!("GET /nodes/n1/tasks/{}/status", encode(upid));
        loop {
            let answer = self.client.call(&line, "").await?;
            ensure!(answer.status != NO_NODE, "the node is gone");
            let status = answer.data().unwrap_or_else(|e| panic!("{line}: {e:#}"));
            if let Some(end) = status["exitstatus"].as_str() {
                assert_eq!(end, "OK", "{upid}");
                return Ok(());
            }
        }
    }
}

impl Ledger {
    /// Says what must hold once all daemons run again.
    pub async fn check(&mut self, client: &mut Client) {
        self.check_tasks(client).await;
        for work in &mut self.work {
            match work {
                Work::Count(counter) => counter.check(client).await,
                Work::Make(things) => things.check(client).await,
            }
        }
        self.check_volumes(client).await;
    }

    /// Every task whose id somebody was told has ended, and says how.
    async fn check_tasks(&mut self, client: &mut Client) {
        let old = self.tasks.len().saturating_sub(LAST_TASKS);
        self.tasks.drain(..old);
        let ends = loop {
            let line = "GET /nodes/n1/tasks?source=all&limit=100000";
            let all = list(client, line).await;
            let end = |task: &Value| {
                let end = task["status"].as_str()?;
                Some((task["upid"].as_str()?.to_owned(), end.to_owned()))
            };
            // Those of a node that lives may still run.
            if all.iter().all(|task| end(task).is_some()) {
                break all.iter().filter_map(end).collect::<BTreeMap<_, _>>();
            }
        };
        for upid in &self.tasks {
            let end = ends.get(upid).unwrap_or_else(|| panic!("{upid} is lost"));
            if end == "OK" || !self.interrupted.insert(upid.clone()) {
                continue;
            }
            assert!(end.contains("restarted"), "{upid}: {end}");
            let line = format!("GET /nodes/n1/tasks/{}/log?limit=1000", encode(upid));
            let log = list(client, &line).await;
            let last = log.last().unwrap()["t"].as_str().unwrap();
            assert_eq!(last, format!("TASK ERROR: {end}"));
        }
    }

    /// No guest stays locked, and no volume is left of a guest that is not there. A node that lived on
    /// may have to bring something to its end first.
    async fn check_volumes(&self, client: &mut Client) {
        let mut looks = 0;
        loop {
            let guests = list(client, "GET /nodes/n1/qemu").await;
            let numbers: BTreeSet<u64> = guests.iter().filter_map(|g| g["vmid"].as_u64()).collect();
            let locked = guests.iter().find(|guest| !guest["lock"].is_null());
            let volumes = list(client, things::IMAGES).await;
            let left = |volume: &&Value| !numbers.contains(&volume["vmid"].as_u64().unwrap());
            let left = volumes.iter().find(left);
            if locked.is_none() && left.is_none() {
                return;
            }
            looks += 1;
            assert!(looks < MOST_LOOKS, "locked: {locked:?}, nobody's: {left:?}");
        }
    }

    /// What was done, in one line.
    pub fn summary(&self) -> String {
        let unsure = self.work.iter().map(|work| match work {
            Work::Count(_) => 0,
            Work::Make(things) => things.resolved(),
        });
        format!(
            "{} changes acknowledged, {} tasks interrupted, {} things in doubt were whole or absent",
            self.changes,
            self.interrupted.len(),
            unsure.sum::<usize>()
        )
    }
}

async fn list(client: &mut Client, line: &str) -> Vec<Value> {
    let data = client.call(line, "").await.unwrap().data().unwrap();
    data.as_array().unwrap().clone()
}

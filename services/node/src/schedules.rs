//! Jobs that the node does by itself at certain times.
//!
//! [`keep`] looks every few seconds which of them came due since the last look. Instants that passed
//! while the node did not run are not made up for.

use crate::auth::now;
use crate::handlers::realms::start_sync;
use crate::host::utc_offset;
use crate::state::Node;
use basalt_api::methods::realms::RealmSync;
use basalt_api::methods::schedules::SyncJob;
use basalt_api::{Error, Result};
use basalt_model::calendar::CalendarEvent;
use basalt_model::notify::{EventType, Severity};
use basalt_model::userid::{Authid, Userid};
use basalt_notify::Event;
use basalt_store::{Expect, Store, Stored, Transaction};
use basalt_tasks::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const JOBS: &str = "jobs/realm-sync";
const RUNS: &str = "job-runs/realm-sync";
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// The jobs that synchronise realms, by their names.
pub type SyncJobs = BTreeMap<String, SyncJob>;

/// Reads the jobs.
pub fn read(store: &Arc<dyn Store>) -> Result<Option<Stored<SyncJobs>>> {
    store.read::<SyncJobs>(JOBS).map_err(Error::failed)
}

/// Stores what was made of the jobs, unless somebody else did meanwhile.
pub async fn write(
    store: &Arc<dyn Store>,
    before: &Option<Stored<SyncJobs>>,
    jobs: &SyncJobs,
) -> Result<()> {
    let change = Transaction::new().expect(JOBS, Expect::unchanged(before));
    let change = change.put(JOBS, jobs).map_err(Error::failed)?;
    store.commit(change).await.map_err(Error::failed)?;
    Ok(())
}

/// When each job began last, in seconds since 1970.
pub fn runs(store: &Arc<dyn Store>) -> BTreeMap<String, u64> {
    let runs = store.read::<BTreeMap<String, u64>>(RUNS).ok().flatten();
    runs.map(|stored| stored.value).unwrap_or_default()
}

/// The next instant of a schedule after another, in seconds since 1970.
pub fn next(schedule: &CalendarEvent, after: u64) -> Option<u64> {
    let start = i64::try_from(after).ok()?;
    let local = schedule.next(start.checked_add(utc_offset(after))?)?;
    // The clock may be put forward or back between the two.
    let near = local.saturating_sub(utc_offset(after));
    let offset = utc_offset(u64::try_from(near).ok()?);
    let exact = local.saturating_sub(offset);
    u64::try_from(exact.max(start.saturating_add(1))).ok()
}

/// What a job asks of its realm.
pub fn request(job: &SyncJob) -> RealmSync {
    RealmSync {
        realm: job.realm.clone(),
        dry_run: None,
        scope: job.fields.scope,
        remove_vanished: job.fields.remove_vanished.clone(),
        enable_new: job.fields.enable_new,
        full: None,
        purge: None,
    }
}

/// Does jobs as long as the node runs.
pub async fn keep(node: Arc<Node>) {
    let running: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let mut looked = now();
    loop {
        tokio::time::sleep(PAUSE).await;
        let present = now();
        let since = looked.min(present);
        looked = present;
        let jobs = match read(&node.store) {
            Ok(jobs) => jobs.map(|stored| stored.value).unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "jobs");
                continue;
            }
        };
        let due = jobs.into_iter().filter(|(_, job)| {
            let enabled = job.fields.enabled.unwrap_or(true);
            enabled && next(&job.schedule, since).is_some_and(|at| at <= present)
        });
        for (id, job) in due {
            let mut busy = running.lock().unwrap_or_else(PoisonError::into_inner);
            if !busy.insert(id.clone()) {
                tracing::warn!(
                    id,
                    "the job is not begun: it is still at work since the last time"
                );
                continue;
            }
            drop(busy);
            let (node, running) = (Arc::clone(&node), Arc::clone(&running));
            tokio::spawn(async move {
                run(&node, &id, &job).await;
                running
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&id);
            });
        }
    }
}

/// Does a job and waits for its end; a failure is told of.
async fn run(node: &Arc<Node>, id: &str, job: &SyncJob) {
    if let Err(error) = note(node, id).await {
        tracing::error!(%error, id, "when the job began is not noted");
    }
    let root = Authid {
        user: Userid::root(),
        token: None,
    };
    let failed = match start_sync(&node.core, &root, request(job)) {
        Ok(upid) => match node.tasks.wait(&upid).await {
            Ok(Outcome::Ok | Outcome::Warnings(_)) => None,
            Ok(Outcome::Failed(reason)) => Some(reason),
            Err(error) => Some(error.to_string()),
        },
        Err(error) => Some(error.one_line()),
    };
    if let Some(reason) = failed {
        tracing::error!(id, reason, "the job failed");
        let (name, realm) = (&node.name, &job.realm);
        let title = format!("{name}: the realm {realm} was not synchronised");
        let body = format!(
            "The job {id} could not bring users and groups of the realm {realm} here:\n\n{reason}\n\nThe \
             log of the task auth-realm-sync says more.\n"
        );
        let event = Event::new(EventType::RealmSync, Severity::Error, &title, &body);
        node.notify(event.with("job-id", id).with("realm", realm));
    }
}

/// Notes that a job begins; jobs that are gone are forgotten.
async fn note(node: &Node, id: &str) -> Result<()> {
    let known = read(&node.store)?
        .map(|stored| stored.value)
        .unwrap_or_default();
    let before = node
        .store
        .read::<BTreeMap<String, u64>>(RUNS)
        .map_err(Error::failed)?;
    let mut runs = before
        .as_ref()
        .map(|stored| stored.value.clone())
        .unwrap_or_default();
    runs.retain(|name, _| known.contains_key(name));
    runs.insert(id.to_owned(), now());
    let change = Transaction::new().expect(RUNS, Expect::unchanged(&before));
    let change = change.put(RUNS, &runs).map_err(Error::failed)?;
    node.store.commit(change).await.map_err(Error::failed)?;
    Ok(())
}

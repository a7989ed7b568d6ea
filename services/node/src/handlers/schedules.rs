//! Jobs that the node does by itself at certain times.

use crate::auth::now;
use crate::call::Call;
use crate::handlers::realms::check_sync;
use crate::router::Router;
use crate::schedules::{self, SyncJobs, next, request};
use basalt_api::methods::NoParams;
use basalt_api::methods::schedules::{
    JobPath, ScheduleAnalyze, ScheduleQuery, ScheduledTime, SyncJob, SyncJobChange, SyncJobCreate,
    SyncJobDelete, SyncJobEntry, SyncJobFields, SyncJobGet, SyncJobList, SyncJobNew, SyncJobShown,
    SyncJobUpdate,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::RealmAllocateUser;
use basalt_model::acme::ConfigId;
use time::OffsetDateTime;
use time::macros::format_description;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<SyncJobList, _, _, _>(list);
    router.on::<SyncJobGet, _, _, _>(show);
    router.on::<SyncJobCreate, _, _, _>(create);
    router.on::<SyncJobUpdate, _, _, _>(update);
    router.on::<SyncJobDelete, _, _, _>(delete);
    router.on::<ScheduleAnalyze, _, _, _>(async |_, query| Ok(analyze(&query)));
}

fn none(id: &str) -> Error {
    Error::not_found(format_args!("job '{id}'"))
}

fn jobs(call: &Call) -> Result<SyncJobs> {
    let stored = schedules::read(&call.node.store)?;
    Ok(stored.map(|stored| stored.value).unwrap_or_default())
}

async fn list(call: Call, _: NoParams) -> Result<Vec<SyncJobEntry>> {
    let (runs, present) = (schedules::runs(&call.node.store), now());
    let entry = |(id, job): (String, SyncJob)| {
        let enabled = job.fields.enabled.unwrap_or(true);
        SyncJobEntry {
            next_run: enabled.then(|| next(&job.schedule, present)).flatten(),
            last_run: runs.get(&id).copied(),
            enabled,
            id,
            realm: job.realm,
            schedule: job.schedule,
            comment: job.fields.comment,
            remove_vanished: job.fields.remove_vanished,
            scope: job.fields.scope,
        }
    };
    Ok(jobs(&call)?.into_iter().map(entry).collect())
}

async fn show(call: Call, path: JobPath) -> Result<SyncJobShown> {
    let job = jobs(&call)?
        .remove(&path.id)
        .ok_or_else(|| none(&path.id))?;
    Ok(SyncJobShown { id: path.id, job })
}

async fn create(call: Call, new: SyncJobNew) -> Result<()> {
    let id: std::result::Result<ConfigId, String> = new.id.parse();
    id.map_err(|text| Error::param("id", text))?;
    let job = SyncJob {
        realm: new.realm,
        schedule: new.schedule,
        fields: new.fields,
    };
    check_sync(&call.access.realms, &request(&job))?;
    let before = schedules::read(&call.node.store)?;
    let mut jobs = jobs(&call)?;
    if jobs.contains_key(&new.id) {
        return Err(Error::exists(format_args!("job '{}'", new.id)));
    }
    jobs.insert(new.id, job);
    schedules::write(&call.node.store, &before, &jobs).await
}

async fn update(call: Call, change: SyncJobChange) -> Result<()> {
    let before = schedules::read(&call.node.store)?;
    let mut jobs = jobs(&call)?;
    let job = jobs.get_mut(&change.id).ok_or_else(|| none(&change.id))?;
    let realm = format!("/access/realm/{}", job.realm);
    call.require(&realm, &[RealmAllocateUser])?;
    let fields = &mut job.fields;
    let names = change.delete.as_deref().unwrap_or_default();
    for name in names.split([',', ';', ' ']).filter(|name| !name.is_empty()) {
        match name {
            "comment" => fields.comment = None,
            "enabled" => fields.enabled = None,
            "enable-new" => fields.enable_new = None,
            "remove-vanished" => fields.remove_vanished = None,
            "scope" => fields.scope = None,
            _ => {
                let text = format!("there is no setting '{name}' that could be put back");
                return Err(Error::param("delete", text));
            }
        }
    }
    let set = change.fields;
    *fields = SyncJobFields {
        comment: set.comment.or(fields.comment.take()),
        enabled: set.enabled.or(fields.enabled),
        enable_new: set.enable_new.or(fields.enable_new),
        remove_vanished: set.remove_vanished.or(fields.remove_vanished.take()),
        scope: set.scope.or(fields.scope),
    };
    if let Some(schedule) = change.schedule {
        job.schedule = schedule;
    }
    check_sync(&call.access.realms, &request(job))?;
    schedules::write(&call.node.store, &before, &jobs).await
}

async fn delete(call: Call, path: JobPath) -> Result<()> {
    let before = schedules::read(&call.node.store)?;
    let mut jobs = jobs(&call)?;
    jobs.remove(&path.id).ok_or_else(|| none(&path.id))?;
    schedules::write(&call.node.store, &before, &jobs).await
}

fn analyze(query: &ScheduleQuery) -> Vec<ScheduledTime> {
    let first = next(&query.schedule, query.starttime.unwrap_or_else(now));
    let times = std::iter::successors(first, |last| next(&query.schedule, *last));
    let most = query.iterations.unwrap_or(10) as usize;
    let shown = times.take(most).map(|timestamp| ScheduledTime {
        timestamp,
        utc: in_words(timestamp),
    });
    shown.collect()
}

/// Universal time, e.g. `Mon 2027-01-04 03:30:00`.
fn in_words(time: u64) -> String {
    let format =
        format_description!("[weekday repr:short] [year]-[month]-[day] [hour]:[minute]:[second]");
    let moment = i64::try_from(time).ok();
    let moment = moment.and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
    let words = moment.and_then(|moment| moment.format(&format).ok());
    words.unwrap_or_default()
}

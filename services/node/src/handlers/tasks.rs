//! Tasks: lists, states, logs, and how one is stopped.

use crate::call::Call;
use crate::error::IntoApi;
use crate::router::Router;
use basalt_api::methods::nodes::Child;
use basalt_api::methods::tasks::{
    ClusterTasks, LogLine, TaskEntry, TaskIndex, TaskList, TaskLog, TaskLogQuery, TaskPath,
    TaskQuery, TaskSource, TaskState, TaskStatus, TaskStatusGet, TaskStop,
};
use basalt_api::{Error, Reply, Result};
use basalt_model::access::Privilege::{SysAudit, SysModify};
use basalt_model::upid::Upid;
use basalt_tasks::{Filter, Source, Task};

/// Shown when the caller does not say how many.
const DEFAULT_LIMIT: u64 = 50;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<TaskList, _, _, _>(async |call, params| Ok(list(&call, params)));
    router.on::<TaskIndex, _, _, _>(async |call, params| index(&call, &params));
    router.on::<TaskStatusGet, _, _, _>(async |call, params| status(&call, params));
    router.on::<TaskLog, _, _, _>(async |call, params| log(&call, params).await);
    router.on::<TaskStop, _, _, _>(async |call, params| stop(&call, &params));
    router.on::<ClusterTasks, _, _, _>(async |call, _| Ok(latest(&call)));
}

/// Everybody sees the own tasks; whoever may look at the node sees all.
fn may_see(call: &Call) -> impl Fn(&Upid) -> bool {
    let node = format!("/nodes/{}", call.core.name);
    let all = call.allows(&node, &[SysAudit]);
    let user = call.auth().user.clone();
    move |upid| all || upid.user.user == user
}

fn list(call: &Call, query: TaskQuery) -> Reply<Vec<TaskEntry>> {
    let outcomes = query.statusfilter.unwrap_or_default();
    let filter = Filter {
        source: match query.source.unwrap_or(TaskSource::Archive) {
            TaskSource::Archive => Source::Ended,
            TaskSource::Active => Source::Running,
            TaskSource::All => Source::All,
        },
        id: query.vmid.map(|vmid| vmid.to_string()),
        user: query.userfilter,
        kind: query.typefilter,
        errors: query.errors.unwrap_or(false),
        outcomes: outcomes
            .split(',')
            .filter(|o| !o.is_empty())
            .map(str::to_owned)
            .collect(),
        since: query.since,
        until: query.until,
    };
    let (start, limit) = (
        query.start.unwrap_or(0),
        query.limit.unwrap_or(DEFAULT_LIMIT),
    );
    let page = call.core.tasks.list(&filter, start, limit, may_see(call));
    Reply::page(page.items.into_iter().map(entry).collect(), page.total)
}

fn latest(call: &Call) -> Vec<TaskEntry> {
    let filter = Filter {
        source: Source::All,
        ..Filter::default()
    };
    let page = call
        .core
        .tasks
        .list(&filter, 0, DEFAULT_LIMIT, may_see(call));
    page.items.into_iter().map(entry).collect()
}

/// The task, if the caller may see it.
fn find(call: &Call, upid: &Upid) -> Result<Task> {
    if !may_see(call)(upid) {
        let node = &call.core.name;
        return Err(Error::forbidden(format_args!("/nodes/{node}, Sys.Audit")));
    }
    call.core.tasks.get(upid).api()
}

fn index(call: &Call, path: &TaskPath) -> Result<Vec<Child>> {
    find(call, &path.upid)?;
    Ok(["log", "status"]
        .map(|name| Child {
            subdir: name.into(),
        })
        .into())
}

fn status(call: &Call, path: TaskPath) -> Result<TaskStatus> {
    let task = find(call, &path.upid)?;
    let upid = task.upid;
    Ok(TaskStatus {
        node: upid.node.clone(),
        pid: upid.pid,
        pstart: upid.pstart,
        starttime: upid.starttime,
        kind: upid.kind.clone(),
        id: upid.id.clone(),
        user: upid.user.user.to_string(),
        tokenid: upid.user.token.clone(),
        status: if task.end.is_some() {
            TaskState::Stopped
        } else {
            TaskState::Running
        },
        exitstatus: task.end.map(|(_, outcome)| outcome.to_string()),
        progress: task.progress,
        upid,
    })
}

async fn log(call: &Call, query: TaskLogQuery) -> Result<Reply<Vec<LogLine>>> {
    find(call, &query.upid)?;
    let start = query.start.unwrap_or(0);
    let limit = match query.limit.unwrap_or(DEFAULT_LIMIT) {
        0 => u64::MAX,
        limit => limit,
    };
    let page = call.core.tasks.log(&query.upid, start, limit).await.api()?;
    let numbered = page.items.into_iter().zip(start + 1..);
    let mut lines: Vec<LogLine> = numbered.map(|(t, n)| LogLine { n, t }).collect();
    // Clients expect a line even of a log that has none yet.
    if page.total == 0 {
        lines.push(LogLine {
            n: 1,
            t: "no content".into(),
        });
    }
    Ok(Reply::page(lines, page.total))
}

fn stop(call: &Call, path: &TaskPath) -> Result<()> {
    let own = path.upid.user.user == call.auth().user;
    if !own {
        call.require(&format!("/nodes/{}", call.core.name), &[SysModify])?;
    }
    call.core.tasks.stop(&path.upid).api()
}

fn entry(task: Task) -> TaskEntry {
    let upid = task.upid;
    let (endtime, status) = match task.end {
        Some((time, outcome)) => (Some(time), Some(outcome.to_string())),
        None => (None, None),
    };
    TaskEntry {
        node: upid.node.clone(),
        pid: upid.pid,
        pstart: upid.pstart,
        starttime: upid.starttime,
        kind: upid.kind.clone(),
        id: upid.id.clone(),
        user: upid.user.to_string(),
        upid,
        endtime,
        status,
    }
}

//! Tasks: the work that goes on after its call was answered.

use crate::endpoints;
use crate::permission::Permission;
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which tasks to list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskQuery {
    /// Name of the node.
    pub node: String,
    /// Entries to skip.
    pub start: Option<u64>,
    /// Most entries to show (default 50).
    pub limit: Option<u64>,
    /// Only tasks of this guest.
    pub vmid: Option<Vmid>,
    /// Only tasks of users whose id has this in it.
    pub userfilter: Option<String>,
    /// Only tasks of this kind.
    pub typefilter: Option<String>,
    /// Only tasks that ended so, separated by commas: ok, error, warning, unknown.
    #[schemars(extend("format" = "list"))]
    pub statusfilter: Option<String>,
    /// Only tasks that failed.
    pub errors: Option<bool>,
    /// Only tasks that started at this time or later, in seconds since 1970.
    pub since: Option<u64>,
    /// Only tasks that started at this time or earlier.
    pub until: Option<u64>,
    /// Whether to list tasks that ended, that still run, or both (default archive).
    pub source: Option<TaskSource>,
}

/// Tasks that ended, that still run, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskSource {
    /// Those that ended.
    Archive,
    /// Those that still run.
    Active,
    /// Both.
    All,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEntry {
    /// Id of the task.
    pub upid: Upid,
    /// Node that runs it.
    pub node: String,
    /// Process that started it.
    pub pid: u32,
    /// Tells tasks of one process apart.
    pub pstart: u64,
    /// When it started, in seconds since 1970.
    pub starttime: u64,
    /// Kind of task, e.g. `qmstart`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it works on, e.g. a guest's number.
    pub id: String,
    /// Who started it.
    pub user: String,
    /// When it ended; absent while it runs.
    pub endtime: Option<u64>,
    /// `OK`, `WARNINGS: n` or what went wrong; absent while it runs.
    pub status: Option<String>,
}

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskPath {
    /// Name of the node.
    pub node: String,
    /// Id of the task.
    pub upid: Upid,
}

/// Whether a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It runs.
    Running,
    /// It ended.
    Stopped,
}

/// State of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskStatus {
    /// Id of the task.
    pub upid: Upid,
    /// Node that runs it.
    pub node: String,
    /// Process that started it.
    pub pid: u32,
    /// Tells tasks of one process apart.
    pub pstart: u64,
    /// When it started, in seconds since 1970.
    pub starttime: u64,
    /// Kind of task, e.g. `qmstart`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it works on, e.g. a guest's number.
    pub id: String,
    /// Who started it.
    pub user: String,
    /// The API token that started it, if one did.
    pub tokenid: Option<String>,
    /// Whether it runs.
    pub status: TaskState,
    /// `OK`, `WARNINGS: n` or what went wrong; absent while it runs.
    pub exitstatus: Option<String>,
    /// How far it is, from 0 to 100, when that is known.
    pub progress: Option<u8>,
}

/// Which lines of a log to read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskLogQuery {
    /// Name of the node.
    pub node: String,
    /// Id of the task.
    pub upid: Upid,
    /// Lines to skip.
    pub start: Option<u64>,
    /// Most lines to show (default 50; 0 is all).
    pub limit: Option<u64>,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Its number, from 1.
    pub n: u64,
    /// Its text.
    pub t: String,
}

endpoints! {
    /// Lists the tasks of a node that the caller may see, newest first.
    TaskList: Get "/nodes/{node}/tasks" {
        params: TaskQuery,
        output: Vec<TaskEntry>,
        permission: Permission::AnyUser,
        cli: "task list",
    }

    /// Shows what there is about a task.
    TaskIndex: Get "/nodes/{node}/tasks/{upid}" {
        params: TaskPath,
        output: Vec<super::nodes::Child>,
        permission: Permission::AnyUser,
    }

    /// Shows the state of a task.
    TaskStatusGet: Get "/nodes/{node}/tasks/{upid}/status" {
        params: TaskPath,
        output: TaskStatus,
        permission: Permission::AnyUser,
        cli: "task status",
    }

    /// Shows the log of a task.
    TaskLog: Get "/nodes/{node}/tasks/{upid}/log" {
        params: TaskLogQuery,
        output: Vec<LogLine>,
        permission: Permission::AnyUser,
        cli: "task log",
    }

    /// Stops a task.
    TaskStop: Delete "/nodes/{node}/tasks/{upid}" {
        params: TaskPath,
        output: (),
        permission: Permission::AnyUser,
        cli: "task stop",
    }

    /// Lists the latest tasks of the cluster that the caller may see.
    ClusterTasks: Get "/cluster/tasks" {
        params: super::NoParams,
        output: Vec<TaskEntry>,
        permission: Permission::AnyUser,
    }
}

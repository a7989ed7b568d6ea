//! Shows a task's log until the task ends.

use crate::client::{Call, Client, encode};
use anyhow::{Context, Result};
use basalt_api::endpoint::{Kind, Verb};
use basalt_model::upid::Upid;
use serde_json::{Map, Value};
use std::process::ExitCode;
use std::time::Duration;

/// Time between two looks at the log.
const INTERVAL: Duration = Duration::from_millis(300);

/// Prints the log as it grows; the exit code says whether the task ended well.
pub async fn until_end(client: &Client, upid: &str) -> Result<ExitCode> {
    let task: Upid = upid
        .parse()
        .with_context(|| format!("'{upid}' is no task"))?;
    let base = format!("/nodes/{}/tasks/{}", encode(&task.node), encode(upid));
    let mut shown = 0;
    loop {
        // The status is read before the log, so that the last look misses no line.
        let status = client
            .send(get(format!("{base}/status"), Map::new()))
            .await?;
        shown += print_from(client, &base, shown).await?;
        if status["status"] == "stopped" {
            return Ok(verdict(status["exitstatus"].as_str().unwrap_or("unknown")));
        }
        // The API tells a task's state when asked, not by itself.
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn print_from(client: &Client, base: &str, start: u64) -> Result<u64> {
    let mut query = Map::new();
    query.insert("start".into(), start.to_string().into());
    query.insert("limit".into(), "0".into());
    let lines = client.send(get(format!("{base}/log"), query)).await?;
    let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
    for line in lines {
        println!("{}", line["t"].as_str().unwrap_or_default());
    }
    Ok(lines.len() as u64)
}

fn get(path: String, params: Map<String, Value>) -> Call {
    Call {
        verb: Verb::Get,
        path,
        params,
        kind: Kind::Sync,
        file: None,
    }
}

fn verdict(exitstatus: &str) -> ExitCode {
    if exitstatus == "OK" {
        return ExitCode::SUCCESS;
    }
    if exitstatus.starts_with("WARNINGS") {
        eprintln!("basalt: the task ended with {exitstatus}");
        return ExitCode::SUCCESS;
    }
    eprintln!("basalt: the task failed: {exitstatus}");
    ExitCode::FAILURE
}

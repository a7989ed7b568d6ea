//! `cargo image run` and its companions, as a developer types them.

use crate::api::Api;
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::build::paths::{target_dir, workspace};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// Memory of each node in MiB: enough for a host without guests.
const MEMORY: &str = "1536";

/// Two nodes come up beside a taken port, reach each other, are listed, entered, stopped, and go
/// on as they were left.
pub fn pair(_: &mut Lab<'_>) -> Result<()> {
    let instance = Instance(format!("pair-{}", std::process::id()));
    let name = instance.0.as_str();
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let report = json(&[
        "run", "--name", name, "--nodes", "2", "--memory", MEMORY, "--port", &port, "--detach",
        "--json",
    ])?;
    let nodes = report["nodes"].as_array().context("no nodes")?;
    ensure!(nodes.len() == 2, "{report}");
    for node in nodes {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let (_, own) = text("url").rsplit_once(':').context("no port")?;
        ensure!(own != port, "a taken port was given out: {report}");
        let api = Api::login(own.parse()?, text("password"))?;
        ensure!(
            api.get("/nodes")?[0]["node"] == text("name"),
            "another node answers at {}",
            text("url")
        );
        ensure!(
            api.client().fingerprint().as_deref() == Some(text("fingerprint")),
            "the fingerprint is not the certificate's"
        );
    }
    for (node, other) in [("1", "10.98.0.2"), ("2", "10.98.0.1")] {
        let member = format!("{name}/{name}-{node}");
        let said = text(&["exec", &member, "--", "ping", "-c", "1", "-W", "5", other])?;
        ensure!(said.contains("1 received"), "{said}");
    }
    let status = image(&["exec", &format!("{name}/{name}-1"), "--", "exit 7"])?.status;
    ensure!(status.code() == Some(7), "the command's status is {status}");
    console(&format!("{name}/{name}-1"))?;

    text(&["stop", name])?;
    ensure!(running(name)? == [false, false], "nodes run after `stop`");
    let refused = image(&["run", "--name", name, "--nodes", "3", "--detach"])?;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && why.contains("delete"), "{why}");
    let again = json(&["run", "--name", name, "--detach", "--json"])?;
    ensure!(
        again["nodes"][0]["fingerprint"] == nodes[0]["fingerprint"],
        "the state was not kept: {again}"
    );
    text(&["delete", name])?;
    ensure!(running(name)?.is_empty(), "it is listed after `delete`");
    Ok(())
}

/// Attaches a terminal, sees the log-in prompt, and leaves by the key.
fn console(node: &str) -> Result<()> {
    let line = format!("{} console {node}", program().display());
    let mut child = Command::new("script")
        .args([
            "--quiet",
            "--flush",
            "--return",
            "--command",
            &line,
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run script")?;
    let mut keys = child.stdin.take().context("no input")?;
    let mut screen = child.stdout.take().context("no output")?;
    let mut shown = Vec::new();
    let mut buffer = [0; 1024];
    keys.write_all(b"\r")?;
    while !String::from_utf8_lossy(&shown).contains("login:") {
        let count = screen.read(&mut buffer)?;
        ensure!(
            count > 0,
            "the console ended: {}",
            String::from_utf8_lossy(&shown)
        );
        shown.extend_from_slice(&buffer[..count]);
    }
    keys.write_all(&[0x1d])?;
    screen.read_to_end(&mut shown)?;
    let status = child.wait()?;
    ensure!(status.success(), "the console ended with {status}");
    Ok(())
}

/// Whether each node of the instance runs.
fn running(name: &str) -> Result<Vec<bool>> {
    let list = json(&["list", "--json"])?;
    let rows = list.as_array().context("no list")?;
    Ok(rows
        .iter()
        .filter(|row| row["name"] == name)
        .map(|row| row["running"] == true)
        .collect())
}

fn program() -> std::path::PathBuf {
    target_dir(&workspace()).join("debug/image")
}

fn image(arguments: &[&str]) -> Result<Output> {
    let program = program();
    Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))
}

fn text(arguments: &[&str]) -> Result<String> {
    let output = image(arguments)?;
    ensure!(
        output.status.success(),
        "{arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn json(arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&text(arguments)?)?)
}

/// Removes the instance, however the scenario ends.
struct Instance(String);

impl Drop for Instance {
    fn drop(&mut self) {
        // It is gone already when the scenario went well.
        let _ = image(&["delete", &self.0]);
    }
}

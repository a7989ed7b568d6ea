//! The guest agent: the stock program in a guest answers, runs programs, reads and writes files,
//! freezes file systems, and switches the guest off.

use crate::api::{Api, refusal};
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::time::Duration;

const VMID: u32 = 173;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// All of it in one guest, and over a suspension.
pub fn life(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let guest = Guest::create_vm(&api, VMID, &[("agent", "enabled=1")])?;
    let stopped = refusal(api.post(&path(guest, "ping"), &[]))?;
    ensure!(stopped.to_string().contains("not running"), "{stopped}");
    guest.power(&api, "start")?;
    answers(&api, guest)?;
    tells(&api, guest)?;
    runs_programs(&api, guest)?;
    keeps_files(&api, guest)?;
    freezes(&api, guest)?;

    let suspend = format!("{}/status/suspend", guest.path());
    let upid = api.post(&suspend, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    guest.power(&api, "start")?;
    answers(&api, guest).context("after a suspension")?;

    // An agent that is gone is said to be, and the power button does it then.
    let mut shell = guest.shell(&api)?;
    shell.run("systemctl stop qemu-guest-agent", SOON)?;
    let gone = refusal(api.post(&path(guest, "ping"), &[]))?;
    ensure!(
        gone.to_string().contains("guest agent is not running"),
        "{gone}"
    );
    shell.run("systemctl start qemu-guest-agent", SOON)?;
    drop(shell);
    answers(&api, guest).context("after it was stopped")?;
    guest.power(&api, "shutdown")?;
    ensure!(!guest.runs(&api)?, "it still runs");
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

fn path(guest: Guest, command: &str) -> String {
    format!("{}/agent/{command}", guest.path())
}

/// Waits until the agent answers.
fn answers(api: &Api, guest: Guest) -> Result<()> {
    let answered = poll::until(BOOT_LIMIT, LOOK_AGAIN, || {
        let ping = api.post(&path(guest, "ping"), &[]);
        Ok::<_, anyhow::Error>(ping.is_ok().then_some(()))
    })?;
    answered.context("the agent does not answer")
}

fn ask(api: &Api, guest: Guest, question: &str) -> Result<Value> {
    let answer = api.get(&path(guest, question))?;
    Ok(answer["result"].clone())
}

fn tells(api: &Api, guest: Guest) -> Result<()> {
    let system = ask(api, guest, "get-osinfo")?;
    ensure!(system["id"] == "debian", "{system}");
    let interfaces = ask(api, guest, "network-get-interfaces")?;
    let interfaces = interfaces.as_array().context("no list of interfaces")?;
    let has = |name: &str| interfaces.iter().any(|it| it["name"] == name);
    ensure!(has("lo"), "{interfaces:?}");
    let disks = ask(api, guest, "get-fsinfo")?;
    ensure!(disks.to_string().contains("\"/\""), "{disks}");
    let processors = ask(api, guest, "get-vcpus")?;
    ensure!(processors[0]["online"] == 1, "{processors}");
    let info = ask(api, guest, "info")?;
    ensure!(info["version"].is_string(), "{info}");
    let command = [("command", "get-time")];
    let time = api.post(&format!("{}/agent", guest.path()), &command)?;
    ensure!(time["result"].as_u64() > Some(0), "{time}");
    Ok(())
}

fn runs_programs(api: &Api, guest: Guest) -> Result<()> {
    let program = [
        ("command", "/bin/sh"),
        ("command", "-c"),
        ("command", "tr a-z A-Z; exit 3"),
        ("input-data", "said by the guest"),
    ];
    let started = api.post(&path(guest, "exec"), &program)?;
    let pid = started["pid"].as_u64().context("no process number")?;
    let status = path(guest, &format!("exec-status?pid={pid}"));
    let ended = poll::until(SOON, LOOK_AGAIN, || {
        let status = api.get(&status)?;
        let ended = status["exited"] == 1;
        Ok::<_, anyhow::Error>(ended.then_some(status))
    })?;
    let ended = ended.context("the program does not end")?;
    ensure!(
        ended["exitcode"] == 3 && ended["out-data"] == "SAID BY THE GUEST",
        "{ended}"
    );
    let none = refusal(api.post(&path(guest, "exec"), &[("command", "/no/such/program")]))?;
    ensure!(none.to_string().contains("guest agent"), "{none}");
    Ok(())
}

fn keeps_files(api: &Api, guest: Guest) -> Result<()> {
    let file = [("file", "/root/note"), ("content", "kept in the guest\n")];
    api.post(&path(guest, "file-write"), &file)?;
    let read = api.get(&path(guest, "file-read?file=/root/note"))?;
    ensure!(read["content"] == "kept in the guest\n", "{read}");
    let part = api.get(&path(guest, "file-read?file=/root/note&offset=5&count=2"))?;
    ensure!(part["content"] == "in", "{part}");
    let none = refusal(api.get(&path(guest, "file-read?file=/no/such/file")))?;
    ensure!(none.to_string().contains("guest agent"), "{none}");
    let user = [("username", "root"), ("password", "changed by it")];
    api.post(&path(guest, "set-user-password"), &user)?;
    // The tests' shells need none.
    let undo = [
        ("command", "/usr/bin/passwd"),
        ("command", "-d"),
        ("command", "root"),
    ];
    api.post(&path(guest, "exec"), &undo)?;
    Ok(())
}

fn freezes(api: &Api, guest: Guest) -> Result<()> {
    let status = || -> Result<Value> {
        let status = api.post(&path(guest, "fsfreeze-status"), &[])?;
        Ok(status["result"].clone())
    };
    ensure!(status()? == "thawed", "frozen from the start");
    let frozen = api.post(&path(guest, "fsfreeze-freeze"), &[])?;
    ensure!(frozen["result"].as_u64() >= Some(1), "{frozen}");
    ensure!(status()? == "frozen", "it did not freeze");
    let thawed = api.post(&path(guest, "fsfreeze-thaw"), &[])?;
    ensure!(thawed["result"] == frozen["result"], "{thawed}");
    ensure!(status()? == "thawed", "it did not thaw");
    Ok(())
}

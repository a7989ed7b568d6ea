//! Virtual machines that stand still: paused, suspended to disk, and over a reboot of the host.

use crate::api::{Api, NODE};
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, boot_mark};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::ssh::Ssh;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(180);
/// Counts in a file, ten times a second, for ever.
pub(super) const COUNTER: &str =
    "{ (n=0; while :; do n=$((n+1)); echo $n > /run/count; sleep 0.1; done) & }";

/// Prints the address of the appliance's bridge.
pub(super) const BRIDGE: &str =
    "ip -4 -o addr show dev vmbr0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'";

/// A guest that is paused, suspended and resumed goes on counting where it was, with the right
/// time and its network; one whose disk grew meanwhile does so, too.
pub fn to_disk(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let bridge = appliance.ssh().run(BRIDGE)?;
    let guest = Guest::create_vm(&api, 100, &[])?;
    guest.power(&api, "start")?;
    let mut console = guest.shell(&api)?;
    console.run(COUNTER, PATIENCE)?;
    let boot = boot_mark(&mut console, guest.kind)?;
    let ahead = ahead(&appliance.ssh(), &mut console)?;

    guest.power(&api, "suspend")?;
    let status = guest.status(&api)?;
    ensure!(
        status["qmpstatus"] == "paused",
        "it is not paused: {status}"
    );
    guest.power(&api, "resume")?;
    goes_on(&mut console, 1)?;
    is_well(&appliance.ssh(), &mut console, &ahead, &bridge).context("after a pause")?;

    grow(&api, guest, &mut console)?;
    let before = count(&mut console)?;
    drop(console);
    suspend(&api, guest)?;
    let status = guest.status(&api)?;
    ensure!(
        status["status"] == "stopped" && status["lock"] == "suspended",
        "it is not suspended: {status}"
    );
    let states = states(&api)?;
    ensure!(states.len() == 1, "its state is not one volume: {states:?}");
    let refused = api.put(&format!("{}/config", guest.path()), &[("memory", "512")]);
    ensure!(refused.is_err(), "a suspended machine was changed");
    let started = Instant::now();
    guest.power(&api, "start")?;
    println!("resumed from disk in {} ms", started.elapsed().as_millis());
    let mut console = guest.shell(&api)?;
    goes_on(&mut console, before)?;
    ensure!(
        boot == boot_mark(&mut console, guest.kind)?,
        "it booted anew"
    );
    is_well(&appliance.ssh(), &mut console, &ahead, &bridge)?;
    let left = self::states(&api)?;
    ensure!(left.is_empty(), "the state is left: {left:?}");

    suspend(&api, guest)?;
    guest.power(&api, "stop")?;
    let status = guest.status(&api)?;
    ensure!(status["lock"].is_null(), "still locked: {status}");
    ensure!(self::states(&api)?.is_empty(), "a discarded state is left");
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// The disk of a machine grows while it runs.
pub(super) fn grow(api: &Api, guest: Guest, console: &mut Console) -> Result<()> {
    let size = "blockdev --getsize64 /dev/vda";
    let before = console.run(size, PATIENCE)?;
    let words = [("disk", "virtio0"), ("size", "+64M")];
    let upid = api.put(&format!("{}/resize", guest.path()), &words)?;
    api.task(&upid, PATIENCE)?;
    let seen = format!("until test \"$({size})\" != {before}; do sleep 1; done");
    console.run(&seen, PATIENCE)?;
    Ok(())
}

/// With the policy `suspend`, a machine goes on after a reboot of the host where it was, though
/// it does not start with the host otherwise.
pub fn over_reboot(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance()?;
    let api = appliance.api()?;
    api.put(
        &format!("/nodes/{NODE}/config"),
        &[("on-host-shutdown", "suspend")],
    )?;
    let guest = Guest::create_vm(&api, 100, &[])?;
    let bridge = appliance.ssh().run(BRIDGE)?;
    guest.power(&api, "start")?;
    let mut console = guest.shell(&api)?;
    console.run(COUNTER, PATIENCE)?;
    let boot = boot_mark(&mut console, guest.kind)?;
    let ahead = ahead(&appliance.ssh(), &mut console)?;
    let before = count(&mut console)?;
    drop(console);
    appliance.reboot()?;
    let api = appliance.api_again(appliance.limit())?;
    let running = poll::until(BOOT_LIMIT, Duration::from_secs(1), || {
        let status = guest.status(&api)?;
        let back = status["qmpstatus"] == "running" && status["lock"].is_null();
        Ok::<_, anyhow::Error>(back.then_some(()))
    })?;
    running.context("the suspended machine does not run again")?;
    let mut console = guest.shell(&api)?;
    goes_on(&mut console, before)?;
    ensure!(
        boot == boot_mark(&mut console, guest.kind)?,
        "it booted anew"
    );
    is_well(&appliance.ssh(), &mut console, &ahead, &bridge)?;
    appliance.done();
    Ok(())
}

fn suspend(api: &Api, guest: Guest) -> Result<()> {
    let path = format!("{}/status/suspend", guest.path());
    let started = Instant::now();
    let upid = api.post(&path, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT).context("suspending to disk")?;
    println!("suspended to disk in {} ms", started.elapsed().as_millis());
    Ok(())
}

/// Volumes that hold states.
fn states(api: &Api) -> Result<Vec<String>> {
    let content = api.get(&format!("/nodes/{NODE}/storage/local/content"))?;
    let all = content.as_array().context("no list of volumes")?;
    let names = all.iter().filter_map(|volume| volume["volid"].as_str());
    let states = names.filter(|name| name.contains("-state-suspend-"));
    Ok(states.map(str::to_owned).collect())
}

pub(super) fn count(console: &mut Console) -> Result<u64> {
    let text = console.run("cat /run/count", PATIENCE)?;
    text.parse().with_context(|| format!("count {text:?}"))
}

/// Waits until the guest counts beyond what it had counted.
pub(super) fn goes_on(console: &mut Console, before: u64) -> Result<()> {
    let first = count(console)?;
    ensure!(first >= before, "it counted to {before}, and now {first}");
    let beyond = poll::until(PATIENCE, Duration::from_millis(200), || {
        Ok::<_, anyhow::Error>((count(console)? > first).then_some(()))
    })?;
    beyond.context("it counts no more")
}

/// Between which numbers of seconds the guest's clock is ahead of the appliance's. An emulated guest
/// loses ticks before it has its final clock source, so this is not zero.
pub(super) fn ahead(ssh: &Ssh, console: &mut Console) -> Result<RangeInclusive<i64>> {
    let seconds = |text: String| {
        let number: Result<i64, _> = text.trim().parse();
        number.with_context(|| format!("date {text:?}"))
    };
    let before = seconds(ssh.run("date +%s")?)?;
    let guest = seconds(console.run("date +%s", PATIENCE)?)?;
    let after = seconds(ssh.run("date +%s")?)?;
    // The readings are whole seconds.
    Ok(guest - after - 1..=guest - before + 1)
}

/// The guest's clock is as far from the appliance's as it was, and its network works.
pub(super) fn is_well(
    ssh: &Ssh,
    console: &mut Console,
    ahead: &RangeInclusive<i64>,
    bridge: &str,
) -> Result<()> {
    let now = self::ahead(ssh, console)?;
    ensure!(
        now.start() <= ahead.end() && ahead.start() <= now.end(),
        "the guest's clock was {ahead:?} s ahead of the appliance's, and now {now:?} s"
    );
    let ping = format!("until ping -c 1 -W 2 {bridge}; do sleep 1; done");
    console
        .run(&ping, PATIENCE)
        .context("the guest does not reach the bridge")?;
    Ok(())
}

//! The figures that are watched from one change to the next.

use crate::api::Api;
use crate::appliance::Appliance;
use crate::console::Console;
use crate::guest::{self, BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, bail};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, Outcome};
use basalt_image::appliance::poll;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Sizes, memory of the idle host, and how fast guests start.
pub fn measure(lab: &mut Lab<'_>) -> Result<()> {
    let figures = &lab.shared.figures;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    figures.record(
        "ISO size",
        mebibytes(guest::size(&lab.shared.built.iso)?),
        "MiB",
    );
    figures.record(
        "update bundle size",
        mebibytes(guest::size(&lab.shared.built.bundle)?),
        "MiB",
    );
    figures.record(
        "power-on to healthy",
        lab.shared.snapshot.boot_time.as_secs_f64(),
        "s",
    );

    figures.record(
        "installation, from power-on to power-off",
        installation(lab)?.as_secs_f64(),
        "s",
    );
    let mut appliance = lab.appliance()?;
    // The snapshot's memory is full of what was uploaded to it.
    let began = Instant::now();
    appliance.reboot()?;
    figures.record("reboot to healthy", began.elapsed().as_secs_f64(), "s");
    boot(lab, &appliance)?;
    for unit in ["basalt-init", "basalt-node", "basalt-gateway"] {
        let pid = appliance.ssh().run(&format!(
            "systemctl show --property=MainPID --value {unit}.service"
        ))?;
        let rss = memory(&appliance, &format!("/proc/{pid}/status"), "VmRSS")?;
        lab.shared
            .figures
            .record(&format!("resident memory of {unit}"), rss, "MiB");
    }
    let meminfo = |key| memory(&appliance, "/proc/meminfo", key);
    let total = meminfo("MemTotal")?;
    // The page cache and the kernel's own reserve shrink when guests need them.
    let caches = meminfo("Buffers")? + meminfo("Cached")? + meminfo("SReclaimable")?;
    let held = total - meminfo("MemFree")? - caches + meminfo("Shmem")?;
    figures.record("memory held by the idle host", held, "MiB");
    figures.record(
        "the same with all caches",
        total - meminfo("MemFree")?,
        "MiB",
    );
    figures.record(
        "the same with half the cache and the kernel's reserve",
        total - meminfo("MemAvailable")?,
        "MiB",
    );

    let api = appliance.api()?;
    let vm = Guest::create_vm(&api, 100, &[])?;
    let ct = Guest::create_ct(&api, 101, &[])?;
    let first_line = vm_to_first_line(&api, vm)?;
    lab.shared.figures.record(
        "VM start to first guest line",
        first_line.as_secs_f64(),
        "s",
    );
    let (started, running) = ct_to_running(&api, ct)?;
    lab.shared
        .figures
        .record("container start to started", started.as_secs_f64(), "s");
    lab.shared.figures.record(
        "container start to systemd running",
        running.as_secs_f64(),
        "s",
    );
    let pid = appliance
        .ssh()
        .run("systemctl show --property=MainPID --value basalt-vm-100.service")?;
    let maps = appliance.ssh().run(&format!("cat /proc/{pid}/smaps"))?;
    let figures = &lab.shared.figures;
    figures.record("own memory of a VM's monitor", own_memory(&maps), "MiB");
    let soft = soft_reboot(&appliance)?;
    figures.record("soft-reboot to healthy", soft.as_secs_f64(), "s");
    appliance.done();
    Ok(())
}

/// How long the host is away when systemd restarts everything but the kernel: what an update could save that
/// brings no new kernel, if its root could be changed under the running one.
fn soft_reboot(appliance: &Appliance) -> Result<Duration> {
    let began = Instant::now();
    // The connection may end before the answer does.
    let _ = appliance.ssh().output("systemctl soft-reboot")?;
    appliance.ssh().close();
    let again = "test $(systemctl show --property=SoftRebootsCount --value) = 1 && \
                 systemctl is-active --quiet boot-complete.target";
    let healthy = || {
        let answer = appliance.ssh().output(again);
        if answer.is_err() {
            appliance.ssh().close();
        }
        anyhow::Ok(answer.is_ok_and(|it| it.status.success()).then_some(()))
    };
    poll::until(appliance.limit(), Duration::from_millis(500), healthy)?
        .context("not healthy after a soft-reboot")?;
    Ok(began.elapsed())
}

/// How long an installation by answer file takes.
fn installation(lab: &mut Lab<'_>) -> Result<Duration> {
    let answer = Keys::ensure()?.answer("basalt")?.text;
    let attempt = Attempt {
        answer: Some(&answer),
        ..Attempt::default()
    };
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    let iso = &lab.shared.built.iso;
    let began = Instant::now();
    if let Outcome::Failed(why) = install::attempt(&mut machine.node, iso, &attempt, accel)? {
        bail!("not installed: {why}");
    }
    let took = began.elapsed();
    machine.done();
    Ok(took)
}

/// Units of the boot whose times are recorded: the slowest ones.
const SLOWEST_UNITS: usize = 10;

/// What the appliance's boot was made of, as the supervisor has written it down.
fn boot(lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let times = || {
        let text = appliance
            .ssh()
            .run("/usr/lib/basalt/basalt-init boot-times --json")?;
        let boots: Value = serde_json::from_str(&text)?;
        anyhow::Ok(boots.get(0).cloned())
    };
    // It is written when systemd has nothing left to start, which may be after the host is healthy.
    let boot = poll::until(BOOT_LIMIT, Duration::from_millis(200), times)?
        .context("the times of the boot are never written down")?;
    let seconds = |value: &Value| {
        let milliseconds = value.as_f64().context("no time in milliseconds")?;
        anyhow::Ok(milliseconds / 1000.0)
    };
    let figures = &lab.shared.figures;
    for part in ["firmware", "loader", "kernel", "healthy"] {
        figures.record(&format!("boot: {part}"), seconds(&boot[part])?, "s");
    }
    let units = boot["units"].as_array().context("no units")?;
    for unit in units.iter().take(SLOWEST_UNITS) {
        let name = unit["name"].as_str().context("a unit without a name")?;
        figures.record(&format!("boot: {name}"), seconds(&unit["took"])?, "s");
    }
    Ok(())
}

/// A `Key:   N kB` line of a file under /proc, in MiB.
fn memory(appliance: &Appliance, file: &str, key: &str) -> Result<f64> {
    let text = appliance.ssh().run(&format!(
        "sed -n 's/^{key}:[[:space:]]*\\([0-9]*\\) kB/\\1/p' {file}"
    ))?;
    let kibibytes: f64 = text
        .trim()
        .parse()
        .with_context(|| format!("{key} in {file} is {text:?}"))?;
    Ok(kibibytes / 1024.0)
}

fn vm_to_first_line(api: &Api, vm: Guest) -> Result<Duration> {
    let began = Instant::now();
    let upid = api.post(&format!("{}/status/start", vm.path()), &[])?;
    let limit = BOOT_LIMIT;
    api.task(&upid, limit)?;
    let mut console = Console::open(api, vm.kind, vm.vmid)?;
    console.wait("Linux version", limit)?;
    Ok(began.elapsed())
}

fn ct_to_running(api: &Api, ct: Guest) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    ct.power(api, "start")?;
    let started = began.elapsed();
    let mut console = ct.shell(api)?;
    console.run("systemctl is-system-running --wait", BOOT_LIMIT)?;
    Ok((started, began.elapsed()))
}

/// Resident MiB of a monitor without its guest's memory, which is its one large mapping.
fn own_memory(smaps: &str) -> f64 {
    let number = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (mut size, mut total) = (0, 0);
    for line in smaps.lines() {
        if line.starts_with("Size:") {
            size = number(line).unwrap_or(0);
        } else if line.starts_with("Rss:") && size < 64 << 10 {
            total += number(line).unwrap_or(0);
        }
    }
    total as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_memory_is_not_the_monitors() {
        let smaps = "a\nSize: 393216 kB\nRss: 100000 kB\nb\nSize: 2048 kB\nRss: 1024 kB\n";
        assert_eq!(own_memory(smaps), 1.0);
    }
}

//! `basalt-tests bench`: our machine monitor beside Debian's QEMU, in one appliance and one run.
//!
//! The program in `tests/bench/` runs on the appliance and starts the monitors by turns, each with the
//! same kernel, disk and network: so whatever else the host does falls on all of them. Medians of all
//! rounds go into [`table`], and from there into `tests/bench/README.md`, which nobody edits.

mod table;

use crate::appliance::Appliance;
use crate::lab::{Lab, Shared};
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::ssh::Ssh;
use basalt_image::testing::kit::Kit;
use basalt_image::testing::results_dir;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How often every monitor is measured unless said otherwise.
const ROUNDS: usize = 3;
/// The folder on the appliance.
const PLACE: &str = "/var/lib/bench";
/// Where results go, below the workspace.
const REPORT: &str = "tests/bench/README.md";

/// The monitors, by the names that the program on the appliance has for them.
const MONITORS: [&str; 3] = ["basalt", "microvm", "q35"];
const PHASES: [&str; 2] = ["state", "measure"];

/// All values of each figure of each monitor.
type Samples = BTreeMap<(&'static str, String), Vec<f64>>;

/// Measures and writes the report. The first of `words` is the number of rounds, if there is one.
pub fn run(words: &[String]) -> Result<()> {
    let rounds = match words {
        [] => ROUNDS,
        [rounds] => rounds.parse().context("the number of rounds")?,
        _ => bail!("usage: basalt-tests bench [ROUNDS]"),
    };
    ensure!(rounds > 0, "no rounds measure nothing");
    let kit = Kit::ensure()?;
    let programs = programs()?;
    let shared = Shared::prepare()?;
    let mut lab = Lab::new(&shared, "bench", &results_dir())?;
    let appliance = lab.appliance()?;
    set_up(&appliance, &kit, &programs)?;
    let mut samples = Samples::new();
    for round in 0..rounds {
        for monitor in turn(round) {
            for phase in PHASES {
                sample(&appliance.ssh(), monitor, phase, &mut samples)
                    .with_context(|| format!("{monitor}, {phase}"))?;
            }
        }
        eprintln!("round {} of {rounds} is over", round + 1);
    }
    let machine = machine(&appliance.ssh())?;
    let report = table::report(&samples, rounds, &machine);
    print!("{report}");
    std::fs::write(workspace()?.join(REPORT), report)?;
    appliance.done();
    Ok(())
}

/// The monitors in another order each round.
fn turn(round: usize) -> [&'static str; 3] {
    let mut monitors = MONITORS;
    monitors.rotate_left(round % MONITORS.len());
    monitors
}

/// The workspace, below whose `target` the results of tests are.
fn workspace() -> Result<PathBuf> {
    let results = results_dir();
    let found = results.ancestors().nth(2).map(Path::to_owned);
    found.context("the results of tests lie in no workspace")
}

/// What starts our monitor and speaks to it; the monitor is the appliance's own.
fn programs() -> Result<[PathBuf; 3]> {
    let [start, request] = examples()?;
    let bench = std::env::current_exe()?.with_file_name("basalt-bench");
    Ok([start, request, bench])
}

/// The programs that start a monitor by hand and speak to it.
pub(crate) fn examples() -> Result<[PathBuf; 2]> {
    let workspace = workspace()?;
    let built = Command::new("cargo")
        .current_dir(&workspace)
        .args(["build", "--workspace", "--examples", "--locked", "--quiet"])
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the examples were not built ({built})");
    let examples = workspace.join("target/debug/examples");
    Ok([examples.join("start"), examples.join("request")])
}

/// Puts everything onto the appliance, and makes the network.
fn set_up(appliance: &Appliance, kit: &Kit, programs: &[PathBuf]) -> Result<()> {
    let ssh = appliance.ssh();
    ssh.run(&format!("mkdir -p {PLACE}/root"))?;
    for file in [kit.kernel(), kit.initrd(), kit.image()] {
        put(&ssh, &file, true)?;
    }
    for program in programs {
        put(&ssh, program, false)?;
    }
    ssh.run(&format!(
        "cd {PLACE} && chmod 755 start request basalt-bench && truncate -s 512M data.raw \
         && mount -o loop,ro kit.raw root && mount --rbind /dev root/dev && mount -t proc proc root/proc \
         && mount -t tmpfs tmpfs root/tmp \
         && dd if=/dev/urandom of=data.raw bs=1M count=512 conv=notrunc status=none"
    ))?;
    // Below the read-only root nothing can be made, but what is there can be covered.
    ssh.run(&format!("mount --bind {PLACE} {PLACE}/root/srv"))?;
    ssh.run(
        "modprobe -q tun; ip link add bench0 type bridge && ip addr add 10.9.9.1/24 dev bench0 \
         && ip link set bench0 up && ip tuntap add dev bench mode tap vnet_hdr \
         && ip link set bench master bench0 up",
    )?;
    for server in ["iperf3 --server", "python3 /bench/echo.py"] {
        let line = format!("systemd-run --quiet --collect chroot {PLACE}/root {server}");
        ssh.run(&line)?;
    }
    Ok(())
}

/// Copies a file to our folder on the appliance, packed if that is worth it.
fn put(ssh: &Ssh, file: &Path, packed: bool) -> Result<()> {
    let name = file.file_name().context("a file without a name")?;
    let target = format!("{PLACE}/{}", name.to_string_lossy());
    let level = if packed { "-3" } else { "-1" };
    let mut zstd = Command::new("zstd")
        .args([level, "--quiet", "--stdout"])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run zstd")?;
    let stream = zstd.stdout.take().context("zstd has no output")?;
    let line = format!("zstd -q -d -f --sparse -o {target}");
    let status = ssh.command().args(["--", &line]).stdin(stream).status()?;
    ensure!(
        zstd.wait()?.success() && status.success(),
        "cannot copy {}",
        file.display()
    );
    Ok(())
}

fn sample(ssh: &Ssh, monitor: &'static str, phase: &str, samples: &mut Samples) -> Result<()> {
    let said = ssh.run(&format!("cd {PLACE} && ./basalt-bench {monitor} {phase}"))?;
    let figures: BTreeMap<String, f64> =
        serde_json::from_str(said.trim()).with_context(|| format!("{said:?}"))?;
    eprintln!("  {monitor:8} {phase:8} {said}");
    for (name, value) in figures {
        samples.entry((monitor, name)).or_default().push(value);
    }
    Ok(())
}

/// What was measured on, in one line.
fn machine(ssh: &Ssh) -> Result<String> {
    let kernel = ssh.run("uname -r")?;
    let cpu = ssh.run("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1")?;
    let qemu = ssh.run(&format!(
        "chroot {PLACE}/root qemu-system-x86_64 --version | head -n 1"
    ))?;
    Ok(format!(
        "Linux {} on {}; {}",
        kernel.trim(),
        cpu.trim(),
        qemu.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_monitor_has_every_place_in_the_order() {
        let firsts: Vec<_> = (0..3).map(|round| turn(round)[0]).collect();
        assert_eq!(firsts, MONITORS);
        assert_eq!(turn(3), turn(0));
    }
}

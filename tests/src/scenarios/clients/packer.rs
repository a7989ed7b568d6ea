//! Packer, which makes templates of machines that it has started and prepared.

use super::super::uefi::{in_an_emulator_that_lasts, slow_ticks};
use super::{output, said};
use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, Kind, TASK_LIMIT};
use crate::lab::Lab;
use crate::python;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::poll;
use basalt_image::tools::{self, Tool};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

const PACKER: &str = "/usr/bin/packer";
/// What the machine is called that becomes a template.
const BEFORE: &str = "under-construction";
/// The first free number; Packer takes one above the highest.
const SOURCE: u32 = 180;
const MADE: u32 = 181;
const LINKED: u32 = 182;
/// What the firmware's shell says when it finds the disc.
const GREETING: &str = "This disc came by Packer";
/// Longest time for a command in a guest.
const SOON: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Packer at work.
struct Build {
    process: Child,
    ready: PathBuf,
    log: PathBuf,
}

impl Drop for Build {
    fn drop(&mut self) {
        // It has ended, unless the scenario has failed; then what it started goes with it.
        if let Ok(None) = self.process.try_wait() {
            let group = Pid::from_child(&self.process);
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

impl Build {
    /// Starts one of the builders of `tests/clients/packer/templates.json`. What it prepares a machine with
    /// is a program that waits for [`Build::go_on`].
    fn start(appliance: &Appliance, work: &Path, builder: &str) -> Result<Self> {
        let ready = work.join("ready");
        if ready.exists() {
            fs::remove_file(&ready)?;
        }
        let log = work.join("packer.log");
        let written = File::create(&log)?;
        let port = appliance.node.state().port;
        let process = Command::new(PACKER)
            .args(["build", "-color=false", &format!("-only={builder}")])
            .arg(python::file("packer/templates.json"))
            .current_dir(work)
            .env("PROXMOX_URL", format!("https://127.0.0.1:{port}/api2/json"))
            .env("PROXMOX_USERNAME", "root@pam")
            .env("PROXMOX_PASSWORD", appliance.password())
            .env("BASALT_NODE", NODE)
            .env("BASALT_WORK", work)
            .env("PACKER_CACHE_DIR", work.join("cache"))
            .env("PACKER_CONFIG_DIR", work)
            .env("CHECKPOINT_DISABLE", "1")
            .stdout(written.try_clone()?)
            .stderr(written)
            .process_group(0)
            .spawn()
            .context("cannot run packer")?;
        Ok(Self {
            process,
            ready,
            log,
        })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the API shows something; Packer must still be at work then.
    fn wait<T>(&mut self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let found = poll::until(BOOT_LIMIT, LOOK_AGAIN, || {
            if let Some(status) = self.process.try_wait()? {
                bail!("packer ended with {status} before {what}: {}", self.said());
            }
            look()
        })?;
        found.with_context(|| format!("never: {what}; packer says: {}", self.said()))
    }

    /// Waits for the machine that it has made and started.
    fn machine(&mut self, api: &Api) -> Result<Guest> {
        let vmid = self.wait("its machine runs", || {
            let list = api.get("/cluster/resources?type=vm")?;
            let mut all = list.as_array().into_iter().flatten();
            let runs = |vm: &&Value| vm["name"] == BEFORE && vm["status"] == "running";
            Ok(all.find(runs).and_then(|vm| vm["vmid"].as_u64()))
        })?;
        ensure!(vmid == u64::from(MADE), "it took the number {vmid}");
        Ok(Guest {
            kind: Kind::Vm,
            vmid: MADE,
        })
    }

    /// Ends what the machine is prepared with.
    fn go_on(&self) -> Result<()> {
        Ok(fs::write(&self.ready, "")?)
    }

    /// Waits for its end, which must be a template.
    fn end(&mut self) -> Result<()> {
        let status = poll::until(BOOT_LIMIT, LOOK_AGAIN, || self.process.try_wait())?;
        let status = status.with_context(|| format!("packer does not end: {}", self.said()))?;
        let made = format!("A template was created: {MADE}");
        ensure!(
            status.success() && self.said().contains(&made),
            "packer ended with {status}: {}",
            self.said()
        );
        Ok(())
    }
}

/// The configuration of what Packer made, which must be a template of this name, and never runs.
fn template(api: &Api, made: Guest, name: &str, description: &str) -> Result<Value> {
    let config = api.get(&format!("{}/config", made.path()))?;
    ensure!(
        config["template"] == 1 && config["name"] == name && config["description"] == description,
        "it is {config}"
    );
    let upid = api.post(&format!("{}/status/start", made.path()), &[])?;
    let end = api.task_end(&upid, TASK_LIMIT)?;
    ensure!(end.contains("template"), "it was started: {end}");
    Ok(config)
}

/// Debian's Packer clones a machine that is a cloud's image, starts it, types at its screen, has it
/// prepared, shuts it down by its agent and makes a template of it, from which others are cloned.
pub fn of_an_image(lab: &mut Lab<'_>) -> Result<()> {
    tools::ensure(&[Tool::Packer])?;
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let source = Guest::create_vm(&api, SOURCE, &[("name", "cloud-image")])?;
    let mut build = Build::start(&appliance, lab.work(), "proxmox-clone")?;
    let vm = build.machine(&api)?;
    let ping = format!("{}/agent/ping", vm.path());
    build.wait("its agent answers", || Ok(api.post(&ping, &[]).ok()))?;
    let mut shell = vm.shell(&api)?;
    shell.run("echo prepared >/root/word && sync", SOON)?;
    drop(shell);
    build.go_on()?;
    build.end()?;

    let config = template(&api, vm, "made-of-an-image", "Made of a cloud image")?;
    let has = |key: &str, text: &str| config[key].as_str().is_some_and(|is| is.contains(text));
    ensure!(
        has("virtio0", "local:181/base-181-disk-0") && has("ide3", "cloudinit"),
        "its disks are others: {config}"
    );
    source.delete(&api)?;
    let number = LINKED.to_string();
    let upid = api.post(&format!("{}/clone", vm.path()), &[("newid", &number)])?;
    api.task(&upid, TASK_LIMIT).context("cloning it")?;
    let linked = Guest { vmid: LINKED, ..vm };
    linked.power(&api, "start")?;
    let word = linked.shell(&api)?.run("cat /root/word", SOON)?;
    ensure!(word.trim() == "prepared", "the clone has {word:?}");
    linked.power(&api, "stop")?;
    linked.delete(&api)?;
    vm.delete(&api)?;
    appliance.done();
    Ok(())
}

/// Debian's Packer uploads a disc, boots a new machine from it, and makes a template without the disc.
pub fn of_a_disc(lab: &mut Lab<'_>) -> Result<()> {
    tools::ensure(&[Tool::Packer, Tool::Xorriso, Tool::MkfsVfat, Tool::Mtools])?;
    disc(lab.work())?;
    in_an_emulator_that_lasts(lab, of_a_disc_on)
}

fn of_a_disc_on(lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let api = appliance.api()?;
    slow_ticks(&appliance.ssh())?;
    // So that the number of the template is known.
    let first = Guest::create_vm(&api, SOURCE, &[])?;
    let mut build = Build::start(appliance, lab.work(), "proxmox-iso")?;
    let vm = build.machine(&api)?;
    let mut console = Console::open(&api, vm.kind, vm.vmid)?;
    console.wait(GREETING, BOOT_LIMIT)?;
    // The prompt, whatever file system it names.
    console.wait("> ", BOOT_LIMIT)?;
    build.go_on()?;
    // Firmware hears no power button: it is told once Packer has begun to wait for the end.
    let running = format!("/nodes/{NODE}/tasks?source=active&typefilter=qmshutdown");
    build.wait("it shuts the machine down", || {
        let tasks = api.get(&running)?;
        Ok(tasks.get(0).map(|_| ()))
    })?;
    console.type_text("reset -s\r")?;
    build.end()?;
    drop(console);

    let config = template(&api, vm, "made-of-a-disc", "Made of a disc")?;
    let disk = config["scsi0"].as_str().unwrap_or_default();
    ensure!(
        disk.starts_with("local:181/base-181-disk-0.raw") && disk.contains("size=64M"),
        "its disk is another: {config}"
    );
    ensure!(
        config["ide2"] == "none,media=cdrom",
        "the disc is in it: {config}"
    );
    let discs = api.get(&format!("/nodes/{NODE}/storage/local/content?content=iso"))?;
    let mut discs = discs.as_array().into_iter().flatten();
    ensure!(
        discs.any(|disc| disc["volid"] == "local:iso/disc.iso"),
        "the disc was not uploaded"
    );
    vm.delete(&api)?;
    first.delete(&api)
}

/// Makes a disc that UEFI finds a file system on, with a script for the firmware's shell.
fn disc(work: &Path) -> Result<()> {
    let folder = work.join("disc");
    fs::create_dir_all(&folder)?;
    let script = work.join("startup.nsh");
    fs::write(&script, format!("echo \"{GREETING}\"\r\n"))?;
    let volume = folder.join("efi.img");
    File::create(&volume)?.set_len(2 << 20)?;
    let mkfs = tools::find("mkfs.vfat").context("no mkfs.vfat")?;
    must(Command::new(mkfs).arg(&volume))?;
    let target = "::startup.nsh";
    must(
        Command::new("mcopy")
            .arg("-i")
            .arg(&volume)
            .arg(&script)
            .arg(target),
    )?;
    let mkisofs = ["-as", "mkisofs", "-quiet", "-J", "-e", "efi.img"];
    must(
        Command::new("xorriso")
            .args(mkisofs)
            .args(["-no-emul-boot", "-o"])
            .arg(work.join("disc.iso"))
            .arg(&folder),
    )
}

fn must(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    ensure!(output.status.success(), "{command:?}: {}", said(&output));
    Ok(())
}

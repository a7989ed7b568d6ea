//! One appliance in one QEMU: its folder, its process, its ports.
//!
//! A node's folder holds its disk overlay, UEFI variables, sockets and logs; `node.json` names
//! the process and ports of the last start, so that any later command finds them again.

use super::accel::Accel;
use super::https::Client;
use super::process::{self, ProcessId};
use super::qemu::{
    self, Disk, Firmware, Format, Forward, Machine, Memory, PrivateNet, QMP_SOCKET, SERIAL_LOG,
};
use super::qmp::Qmp;
use super::serial::SerialLog;
use super::ssh::Ssh;
use super::{poll, ports, tpm};
use crate::build::Emulator;
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// The overlay that keeps everything a node ever wrote.
pub const DISK: &str = "disk.qcow2";
/// What QEMU itself said.
const QEMU_LOG: &str = "qemu.log";
const STATE: &str = "node.json";

/// What a later command must know about a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeState {
    /// The appliance's host name.
    pub name: String,
    /// Port on 127.0.0.1 that leads to the web interface.
    pub port: u16,
    /// Port on 127.0.0.1 that leads to SSH.
    pub ssh_port: u16,
    /// The QEMU process of the last start.
    pub process: Option<ProcessId>,
    /// How QEMU ran it.
    pub accel: Accel,
    /// What starts it.
    #[serde(default)]
    pub firmware: Firmware,
    /// Whether it has a TPM 2.0.
    #[serde(default)]
    pub tpm: bool,
}

/// How a node is to be started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Hardware virtualisation or emulation.
    pub accel: Accel,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Kind of memory: plain, kept for a snapshot, or restored from one.
    pub memory: Memory,
    /// The wanted port of the web interface.
    pub port: Option<u16>,
    /// The private network between the nodes of one instance.
    pub private: Option<PrivateNet>,
    /// Whether QEMU goes on after this process has ended.
    pub detached: bool,
}

/// One appliance.
#[derive(Debug)]
pub struct Node {
    dir: PathBuf,
    key: PathBuf,
    state: NodeState,
    /// Our own child, so that it can be reaped; none when another process started it.
    child: Option<Child>,
    log: SerialLog,
}

/// A node's own disk; with a `log`, everything that is done to it is recorded there.
fn own_disk(log: Option<&Path>) -> Disk {
    Disk {
        file: DISK.into(),
        format: Format::Qcow2,
        readonly: false,
        serial: "basalt-system",
        log: log.map(Path::to_owned),
    }
}

impl Node {
    /// A node that has a folder but was never started.
    pub fn new(dir: &Path, key: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let state = NodeState {
            name: name.into(),
            port: 0,
            ssh_port: 0,
            process: None,
            accel: Accel::Tcg,
            firmware: Firmware::default(),
            tpm: false,
        };
        Ok(Self::from_state(dir, key, state))
    }

    /// Chooses what starts the node, from its next start on.
    pub fn set_firmware(&mut self, firmware: Firmware, tpm: bool) {
        self.state.firmware = firmware;
        self.state.tpm = tpm;
    }

    /// The node whose state an earlier process saved in `dir`.
    pub fn load(dir: &Path, key: &Path) -> Result<Self> {
        let file = dir.join(STATE);
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let state = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
        Ok(Self::from_state(dir, key, state))
    }

    fn from_state(dir: &Path, key: &Path, state: NodeState) -> Self {
        let log = SerialLog::whole(&dir.join(SERIAL_LOG));
        Self {
            dir: dir.into(),
            key: key.into(),
            state,
            child: None,
            log,
        }
    }

    /// The node's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of the last start.
    pub fn state(&self) -> &NodeState {
        &self.state
    }

    /// The serial log since the last start by this process.
    pub fn log(&self) -> &SerialLog {
        &self.log
    }

    /// Leaves out of the log what has been written to it until now.
    pub fn skip_log(&mut self) {
        self.log = SerialLog::from_now(self.log.path());
    }

    /// Where the web interface answers.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.state.port)
    }

    /// Commands on the node.
    pub fn ssh(&self) -> Ssh {
        Ssh::new(&self.dir, self.state.ssh_port, &self.key)
    }

    /// The node's only door.
    pub fn https(&self, limit: Duration) -> Client {
        Client::local(self.state.port, limit)
    }

    /// A connection to QEMU's control socket.
    pub fn qmp(&self) -> Result<Qmp> {
        Qmp::connect(&self.dir, QMP_SOCKET)
    }

    /// The keyboard of its serial console.
    pub fn serial(&self) -> Result<UnixStream> {
        super::qmp::connect_in(&self.dir, qemu::SERIAL_SOCKET)
    }

    /// Whether its QEMU runs.
    pub fn running(&self) -> bool {
        self.state.process.is_some_and(ProcessId::alive)
    }

    /// Gives the node an empty overlay over `base` and a copy of the UEFI variables `vars`.
    pub fn prepare_disk(&self, base: &Path, vars: &Path) -> Result<()> {
        overlay(base, Format::Qcow2, &self.dir.join(DISK))?;
        self.copy_vars(vars)
    }

    /// Gives the node a copy of these UEFI variables.
    pub fn copy_vars(&self, vars: &Path) -> Result<()> {
        let copied = fs::copy(vars, self.dir.join(qemu::VARS));
        copied.with_context(|| format!("cannot copy {}", vars.display()))?;
        Ok(())
    }

    /// Starts the node from its own disk.
    pub fn start(&mut self, start: &Start) -> Result<()> {
        self.start_recorded(start, None)
    }

    /// Starts the node from its own disk; with a `log`, everything it does to it is recorded there.
    pub fn start_recorded(&mut self, start: &Start, log: Option<&Path>) -> Result<()> {
        if let Some(log) = log {
            File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        }
        let disks = [own_disk(log)];
        self.start_with(start, |machine| machine.disks = disks.to_vec())
    }

    /// Starts the node from its own disk, with a device that it can give to a guest: a disk whose raw
    /// image is `given`.
    pub fn start_giving(&mut self, start: &Start, given: &Path) -> Result<()> {
        self.start_with(start, |machine| {
            machine.disks = vec![own_disk(None)];
            machine.given = Some(given.to_owned());
        })
    }

    /// Starts the node as a machine that `change` completes. A port that somebody else took
    /// between our choice and QEMU's use of it is chosen again.
    pub fn start_with(&mut self, start: &Start, change: impl Fn(&mut Machine)) -> Result<()> {
        if self.running() {
            bail!("{} is running already", self.state.name);
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.choose_ports(start.port)?;
            let mut machine = self.machine(start)?;
            change(&mut machine);
            match self.spawn(&machine, start.detached) {
                Err(error) if attempt < 5 && error.to_string().contains("host forwarding") => {}
                other => return other,
            }
        }
    }

    fn choose_ports(&mut self, wanted: Option<u16>) -> Result<()> {
        self.state.port = ports::choose(wanted)?;
        self.state.ssh_port = ports::choose(None)?;
        Ok(())
    }

    fn machine(&self, start: &Start) -> Result<Machine> {
        Ok(Machine {
            emulator: Emulator::ensure()?,
            name: self.state.name.clone(),
            accel: start.accel,
            cpus: start.accel.cpus(),
            memory_mib: start.memory_mib,
            memory: start.memory.clone(),
            firmware: self.state.firmware,
            tpm: self.state.tpm,
            disks: Vec::new(),
            given: None,
            cdrom: None,
            stick: None,
            kernel_arguments: None,
            ipxe_script: None,
            forwards: Some(vec![
                Forward {
                    host: self.state.port,
                    guest: 8006,
                },
                Forward {
                    host: self.state.ssh_port,
                    guest: 22,
                },
            ]),
            private: start.private,
            exit_on_reboot: false,
        })
    }

    fn spawn(&mut self, machine: &Machine, detached: bool) -> Result<()> {
        tools::ensure(&[Tool::Setpriv, Tool::Ssh])?;
        self.ssh().close();
        let qemu_log = self.dir.join(QEMU_LOG);
        self.log = SerialLog::from_now(&self.dir.join(SERIAL_LOG));
        if machine.tpm {
            tpm::start(&self.dir, detached)?;
        }
        let child = process::apart(detached)
            .arg("qemu-system-x86_64")
            .args(machine.args())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(File::create(&qemu_log)?)
            .stderr(File::options().append(true).open(&qemu_log)?)
            .spawn()
            .context("cannot start QEMU")?;
        self.state.process = ProcessId::of(child.id());
        self.state.accel = machine.accel;
        self.child = Some(child);
        self.wait_for_qmp(machine)?;
        self.save()
    }

    fn wait_for_qmp(&mut self, machine: &Machine) -> Result<()> {
        let connected = poll::until(Duration::from_secs(60), Duration::from_millis(50), || {
            if !self.running() {
                bail!("QEMU ended at once: {}", self.qemu_said());
            }
            Ok(self.qmp().ok())
        });
        let qmp = match connected {
            Ok(Some(qmp)) => qmp,
            Ok(None) => bail!(
                "QEMU does not answer on {}",
                self.dir.join(QMP_SOCKET).display()
            ),
            Err(error) => return Err(error),
        };
        match &machine.memory {
            Memory::Restored { state, .. } => restore(qmp, state),
            Memory::Plain | Memory::Kept(_) => Ok(()),
        }
    }

    /// What QEMU has written of its own accord, as its reason to end.
    pub fn qemu_said(&self) -> String {
        fs::read_to_string(self.dir.join(QEMU_LOG))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Writes the state down for later commands.
    pub fn save(&self) -> Result<()> {
        let temporary = self.dir.join("node.json.new");
        fs::write(&temporary, serde_json::to_string_pretty(&self.state)?)?;
        fs::rename(temporary, self.dir.join(STATE))?;
        Ok(())
    }

    /// Presses the power button.
    pub fn press_power_button(&self) -> Result<()> {
        self.ssh().close();
        self.qmp()?
            .execute("system_powerdown", Value::Null)
            .map(drop)
    }

    /// Waits until QEMU has ended.
    pub fn wait_end(&mut self, limit: Duration) -> Result<bool> {
        let ended = poll::until(limit, Duration::from_millis(200), || {
            Ok::<_, anyhow::Error>((!self.running()).then_some(()))
        })?;
        if ended.is_some() {
            self.reap();
        }
        Ok(ended.is_some())
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        if let Some(process) = self.state.process {
            process.signal(Signal::SIGKILL);
        }
        self.reap();
        self.ssh().close();
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It has ended or has been killed: this only collects it.
            let _ = child.wait();
        }
    }

    /// Writes what the screen shows into a PNG file.
    pub fn screenshot(&self, file: &Path) -> Result<()> {
        let arguments = json!({ "filename": file, "format": "png" });
        self.qmp()?.execute("screendump", arguments).map(drop)
    }

    /// Stops the clock of the machine, writes its device state to `state` and ends QEMU; the
    /// memory stays in the file it was started with.
    pub fn freeze(&mut self, state: &Path) -> Result<()> {
        self.ssh().close();
        let mut qmp = self.qmp()?;
        qmp.execute("stop", Value::Null)?;
        ignore_kept_memory(&mut qmp)?;
        let uri = format!("exec:cat > {}", super::ssh::quote(&state.to_string_lossy()));
        qmp.execute("migrate", json!({ "uri": uri }))?;
        migrated(&mut qmp)?;
        qmp.execute("quit", Value::Null)?;
        if !self.wait_end(Duration::from_secs(60))? {
            bail!("QEMU does not end after writing its state");
        }
        Ok(())
    }
}

fn ignore_kept_memory(qmp: &mut Qmp) -> Result<()> {
    let capabilities = json!([{ "capability": "x-ignore-shared", "state": true }]);
    qmp.execute(
        "migrate-set-capabilities",
        json!({ "capabilities": capabilities }),
    )?;
    Ok(())
}

fn restore(mut qmp: Qmp, state: &Path) -> Result<()> {
    ignore_kept_memory(&mut qmp)?;
    let uri = format!("exec:cat {}", super::ssh::quote(&state.to_string_lossy()));
    qmp.execute("migrate-incoming", json!({ "uri": uri }))?;
    migrated(&mut qmp)?;
    qmp.execute("cont", Value::Null)?;
    Ok(())
}

fn migrated(qmp: &mut Qmp) -> Result<()> {
    let done = poll::until(Duration::from_secs(120), Duration::from_millis(50), || {
        let answer = qmp.execute("query-migrate", Value::Null)?;
        match answer["status"].as_str().unwrap_or_default() {
            "completed" => Ok(Some(())),
            "failed" | "cancelled" => bail!("QEMU's state transfer failed: {answer}"),
            _ => Ok(None),
        }
    })?;
    done.context("QEMU's state transfer does not end")
}

/// Makes an empty copy-on-write image over `base`.
pub fn overlay(base: &Path, format: Format, file: &Path) -> Result<()> {
    let output = Emulator::ensure()?
        .command("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", format.name(), "-b"])
        .arg(base)
        .arg(file)
        .output()
        .context("cannot run qemu-img")?;
    if !output.status.success() {
        bail!(
            "qemu-img: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

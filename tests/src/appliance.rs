//! One appliance under test: its machine, and the ways to talk to it.

use crate::api::Api;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::health::{self, Healthy};
use basalt_image::appliance::node::{Node, Start};
use basalt_image::appliance::qemu::Disk;
use basalt_image::appliance::ssh::Ssh;
use basalt_image::appliance::{poll, serial};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// An appliance that a scenario owns; it is switched off when the scenario is over.
pub struct Appliance {
    /// Its machine.
    pub node: Node,
    password: String,
    start: Start,
}

impl Appliance {
    /// Takes a node over; `start` is how it is started again.
    pub fn new(node: Node, password: &str, start: Start) -> Self {
        Self {
            node,
            password: password.into(),
            start,
        }
    }

    /// Commands as root.
    pub fn ssh(&self) -> Ssh {
        self.node.ssh()
    }

    /// Root's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A fresh login over the API.
    pub fn api(&self) -> Result<Api> {
        Api::login(self.node.state().port, &self.password)
    }

    /// A fresh login, once the door is open again after a restart of whoever stands behind it.
    pub fn api_again(&self, limit: Duration) -> Result<Api> {
        let mut last = None;
        let found = poll::until(limit, Duration::from_millis(500), || {
            let login = self.api();
            Ok::<_, anyhow::Error>(login.map_err(|error| last = Some(error)).ok())
        })?;
        match (found, last) {
            (Some(api), _) => Ok(api),
            (None, last) => Err(last
                .context("no answer")?
                .context("the API does not come back")),
        }
    }

    /// Waits until it is healthy after a (re)boot.
    pub fn healthy(&self) -> Result<Healthy> {
        health::wait(&self.node, self.limit())
    }

    /// How long a boot may take.
    pub fn limit(&self) -> Duration {
        health::START_LIMIT * self.start.accel.patience()
    }

    /// Asks it to reboot, waits until the old system is gone and the new one is healthy.
    pub fn reboot(&mut self) -> Result<Healthy> {
        let before = self.boot_id()?;
        // The connection may end before the answer does.
        let _ = self.ssh().output("systemctl reboot")?;
        self.ssh().close();
        self.wait_other_boot(&before)?;
        self.healthy()
    }

    /// The id of the running kernel's boot.
    pub fn boot_id(&self) -> Result<String> {
        self.ssh().run("cat /proc/sys/kernel/random/boot_id")
    }

    /// Waits until another boot than `before` answers over SSH.
    pub fn wait_other_boot(&self, before: &str) -> Result<()> {
        let booted = poll::until(self.limit(), Duration::from_secs(2), || {
            if let Some(line) = self.node.log().fatal() {
                bail!("the appliance died: {line}");
            }
            if !self.node.running() {
                bail!("the machine has ended");
            }
            let now = self.boot_id();
            if now.is_err() {
                self.ssh().close();
            }
            Ok(now.is_ok_and(|now| now != before).then_some(()))
        })?;
        booted.with_context(|| format!("no other boot within {} s", self.limit().as_secs()))
    }

    /// Pulls the plug and switches the machine on again; does not wait for anything.
    pub fn power_cut(&mut self) -> Result<()> {
        self.node.kill();
        self.power_on()
    }

    /// Switches the machine on.
    pub fn power_on(&mut self) -> Result<()> {
        self.node.start(&self.start)
    }

    /// Switches the machine on with a device that it can give to a guest: a disk whose raw image is
    /// `given`.
    pub fn power_on_giving(&mut self, given: &Path) -> Result<()> {
        self.node.start_giving(&self.start, given)
    }

    /// Switches the machine on with these disks, the first of which it tries to boot first.
    pub fn power_on_with(&mut self, disks: &[Disk]) -> Result<()> {
        self.node
            .start_with(&self.start, |machine| machine.disks = disks.to_vec())
    }

    /// Waits until a line with `text` has been written to the serial console since the start.
    pub fn wait_serial(&self, text: &str, limit: Duration) -> Result<()> {
        self.wait_line(text, limit, || Ok(()))
    }

    /// Waits until it says itself that it is healthy, on the serial console: for hosts that let nobody
    /// in by key. Fails at once when it has died.
    pub fn says_healthy(&self, limit: Duration) -> Result<()> {
        self.wait_line("is healthy at", limit, || {
            if let Some(line) = self.node.log().fatal() {
                bail!("the appliance died: {line}");
            }
            ensure!(self.node.running(), "the machine has ended");
            Ok(())
        })
    }

    fn wait_line(&self, text: &str, limit: Duration, alive: impl Fn() -> Result<()>) -> Result<()> {
        let seen = poll::until(limit, Duration::from_millis(300), || {
            let seen = self.node.log().text().contains(text);
            if !seen {
                alive()?;
            }
            Ok::<_, anyhow::Error>(seen.then_some(()))
        });
        seen.and_then(|seen| seen.context("the time is up"))
            .with_context(|| {
                let end = health::last_words(&self.node);
                format!("{text:?} did not appear on the serial console; {end}")
            })
    }

    /// Copies a file from this machine onto the appliance.
    pub fn copy_in(&self, file: &Path, target: &str) -> Result<()> {
        let input =
            std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        let line = format!("cat > {target}");
        let status = self
            .ssh()
            .command()
            .args(["--", &line])
            .stdin(input)
            .status()?;
        anyhow::ensure!(status.success(), "cannot copy {}", file.display());
        Ok(())
    }

    /// Leaves serial log, journal and screenshot in `dir`, as far as they can be had; of a machine that
    /// ended by itself, what QEMU said.
    pub fn keep_evidence(&self, dir: &Path, name: &str) {
        let text = serial::SerialLog::whole(self.node.log().path()).text();
        let _ = std::fs::write(dir.join(format!("{name}-serial.log")), text);
        if !self.node.running() {
            let _ = std::fs::write(dir.join(format!("{name}-qemu.log")), self.node.qemu_said());
            return;
        }
        let _ = self
            .node
            .screenshot(&dir.join(format!("{name}-screen.png")));
        let mut ssh: Command = self.ssh().command();
        // A hung appliance must not hang the tests; without a journal the serial log has to do.
        let journal = ssh.args([
            "-o",
            "ConnectTimeout=10",
            "--",
            "timeout 60 journalctl --no-pager --boot",
        ]);
        if let Ok(output) = journal.output() {
            let _ = std::fs::write(dir.join(format!("{name}-journal.log")), output.stdout);
        }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        self.node.kill();
    }
}

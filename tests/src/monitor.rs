//! Machines on an appliance that are started past the API, by the programs in `services/vmm/examples`: for
//! what one monitor does to another, and for disks that the node does not make.

use crate::bench;
use crate::console::Console;
use crate::guest::put_at;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::ssh::Ssh;
use basalt_image::testing::debian::Debian;
use basalt_image::testing::guests::Guests;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::Duration;

/// The folder on the appliance in which all of it is.
const PLACE: &str = "/var/lib/monitors";
/// The appliance's own monitor.
const MONITOR: &str = "/usr/lib/basalt/basalt-vmm";
/// Longest time for a monitor to answer its first request.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// An appliance with all that such machines need: the tests' guest as `kernel`, `initrd` and `system.raw`,
/// Debian's disk as `tools.raw`, and its root as the folder `tools`.
pub struct Place {
    ssh: Ssh,
}

impl Place {
    /// Puts everything there.
    pub fn set_up(ssh: Ssh, guests: &Guests) -> Result<Self> {
        for (file, name) in [
            (guests.kernel(), "kernel"),
            (guests.initrd(), "initrd"),
            (guests.disk(), "system.raw"),
            (Debian::ensure()?.cloud_disk(), "tools.raw"),
        ] {
            put_at(&ssh, &file, &format!("{PLACE}/{name}"))?;
        }
        for program in bench::examples()? {
            let name = program.file_name().context("a program without a name")?;
            let target = format!("{PLACE}/{}", name.to_string_lossy());
            put_at(&ssh, &program, &target)?;
        }
        let place = Self { ssh };
        place.run(
            "chmod 755 start request && mkdir -p tools && \
             mount -o ro,noload $(losetup --find --show --partscan --read-only tools.raw)p2 tools && \
             mount --bind . tools/srv",
        )?;
        Ok(place)
    }

    /// Runs a line of shell in the folder.
    pub fn run(&self, line: &str) -> Result<String> {
        self.ssh.run(&format!("cd {PLACE} && {line}"))
    }

    /// Starts a machine that `words` describe to `start`. Its sockets are in a folder of its name.
    pub fn start(&self, name: &'static str, words: &str) -> Result<Monitor> {
        let line = format!(
            "cd {PLACE} && rm -rf {name} && mkdir {name} && echo $$ >{name}/pid && exec ./start --vmm {MONITOR} \
             --dir {name} --kernel kernel --initrd initrd --cmdline 'console=ttyS0 root=/dev/vda rw' {words} 2>&1"
        );
        let child = self
            .ssh
            .command()
            .args(["--", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run ssh")?;
        let ssh = self.ssh.clone();
        Ok(Monitor { child, name, ssh })
    }
}

/// A machine, or one that waits for what it goes on from.
pub struct Monitor {
    child: Child,
    name: &'static str,
    ssh: Ssh,
}

impl Monitor {
    /// Its serial port; there is one.
    pub fn console(&mut self) -> Result<Console> {
        Console::of(&mut self.child)
    }

    /// Sends a request, with a file or the way to a socket when one goes along, and gives the answer.
    pub fn ask(&self, request: &str, file: Option<&str>) -> Result<Value> {
        let file = file.unwrap_or_default();
        let line = format!(
            "cd {PLACE} && ./request {}/control.sock '{request}' {file}",
            self.name
        );
        let answer: Value = serde_json::from_str(&self.ssh.run(&line)?)?;
        match answer.get("error") {
            Some(reason) => bail!("{request}: {reason}"),
            None => Ok(answer),
        }
    }

    /// The same, of a machine that may not be there yet.
    pub fn ask_when_there(&self, request: &str) -> Result<Value> {
        let mut last = None;
        let found = poll::until(ANSWER_LIMIT, LOOK_AGAIN, || {
            let answer = self.ask(request, None);
            Ok::<_, anyhow::Error>(answer.map_err(|error| last = Some(error)).ok())
        })?;
        match (found, last) {
            (Some(answer), _) => Ok(answer),
            (None, Some(error)) => Err(error),
            (None, None) => bail!("{request} is not answered"),
        }
    }

    /// Fails unless its processors run, or are paused, as `state` says.
    pub fn is(&self, state: &str) -> Result<()> {
        let answer = self.ask("\"status\"", None)?;
        ensure!(answer["status"]["state"] == state, "it is {answer}");
        Ok(())
    }

    /// Has it end.
    pub fn quit(mut self) -> Result<()> {
        self.ask("\"quit\"", None)?;
        self.child.wait()?;
        Ok(())
    }

    /// Kills it, as no machine expects.
    pub fn kill(mut self) -> Result<()> {
        let pid = format!("{PLACE}/{}/pid", self.name);
        self.ssh.run(&format!(
            "pid=$(cat {pid}) && kill -KILL $(cat /proc/$pid/task/$pid/children)"
        ))?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and its appliance ends soon.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

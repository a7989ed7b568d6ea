//! fence_pve, with which a cluster switches off the guests that its members are.

use super::{output, said};
use crate::api::Api;
use crate::appliance::Appliance;
use crate::guest::{Guest, Kind};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::tools::{self, Tool};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

/// How the agent ends when all is well, and when it is asked about a guest that is off.
const DONE: i32 = 0;
const IS_OFF: i32 = 2;
/// Seconds the agent waits for an answer, and for a guest to do as it was told. Everything is emulated.
const PATIENCE: u32 = 120;

/// A guest as the agent is told of it.
struct Fenced<'a> {
    appliance: &'a Appliance,
    work: &'a Path,
    guest: Guest,
}

impl Fenced<'_> {
    /// Runs one action. Everything is told over standard input, as cluster managers do.
    fn run(&self, action: &str, more: &str) -> Result<Output> {
        let kind = self.guest.kind.path();
        let (port, vmid) = (self.appliance.node.state().port, self.guest.vmid);
        let password = self.appliance.password();
        let told = self.work.join("fence.txt");
        let text = format!(
            "ip=127.0.0.1\nipport={port}\nssl_insecure=1\nusername=root@pam\npassword={password}\n\
             pve_node_auto=1\nvmtype={kind}\nplug={vmid}\naction={action}\n\
             shell_timeout={PATIENCE}\npower_timeout={PATIENCE}\n{more}"
        );
        std::fs::write(&told, text)?;
        let agent = tools::find("fence_pve").context("no fence_pve")?;
        output(Command::new(agent).stdin(File::open(&told)?))
    }

    /// Runs one action that must end so.
    fn must(&self, action: &str, more: &str, code: i32) -> Result<()> {
        let output = self.run(action, more)?;
        ensure!(
            output.status.code() == Some(code),
            "{action} of {} ended with {}: {}",
            self.guest.vmid,
            output.status,
            said(&output)
        );
        Ok(())
    }
}

/// Debian's fence_pve sees, switches on and off, and restarts a virtual machine and a container.
pub fn fence_pve(lab: &mut Lab<'_>) -> Result<()> {
    tools::ensure(&[Tool::FenceAgents])?;
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let vm = Guest::create_vm(&api, 100, &[("name", "member-1")])?;
    let ct = Guest::create_ct(&api, 101, &[("hostname", "member-2")])?;
    for guest in [vm, ct] {
        let work = lab.work();
        fence(
            &api,
            &Fenced {
                appliance: &appliance,
                work,
                guest,
            },
        )?;
        guest.delete(&api)?;
    }
    appliance.done();
    Ok(())
}

fn fence(api: &Api, fenced: &Fenced<'_>) -> Result<()> {
    let guest = fenced.guest;
    fenced.must("status", "", IS_OFF)?;
    fenced.must("on", "", DONE)?;
    ensure!(guest.runs(api)?, "{} does not run after on", guest.vmid);
    fenced.must("status", "", DONE)?;
    fenced.must("monitor", "", DONE)?;
    if guest.kind == Kind::Vm {
        fenced.must("reboot", "method=cycle\n", DONE)?;
        ensure!(
            guest.runs(api)?,
            "{} does not run after a reset",
            guest.vmid
        );
    }
    fenced.must("reboot", "", DONE)?;
    ensure!(guest.runs(api)?, "{} does not run after reboot", guest.vmid);
    fenced.must("off", "", DONE)?;
    ensure!(!guest.runs(api)?, "{} runs after off", guest.vmid);
    fenced.must("status", "", IS_OFF)?;
    let wrong = fenced.run("status", "password=nonsense\n")?;
    ensure!(!wrong.status.success(), "a wrong password was taken");
    Ok(())
}

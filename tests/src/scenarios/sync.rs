//! Rebuilt programs come into a running development appliance within seconds.

use crate::lab::Lab;
use anyhow::{Result, ensure};
use basalt_image::appliance::sync;
use std::time::{Duration, Instant};

/// Brings everything in, sees the daemons restarted from it, and a second time has nothing to do.
pub fn replaces(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let pid = "systemctl show --property=MainPID --value basalt-node.service";
    let before = ssh.run(pid)?;
    sync::sync(&appliance.node)?;
    let after = ssh.run(pid)?;
    ensure!(before != after, "the node's daemon was not restarted");
    ssh.run("cmp /var/lib/basalt-dev/bin/basalt-node /usr/lib/basalt/basalt-node")?;
    ssh.run("mountpoint --quiet /usr/lib/basalt/basalt-node")?;
    appliance.api_again(Duration::from_secs(120))?;

    let began = Instant::now();
    sync::sync(&appliance.node)?;
    let pause = ssh.run(pid)?;
    ensure!(pause == after, "an unchanged program was restarted");
    lab.shared
        .figures
        .record("sync without a change", began.elapsed().as_secs_f64(), "s");
    appliance.done();
    Ok(())
}

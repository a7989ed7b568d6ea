//! The `basalt` command does what the API does.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Creates, starts, lists, stops and deletes a container from the shell of the host.
pub fn manages(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let json = |line: &str| -> Result<Value> {
        let text = ssh.run(&format!("basalt --output-format json {line}"))?;
        serde_json::from_str(&text).with_context(|| format!("`{line}` printed {text}"))
    };
    ensure!(json("version")?["version"].is_string(), "no version");
    ssh.run(
        "basalt ct create 101 --ostemplate local:vztmpl/debian.tar.zst --rootfs local:1 \
         --hostname from-cli --memory 256 --net0 name=eth0,bridge=vmbr0,ip=dhcp",
    )?;
    let list = json("ct list")?;
    ensure!(
        list[0]["name"] == "from-cli" && list[0]["status"] == "stopped",
        "the list is {list}"
    );
    ssh.run("basalt ct start 101")?;
    ensure!(
        json("ct status 101")?["status"] == "running",
        "it does not run"
    );
    let again = ssh.output("basalt ct start 101")?;
    ensure!(
        !again.status.success(),
        "a running container was started again"
    );
    ssh.run("basalt ct stop 101")?;
    ssh.run("basalt ct delete 101")?;
    ensure!(
        json("ct list")?.as_array().is_some_and(Vec::is_empty),
        "the container is still listed"
    );
    let unknown = ssh.output("basalt ct start 101")?;
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    ensure!(
        !unknown.status.success() && said.contains("101"),
        "an unknown container: {said}"
    );
    appliance.done();
    Ok(())
}

//! The `basalt` command does what the API does, also by its other names.

use crate::appliance::Appliance;
use crate::guest::Guest;
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::ssh::Ssh;
use serde_json::Value;
use std::time::Duration;

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

/// The names that users of Proxmox VE know, shells and programs in containers, completion, and the
/// manual.
pub fn other_names(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let vm = Guest::create_vm(&appliance.api()?, 100, &[])?;
    machines(&ssh)?;
    ensure!(!vm.runs(&appliance.api()?)?, "qm stop left it running");
    containers(&ssh)?;
    paths(&ssh)?;
    completion(&ssh)?;
    manual(&ssh)?;
    certificate(&appliance)?;
    ssh.run("qm destroy 100; pct destroy 101")?;
    appliance.done();
    Ok(())
}

fn contains(ssh: &Ssh, line: &str, parts: &[&str]) -> Result<()> {
    let text = ssh.run(line)?;
    for part in parts {
        ensure!(text.contains(part), "`{line}` printed no '{part}': {text}");
    }
    Ok(())
}

fn machines(ssh: &Ssh) -> Result<()> {
    ssh.run("qm start 100")?;
    contains(ssh, "qm status 100", &["status: running"])?;
    contains(ssh, "qm list", &["BOOTDISK(GB)", "test-vm", "running"])?;
    contains(ssh, "basalt vm list", &["test-vm"])?;
    ssh.run("qm set 100 -description 'by qm'")?;
    contains(ssh, "qm config 100", &["description: by qm", "memory: 384"])?;
    // Ctrl+O leaves the terminal again.
    contains(
        ssh,
        "printf '\\017' | script -qec 'qm terminal 100' /dev/null",
        &["Joined to guest 100"],
    )?;
    let again = ssh.output("qm start 100")?;
    ensure!(
        !again.status.success(),
        "a running machine was started again"
    );
    ssh.run("qm stop 100").map(drop)
}

fn containers(ssh: &Ssh) -> Result<()> {
    ssh.run(
        "pct create 101 local:vztmpl/debian.tar.zst --rootfs local:1 --hostname by-pct \
         --memory 256 --net0 name=eth0,bridge=vmbr0,ip=dhcp && pct start 101",
    )?;
    contains(ssh, "pct list", &["VMID       Status", "running", "by-pct"])?;
    contains(
        ssh,
        "echo typed | pct exec 101 -- sh -c 'hostname; id -u; cat'",
        &["by-pct\n0\ntyped"],
    )?;
    let failing = ssh.output("pct exec 101 -- sh -c 'echo wrong >&2; exit 3'")?;
    ensure!(
        failing.status.code() == Some(3) && failing.stderr.starts_with(b"wrong"),
        "a program's end is told as {failing:?}"
    );
    let unknown = ssh.output("pct exec 101 -- no-such-program")?;
    ensure!(!unknown.status.success(), "a program that is not there ran");
    contained(ssh)?;
    let shell = ssh.output(
        "printf 'stty -echo; hostname; tty; exit 4\\n' | script -qec 'pct enter 101' /dev/null",
    )?;
    let said = String::from_utf8_lossy(&shell.stdout).into_owned();
    ensure!(
        shell.status.code() == Some(4) && said.contains("by-pct") && said.contains("/dev/pts/"),
        "a shell in the container: {:?}, {said}",
        shell.status
    );
    ssh.run("pct stop 101")?;
    let stopped = ssh.output("pct enter 101")?;
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    ensure!(
        !stopped.status.success() && said.contains("101 does not run"),
        "a stopped container: {said}"
    );
    Ok(())
}

/// What enters a container is as contained as what is born there.
fn contained(ssh: &Ssh) -> Result<()> {
    let facts = r#"grep -E "^(Seccomp|CapBnd):" /proc/$N/status; cat /proc/$N/uid_map"#;
    let own = ssh.run(&format!("pct exec 101 -- sh -c 'N=self; {facts}'"))?;
    let init = ssh.run(&format!("pct exec 101 -- sh -c 'N=1; {facts}'"))?;
    ensure!(own == init, "a program has {own}, init has {init}");
    // A file that the caller has open must not be there inside.
    let inside =
        ssh.run("exec 7< /etc; pct exec 101 -- sh -c 'ls /proc/self/fd/7 2> /dev/null; true'")?;
    ensure!(
        inside.is_empty(),
        "the caller's files are open inside: {inside}"
    );
    let cgroup = ssh.run("pct exec 101 -- cat /proc/self/cgroup")?;
    ensure!(
        !cgroup.contains(".."),
        "it is outside the container's cgroup: {cgroup}"
    );
    Ok(())
}

fn paths(ssh: &Ssh) -> Result<()> {
    let text = ssh.run("pvesh get /version --output-format json")?;
    let version: Value = serde_json::from_str(&text)?;
    ensure!(version["version"].is_string(), "pvesh get printed {text}");
    contains(ssh, "pvesh get /version", &["┌", "version"])?;
    contains(
        ssh,
        "pvesh ls /",
        &["Dr---        nodes", "-r---        version"],
    )?;
    contains(ssh, "pvesh ls /nodes/$(hostname)/qemu", &["100"])?;
    contains(ssh, "pvesh usage /version", &["USAGE: pvesh get /version"])?;
    contains(ssh, "pvesm status", &["local", "active"])?;
    contains(ssh, "pveum user list", &["root@pam"])?;
    contains(ssh, "pveversion", &["running kernel"])?;
    let not_there = ssh.output("qm monitor 100")?;
    let said = String::from_utf8_lossy(&not_there.stderr).into_owned();
    ensure!(
        !not_there.status.success() && said.contains("cannot do this yet"),
        "a method that is not there: {said}"
    );
    Ok(())
}

/// In an interactive Bash, as the image sets it up.
/// What is typed, and the words that complete it.
const COMPLETED: [(&str, &str); 5] = [
    ("qm start ", "100"),
    ("pct start ", "101"),
    ("basalt vm sta", "start status"),
    ("pvesh get /acc", "/access/"),
    ("pvesm list ", "local"),
];

/// In both shells.
fn completion(ssh: &Ssh) -> Result<()> {
    let complete = |line: &str| {
        let words = line.split(' ').count() - 1;
        ssh.run(&format!(
            "bash -ic \"COMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({line}'') COMP_CWORD={words}; \
             _basalt; echo \\${{COMPREPLY[*]}}\" 2> /dev/null",
            line.len()
        ))
    };
    for (line, want) in COMPLETED {
        let found = complete(line)?;
        ensure!(found.trim() == want, "'{line}' is completed by '{found}'");
    }
    ssh.run("bash -ic 'complete -p basalt qm pct man' 2> /dev/null")?;
    COMPLETED
        .iter()
        .try_for_each(|(line, want)| typed_in_zsh(ssh, line, want))
}

/// Somebody types the line in zsh and presses Tab, once the prompt is there: the words come up.
fn typed_in_zsh(ssh: &Ssh, line: &str, want: &str) -> Result<()> {
    let words = want.replace(' ', "*");
    let script = format!(
        "zmodload zsh/zpty\nzpty shell zsh -i\nzpty -r shell said '*[#]*'\n\
         zpty -w -n shell '{line}'$'\\t'\nzpty -r shell said '*{words}*'\n"
    );
    ssh.feed("timeout 60 zsh -f -e", script.as_bytes())
        .map(drop)
        .with_context(|| format!("'{line}' is not completed by '{want}' in zsh"))
}

fn manual(ssh: &Ssh) -> Result<()> {
    contains(
        ssh,
        "man basalt-vm",
        &[
            "BASALT-VM(1)",
            "basalt vm start",
            "--memory",
            "VM.PowerMgmt",
        ],
    )?;
    contains(ssh, "man 1 qm", &["QM(1)"])?;
    contains(ssh, "man -k containers", &["pct (1)"])?;
    let other = ssh.output("man ls")?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    ensure!(
        !other.status.success() && said.contains("no page 'ls'"),
        "man ls says {said}"
    );
    // By the pager, in a terminal.
    contains(
        ssh,
        "PAGER=cat script -qec 'man basalt' /dev/null",
        &["\x1b[1mNAME\x1b[22m"],
    )
}

/// A certificate that is brought is shown at once, by the gateway that was there before.
fn certificate(appliance: &Appliance) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["brought.example.org".to_owned()])?;
    let ssh = appliance.ssh();
    ssh.feed("cat > /run/cert.pem", made.cert.pem().as_bytes())?;
    ssh.feed(
        "cat > /run/key.pem",
        made.signing_key.serialize_pem().as_bytes(),
    )?;
    let shows = |brought: bool| -> Result<()> {
        let shown = "curl --silent --insecure --verbose https://localhost:8006/ 2>&1";
        let found = poll::until(appliance.limit(), Duration::from_secs(1), || {
            let text = ssh.run(shown)?;
            anyhow::Ok((text.contains("CN=rcgen") == brought).then_some(()))
        })?;
        found.with_context(|| format!("the brought certificate is shown: {}", !brought))
    };
    let before = ssh.run("systemctl show --property MainPID basalt-gateway")?;
    ssh.run("pvenode cert set /run/cert.pem /run/key.pem --restart 1; rm /run/key.pem")?;
    shows(true)?;
    let wrong = ssh.output("pvenode cert set /run/cert.pem /run/cert.pem --force 1")?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(
        !wrong.status.success() && said.contains("key"),
        "a wrong key: {said}"
    );
    ssh.run("pvenode cert delete --restart 1")?;
    shows(false)?;
    let after = ssh.run("systemctl show --property MainPID basalt-gateway")?;
    ensure!(before == after, "the gateway was started anew");
    Ok(())
}

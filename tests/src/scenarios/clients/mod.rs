//! Real clients, unmodified: each drives an appliance the way its users do. What they do is in
//! `tests/clients/`; here is what they run in.

use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::lab::Lab;
use crate::python;
use anyhow::{Context, Result, ensure};
use basalt_image::build::paths;
use std::process::{Command, Output};

mod fence;
mod npm;
mod packer;

pub use fence::fence_pve;
pub use packer::{of_a_disc as packer_of_a_disc, of_an_image as packer_of_an_image};

/// proxmoxer: login and API tokens, both kinds of guest through their lives, uploads, tasks and their
/// logs, and every kind of error.
pub fn proxmoxer(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let iso = lab.work().join("from-proxmoxer.iso");
    std::fs::write(&iso, vec![b'x'; 3 << 20])?;
    let python = python::environment("python")?;
    let mut command = Command::new(python.join("python"));
    command.arg(python::file("drive_proxmoxer.py"));
    command.env("BASALT_ISO", &iso);
    drive(&appliance, command)?;
    appliance.done();
    Ok(())
}

/// prometheus-pve-exporter scrapes a node with guests, with all its collectors.
pub fn exporter(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let token = token(&appliance.api()?, "exporter")?;
    let python = python::environment("python")?;
    let mut command = Command::new(python.join("python"));
    command.arg(python::file("drive_exporter.py"));
    command
        .env("BASALT_TOKEN", &token)
        .env("BASALT_EXPORTER", python.join("pve_exporter"))
        .env("BASALT_WORK", lab.work());
    drive(&appliance, command)?;
    appliance.done();
    Ok(())
}

/// Ansible's collection `community.proxmox` makes users, groups, storages, pools, a virtual machine and
/// a container what a playbook says.
pub fn ansible(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let token = token(&appliance.api()?, "ansible")?;
    let python = python::environment("ansible")?;
    let iso = lab.work().join("from-ansible.iso");
    std::fs::write(&iso, vec![b'x'; 1 << 20])?;
    let port = appliance.node.state().port.to_string();
    let url = format!("https://127.0.0.1:{port}");
    let settings = [
        ("PROXMOX_HOST", "127.0.0.1"),
        ("PROXMOX_PORT", port.as_str()),
        ("PROXMOX_URL", url.as_str()),
        ("PROXMOX_USER", "root@pam"),
        ("PROXMOX_TOKEN_ID", "ansible"),
        ("PROXMOX_TOKEN_SECRET", token.as_str()),
        ("BASALT_NODE", NODE),
        ("LC_ALL", "C.UTF-8"),
        ("ANSIBLE_NOCOLOR", "1"),
        ("ANSIBLE_LOCALHOST_WARNING", "0"),
    ];
    let mut command = Command::new(python.join("ansible-playbook"));
    command
        .current_dir(paths::workspace().join("tests/clients/ansible"))
        .args(["-i", "localhost,", "site.yml"])
        .envs(settings)
        .env("ANSIBLE_HOME", lab.work().join("ansible"))
        .env("BASALT_ISO", &iso);
    drive(&appliance, command)?;
    appliance.done();
    Ok(())
}

/// npm's proxmox-api: login, API token, a virtual machine and a container, errors, and a login that is
/// renewed when the ticket has ended.
pub fn proxmox_api(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let (npm, folder) = npm::environment()?;
    let mut command = npm.node(&folder);
    command.arg("drive.mjs");
    drive(&appliance, command)?;
    appliance.done();
    Ok(())
}

/// Makes an API token of the superuser with all its rights, and returns its secret.
fn token(api: &Api, name: &str) -> Result<String> {
    let path = format!("/access/users/root@pam/token/{name}");
    let made = api.post(&path, &[("privsep", "0")])?;
    let secret = made["value"].as_str().context("a token without a secret")?;
    Ok(secret.to_owned())
}

/// Runs a client that finds the appliance in its environment, and must end well.
fn drive(appliance: &Appliance, mut command: Command) -> Result<()> {
    command
        .env("BASALT_HOST", "127.0.0.1")
        .env("BASALT_PORT", appliance.node.state().port.to_string())
        .env("BASALT_PASSWORD", appliance.password());
    let output = output(&mut command)?;
    ensure!(output.status.success(), "{}", said(&output));
    Ok(())
}

fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// What a program wrote.
fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts.map(|text| String::from_utf8_lossy(text)).concat()
}

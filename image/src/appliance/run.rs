//! `cargo image run`: from whatever is there to healthy appliances, and to their end.

use super::accel::Accel;
use super::answer::{Answer, Keys};
use super::health::{self, Healthy};
use super::install::{self, Keep};
use super::instance::{self, Instance, Member, Name, State};
use super::node::{Node, Start};
use super::qemu::{Firmware, Memory, PrivateNet};
use super::{poll, ports, root, say, snapshot};
use crate::build::{self, Artifacts, Variant};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Memory of a node in MiB when none is asked for: the host and a few small guests.
pub const DEFAULT_MEMORY: u32 = 3072;
/// How long an appliance may take to switch itself off, with hardware virtualisation.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Name of the instance; its state is kept under this name for the next run
    #[arg(long, default_value = instance::DEFAULT_NAME)]
    pub name: Name,
    /// Return once healthy, and leave the appliance running
    #[arg(long)]
    pub detach: bool,
    /// Number of appliances, on one private network (10.98.0.1, 10.98.0.2, …)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub nodes: u8,
    /// Install with this answer file
    #[arg(long, value_name = "FILE")]
    pub answer: Option<PathBuf>,
    /// Memory of each appliance in MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1024..))]
    pub memory: Option<u32>,
    /// Port on 127.0.0.1 for the web interface; a free one when it is taken
    #[arg(long, default_value_t = 8006)]
    pub port: u16,
    /// Run the release image
    #[arg(long)]
    pub release: bool,
    /// Print one JSON object once healthy
    #[arg(long)]
    pub json: bool,
    /// What starts the machine
    #[arg(long, value_name = "KIND", value_enum)]
    pub firmware: Option<Firmware>,
    /// A TPM 2.0
    #[arg(long)]
    pub tpm: bool,
    /// Hardware virtualisation or emulation, instead of what is found to work
    #[arg(long, value_name = "KIND")]
    pub accel: Option<Accel>,
}

/// What is printed once everything is healthy.
#[derive(Debug, Serialize)]
pub struct Report {
    name: String,
    nodes: Vec<NodeReport>,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    name: String,
    url: String,
    user: &'static str,
    password: Option<String>,
    fingerprint: String,
    ssh: String,
    serial_log: PathBuf,
    state_dir: PathBuf,
}

/// Runs an instance: until it is healthy with `--detach`, otherwise until Ctrl-C.
pub fn run(options: &Options) -> Result<()> {
    let keys = Keys::ensure()?;
    let lock = instance::lock(&options.name, Duration::from_secs(1))?;
    let instance = match Instance::find(&options.name)? {
        Some(existing) => existing.reopened(options)?,
        None => create(options, &keys)?,
    };
    let mut nodes = instance.nodes(&keys)?;
    start(&instance, &mut nodes, options)?;
    let healthy = wait_all(&nodes)?;
    if instance.state.private_port.is_some() {
        join_private_network(&nodes)?;
    }
    let report = report(&instance, &nodes, &healthy);
    report.print(options.json)?;
    if !options.detach {
        attend(&mut nodes)?;
    }
    drop(lock);
    Ok(())
}

impl Instance {
    /// An existing instance goes on as it is; what cannot be changed any more is said.
    fn reopened(mut self, options: &Options) -> Result<Self> {
        if usize::from(options.nodes) != self.state.nodes.len() && options.nodes != 1 {
            bail!(
                "`{}` has {} node(s); `cargo image delete {0}` first to make it anew",
                self.state.name,
                self.state.nodes.len()
            );
        }
        if options.answer.is_some() {
            bail!(
                "`{}` is installed already; `cargo image delete {0}` first to use an answer file",
                self.state.name
            );
        }
        if options.firmware.is_some() || options.tpm {
            bail!(
                "`{}` has its firmware already; `cargo image delete {0}` first to choose another",
                self.state.name
            );
        }
        if let Some(memory) = options.memory {
            self.state.memory_mib = memory;
            self.save()?;
        }
        say(&format!(
            "starting `{}` as it was left (`cargo image sync {0}` brings changed programs in, \
             `cargo image delete {0}` makes room for a new installation)",
            self.state.name
        ));
        Ok(self)
    }
}

/// Builds the image of a variant, or what changed of it.
pub fn artifacts(variant: Variant) -> Result<Artifacts> {
    let options = build::Options {
        variant,
        ..build::Options::default()
    };
    build::build(&options).context("the image was not built")
}

fn create(options: &Options, keys: &Keys) -> Result<Instance> {
    let variant = if options.release {
        Variant::Release
    } else {
        Variant::Development
    };
    let answers = answers(options, keys)?;
    let built = artifacts(variant)?;
    let accel = match options.accel {
        Some(accel) => accel,
        None => Accel::choose(&root(), &built.uki)?,
    };
    let mut members = Vec::new();
    for answer in answers {
        let base = install::ensure(&built.iso, &answer, &keys.private, accel, Keep::Disk)?;
        members.push(Member {
            name: answer.hostname,
            password: answer.password,
            base: base.dir,
        });
    }
    let private_port = (members.len() > 1)
        .then(|| ports::choose(None))
        .transpose()?;
    let instance = Instance::create(
        State {
            name: options.name.clone(),
            memory_mib: options.memory.unwrap_or(DEFAULT_MEMORY),
            private_port,
            firmware: options.firmware.unwrap_or_default(),
            tpm: options.tpm,
            uki: built.uki,
            nodes: members,
        },
        keys,
    )?;
    clean_up()?;
    Ok(instance)
}

fn answers(options: &Options, keys: &Keys) -> Result<Vec<Answer>> {
    let count = usize::from(options.nodes);
    let number = |index: usize| (count > 1).then_some(index);
    (1..=count)
        .map(|index| match (&options.answer, number(index)) {
            (Some(file), number) => keys.from_file(file, number),
            (None, None) => keys.answer(options.name.as_str()),
            (None, Some(number)) => keys.answer(&format!("{}-{number}", options.name)),
        })
        .collect()
}

/// Removes installed disks that nothing refers to any more.
fn clean_up() -> Result<()> {
    let mut used = snapshot::bases();
    for instance in Instance::all()? {
        used.extend(instance.state.nodes.into_iter().map(|member| member.base));
    }
    install::collect_garbage(&used)
}

fn start(instance: &Instance, nodes: &mut [Node], options: &Options) -> Result<()> {
    let accel = match options.accel {
        Some(accel) => accel,
        None => Accel::choose(&root(), &instance.state.uki)?,
    };
    if !options.detach && nodes.iter().any(Node::running) {
        bail!(
            "`{0}` is running already; `cargo image stop {0}` ends it",
            instance.state.name
        );
    }
    for (index, node) in (1_u8..).zip(nodes) {
        if node.running() {
            continue;
        }
        let wanted = options.port.saturating_add(u16::from(index) - 1);
        node.start(&Start {
            accel,
            memory_mib: instance.state.memory_mib,
            memory: Memory::Plain,
            port: Some(wanted),
            private: instance
                .state
                .private_port
                .map(|port| PrivateNet { port, index }),
            detached: options.detach,
        })?;
        if node.state().port != wanted {
            say(&format!(
                "port {wanted} is taken; using {}",
                node.state().port
            ));
        }
    }
    Ok(())
}

fn wait_all(nodes: &[Node]) -> Result<Vec<Healthy>> {
    let share = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    nodes
        .iter()
        .map(|node| {
            say(&format!(
                "waiting for {} to become healthy (serial log: {})",
                node.state().name,
                node.log().path().display()
            ));
            let limit = health::START_LIMIT * node.state().accel.patience() * share;
            health::wait(node, limit)
        })
        .collect()
}

/// Gives every node its address on the private network, 10.98.0.1 and so on. The appliance knows
/// only its first card; this lasts until the node's next start, which comes through here again.
fn join_private_network(nodes: &[Node]) -> Result<()> {
    for (index, node) in (1_u8..).zip(nodes) {
        let mac = PrivateNet { port: 0, index }.mac();
        let line = format!(
            "mkdir -p /run/systemd/network && \
             printf '[Match]\\nMACAddress={mac}\\n[Network]\\nAddress=10.98.0.{index}/24\\n' \
             > /run/systemd/network/10-private.network && networkctl reload"
        );
        node.ssh().run(&line)?;
    }
    Ok(())
}

fn report(instance: &Instance, nodes: &[Node], healthy: &[Healthy]) -> Report {
    let node_report = |((node, member), healthy): ((&Node, &Member), &Healthy)| NodeReport {
        name: member.name.clone(),
        url: node.url(),
        user: "root@pam",
        password: member.password.clone(),
        fingerprint: healthy.fingerprint.clone(),
        ssh: node.ssh().display(),
        serial_log: node.log().path().to_owned(),
        state_dir: node.dir().to_owned(),
    };
    Report {
        name: instance.state.name.to_string(),
        nodes: nodes
            .iter()
            .zip(&instance.state.nodes)
            .zip(healthy)
            .map(node_report)
            .collect(),
    }
}

impl Report {
    fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        for node in &self.nodes {
            println!("{} is healthy", node.name);
            println!("  web          {}", node.url);
            println!("  user         {}", node.user);
            println!(
                "  password     {}",
                node.password
                    .as_deref()
                    .unwrap_or("(as in the answer file)")
            );
            println!("  fingerprint  {}", node.fingerprint);
            println!("  ssh          {}", node.ssh);
        }
        Ok(())
    }
}

/// Stays until Ctrl-C (then ends the nodes in peace; at the second one at once) or until every
/// node has ended by itself.
fn attend(nodes: &mut [Node]) -> Result<()> {
    say("Ctrl-C ends it; its state is kept");
    let signals = interrupts()?;
    poll::until(Duration::MAX, Duration::from_millis(200), || {
        let over = signals.read_signal()?.is_some() || !nodes.iter().any(Node::running);
        Ok::<_, anyhow::Error>(over.then_some(()))
    })?;
    say("shutting down (Ctrl-C again: at once)");
    shut_down(nodes, || Ok(signals.read_signal()?.is_some()))
}

fn interrupts() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

/// Presses every node's power button and waits; who does not obey in time, or when `hurry` says
/// so, is switched off.
pub fn shut_down(nodes: &mut [Node], mut hurry: impl FnMut() -> Result<bool>) -> Result<()> {
    for node in nodes.iter().filter(|node| node.running()) {
        node.press_power_button()?;
    }
    let slowest = nodes
        .iter()
        .map(|node| node.state().accel.patience())
        .max()
        .unwrap_or(1);
    poll::until(STOP_LIMIT * slowest, Duration::from_millis(200), || {
        let over = !nodes.iter().any(Node::running) || hurry()?;
        Ok::<_, anyhow::Error>(over.then_some(()))
    })?;
    for node in nodes {
        if node.running() {
            say(&format!(
                "{} does not switch itself off: ending it",
                node.state().name
            ));
            node.kill();
        }
    }
    Ok(())
}

/// `cargo image stop`.
pub fn stop(name: &Name) -> Result<()> {
    let mut nodes = Instance::get(name)?.nodes(&Keys::ensure()?)?;
    if nodes.iter().any(Node::running) {
        shut_down(&mut nodes, || Ok(false))?;
    } else {
        say(&format!("`{name}` is not running"));
    }
    Ok(())
}

/// `cargo image delete`.
pub fn delete(name: &Name) -> Result<()> {
    let instance = Instance::get(name)?;
    for node in &mut instance.nodes(&Keys::ensure()?)? {
        node.kill();
    }
    // Whoever attends the instance sees its nodes end, and lets go.
    let lock = instance::lock(name, Duration::from_secs(10))?;
    instance.delete()?;
    drop(lock);
    clean_up()
}

/// `cargo image list`.
pub fn list(json: bool) -> Result<()> {
    let keys = Keys::ensure()?;
    let mut rows = Vec::new();
    for instance in Instance::all()? {
        for (node, member) in instance.nodes(&keys)?.iter().zip(&instance.state.nodes) {
            rows.push(serde_json::json!({
                "name": instance.state.name,
                "node": member.name,
                "running": node.running(),
                "url": node.running().then(|| node.url()),
                "state_dir": node.dir(),
            }));
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(rows));
        return Ok(());
    }
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let state = if row["running"] == true {
            "running"
        } else {
            "stopped"
        };
        println!(
            "{:16} {:16} {state:8} {}",
            text("name"),
            text("node"),
            text("url")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_report_has_exactly_the_promised_keys() {
        let report = Report {
            name: "lab".into(),
            nodes: vec![NodeReport {
                name: "lab".into(),
                url: "https://127.0.0.1:8006".into(),
                user: "root@pam",
                password: None,
                fingerprint: "AA".into(),
                ssh: "ssh".into(),
                serial_log: "/s".into(),
                state_dir: "/d".into(),
            }],
        };
        let value = serde_json::to_value(report).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["name", "nodes"]);
        let keys: Vec<_> = value["nodes"][0]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let promised = [
            "name",
            "url",
            "user",
            "password",
            "fingerprint",
            "ssh",
            "serial_log",
            "state_dir",
        ];
        assert_eq!(keys, promised);
    }
}

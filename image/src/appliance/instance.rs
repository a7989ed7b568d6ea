//! Instances: a name, its nodes, and what the next command must know about them.

use super::answer::Keys;
use super::install::Base;
use super::node::Node;
use super::qemu::{FIRMWARE_VARS, Firmware};
use super::root;
use crate::build::Emulator;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

/// Name of an instance when none is given.
pub const DEFAULT_NAME: &str = "basalt";
const STATE: &str = "instance.json";

/// Instance names are host names: lower-case letters, digits and dashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        if letters && starts && !text.ends_with('-') && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err("1 to 32 lower-case letters, digits and dashes, starting with a letter".into())
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is written down about an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Its name.
    pub name: Name,
    /// Memory of each node in MiB.
    pub memory_mib: u32,
    /// Port that carries the private network, when there are several nodes.
    pub private_port: Option<u16>,
    /// What starts its nodes.
    #[serde(default)]
    pub firmware: Firmware,
    /// Whether they have a TPM 2.0.
    #[serde(default)]
    pub tpm: bool,
    /// The kernel image it was installed from, with which the host's virtualisation is tried.
    pub uki: PathBuf,
    /// The nodes in order.
    pub nodes: Vec<Member>,
}

/// One node of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// The appliance's host name; also its folder.
    pub name: String,
    /// Root's password, if it is known.
    pub password: Option<String>,
    /// The installed disk below its overlay.
    pub base: PathBuf,
}

/// An instance on disk.
#[derive(Debug)]
pub struct Instance {
    /// Its folder.
    pub dir: PathBuf,
    /// What is written down about it.
    pub state: State,
}

impl Instance {
    /// Where an instance of this name lives.
    pub fn dir_of(name: &Name) -> PathBuf {
        root().join(name.as_str())
    }

    /// The instance of this name, if it was ever set up.
    pub fn find(name: &Name) -> Result<Option<Self>> {
        let dir = Self::dir_of(name);
        let file = dir.join(STATE);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file)?;
        let state = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
        Ok(Some(Self { dir, state }))
    }

    /// The instance of this name, which must exist.
    pub fn get(name: &Name) -> Result<Self> {
        Self::find(name)?.with_context(|| {
            format!("there is no instance `{name}`; `cargo image list` shows what there is")
        })
    }

    /// Every instance, by name.
    pub fn all() -> Result<Vec<Self>> {
        let Ok(entries) = fs::read_dir(root()) else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().parse();
            if let Some(instance) = name
                .ok()
                .map(|name| Self::find(&name))
                .transpose()?
                .flatten()
            {
                all.push(instance);
            }
        }
        all.sort_by(|a, b| a.state.name.as_str().cmp(b.state.name.as_str()));
        Ok(all)
    }

    /// Sets up folders and disks of a new instance; nothing is left behind when that fails.
    pub fn create(state: State, keys: &Keys) -> Result<Self> {
        let instance = Self {
            dir: Self::dir_of(&state.name),
            state,
        };
        let made = instance.make(keys);
        if made.is_err() {
            for member in &instance.state.nodes {
                // The error that counts is the one above.
                let _ = fs::remove_dir_all(instance.dir.join(&member.name));
            }
        }
        made.map(|()| instance)
    }

    fn make(&self, keys: &Keys) -> Result<()> {
        for member in &self.state.nodes {
            let base = Base {
                dir: member.base.clone(),
            };
            let mut node = Node::new(&self.dir.join(&member.name), &keys.private, &member.name)?;
            node.set_firmware(self.state.firmware, self.state.tpm);
            let vars = match self.state.firmware {
                // A BIOS has none, and does not look at them.
                Firmware::Uefi | Firmware::Bios => base.vars(),
                // Another firmware has its own, and is told of the keys by the boot loader.
                Firmware::Secure => Emulator::ensure()?.file(FIRMWARE_VARS),
            };
            node.prepare_disk(&base.disk(), &vars)?;
            node.save()?;
        }
        self.save()
    }

    /// Writes the state down.
    pub fn save(&self) -> Result<()> {
        let temporary = self.dir.join("instance.json.new");
        fs::write(&temporary, serde_json::to_string_pretty(&self.state)?)?;
        fs::rename(temporary, self.dir.join(STATE))?;
        Ok(())
    }

    /// Its nodes, as the last start left them.
    pub fn nodes(&self, keys: &Keys) -> Result<Vec<Node>> {
        let load = |member: &Member| Node::load(&self.dir.join(&member.name), &keys.private);
        self.state.nodes.iter().map(load).collect()
    }

    /// Removes everything. The nodes must have ended.
    pub fn delete(self) -> Result<()> {
        fs::remove_dir_all(&self.dir)
            .with_context(|| format!("cannot remove {}", self.dir.display()))
    }
}

/// Takes the right to start and stop an instance; `wait` bounds how long for.
pub fn lock(name: &Name, wait: Duration) -> Result<File> {
    let dir = Instance::dir_of(name);
    fs::create_dir_all(&dir)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("lock"))?;
    let held = super::poll::until(wait, Duration::from_millis(100), || {
        Ok::<_, anyhow::Error>(file.try_lock().ok())
    })?;
    if held.is_none() {
        bail!("`{name}` is being run by another `cargo image`; end that one first");
    }
    Ok(file)
}

/// A node named on the command line: `NAME`, or `NAME/NODE` where there are several.
#[derive(Debug, Clone)]
pub struct NodeName {
    /// The instance.
    pub instance: Name,
    /// The node; its first when not given.
    pub node: Option<String>,
}

impl std::str::FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (instance, node) = match text.split_once('/') {
            Some((instance, node)) => (instance, Some(node.to_owned())),
            None => (text, None),
        };
        Ok(Self {
            instance: instance.parse()?,
            node,
        })
    }
}

impl NodeName {
    /// The node, which must be running.
    pub fn running(&self) -> Result<Node> {
        let keys = Keys::ensure()?;
        let instance = Instance::get(&self.instance)?;
        let names: Vec<_> = instance
            .state
            .nodes
            .iter()
            .map(|member| member.name.clone())
            .collect();
        let nodes = instance.nodes(&keys)?;
        let wanted = |node: &Node| {
            self.node
                .as_ref()
                .is_none_or(|name| node.state().name == *name)
        };
        let node = nodes.into_iter().find(wanted).with_context(|| {
            format!(
                "`{}` has no such node; it has: {}",
                self.instance,
                names.join(", ")
            )
        })?;
        if !node.running() {
            bail!(
                "`{}` is not running; start it with `cargo image run --name {0}`",
                self.instance
            );
        }
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_names() {
        for good in ["basalt", "a", "node-1"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "a-",
            "-a",
            "A",
            "a.b",
            "a/b",
            "..",
            &"a".repeat(33),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_node_is_named_with_a_slash() {
        let named: NodeName = "lab/lab-2".parse().unwrap();
        assert_eq!(named.instance.as_str(), "lab");
        assert_eq!(named.node.as_deref(), Some("lab-2"));
        assert!("lab".parse::<NodeName>().unwrap().node.is_none());
    }
}

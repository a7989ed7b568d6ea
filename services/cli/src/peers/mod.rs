//! The command names that users of Proxmox VE know, as further names of this binary.
//!
//! Each is a table of words, method and the parameters that stand without a name; all else follows
//! from the method's declaration. An entry whose method is not declared yet says so when it is
//! called, and works on the day on which the method is.

mod pct;
mod pvenode;
pub mod pvesh;
mod pvesm;
mod pveum;
mod qm;

use crate::client::{Call, Client, encode, node_name};
use crate::leaf::{self, Action, Leaf, Show};
use crate::output;
use anyhow::Result;
use basalt_api::endpoint::Verb;
use clap::ArgMatches;
use serde_json::Value;
use std::process::ExitCode;

/// A command name that users of Proxmox VE know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Virtual machines.
    Qm,
    /// Containers.
    Pct,
    /// The API by its paths.
    Pvesh,
    /// Storages.
    Pvesm,
    /// Users and permissions.
    Pveum,
    /// The host.
    Pvenode,
    /// Its version.
    Pveversion,
}

impl Peer {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Qm,
        Self::Pct,
        Self::Pvesh,
        Self::Pvesm,
        Self::Pveum,
        Self::Pvenode,
        Self::Pveversion,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qm => "qm",
            Self::Pct => "pct",
            Self::Pvesh => "pvesh",
            Self::Pvesm => "pvesm",
            Self::Pveum => "pveum",
            Self::Pvenode => "pvenode",
            Self::Pveversion => "pveversion",
        }
    }

    /// What it is for, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Qm => "Manages virtual machines; basalt vm by another name.",
            Self::Pct => "Manages containers; basalt ct by another name.",
            Self::Pvesh => "Calls API methods by their paths; basalt api by another name.",
            Self::Pvesm => "Manages storages and their volumes.",
            Self::Pveum => "Manages users, groups, roles, permissions, realms and pools.",
            Self::Pvenode => "Manages this host.",
            Self::Pveversion => "Shows the version.",
        }
    }

    /// Its commands.
    pub fn leaves(self) -> Vec<Leaf> {
        let (entries, more) = match self {
            Self::Qm => (qm::ENTRIES, qm::own()),
            Self::Pct => (pct::ENTRIES, pct::own()),
            Self::Pvesm => (pvesm::ENTRIES, Vec::new()),
            Self::Pveum => (pveum::ENTRIES, Vec::new()),
            Self::Pvenode => (pvenode::ENTRIES, Vec::new()),
            Self::Pvesh | Self::Pveversion => return Vec::new(),
        };
        entries.iter().map(Entry::leaf).chain(more).collect()
    }
}

/// A row of a peer's table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    words: &'static str,
    verb: Verb,
    path: &'static str,
    places: &'static [&'static str],
    fixed: &'static [(&'static str, &'static str)],
    show: Show,
    hidden: bool,
}

impl Entry {
    /// With a parameter that is always the same.
    const fn with(mut self, fixed: &'static [(&'static str, &'static str)]) -> Self {
        self.fixed = fixed;
        self
    }

    /// With an answer in words of its own.
    const fn shown(mut self, show: fn(&Value) -> String) -> Self {
        self.show = Show::By(show);
        self
    }

    /// An older name of another command.
    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    fn leaf(&self) -> Leaf {
        Leaf {
            words: self.words,
            action: leaf::find(self.verb, self.path)
                .map_or(Action::Missing(self.verb, self.path), Action::Method),
            places: self.places.to_vec(),
            fixed: self.fixed,
            show: self.show,
            hidden: self.hidden,
        }
    }
}

const fn entry(
    words: &'static str,
    verb: Verb,
    path: &'static str,
    places: &'static [&'static str],
) -> Entry {
    Entry {
        words,
        verb,
        path,
        places,
        fixed: &[],
        show: Show::Text,
        hidden: false,
    }
}

const fn get(words: &'static str, path: &'static str, places: &'static [&'static str]) -> Entry {
    entry(words, Verb::Get, path, places)
}

const fn post(words: &'static str, path: &'static str, places: &'static [&'static str]) -> Entry {
    entry(words, Verb::Post, path, places)
}

const fn put(words: &'static str, path: &'static str, places: &'static [&'static str]) -> Entry {
    entry(words, Verb::Put, path, places)
}

const fn delete(words: &'static str, path: &'static str, places: &'static [&'static str]) -> Entry {
    entry(words, Verb::Delete, path, places)
}

/// The peers' options may have one dash only; what follows `--`, and the words of a program to run,
/// stay as they are.
pub fn with_two_dashes(line: &mut [String]) {
    let runs_a_program = line.iter().take(3).any(|word| word == "exec");
    if runs_a_program {
        return;
    }
    for word in line.iter_mut().skip(1).take_while(|word| *word != "--") {
        let mut letters = word.chars();
        let is_long = letters.next() == Some('-')
            && letters
                .next()
                .is_some_and(|letter| letter.is_ascii_alphabetic())
            && letters.next().is_some();
        if is_long {
            word.insert(0, '-');
        }
    }
}

/// `pveversion`.
pub async fn pveversion(client: &Client, matches: &ArgMatches) -> Result<ExitCode> {
    let path = format!("/nodes/{}/status", encode(&node_name()?));
    let status = client.send(Call::plain(Verb::Get, path)).await?;
    let version = status["pveversion"].as_str().unwrap_or_default();
    let kernel = status["current-kernel"]["release"]
        .as_str()
        .unwrap_or_default();
    let text = if matches.get_flag("verbose") {
        format!(
            "{version}\nbasalt: {}\nkernel: {kernel}\n",
            env!("CARGO_PKG_VERSION")
        )
    } else {
        format!("{version} (running kernel: {kernel})\n")
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `name: value` lines, as configurations are written.
fn lines(data: &Value) -> String {
    let Some(members) = data.as_object() else {
        return output::cell(data) + "\n";
    };
    let mut names: Vec<&String> = members.keys().filter(|name| *name != "digest").collect();
    names.sort();
    names
        .into_iter()
        .map(|name| format!("{name}: {}\n", output::cell(&members[name])))
        .collect()
}

/// `status: running`.
fn status(data: &Value) -> String {
    format!("status: {}\n", output::cell(&data["status"]))
}

/// What is now and what will be after the next start.
fn pending(data: &Value) -> String {
    let mut text = String::new();
    for entry in data.as_array().into_iter().flatten() {
        let key = output::cell(&entry["key"]);
        for (word, member) in [("cur", "value"), ("new", "pending")] {
            if let Some(value) = entry.get(member) {
                text.push_str(&format!("{word} {key}: {}\n", output::cell(value)));
            }
        }
        if entry["delete"].as_u64().is_some_and(|flag| flag > 0) {
            text.push_str(&format!("del {key}\n"));
        }
    }
    text
}

/// Entries by their number.
fn by_vmid(data: &Value) -> Vec<&Value> {
    let mut all: Vec<&Value> = data.as_array().into_iter().flatten().collect();
    all.sort_by_key(|guest| guest["vmid"].as_u64());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;
    use crate::tree;
    use basalt_api::surface;
    use serde_json::json;

    fn call(line: &str) -> Call {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        with_two_dashes(&mut words);
        let program = Program::of_name(&words[0]).unwrap();
        let matches = program
            .command(&words)
            .try_get_matches_from(&words)
            .unwrap();
        let leaves = program.leaves();
        let (spoken, inner) = tree::spoken(&matches);
        let leaf = tree::find(&leaves, &spoken).unwrap();
        leaf.call(leaf.declaration().unwrap(), inner).unwrap()
    }

    #[test]
    fn every_entry_is_a_method_of_the_surface() {
        for peer in Peer::ALL {
            for leaf in peer.leaves() {
                if let Action::Missing(verb, path) = leaf.action {
                    let known = surface::methods()
                        .iter()
                        .any(|m| m.verb == verb && m.path == path);
                    assert!(known, "{} {}: {verb} {path}", peer.name(), leaf.words);
                }
            }
        }
    }

    #[test]
    fn commands_become_the_calls_that_users_mean() {
        let start = call("qm start 100");
        assert_eq!(start.verb, Verb::Post);
        assert!(
            start.path.ends_with("/qemu/100/status/start"),
            "{}",
            start.path
        );
        let set = call("qm set 100 --memory 512 -net1 virtio,bridge=vmbr0");
        assert_eq!(set.params["memory"], "512");
        assert_eq!(set.params["net1"], "virtio,bridge=vmbr0");
        let resize = call("qm resize 100 virtio0 +1G");
        assert_eq!(
            (&resize.params["disk"], &resize.params["size"]),
            (&json!("virtio0"), &json!("+1G"))
        );
        let create = call("pct create 101 local:vztmpl/a.tar.zst --hostname x");
        assert_eq!(create.params["vmid"], "101");
        assert_eq!(create.params["ostemplate"], "local:vztmpl/a.tar.zst");
        let run = call("qm guest exec 100 -- ls -l");
        assert_eq!(run.params["command"], json!(["ls", "-l"]));
        let free = call("pvesm free local:100/vm-100-disk-0.raw");
        assert!(
            free.path
                .contains("/storage/local/content/local:100%2Fvm-100-disk-0.raw"),
            "{}",
            free.path
        );
        let acl = call("pveum acl delete /vms/100 --roles PVEAdmin --users a@pve");
        assert_eq!(
            (&acl.params["delete"], &acl.params["path"]),
            (&json!("1"), &json!("/vms/100"))
        );
    }

    #[test]
    fn one_dash_is_as_good_as_two_before_a_program() {
        let mut line: Vec<String> = ["qm", "set", "1", "-name", "-5", "-v"]
            .map(String::from)
            .to_vec();
        with_two_dashes(&mut line);
        assert_eq!(line[3..], ["--name", "-5", "-v"]);
        let mut line: Vec<String> = ["pct", "exec", "1", "ls", "-la"].map(String::from).to_vec();
        with_two_dashes(&mut line);
        assert_eq!(line[4], "-la");
    }

    #[test]
    fn answers_have_the_form_that_scripts_read() {
        assert_eq!(
            lines(&json!({"name": "a", "cores": 2, "digest": "x"})),
            "cores: 2\nname: a\n"
        );
        assert_eq!(
            status(&json!({"status": "running", "vmid": 1})),
            "status: running\n"
        );
        let list =
            json!([{"key": "memory", "value": 512, "pending": 1024}, {"key": "a", "delete": 1}]);
        assert_eq!(pending(&list), "cur memory: 512\nnew memory: 1024\ndel a\n");
    }
}

//! Leaves as a tree of subcommands, and back from a parsed command line to its leaf.

use crate::leaf::Leaf;
use clap::{ArgMatches, Command};
use std::collections::BTreeMap;

/// A leaf and the words that are left of its name.
type Rest<'a> = (Vec<&'static str>, &'a Leaf);

/// Hangs leaves below a command.
pub fn grow(root: Command, leaves: &[Leaf], line: &[String]) -> Command {
    let all = leaves
        .iter()
        .map(|leaf| (leaf.words.split(' ').collect(), leaf))
        .collect();
    nest(root, all, line)
}

fn nest(command: Command, leaves: Vec<Rest<'_>>, line: &[String]) -> Command {
    let mut groups: BTreeMap<&str, Vec<Rest<'_>>> = BTreeMap::new();
    for (mut words, leaf) in leaves {
        let first = words.remove(0);
        groups.entry(first).or_default().push((words, leaf));
    }
    let children = groups.into_iter().map(|(word, below)| match &below[..] {
        [(rest, leaf)] if rest.is_empty() => leaf.arguments(Command::new(word), line),
        _ => {
            let hidden = !below.iter().any(|(_, leaf)| leaf.is_shown());
            let group = Command::new(word)
                .about(format!("Commands on {}.", subject(word)))
                .hide(hidden)
                .subcommand_required(true)
                .arg_required_else_help(true);
            nest(group, below, line)
        }
    });
    command.subcommands(children)
}

/// What the commands below a word are about.
pub fn subject(word: &str) -> &str {
    match word {
        "acl" => "permissions",
        "acme" => "authorities that sign the host's certificate",
        "cert" => "certificates",
        "ct" => "containers",
        "disk" => "disks of the host",
        "guest" => "what the guest's agent can do",
        "hardware" => "the host's hardware",
        "job" => "jobs that are done at certain times",
        "network" => "the host's network",
        "node" => "the host",
        "notify" => "who is told of what happens",
        "pool" => "pools of guests and storages",
        "realm" => "realms, where users come from",
        "service" => "the host's services",
        "tfa" => "second factors",
        "token" => "API tokens",
        "update" => "updates of the host",
        "vm" => "virtual machines",
        "volume" => "volumes of storages",
        other => other,
    }
}

/// The words that were given, and the arguments of the last of them.
pub fn spoken(matches: &ArgMatches) -> (String, &ArgMatches) {
    let mut words = Vec::new();
    let mut inner = matches;
    while let Some((word, below)) = inner.subcommand() {
        words.push(word);
        inner = below;
    }
    (words.join(" "), inner)
}

/// The leaf of these words.
pub fn find<'a>(leaves: &'a [Leaf], words: &str) -> Option<&'a Leaf> {
    leaves.iter().find(|leaf| leaf.words == words)
}

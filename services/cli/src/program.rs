//! The names that this one binary has, and the commands below each.

use crate::leaf::Leaf;
use crate::live::Only;
use crate::own::Own;
use crate::terminal::Guest;
use crate::{complete, leaf, manual, output, peers, raw, tree};
use basalt_api::registry::registry;
use clap::{Arg, ArgAction, Command, value_parser};
use std::path::{Path, PathBuf};

/// A name of this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `basalt`.
    Basalt,
    /// One of the names that users of Proxmox VE know.
    Peer(peers::Peer),
    /// `man`.
    Man,
}

impl Program {
    /// Every name.
    pub fn all() -> impl Iterator<Item = Self> {
        let peers = peers::Peer::ALL.iter().map(|peer| Self::Peer(*peer));
        [Self::Basalt].into_iter().chain(peers).chain([Self::Man])
    }

    /// The program that a path or name stands for.
    pub fn of_name(path: &str) -> Option<Self> {
        let name = Path::new(path).file_name()?.to_str()?;
        Self::all().find(|program| program.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basalt => "basalt",
            Self::Peer(peer) => peer.name(),
            Self::Man => "man",
        }
    }

    /// What it is for, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Basalt => "Manages this Basalt host, its guests and storages.",
            Self::Peer(peer) => peer.about(),
            Self::Man => "Shows manual pages.",
        }
    }

    /// Its commands.
    pub fn leaves(self) -> Vec<Leaf> {
        match self {
            Self::Basalt => basalt(),
            Self::Peer(peer) => peer.leaves(),
            Self::Man => Vec::new(),
        }
    }

    /// It as clap knows it; numbered options such as `--net1` exist when `line` uses them.
    pub fn command(self, line: &[String]) -> Command {
        let root = Command::new(self.name())
            .version(env!("CARGO_PKG_VERSION"))
            .about(self.about());
        match self {
            Self::Man => manual::arguments(root),
            Self::Peer(peers::Peer::Pveversion) => common(
                root.arg(
                    Arg::new("verbose")
                        .long("verbose")
                        .short('v')
                        .action(ArgAction::SetTrue)
                        .help("Say more"),
                ),
            ),
            Self::Peer(peers::Peer::Pvesh) => with_words(common(root), peers::pvesh::commands()),
            Self::Peer(_) => with_words(tree::grow(common(root), &self.leaves(), line), []),
            Self::Basalt => with_words(
                tree::grow(common(root), &self.leaves(), line),
                [
                    raw::command(),
                    complete::script_command(),
                    complete::command(),
                    manual::write_command(),
                ],
            ),
        }
    }

    /// Which guests the words of a command line are about.
    pub fn only(self, words: &[String]) -> Only {
        match (self, words.first().map(String::as_str)) {
            (Self::Peer(peers::Peer::Qm), _) | (Self::Basalt, Some("vm")) => Only::Machines,
            (Self::Peer(peers::Peer::Pct), _) | (Self::Basalt, Some("ct")) => Only::Containers,
            _ => Only::Any,
        }
    }
}

fn with_words(root: Command, more: impl IntoIterator<Item = Command>) -> Command {
    root.subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(more)
}

/// The options of every command.
fn common(root: Command) -> Command {
    root.arg(
        Arg::new("output-format")
            .long("output-format")
            .global(true)
            .help("How to print answers")
            .value_parser(value_parser!(output::Format)),
    )
    .arg(
        Arg::new("no-wait")
            .long("no-wait")
            .global(true)
            .action(ArgAction::SetTrue)
            .help("Print the task's id instead of waiting for its end"),
    )
    .arg(
        Arg::new("socket")
            .long("socket")
            .env("BASALT_SOCKET")
            .hide_env(true)
            .global(true)
            .hide(true)
            .value_parser(value_parser!(PathBuf))
            .default_value(crate::client::SOCKET),
    )
}

/// The commands that the declarations have words for, and those that are no call of a method.
fn basalt() -> Vec<Leaf> {
    let own = [
        ("vm terminal", Own::Terminal(Guest::Machine)),
        ("ct console", Own::Terminal(Guest::Container)),
        ("ct enter", Own::Enter),
        ("ct exec", Own::Exec),
    ];
    let own = own.map(|(words, own)| Leaf {
        words,
        action: leaf::Action::Own(own),
        places: vec!["vmid"],
        fixed: &[],
        show: leaf::Show::Text,
        hidden: false,
    });
    registry().filter_map(Leaf::declared).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_consistent() {
        for program in Program::all() {
            program.command(&[]).debug_assert();
        }
    }

    #[test]
    fn names_are_found_by_path() {
        assert_eq!(Program::of_name("/usr/bin/basalt"), Some(Program::Basalt));
        let qm = Program::Peer(peers::Peer::Qm);
        assert_eq!(Program::of_name("qm"), Some(qm));
        assert_eq!(Program::of_name("/usr/bin/rm"), None);
    }

    #[test]
    fn words_are_unique() {
        for program in Program::all() {
            let mut words: Vec<_> = program.leaves().iter().map(|leaf| leaf.words).collect();
            let count = words.len();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), count, "{}", program.name());
        }
    }
}

//! Completion: what could come next on a command line, for every program that this binary is.
//!
//! The shells' scripts beside this file hand the line over to the hidden command `basalt
//! complete` and show what it prints, so that they know nothing of any command themselves.

mod line;

use crate::client::Client;
use crate::live::{self, Only, Word};
use crate::paths;
use crate::program::Program;
use clap::{Arg, ArgMatches, Command, ValueEnum, ValueHint, value_parser};

/// The line that tells a shell to offer files.
const FILES: &str = ":files";

/// Shells that can be completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

impl Shell {
    /// The script that teaches it.
    pub fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("basalt.bash"),
            Self::Zsh => include_str!("basalt.zsh"),
            Self::Fish => include_str!("basalt.fish"),
        }
    }
}

/// `completion SHELL`: prints the script.
pub fn script_command() -> Command {
    Command::new("completion")
        .about("Prints the completion script of a shell.")
        .arg(
            Arg::new("shell")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
}

/// `complete SHELL BREAKS WORD…`: what the scripts call.
pub fn command() -> Command {
    Command::new("complete")
        .hide(true)
        .arg(
            Arg::new("shell")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
        .arg(
            Arg::new("words")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true),
        )
}

/// What the scripts are answered, a line each: the word, a tab, what it stands for.
pub async fn answer(client: &Client, matches: &ArgMatches) -> String {
    let shell = matches.get_one::<Shell>("shell").copied();
    let given: Vec<String> = matches
        .get_many::<String>("words")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    // Bash splits words at more than blanks, so it hands over the line as it is typed.
    let (words, cut) = match (shell, &given[..]) {
        (Some(Shell::Bash), [breaks, typed, ..]) => {
            let words = line::split(typed);
            let cut = words.last().map_or(0, |word| line::replaced(word, breaks));
            (words, cut)
        }
        (Some(Shell::Bash), _) => return String::new(),
        _ => (given.clone(), 0),
    };
    let mut text = String::new();
    for found in next(client, &words).await {
        match shell {
            // What stands before the last break stays on the line.
            Some(Shell::Bash) => text.push_str(found.word.get(cut..).unwrap_or(&found.word)),
            _ => text.push_str(&format!("{}\t{}", found.word, found.about)),
        }
        text.push('\n');
    }
    text
}

/// What could stand in place of the last of `words`; the first is the program.
pub async fn next(client: &Client, words: &[String]) -> Vec<Word> {
    let [program, before @ .., last] = words else {
        return Vec::new();
    };
    let Some(program) = Program::of_name(program) else {
        return Vec::new();
    };
    let mut root = program.command(words);
    root.build();
    let place = Place::find(&root, before, last);
    let mut found = match &place {
        Place::Nothing => Vec::new(),
        Place::Option(command) => options(command),
        Place::Start(command) => command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .map(|sub| word(sub.get_name(), sub.get_about().map(ToString::to_string)))
            .collect(),
        Place::Value { arg, prefix } => {
            let only = program.only(before);
            let found = values(client, arg, only, last.strip_prefix(prefix).unwrap_or(last));
            let found = found.await.into_iter();
            let whole = |found: Word| {
                if found.word == FILES {
                    return found;
                }
                word(&format!("{prefix}{}", found.word), Some(found.about))
            };
            found.map(whole).collect()
        }
    };
    found.retain(|found| found.word == FILES || found.word.starts_with(last.as_str()));
    found
}

/// What the word to be completed is.
enum Place<'a> {
    /// Nothing can stand there.
    Nothing,
    /// The name of an option of this command.
    Option(&'a Command),
    /// One of the words below this command.
    Start(&'a Command),
    /// The value of an argument, behind `--name=` or not.
    Value { arg: &'a Arg, prefix: String },
}

impl<'a> Place<'a> {
    fn find(root: &'a Command, before: &[String], last: &str) -> Self {
        let mut command = root;
        let mut waiting: Option<&Arg> = None;
        let mut position = 1;
        let mut only_places = false;
        for given in before {
            if let Some(arg) = waiting.take()
                && (must_have_value(arg) || is_value(arg, given))
            {
                continue;
            }
            if given == "--" {
                only_places = true;
            } else if let Some(name) = option_name(given).filter(|_| !only_places) {
                let with_value = !given.contains('=');
                waiting = option(command, name).filter(|arg| with_value && may_have_value(arg));
            } else if let Some(below) = command.find_subcommand(given) {
                command = below;
                position = 1;
            } else {
                position += 1;
            }
        }
        if let Some(arg) = waiting
            && (must_have_value(arg) || !last.starts_with('-'))
        {
            let prefix = String::new();
            return Self::Value { arg, prefix };
        }
        if last.starts_with('-') && !only_places {
            let Some((name, _)) = last.split_once('=') else {
                return Self::Option(command);
            };
            let arg = option_name(name).and_then(|name| option(command, name));
            let prefix = format!("{name}=");
            return arg.map_or(Self::Nothing, |arg| Self::Value { arg, prefix });
        }
        if command.has_subcommands() {
            return Self::Start(command);
        }
        let arg = command
            .get_positionals()
            .find(|arg| arg.get_index() == Some(position))
            .or_else(|| {
                command
                    .get_positionals()
                    .last()
                    .filter(|arg| takes_many(arg))
            });
        arg.map_or(Self::Nothing, |arg| Self::Value {
            arg,
            prefix: String::new(),
        })
    }
}

fn option_name(word: &str) -> Option<&str> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(name.split('=').next().unwrap_or(name)).filter(|name| !name.is_empty())
}

fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_opts().find(|arg| arg.get_long() == Some(name))
}

fn must_have_value(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_none_or(|range| range.min_values() > 0)
}

fn may_have_value(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_none_or(|range| range.max_values() > 0)
}

fn is_value(arg: &Arg, given: &str) -> bool {
    arg.get_possible_values()
        .iter()
        .any(|value| value.matches(given, false))
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|range| range.max_values() > 1)
}

fn options(command: &Command) -> Vec<Word> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| {
            let help = arg.get_help().map(ToString::to_string);
            Some(word(&format!("--{}", arg.get_long()?), help))
        })
        .collect()
}

async fn values(client: &Client, arg: &Arg, only: Only, typed: &str) -> Vec<Word> {
    if arg.get_value_hint() == ValueHint::FilePath {
        return vec![word(FILES, None)];
    }
    let allowed = arg.get_possible_values();
    if !allowed.is_empty() {
        let help = |value: &clap::builder::PossibleValue| value.get_help().map(|h| h.to_string());
        return allowed
            .iter()
            .map(|value| word(value.get_name(), help(value)))
            .collect();
    }
    match arg.get_id().as_str() {
        "method" => below(client, typed).await,
        "page" => crate::manual::names()
            .into_iter()
            .map(|name| word(&name, None))
            .collect(),
        id => live::values(client, id, only).await,
    }
}

/// Paths of the API that begin with what is typed, one level further.
async fn below(client: &Client, typed: &str) -> Vec<Word> {
    let folder = typed.rsplit_once('/').map_or("", |(folder, _)| folder);
    let children = paths::children(client, folder).await;
    let show = |(name, child): (String, paths::Child)| {
        let end = if child.is_folder { "/" } else { "" };
        word(&format!("{folder}/{name}{end}"), None)
    };
    children.into_iter().map(show).collect()
}

fn word(text: &str, about: Option<String>) -> Word {
    Word {
        word: text.to_owned(),
        about: about.unwrap_or_default().replace(['\n', '\t'], " "),
    }
}

#[cfg(test)]
mod tests;

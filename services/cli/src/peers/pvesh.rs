//! `pvesh`: the API by its paths.

use crate::client::{Call, Client};
use crate::paths::{self, Child};
use crate::{follow, leaf, output, raw};
use anyhow::{Context, Result, bail};
use basalt_api::endpoint::{Kind, Method, Verb};
use clap::{Arg, ArgAction, ArgMatches, Command};
use output::Format;
use serde_json::{Map, Value};
use std::process::ExitCode;

const VERBS: [(&str, Verb, &str); 4] = [
    ("get", Verb::Get, "Reads."),
    ("create", Verb::Post, "Creates or starts something."),
    ("set", Verb::Put, "Changes something."),
    ("delete", Verb::Delete, "Removes something."),
];
/// Options of `pvesh` itself, which may stand among a method's parameters.
const FLAGS: [&str; 5] = ["human-readable", "noborder", "noheader", "noproxy", "quiet"];

/// `get|create|set|delete|ls|usage PATH [--NAME VALUE …]`.
pub fn commands() -> Vec<Command> {
    let path = || {
        Arg::new("method")
            .value_name("PATH")
            .required(true)
            .help("Path of the method, e.g. /nodes")
    };
    let params = || {
        Arg::new("params")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .help("Parameters as --NAME VALUE or --NAME=VALUE")
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let mut all: Vec<Command> = VERBS
        .iter()
        .map(|(word, _, about)| Command::new(*word).about(*about).arg(path()).arg(params()))
        .collect();
    all.push(
        Command::new("ls")
            .about("Lists what is below a path.")
            .arg(path())
            .arg(params()),
    );
    all.push(
        Command::new("usage")
            .about("Says which parameters the methods of a path take.")
            .arg(path())
            .arg(flag("verbose", "Say what each parameter is"))
            .arg(flag("returns", "Say what is answered"))
            .arg(
                Arg::new("command")
                    .long("command")
                    .value_parser(VERBS.map(|(word, ..)| word))
                    .help("Only this verb's method"),
            ),
    );
    all
}

/// Does what was asked.
pub async fn run(client: &Client, word: &str, matches: &ArgMatches) -> Result<ExitCode> {
    let path = matches
        .get_one::<String>("method")
        .context("no path given")?;
    let path = format!("/{}", path.trim_matches('/'));
    if word == "usage" {
        output::print(&usage(&path, matches)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let words = matches.get_many::<String>("params");
    let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
    let asked = Asked::read(&words)?;
    if word == "ls" {
        output::print(&list(&paths::children(client, &path).await, &path)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = VERBS.iter().find(|(name, ..)| *name == word);
    let (_, verb, _) = found.with_context(|| format!("there is no command '{word}'"))?;
    let kind = leaf::kind_of(*verb, &path);
    let call = Call {
        params: asked.params.clone(),
        kind,
        ..Call::plain(*verb, path)
    };
    let data = client.send(call).await?;
    match data.as_str() {
        Some(upid) if kind == Kind::Task && upid.starts_with("UPID:") => {
            let ended = follow::until_end(client, upid).await?;
            output::print(&format!("{upid}\n"))?;
            Ok(ended)
        }
        _ => {
            if !asked.has("quiet") {
                let format = asked
                    .format
                    .or(matches.get_one::<Format>("output-format").copied());
                output::print(&asked.text(&data, format)?)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A method's parameters, with what is meant for `pvesh` taken out of them.
#[derive(Debug, Default)]
struct Asked {
    params: Map<String, Value>,
    format: Option<Format>,
    flags: Vec<&'static str>,
}

impl Asked {
    fn read(words: &[&str]) -> Result<Self> {
        let mut asked = Self::default();
        let mut others = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.trim_start_matches('-');
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            if !word.starts_with("--") {
                others.push(*word);
            } else if name == "output-format" {
                let value = value.or_else(|| words.next().copied());
                let value = value.context("--output-format has no value")?;
                let format = <Format as clap::ValueEnum>::from_str(value, false);
                asked.format = Some(format.map_err(|_| {
                    anyhow::anyhow!(
                        "--output-format: '{value}' is none of text, json, json-pretty, yaml"
                    )
                })?);
            } else if let Some(flag) = FLAGS.iter().find(|flag| **flag == name) {
                if value != Some("0") {
                    asked.flags.push(*flag);
                }
            } else {
                others.push(*word);
                if value.is_none() {
                    others.extend(words.next());
                }
            }
        }
        asked.params = raw::params(&others)?;
        Ok(asked)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    fn text(&self, data: &Value, format: Option<Format>) -> Result<String> {
        match format {
            Some(Format::Text) | None if !self.has("noborder") => Ok(output::table_with(
                data,
                output::Border::Lines,
                !self.has("noheader"),
            )),
            Some(Format::Text) | None => Ok(output::table_with(
                data,
                output::Border::None,
                !self.has("noheader"),
            )),
            Some(format) => output::formatted(data, format),
        }
    }
}

/// A line for each child: `Drwcd` for folder, get, set, create and delete, and the name.
fn list(children: &std::collections::BTreeMap<String, Child>, path: &str) -> Result<String> {
    if children.is_empty() && paths::methods(path).is_empty() {
        bail!("there is no path '{path}'");
    }
    let line = |(name, child): (&String, &Child)| {
        let has = |verb, letter| {
            if child.verbs.contains(&verb) {
                letter
            } else {
                '-'
            }
        };
        let folder = if child.is_folder { 'D' } else { '-' };
        let (get, set) = (has(Verb::Get, 'r'), has(Verb::Put, 'w'));
        let (create, delete) = (has(Verb::Post, 'c'), has(Verb::Delete, 'd'));
        format!("{folder}{get}{set}{create}{delete}        {name}\n")
    };
    Ok(children.iter().map(line).collect())
}

fn usage(path: &str, matches: &ArgMatches) -> Result<String> {
    let only = matches.get_one::<String>("command");
    let mut text = String::new();
    for (word, verb, _) in VERBS {
        if only.is_some_and(|only| only != word) {
            continue;
        }
        if let Some(method) = paths::methods(path).into_iter().find(|m| m.verb == verb) {
            text.push_str(&one_usage(word, method, matches));
        }
    }
    if text.is_empty() {
        bail!("there is no such method of '{path}'");
    }
    Ok(text)
}

fn one_usage(word: &str, method: &Method, matches: &ArgMatches) -> String {
    let mut text = format!("USAGE: pvesh {word} {} [OPTIONS]\n", method.path);
    if !matches.get_flag("verbose") && !matches.get_flag("returns") {
        return text;
    }
    text.push_str(&format!("\n  {}\n\n", method.summary()));
    let declaration = leaf::find(method.verb, method.path);
    let Some(declaration) = declaration else {
        return text;
    };
    let schema = basalt_api::schema::params(&declaration);
    if matches.get_flag("verbose") {
        for (name, value) in schema["properties"].as_object().into_iter().flatten() {
            let help = leaf::help(value);
            text.push_str(&format!(
                "  --{name} {}\n        {help}\n",
                output::kind(value)
            ));
        }
        text.push('\n');
    }
    if matches.get_flag("returns") {
        let output = basalt_api::schema::output(&declaration);
        text.push_str(&format!("RETURNS: {output:#}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_options_are_told_from_parameters() {
        let words = [
            "--vmid",
            "100",
            "--output-format=json",
            "--noborder",
            "--name=x",
        ];
        let asked = Asked::read(&words).unwrap();
        assert_eq!(asked.format, Some(Format::Json));
        assert!(asked.has("noborder"));
        assert_eq!(asked.params.len(), 2);
        assert!(Asked::read(&["--output-format", "xml"]).is_err());
        assert!(Asked::read(&["stray"]).is_err());
    }

    #[test]
    fn folders_are_listed_with_their_verbs() {
        let text = list(&paths::declared("/"), "/").unwrap();
        assert!(text.contains("-r---        version\n"), "{text}");
        assert!(text.contains("Dr---        nodes\n"), "{text}");
        assert!(list(&paths::declared("/nonsense"), "/nonsense").is_err());
    }
}

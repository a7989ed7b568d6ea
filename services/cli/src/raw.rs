//! `basalt api`: any method by its path.

use crate::client::Call;
use crate::leaf::kind_of;
use anyhow::{Context, Result, bail};
use basalt_api::endpoint::Verb;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value};

/// `api get|create|set|delete|ls PATH [--NAME VALUE …]`.
pub fn command() -> Command {
    let verbs = [
        ("get", "Reads."),
        ("create", "Creates or starts something."),
        ("set", "Changes something."),
        ("delete", "Removes something."),
        ("ls", "Lists what is below a path."),
    ];
    let children = verbs.map(|(name, about)| {
        Command::new(name)
            .about(about)
            .arg(
                Arg::new("method")
                    .value_name("PATH")
                    .required(true)
                    .help("Path of the method, e.g. /nodes"),
            )
            .arg(
                Arg::new("params")
                    .num_args(0..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .help("Parameters as --NAME VALUE or --NAME=VALUE"),
            )
    });
    Command::new("api")
        .about("Calls any API method by its path.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(children)
}

/// The call that a parsed `basalt api` line stands for.
pub fn call(matches: &ArgMatches) -> Result<Call> {
    let (word, sub) = matches.subcommand().context("no verb given")?;
    let verb = match word {
        "create" => Verb::Post,
        "set" => Verb::Put,
        "delete" => Verb::Delete,
        _ => Verb::Get,
    };
    let path = sub
        .get_one::<String>("method")
        .context("no path given")?
        .clone();
    let words: Vec<&str> = sub
        .get_many::<String>("params")
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let path = format!("/{}", path.trim_matches('/'));
    Ok(Call {
        verb,
        kind: kind_of(verb, &path),
        path,
        params: params(&words)?,
        file: None,
    })
}

pub fn params(words: &[&str]) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(name) = word.strip_prefix("--") else {
            bail!("'{word}' is no parameter: write --NAME VALUE");
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value),
            None => (
                name,
                *rest
                    .next()
                    .with_context(|| format!("--{name} has no value"))?,
            ),
        };
        found.insert(name.to_owned(), value.into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_both_spellings() {
        let found = params(&["--a", "1", "--b=x=y"]).unwrap();
        assert_eq!((&found["a"], &found["b"]), (&"1".into(), &"x=y".into()));
        assert!(
            params(&["a"])
                .unwrap_err()
                .to_string()
                .contains("'a' is no parameter")
        );
        assert!(
            params(&["--a"])
                .unwrap_err()
                .to_string()
                .contains("--a has no value")
        );
    }
}

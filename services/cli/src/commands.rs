//! Subcommands derived from the declarations: `basalt <noun> <verb> <path parameters> --<others>`.

use crate::client::{Call, node_name};
use anyhow::{Context, Result};
use basalt_api::endpoint::{Kind, Verb};
use basalt_api::registry::{Declaration, registry};
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Parameter that new guests are named by; it stands first on the command line.
const VMID: &str = "vmid";

/// One subcommand for each noun, with its verbs below it.
pub fn nouns(arguments: &[String]) -> Vec<Command> {
    let mut verbs: BTreeMap<&str, Vec<Declaration>> = BTreeMap::new();
    for declaration in registry() {
        if let Some(words) = declaration.method.cli {
            let noun = words.split(' ').next().unwrap_or(words);
            verbs.entry(noun).or_default().push(declaration);
        }
    }
    verbs
        .into_iter()
        .map(|(noun, found)| noun_command(noun, &found, arguments))
        .collect()
}

fn noun_command(noun: &'static str, declarations: &[Declaration], arguments: &[String]) -> Command {
    if let [only] = declarations
        && only.method.cli == Some(noun)
    {
        return with_arguments(Command::new(noun), only, arguments);
    }
    let children = declarations.iter().map(|d| {
        let verb = d
            .method
            .cli
            .and_then(|c| c.split_once(' '))
            .map_or(noun, |(_, verb)| verb);
        with_arguments(Command::new(verb), d, arguments)
    });
    Command::new(noun)
        .about(format!("Commands on {noun}."))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(children)
}

fn with_arguments(command: Command, declaration: &Declaration, arguments: &[String]) -> Command {
    let schema = basalt_api::schema::params(declaration);
    let method = declaration.method;
    let mut command = command
        .about(method.summary())
        .long_about(method.description());
    for name in positionals(declaration) {
        command = command.arg(
            Arg::new(name)
                .required(true)
                .help(help(&schema["properties"][name])),
        );
    }
    if method.kind == Kind::Upload {
        command = command.arg(Arg::new("file").required(true).help("File to upload"));
    }
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, found) in options(declaration, &schema, arguments) {
        let must = required.contains(name.as_str()) && name != "node";
        let arg = Arg::new(name.clone())
            .long(name)
            .help(help(&found))
            .required(must);
        command = command.arg(words(arg, &found).allow_hyphen_values(true));
    }
    command
}

/// Parameters that stand without a name, in order.
fn positionals(declaration: &Declaration) -> Vec<&'static str> {
    let mut names: Vec<&str> = declaration
        .method
        .placeholders()
        .filter(|name| *name != "node")
        .collect();
    let creates_guest = declaration
        .method
        .cli
        .is_some_and(|c| c == "vm create" || c == "ct create");
    if creates_guest && !names.contains(&VMID) {
        names.push(VMID);
    }
    names
}

/// Parameters that are options, numbered ones included, with their schemas.
fn options(
    declaration: &Declaration,
    schema: &Value,
    arguments: &[String],
) -> Vec<(String, Value)> {
    let positional = positionals(declaration);
    let uploads = declaration.method.kind == Kind::Upload;
    let mut found: Vec<(String, Value)> = members(schema, "properties")
        .filter(|(name, _)| !positional.contains(&name.as_str()))
        .filter(|(name, _)| !(uploads && (*name == "filename" || *name == "file")))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (pattern, value) in members(schema, "patternProperties") {
        let stem: String = pattern
            .chars()
            .skip_while(|c| *c == '^')
            .take_while(char::is_ascii_alphabetic)
            .collect();
        for number in numbers(&stem, arguments) {
            found.push((format!("{stem}{number}"), value.clone()));
        }
    }
    found
}

/// Numbers that `--<stem>N` is used with, and 0 for the help.
fn numbers(stem: &str, arguments: &[String]) -> BTreeSet<u32> {
    let used = arguments.iter().filter_map(|a| {
        let name = a.strip_prefix("--")?.split('=').next()?;
        name.strip_prefix(stem)?.parse().ok()
    });
    used.chain([0]).collect()
}

fn members<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema[key].as_object().into_iter().flat_map(Map::iter)
}

fn help(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .replace('\n', " ")
}

/// Offers the words that the schema allows, for completion and for the error message.
fn words(arg: Arg, schema: &Value) -> Arg {
    if schema["type"] == "boolean" {
        return arg
            .value_parser(["0", "1", "true", "false"])
            .num_args(0..=1)
            .default_missing_value("1");
    }
    let words: Option<Vec<String>> = schema["enum"].as_array().map(|all| {
        all.iter()
            .filter_map(|w| w.as_str().map(str::to_owned))
            .collect()
    });
    match words {
        Some(words) if !words.is_empty() => arg.value_parser(words),
        _ => arg,
    }
}

/// The call that a noun's parsed command line stands for.
pub fn call(noun: &str, matches: &ArgMatches) -> Result<Call> {
    let (spoken, matches) = match matches.subcommand() {
        Some((verb, sub)) => (format!("{noun} {verb}"), sub),
        None => (noun.to_owned(), matches),
    };
    let declaration = registry()
        .find(|d| d.method.cli == Some(spoken.as_str()))
        .with_context(|| format!("there is no command '{spoken}'"))?;
    let mut params = Map::new();
    for id in matches.ids() {
        let name = id.as_str();
        let global = matches!(name, "output-format" | "no-wait" | "socket" | "file");
        if global {
            continue;
        }
        if let Ok(Some(value)) = matches.try_get_one::<String>(name) {
            params.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    let file = (declaration.method.kind == Kind::Upload)
        .then(|| {
            matches
                .get_one::<String>("file")
                .map(std::path::PathBuf::from)
        })
        .flatten();
    let path = fill(declaration.method.path, &mut params)?;
    Ok(Call {
        verb: declaration.method.verb,
        path,
        params,
        kind: declaration.method.kind,
        file,
    })
}

/// Puts parameters into the placeholders of a path; `node` is this node unless given.
fn fill(template: &str, params: &mut Map<String, Value>) -> Result<String> {
    let mut path = String::new();
    for segment in template.split('/').skip(1) {
        path.push('/');
        let Some(name) = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) else {
            path.push_str(segment);
            continue;
        };
        let value = match params.remove(name) {
            Some(Value::String(value)) => value,
            _ if name == "node" => node_name()?,
            _ => anyhow::bail!("{name} is missing"),
        };
        path.push_str(&crate::client::encode(&value));
    }
    Ok(path)
}

/// Kind of a method found by verb and path, for calls that name the path themselves.
pub fn kind_of(verb: Verb, path: &str) -> Kind {
    let fits = |template: &str| {
        let (mut have, mut want) = (
            path.trim_matches('/').split('/'),
            template.trim_matches('/').split('/'),
        );
        loop {
            match (have.next(), want.next()) {
                (None, None) => return true,
                (Some(h), Some(w)) if h == w || w.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    registry()
        .find(|d| d.method.verb == verb && fits(d.method.path))
        .map_or(Kind::Sync, |d| d.method.kind)
}

//! One command: which method it calls, which parameters stand without a name, how the answer is
//! shown.

use crate::client::{Call, encode, node_name};
use crate::own::Own;
use crate::secret;
use anyhow::{Context, Result, bail};
use basalt_api::endpoint::{Kind, Verb};
use basalt_api::registry::{Declaration, registry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Name of the argument that is a file to upload.
pub const FILE: &str = "file";
/// Options of every command, which are no parameters of a method.
pub const COMMON: [&str; 4] = ["output-format", "no-wait", "socket", FILE];

/// Parameters that are secrets: without their option they are asked for, so that they need not stand
/// on a command line, where everybody can read them.
const SECRETS: [&str; 3] = ["password", "bind-password", "token"];
/// Parameters that name a file to read instead, for the same reason, or because they are long.
const FROM_FILES: [(&str, &[&str]); 4] = [
    (
        "/nodes/{node}/certificates/custom",
        &["certificates", "key"],
    ),
    ("/cluster/acme/account", &["eab-hmac-key"]),
    ("/cluster/acme/plugins", &["data"]),
    ("/cluster/acme/plugins/{id}", &["data"]),
];
/// Of these, what the method wants in base64 and people write as it is.
const ENCODED: [&str; 1] = ["data"];

/// One command.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// Its words below the program's name, e.g. `vm start`.
    pub words: &'static str,
    /// What it does.
    pub action: Action,
    /// Parameters that stand without a name, in order; `command...` takes all words that follow.
    pub places: Vec<&'static str>,
    /// Parameters that always have the same value.
    pub fixed: &'static [(&'static str, &'static str)],
    /// How the answer is shown.
    pub show: Show,
    /// Whether help, completion and manual leave it out: an older name of another command.
    pub hidden: bool,
}

/// What a command does.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Calls a method.
    Method(Declaration),
    /// Would call a method that is not there yet.
    Missing(Verb, &'static str),
    /// Something that is no call of a method.
    Own(Own),
}

/// How an answer is shown when no other format is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Show {
    /// Tables and lines.
    Text,
    /// In words of its own.
    By(fn(&Value) -> String),
}

impl Leaf {
    /// The leaf of a method that has words of its own in its declaration.
    pub fn declared(declaration: Declaration) -> Option<Self> {
        let words = declaration.method.cli?;
        Some(Self {
            words,
            places: places(&declaration),
            action: Action::Method(declaration),
            fixed: &[],
            show: Show::Text,
            hidden: false,
        })
    }

    /// The method that it calls.
    pub fn declaration(&self) -> Option<&Declaration> {
        match &self.action {
            Action::Method(declaration) => Some(declaration),
            Action::Missing(..) | Action::Own(_) => None,
        }
    }

    /// What it does, in one line.
    pub fn summary(&self) -> &'static str {
        match &self.action {
            Action::Method(declaration) => declaration.method.summary(),
            Action::Own(own) => own.summary(),
            Action::Missing(..) => "Is not there yet.",
        }
    }

    /// Whether help, completion and manual show it.
    pub fn is_shown(&self) -> bool {
        !self.hidden && !matches!(self.action, Action::Missing(..))
    }

    /// Adds its arguments to its command. Numbered options exist when `line` uses them.
    pub fn arguments(&self, command: Command, line: &[String]) -> Command {
        let command = command.about(self.summary()).hide(!self.is_shown());
        match &self.action {
            Action::Method(declaration) => self.method_arguments(command, declaration, line),
            Action::Own(own) => own.arguments(command),
            Action::Missing(..) => command.arg(
                Arg::new("rest")
                    .num_args(0..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true),
            ),
        }
    }

    fn method_arguments(
        &self,
        command: Command,
        declaration: &Declaration,
        line: &[String],
    ) -> Command {
        let schema = basalt_api::schema::params(declaration);
        let mut command = command.long_about(declaration.method.description());
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        // A volume's id begins with its storage.
        let by_volume = self.places.contains(&"volume") && !self.places.contains(&"storage");
        let must = |name: &str| {
            required.contains(name)
                && name != "node"
                && !SECRETS.contains(&name)
                && !(by_volume && name == "storage")
        };
        let on_path: Vec<&str> = declaration.method.placeholders().collect();
        let files = FROM_FILES
            .iter()
            .find(|(path, _)| *path == declaration.method.path);
        let is_file = |name: &str| files.is_some_and(|(_, names)| names.contains(&name));
        let mut others_optional = false;
        for place in &self.places {
            let name = bare(place);
            let found = &schema["properties"][name];
            // Only the last ones may be left out.
            others_optional |= !(must(name) || on_path.contains(&name));
            let arg = Arg::new(name.to_owned())
                .required(!others_optional)
                .help(help(found));
            let arg = hinted(arg, is_file(name));
            command = command.arg(if place.ends_with("...") {
                arg.num_args(1..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
            } else {
                words(arg, found)
            });
        }
        if declaration.method.kind == Kind::Upload {
            let file = Arg::new(FILE).required(true).help("File to upload");
            command = command.arg(file.value_hint(ValueHint::FilePath));
        }
        for option in self.options(&schema, line) {
            let arg = Arg::new(option.name.clone())
                .long(option.name.clone())
                .help(help(&option.schema))
                .required(must(&option.name));
            let arg = hinted(arg, is_file(&option.name));
            command = command.arg(words(arg, &option.schema).allow_hyphen_values(true));
        }
        command
    }

    /// Parameters that are options, numbered ones included.
    pub fn options(&self, schema: &Value, line: &[String]) -> Vec<ParameterOption> {
        let uploads = self
            .declaration()
            .is_some_and(|d| d.method.kind == Kind::Upload);
        let is_option = |name: &str| {
            !self.places.iter().any(|place| bare(place) == name)
                && !self.fixed.iter().any(|(fixed, _)| *fixed == name)
                && !(uploads && (name == "filename" || name == FILE))
        };
        let mut found: Vec<ParameterOption> = members(schema, "properties")
            .filter(|(name, _)| is_option(name))
            .map(|(name, value)| ParameterOption::new(name.clone(), value))
            .collect();
        for (pattern, value) in members(schema, "patternProperties") {
            let stem: String = pattern
                .chars()
                .skip_while(|c| *c == '^')
                .take_while(char::is_ascii_alphabetic)
                .collect();
            for number in numbers(&stem, line) {
                found.push(ParameterOption::new(format!("{stem}{number}"), value));
            }
        }
        found
    }

    /// The call that its parsed arguments stand for.
    pub fn call(&self, declaration: &Declaration, matches: &ArgMatches) -> Result<Call> {
        let method = declaration.method;
        let schema = basalt_api::schema::params(declaration);
        let mut params = Map::new();
        for (name, value) in self.fixed {
            params.insert((*name).to_owned(), Value::from(*value));
        }
        for id in matches.ids().map(clap::Id::as_str) {
            if COMMON.contains(&id) {
                continue;
            }
            let Ok(Some(values)) = matches.try_get_many::<String>(id) else {
                continue;
            };
            let mut values: Vec<Value> = values.map(|text| text.as_str().into()).collect();
            let is_list = schema["properties"][id]["type"] == "array";
            let value = match values.pop() {
                Some(only) if values.is_empty() && !is_list => only,
                Some(last) => {
                    values.push(last);
                    Value::Array(values)
                }
                None => continue,
            };
            params.insert(id.to_owned(), value);
        }
        ask_for_secrets(&schema, &mut params)?;
        read_files(method.path, &mut params)?;
        let uploads = method.kind == Kind::Upload;
        let file = uploads.then(|| matches.get_one::<String>(FILE)).flatten();
        Ok(Call {
            verb: method.verb,
            path: fill(method.path, &mut params)?,
            params,
            kind: method.kind,
            file: file.map(PathBuf::from),
        })
    }
}

/// A parameter that is an option, with its schema.
#[derive(Debug)]
pub struct ParameterOption {
    /// Its name without dashes.
    pub name: String,
    /// Its schema.
    pub schema: Value,
}

impl ParameterOption {
    fn new(name: String, schema: &Value) -> Self {
        let schema = schema.clone();
        Self { name, schema }
    }
}

/// The name of a place.
pub fn bare(place: &str) -> &str {
    place.trim_end_matches('.')
}

/// Parameters that stand without a name when the declaration alone says so.
fn places(declaration: &Declaration) -> Vec<&'static str> {
    let method = declaration.method;
    let mut names: Vec<&str> = method
        .placeholders()
        .filter(|name| *name != "node")
        .collect();
    let creates_guest = matches!(method.cli, Some("vm create" | "ct create"));
    if creates_guest && !names.contains(&"vmid") {
        names.push("vmid");
    }
    names
}

/// Numbers that `--<stem>N` is used with, and 0 for the help.
fn numbers(stem: &str, line: &[String]) -> BTreeSet<u32> {
    let used = line.iter().filter_map(|a| {
        let name = a.strip_prefix("--")?.split('=').next()?;
        name.strip_prefix(stem)?.parse().ok()
    });
    used.chain([0]).collect()
}

fn members<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema[key].as_object().into_iter().flat_map(Map::iter)
}

/// The description of a parameter in one line.
pub fn help(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ")
}

fn hinted(arg: Arg, is_file: bool) -> Arg {
    if !is_file {
        return arg;
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.value_hint(ValueHint::FilePath)
        .value_name("FILE")
        .help(format!("{} Read from this file.", help.trim_end()))
}

/// The words that a schema allows, if it allows only some.
pub fn allowed(schema: &Value) -> Vec<String> {
    let own = schema["enum"].as_array().into_iter().flatten();
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let consts = alternatives.clone().map(|one| &one["const"]);
    let nested = alternatives.filter_map(|one| one["enum"].as_array());
    own.chain(consts)
        .chain(nested.flatten())
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

/// Offers the words that the schema allows, for completion and for the error message.
fn words(arg: Arg, schema: &Value) -> Arg {
    if schema["type"] == "boolean" && !arg.is_positional() {
        return arg
            .value_parser(["0", "1", "true", "false"])
            .num_args(0..=1)
            .default_missing_value("1");
    }
    if schema["type"] == "array" {
        return arg.action(ArgAction::Append);
    }
    let allowed = allowed(schema);
    if allowed.is_empty() {
        return arg;
    }
    arg.value_parser(PossibleValuesParser::new(allowed))
}

/// Asks for the secrets that a method cannot do without.
fn ask_for_secrets(schema: &Value, params: &mut Map<String, Value>) -> Result<()> {
    for name in schema["required"].as_array().into_iter().flatten() {
        let Some(name) = name.as_str().filter(|name| SECRETS.contains(name)) else {
            continue;
        };
        if !params.contains_key(name) {
            params.insert(name.to_owned(), secret::ask(name)?.into());
        }
    }
    Ok(())
}

/// Puts the content of files in the place of their names.
fn read_files(template: &str, params: &mut Map<String, Value>) -> Result<()> {
    let names = FROM_FILES.iter().find(|(path, _)| *path == template);
    for name in names.map_or(&[][..], |(_, names)| *names) {
        if let Some(Value::String(file)) = params.get(*name) {
            let mut text = std::fs::read_to_string(file)
                .with_context(|| format!("{name}: cannot read {file}"))?;
            if ENCODED.contains(name) {
                text = STANDARD.encode(text);
            }
            params.insert((*name).to_owned(), text.into());
        }
    }
    Ok(())
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
            // A volume's id begins with its storage.
            _ if name == "storage" => match params.get("volume").and_then(Value::as_str) {
                Some(volume) if volume.contains(':') => {
                    volume.split(':').next().unwrap_or_default().to_owned()
                }
                _ => bail!("{name} is missing"),
            },
            _ => bail!("{name} is missing"),
        };
        path.push_str(&encode(&value));
    }
    Ok(path)
}

/// The declaration of a method by verb and template.
pub fn find(verb: Verb, template: &str) -> Option<Declaration> {
    registry().find(|d| d.method.verb == verb && d.method.path == template)
}

/// Kind of a method found by verb and path, for calls that name the path themselves.
pub fn kind_of(verb: Verb, path: &str) -> Kind {
    registry()
        .find(|d| d.method.verb == verb && crate::paths::fits(d.method.path, path))
        .map_or(Kind::Sync, |d| d.method.kind)
}

/// The answer's text under `member`, or an error that says what is missing.
pub fn text_of<'a>(answer: &'a Value, member: &str) -> Result<&'a str> {
    answer[member]
        .as_str()
        .with_context(|| format!("the node answered without '{member}'"))
}

//! Manual pages: made from the leaves when the image is built ([`page`]), and shown by a `man` of our
//! own ([`view`]), because the image has no other documentation and a full one would be larger
//! than all pages together.

mod page;
mod view;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rustix::termios;
use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

/// Where the image has its pages.
const FOLDER: &str = "/usr/share/man/man1";
/// Narrowest and widest text in columns; wider lines are hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=100;
/// Columns when nobody says how many there are.
const WIDTH: usize = 80;

/// `basalt man FOLDER`: writes the pages.
pub fn write_command() -> Command {
    Command::new("man")
        .about("Writes the manual pages into a folder.")
        .arg(
            Arg::new("folder")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
}

/// The arguments of `man`.
pub fn arguments(root: Command) -> Command {
    root.arg(
        Arg::new("page")
            .num_args(0..=2)
            .help("Name of a page; its section may stand before it"),
    )
    .arg(
        Arg::new("keyword")
            .short('k')
            .long("apropos")
            .action(ArgAction::SetTrue)
            .help("List the pages whose names and summaries have the word"),
    )
}

/// Writes every page into a folder.
pub fn write(matches: &ArgMatches) -> Result<ExitCode> {
    let folder = matches
        .get_one::<PathBuf>("folder")
        .context("no folder given")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for page in page::all() {
        let file = folder.join(format!("{}.1", page.name));
        std::fs::write(&file, page.text)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Names of the pages that are there.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".1").map(str::to_owned)
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

/// `man`: shows a page.
pub fn show(matches: &ArgMatches) -> Result<ExitCode> {
    let words: Vec<&String> = matches.get_many("page").into_iter().flatten().collect();
    if matches.get_flag("keyword") {
        let word = words.first().map_or("", |word| word.as_str());
        return apropos(word);
    }
    let name = match &words[..] {
        [] => bail!("which page? There are: {}", names().join(", ")),
        [name] => name,
        [section, name] if *section == "1" => name,
        [section, _] => bail!("there is no section {section} here, only 1"),
        _ => bail!("one page at a time"),
    };
    let text = read(name)?;
    let on_terminal = std::io::stdout().is_terminal();
    let shown = view::format(&text, width(), on_terminal);
    if on_terminal {
        page_through(&shown)?;
    } else {
        crate::output::print(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(name: &str) -> Result<String> {
    // A name is no path.
    let is_name = Path::new(name).file_name() == Some(OsStr::new(name));
    let file = Path::new(FOLDER).join(format!("{name}.1"));
    match std::fs::read_to_string(&file) {
        Ok(text) if is_name => Ok(text),
        _ => bail!(
            "there is no page '{name}'; this host has those of its own commands alone: {}",
            names().join(", ")
        ),
    }
}

/// A line for each page whose name or summary has the word.
fn apropos(word: &str) -> Result<ExitCode> {
    let mut found = false;
    for name in names() {
        let summary = view::summary(&read(&name)?);
        let line = format!("{name} (1) - {summary}\n");
        if line.to_lowercase().contains(&word.to_lowercase()) {
            crate::output::print(&line)?;
            found = true;
        }
    }
    if !found {
        bail!("no page is about '{word}'");
    }
    Ok(ExitCode::SUCCESS)
}

fn width() -> usize {
    let told = std::env::var("MANWIDTH")
        .ok()
        .and_then(|text| text.parse().ok());
    let window = || {
        let size = termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    told.or_else(window)
        .unwrap_or(WIDTH)
        .clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// Shows text in the pager, or as it is when there is none.
fn page_through(text: &str) -> Result<()> {
    let pager = std::env::var("MANPAGER")
        .or_else(|_| std::env::var("PAGER"))
        .unwrap_or_else(|_| "less -R".to_owned());
    let started = std::process::Command::new("/bin/sh")
        .args(["-c", &pager])
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return crate::output::print(text);
    };
    if let Some(mut input) = child.stdin.take() {
        // A pager that is left early reads no further.
        let _ = input.write_all(text.as_bytes());
    }
    child.wait().context("cannot wait for the pager")?;
    Ok(())
}

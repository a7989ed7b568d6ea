//! `cargo image reproduce`: builds a second time elsewhere, and compares bit for bit.
//!
//! The second build starts from a copy of the tracked files in another folder ([`copy`]), with
//! another home, umask, time zone and user name. Where the caller is root, our programs are compiled
//! by another user id, and nothing has a network: all inputs come from the caches. Then every result is compared ([`compare`]), and the programs are searched
//! for names of this machine's folders ([`traces`]), which two builds on one machine could share.
//!
//! | | short form | full form |
//! |---|---|---|
//! | our crates | compiled again, without the first build's intermediate files | the same |
//! | the crates we use, npm's modules | taken over as compiled and unpacked | compiled and unpacked again |
//! | toolbox and base system | taken from the cache | unpacked and installed again |
//! | ZFS's modules | taken from the cache | compiled again |
//! | root, hash tree, initial RAM disk, kernel image, ISO, bundle | made again | made again |
//!
//! So the short form shows what a change of ours can break; the full form that nothing else can.

mod compare;
mod copy;
mod traces;

use super::error::{Error, Result};
use super::paths::{self, Paths};
use super::{Artifacts, Options, Variant, command};
use crate::keys::{self, Keys};
use copy::Copy;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The hidden command that compiles and makes no image.
pub const COMPILE_COMMAND: &str = "build-programs";

/// How much to build again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What a change of ours can break.
    Short,
    /// Everything but downloads.
    Full,
}

/// What two builds have in common.
#[derive(Debug)]
pub struct Report {
    /// Each artefact's name and SHA-256 in the first build.
    pub artefacts: Vec<(&'static str, String)>,
    /// What differs or names a folder of this machine, a line each; empty when all is well.
    pub faults: Vec<String>,
    /// The second build, kept only when there are faults.
    pub kept: Option<PathBuf>,
}

/// Builds here and elsewhere, and compares.
pub fn reproduce(variant: Variant, depth: Depth) -> Result<Report> {
    let options = Options {
        variant,
        ..Options::default()
    };
    let first = super::build(&options)?;
    let paths = Paths::find(&options)?;
    let copy = Copy::make(&paths, variant, depth)?;
    command::step(&format!(
        "building a second time in {}",
        copy.workspace.display()
    ));
    let second = build_again(&paths, &copy, variant, depth)?;
    let pairs = compare::pairs(&paths.out, &first, &copy.out, &second);
    let mut report = Report {
        artefacts: Vec::new(),
        faults: Vec::new(),
        kept: None,
    };
    for pair in &pairs {
        report.artefacts.push((pair.name, pair.sha256()?));
        report.faults.extend(pair.difference()?);
    }
    let folders = [
        paths.workspace.clone(),
        copy.dir.clone(),
        cargo_home()?,
        paths.cache.clone(),
    ];
    report.faults.extend(traces::find(&paths.out, &folders)?);
    if report.faults.is_empty() {
        copy.remove();
    } else {
        report.kept = Some(copy.dir);
    }
    Ok(report)
}

/// Builds `copy` as somebody else would, as far as one machine allows.
fn build_again(paths: &Paths, copy: &Copy, variant: Variant, depth: Depth) -> Result<Artifacts> {
    let program = paths::this_program()?;
    if let Some(other_user) = other_user() {
        let mut compile = Command::new(other_user[0]);
        compile.args(&other_user[1..]);
        let mut compile = elsewhere(compile, &program, paths, copy, depth)?;
        compile.arg(COMPILE_COMMAND).args(variant_flag(variant));
        command::run_visibly(compile.arg("--workspace").arg(&copy.workspace))?;
    }
    let mut starter = Command::new("unshare");
    if rustix::process::geteuid().is_root() {
        starter.arg("--net");
    }
    starter.arg("--");
    let mut build = elsewhere(starter, &program, paths, copy, depth)?;
    build.args(["build", "--json"]).args(variant_flag(variant));
    build.arg("--workspace").arg(&copy.workspace);
    build.arg("--out").arg(&copy.out);
    let said = command::output_with_messages(&mut build)?;
    serde_json::from_str(&said).map_err(|error| Error::Invalid(format!("{said:?}: {error}")))
}

fn variant_flag(variant: Variant) -> Option<&'static str> {
    (variant == Variant::Release).then_some("--release")
}

/// What runs a command under another user id and without network, when we are root and the kernel
/// lets us.
fn other_user() -> Option<&'static [&'static str]> {
    const UNSHARE: [&str; 5] = [
        "unshare",
        "--net",
        "--map-user=4242",
        "--map-group=4242",
        "--",
    ];
    let mut attempt = Command::new(UNSHARE[0]);
    attempt.args(&UNSHARE[1..]).arg("true");
    let possible = rustix::process::geteuid().is_root() && command::run(&mut attempt).is_ok();
    possible.then_some(&UNSHARE)
}

/// `program`, started by `starter` in surroundings that differ from ours in all that must not matter.
fn elsewhere(
    mut starter: Command,
    program: &Path,
    paths: &Paths,
    copy: &Copy,
    depth: Depth,
) -> Result<Command> {
    let home = |folder: &str| paths::home().map(|home| home.join(folder));
    let or = |name: &str, other: PathBuf| std::env::var_os(name).map_or(other, PathBuf::from);
    starter.args(["sh", "-c", "umask 077; exec \"$@\"", "sh"]);
    starter.arg(program).current_dir(&copy.dir);
    starter
        .env("CARGO_HOME", cargo_home()?)
        .env("RUSTUP_HOME", or("RUSTUP_HOME", home(".rustup")?))
        .env("npm_config_cache", or("npm_config_cache", home(".npm")?))
        .env(
            "npm_config_userconfig",
            or("npm_config_userconfig", home(".npmrc")?),
        )
        .env(keys::FOLDER, signing_keys()?)
        .env("HOME", &copy.home)
        .env("XDG_CACHE_HOME", copy.home.join("cache"))
        .env(
            "BASALT_CACHE",
            match depth {
                Depth::Short => &paths.cache,
                Depth::Full => &copy.cache,
            },
        )
        .env("USER", "somebody")
        .env("LOGNAME", "somebody")
        .env("TZ", "Pacific/Kiritimati")
        .env("LC_ALL", "C")
        .env_remove("CARGO_TARGET_DIR");
    Ok(starter)
}

/// The folder of the keys that sign the first build.
fn signing_keys() -> Result<PathBuf> {
    let keys = Keys::ensure().map_err(|error| Error::Invalid(format!("{error}")))?;
    Ok(keys.dir().to_owned())
}

fn cargo_home() -> Result<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(dir) => Ok(dir.into()),
        None => Ok(paths::home()?.join(".cargo")),
    }
}

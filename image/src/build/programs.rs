//! Our own programs and the web interface, compiled from the workspace.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::paths::{Paths, target_dir};
use super::stamp::{Hash, Stamp};
use super::{Options, Variant};
use crate::node::Npm;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages whose programs go into the appliance.
const PACKAGES: [&str; 8] = [
    "basalt-cli",
    "basalt-container",
    "basalt-gateway",
    "basalt-init",
    "basalt-installer",
    "basalt-node",
    "basalt-update",
    "basalt-vmm",
];

/// The program of the initial RAM disk.
const INITRD: &str = "basalt-initrd";

/// What was compiled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Programs {
    /// Programs of the appliance.
    pub appliance: Vec<PathBuf>,
    /// The program of the initial RAM disk.
    pub initrd: PathBuf,
    /// The built web interface, when the workspace has one.
    pub web: Option<PathBuf>,
}

/// Compiles what changed.
pub(super) fn build(paths: &Paths, options: &Options) -> Result<Programs> {
    if let Some(dir) = &options.programs {
        return present(dir);
    }
    let web = web(paths)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let names = program_names(paths, &cargo)?;
    step("compiling our programs");
    let mut build = Command::new(&cargo);
    build
        .current_dir(&paths.workspace)
        .args(["build", "--quiet", "--locked", "--bins"]);
    let profile = match options.variant {
        Variant::Development => {
            // With one selection everywhere, dependencies get one set of features and are
            // compiled once for the tests, the lints and the image.
            build.arg("--workspace");
            "debug"
        }
        Variant::Release => {
            build.arg("--release");
            for package in PACKAGES.iter().chain([&INITRD]) {
                build.args(["--package", package]);
            }
            "release"
        }
    };
    command::run_visibly(&mut build)?;
    let dir = target_dir(&paths.workspace).join(profile);
    let appliance = names
        .iter()
        .filter(|name| *name != INITRD)
        .map(|name| dir.join(name))
        .collect();
    Ok(Programs {
        appliance,
        initrd: dir.join(INITRD),
        web,
    })
}

/// What lies ready in `dir`: programs, and the web interface in the folder `web`.
fn present(dir: &Path) -> Result<Programs> {
    let mut appliance = Vec::new();
    for entry in std::fs::read_dir(dir).at("read", dir)? {
        appliance.extend(Some(entry.at("read", dir)?.path()).filter(|path| path.is_file()));
    }
    appliance.sort();
    let initrd = appliance
        .iter()
        .position(|path| path.ends_with(INITRD))
        .map(|index| appliance.remove(index))
        .ok_or_else(|| Error::Invalid(format!("{} has no {INITRD}", dir.display())))?;
    let web = Some(dir.join("web")).filter(|web| web.is_dir());
    Ok(Programs {
        appliance,
        initrd,
        web,
    })
}

/// The names of all programs that our packages define.
fn program_names(paths: &Paths, cargo: &std::ffi::OsStr) -> Result<Vec<String>> {
    let mut metadata = Command::new(cargo);
    metadata.current_dir(&paths.workspace);
    metadata.args([
        "metadata",
        "--quiet",
        "--no-deps",
        "--locked",
        "--format-version=1",
    ]);
    let text = command::output(&mut metadata)?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Invalid(format!("cargo metadata: {error}")))?;
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let mut names = Vec::new();
    for package in list(&metadata, "packages") {
        let ours = PACKAGES
            .iter()
            .chain([&INITRD])
            .any(|name| package["name"] == **name);
        for target in list(&package, "targets").iter().filter(|_| ours) {
            if list(target, "kind").iter().any(|kind| kind == "bin") {
                names.extend(target["name"].as_str().map(str::to_owned));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the web interface when its sources changed.
fn web(paths: &Paths) -> Result<Option<PathBuf>> {
    let sources = paths.workspace.join("web");
    let dist = sources.join("dist");
    if !sources.join("package.json").exists() {
        step("no web interface in the workspace: leaving it out");
        return Ok(None);
    }
    let mut key = Hash::new();
    for path in web_sources(&sources)? {
        key.text(&path.to_string_lossy());
        key.file(&sources.join(path))?;
    }
    let stamps = paths.workspace.join("target/image");
    std::fs::create_dir_all(&stamps).at("make", &stamps)?;
    let build = Stamp::new(&stamps, "web", &key, &[&dist]);
    if build.is_fresh() {
        return Ok(Some(dist));
    }
    let npm = Npm::ensure().map_err(|error| Error::Invalid(format!("{error:#}")))?;
    step("fetching the web interface's modules");
    npm.install(&sources)
        .map_err(|error| Error::Invalid(format!("{error:#}")))?;
    step("building the web interface");
    build.clear()?;
    command::run(npm.command(&sources).args(["run", "build"]))?;
    build.set()?;
    Ok(Some(dist))
}

/// The files the web interface is built from.
fn web_sources(root: &Path) -> Result<Vec<PathBuf>> {
    const MADE: [&str; 4] = ["node_modules", "dist", "test-results", "playwright-report"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).at("read", root)? {
        let entry = entry.at("read", root)?;
        let name = PathBuf::from(entry.file_name());
        if MADE.iter().any(|made| name == Path::new(made)) {
            continue;
        }
        if entry.path().is_dir() {
            let below = super::tree::list(&entry.path())?;
            found.extend(below.into_iter().map(|path| name.join(path)));
        } else {
            found.push(name);
        }
    }
    found.retain(|path| root.join(path).is_file());
    found.sort();
    Ok(found)
}

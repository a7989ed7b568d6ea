//! Our own programs and the web interface, compiled from the workspace.

use super::command::{self, step};
use super::error::{At, Error, Result};
use super::paths::{Paths, target_dir};
use super::stamp::{Hash, Stamp};
use super::{Options, Variant};
use crate::cargo;
use crate::node::Npm;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

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

/// Where npm unpacks modules, below `web/`.
pub(super) const MODULES: &str = "node_modules";
/// Where npm notes what it has unpacked, below `web/`.
pub(super) const MODULES_NOTE: &str = "node_modules/.package-lock.json";

/// Whether a package's programs go into the image.
pub(super) fn is_shipped(package: &str) -> bool {
    PACKAGES.contains(&package) || package == INITRD
}

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
    let names = program_names(paths)?;
    step("compiling our programs");
    let mut build = cargo::command();
    build
        .current_dir(&paths.workspace)
        .args(["build", "--quiet", "--locked"]);
    for name in &names {
        build.args(["--bin", name]);
    }
    match options.variant {
        Variant::Development => {
            // With one selection everywhere, dependencies get one set of features and are
            // compiled once for the tests, the lints and the image.
            build.arg("--workspace");
        }
        Variant::Release => {
            build.arg("--release");
            for package in PACKAGES.iter().chain([&INITRD]) {
                build.args(["--package", package]);
            }
        }
    }
    command::run_visibly(&mut build)?;
    let dir = target_dir(&paths.workspace).join(profile(options.variant));
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

/// The folder of a variant's programs below cargo's target folder.
pub(super) fn profile(variant: Variant) -> &'static str {
    match variant {
        Variant::Development => "debug",
        Variant::Release => "release",
    }
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
fn program_names(paths: &Paths) -> Result<Vec<String>> {
    let mut metadata = cargo::command();
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
        let ours = package["name"].as_str().is_some_and(is_shipped);
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
    // The page of the API's methods has their description in it.
    key.file(&paths.workspace.join("services/api/openapi.json"))?;
    let build = Stamp::new(&stamps(paths)?, "web", &key, &[&dist]);
    if build.is_fresh() {
        return Ok(Some(dist));
    }
    let npm = modules(&sources)?;
    step("building the web interface");
    build.clear()?;
    command::run(npm.command(&sources).args(["run", "build"]))?;
    build.set()?;
    Ok(Some(dist))
}

/// Unpacks the modules of the web interface, unless those of its lock file are there.
fn modules(sources: &Path) -> Result<Npm> {
    let invalid = |error| Error::Invalid(format!("{error:#}"));
    let npm = Npm::ensure().map_err(invalid)?;
    step("fetching the web interface's modules");
    npm.install(sources).map_err(invalid)?;
    Ok(npm)
}

/// The folder of the stamps of what is made once for all images.
fn stamps(paths: &Paths) -> Result<PathBuf> {
    let dir = paths.workspace.join("target/image");
    std::fs::create_dir_all(&dir).at("make", &dir)?;
    Ok(dir)
}

/// Brings crates and npm's modules into their caches.
pub(super) fn fetch(paths: &Paths) -> Result<()> {
    step("fetching crates");
    let mut fetch = cargo::command();
    fetch.current_dir(&paths.workspace);
    command::run(fetch.args(["fetch", "--quiet", "--locked"]))?;
    modules(&paths.workspace.join("web")).map(drop)
}

/// The files the web interface is built from.
fn web_sources(root: &Path) -> Result<Vec<PathBuf>> {
    const MADE: [&str; 4] = [MODULES, "dist", "test-results", "playwright-report"];
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

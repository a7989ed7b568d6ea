//! The second half of a build: everything that needs file ownership and mounts.
//!
//! Root runs it in place. Anyone else runs it in a user namespace in which they are root: the
//! program starts itself again there with the command [`STAGE_COMMAND`], which calls [`enter`].

use super::base::Base;
use super::bundle;
use super::command::{self, step};
use super::error::{At, Error, Result};
use super::lock::Lock;
use super::paths::{Paths, this_program};
use super::programs::Programs;
use super::sbom::Component;
use super::toolbox::{self, Toolbox};
use super::{Artifacts, Options, erofs, initrd, iso, netboot, uki};
use super::{prune, stamp, tree};
use crate::keys::Keys;
use basalt_layout::Version;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The hidden command that runs a stage; its argument is the file that describes it.
pub const STAGE_COMMAND: &str = "build-stage";

/// All that the stage needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stage {
    pub options: Options,
    pub workspace: PathBuf,
    pub cache: PathBuf,
    pub out: PathBuf,
    pub epoch: u64,
    pub toolbox: Toolbox,
    pub base: Base,
    /// The unpacked firmware packages.
    pub firmware: PathBuf,
    /// The compiled modules of ZFS.
    pub zfs: PathBuf,
    pub programs: Programs,
    pub keys: Keys,
    pub components: Vec<Component>,
}

/// What the first half of a build makes for the stage.
pub(super) struct Ingredients {
    pub toolbox: Toolbox,
    pub base: Base,
    /// The unpacked firmware packages.
    pub firmware: PathBuf,
    /// The compiled modules of ZFS.
    pub zfs: PathBuf,
    pub programs: Programs,
    pub keys: Keys,
    pub components: Vec<Component>,
}

/// Runs the stage that a parent has described in `task`.
pub fn enter(task: &Path) -> Result<()> {
    let text = fs::read_to_string(task).at("read", task)?;
    let stage: Stage = serde_json::from_str(&text).map_err(|error| invalid(task, &error))?;
    stage.make().map(drop)
}

fn invalid(path: &Path, error: &serde_json::Error) -> Error {
    Error::Invalid(format!("{}: {error}", path.display()))
}

impl Stage {
    pub fn new(options: &Options, paths: &Paths, made: Ingredients, lock: &Lock) -> Self {
        Self {
            options: options.clone(),
            workspace: paths.workspace.clone(),
            cache: paths.cache.clone(),
            out: paths.out.clone(),
            epoch: lock.epoch,
            toolbox: made.toolbox,
            base: made.base,
            firmware: made.firmware,
            zfs: made.zfs,
            programs: made.programs,
            keys: made.keys,
            components: made.components,
        }
    }

    /// Runs the stage with the rights it needs.
    pub fn run(&self) -> Result<Artifacts> {
        if rustix::process::geteuid().is_root() {
            return self.make();
        }
        let version = self.version()?;
        let description = self.out.join("stage.json");
        let text = serde_json::to_string(self).map_err(|error| invalid(&description, &error))?;
        fs::write(&description, text).at("write", &description)?;
        let program = this_program()?;
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--map-root-user", "--map-auto", "--"])
            .arg(program)
            .arg(STAGE_COMMAND)
            .arg(&description);
        command::run_visibly(&mut unshare)?;
        let roothash = self.out.join(format!("basalt_{version}.roothash"));
        let roothash = fs::read_to_string(&roothash).at("read", &roothash)?;
        self.artifacts(&version, roothash.trim().to_owned())
    }

    fn make(&self) -> Result<Artifacts> {
        let version = self.version()?;
        let system = self.system()?;
        let roothash = erofs::make(self, &system, &version)?;
        let artifacts = self.artifacts(&version, roothash)?;
        let initrd = initrd::make(self, &system)?;
        uki::make(self, &system, &initrd, &artifacts)?;
        iso::make(self, &artifacts, &version)?;
        if self.options.netboot {
            netboot::make(self, &artifacts)?;
        }
        bundle::make(self, &artifacts, &version)?;
        for used in [&self.base.archive, &system] {
            prune::mark(used);
        }
        self.toolbox.mark();
        prune::prune(&self.cache)?;
        Ok(artifacts)
    }

    /// The version of the image.
    fn version(&self) -> Result<Version> {
        let text = self
            .options
            .version
            .as_deref()
            .unwrap_or(env!("CARGO_PKG_VERSION"));
        text.parse()
            .map_err(|error| Error::Invalid(format!("{error}")))
    }

    fn artifacts(&self, version: &Version, roothash: String) -> Result<Artifacts> {
        let file = |suffix: &str| self.out.join(format!("basalt_{version}.{suffix}"));
        Ok(Artifacts {
            version: version.to_string(),
            roothash,
            root: file("root"),
            files: file("files"),
            verity: file("verity"),
            uki: file("efi"),
            iso: file("iso"),
            netboot: file("netboot.efi"),
            bundle: file("bundle"),
        })
    }

    /// The installed, cleaned packages with the kernel: all that does not depend on our own code.
    fn system(&self) -> Result<PathBuf> {
        let script = self.script("clean-root");
        let mut key = stamp::Hash::new();
        key.text(&self.base.key);
        key.file(&script)?;
        let dir = self.cache.join(format!("system-{}", key.short()));
        if dir.exists() {
            return Ok(dir);
        }
        step("unpacking and cleaning the base system");
        let partial = self.cache.join("system.partial");
        tree::fresh_dir(&partial)?;
        let mut tar = Command::new("tar");
        tar.args([
            "--extract",
            "--numeric-owner",
            "--preserve-permissions",
            "--exclude=./dev/*",
        ]);
        tar.args(["--xattrs", "--xattrs-include=*"])
            .arg("--file")
            .arg(&self.base.archive);
        command::run(tar.arg("--directory").arg(&partial))?;
        for package in &self.base.unpacked {
            toolbox::unpack(package, &partial)?;
        }
        let mut clean = self
            .toolbox
            .command(&[&partial, &self.image()], &script.to_string_lossy());
        command::run(clean.arg(&partial))?;
        fs::rename(&partial, &dir).at("move", &partial)?;
        Ok(dir)
    }

    /// The folder with the image's own sources.
    pub fn image(&self) -> PathBuf {
        self.workspace.join("image")
    }

    /// A script that runs in the toolbox.
    pub fn script(&self, name: &str) -> PathBuf {
        self.image().join("scripts").join(name)
    }

    /// The folder for intermediate results.
    pub fn work(&self) -> Result<PathBuf> {
        let dir = self.out.join("work");
        tree::make_dir(&dir)?;
        Ok(dir)
    }
}

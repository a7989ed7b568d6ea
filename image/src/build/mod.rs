//! `cargo image build`: Debian packages and our binaries become root image, UKI, ISO and bundle.
//!
//! Start at [`build`]. It has two halves. The first runs as the caller: the locked packages are
//! fetched ([`fetch`]), unpacked into a toolbox ([`toolbox`]) and installed into a tar archive of the
//! base system ([`base`]); our own programs are compiled ([`programs`]). The second, [`stage`],
//! needs file ownership and mounts, so without root rights it runs in a user namespace.
//!
//! Each step remembers a hash of its inputs ([`stamp`]) and does nothing when they are unchanged.

mod apt;
mod base;
mod bios;
mod bundle;
mod changelog;
pub mod changes;
mod command;
mod emulator;
mod erofs;
mod error;
mod fetch;
mod gpt;
mod initrd;
mod iso;
pub mod lock;
pub(crate) mod mirror;
pub mod netboot;
pub mod parts;
pub mod paths;
mod programs;
pub(crate) mod prune;
pub mod reproduce;
mod sbom;
mod sign;
mod stage;
mod stamp;
mod toolbox;
mod toolchain;
mod tree;
mod uki;
mod verity;
mod zfs;

use crate::keys::Keys;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub use emulator::Emulator;
pub use error::{Error, Result};
pub use programs::Programs;
pub use stage::{STAGE_COMMAND, enter as enter_stage};

/// Which of the two images to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Debug profile, a serial login, and `basalt-dev-sync`.
    #[default]
    Development,
    /// What users get.
    Release,
}

impl Variant {
    /// The name in os-release and in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Release => "release",
        }
    }
}

/// What to build.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Options {
    /// The image's version; the workspace's when not given.
    pub version: Option<String>,
    /// Which image.
    pub variant: Variant,
    /// The sources to build; the workspace this program was compiled from when not given.
    pub workspace: Option<PathBuf>,
    /// Where the results go; `target/image/<variant>` when not given.
    pub out: Option<PathBuf>,
    /// A folder laid over the finished root last. Tests use it to make a deliberately broken image.
    pub overlay: Option<PathBuf>,
    /// Also make what machines start the installer from over the network.
    #[serde(default)]
    pub netboot: bool,
    /// Take our programs, and the web interface as `web/`, from this folder instead of compiling.
    pub programs: Option<PathBuf>,
}

/// What a build has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// The image's version.
    pub version: String,
    /// The dm-verity root hash, in hex; its halves are the partitions' UUIDs.
    pub roothash: String,
    /// The root file system, erofs.
    pub root: PathBuf,
    /// What is in the root: a line for each file, sorted.
    pub files: PathBuf,
    /// Its hash tree.
    pub verity: PathBuf,
    /// The unified kernel image.
    pub uki: PathBuf,
    /// The bootable installer.
    pub iso: PathBuf,
    /// The same as a kernel image for network boot; made when it was asked for.
    pub netboot: PathBuf,
    /// The update bundle.
    pub bundle: PathBuf,
}

/// Builds the image, or what changed of it since last time.
pub fn build(options: &Options) -> Result<Artifacts> {
    // Files of the image must not have other modes because the builder keeps theirs private.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let paths = paths::Paths::find(options)?;
    let _building = paths.lock_builds()?;
    require_tools()?;
    toolchain::check(&paths, options.variant)?;
    let lock = lock::Lock::read(&paths)?;
    let toolbox = toolbox::ensure(&paths, &lock)?;
    let base = base::ensure(&paths, &lock)?;
    let firmware = toolbox::ensure_unpacked(&paths, &lock, lock::Group::Firmware)?;
    let zfs = zfs::ensure(&paths, &lock)?;
    let programs = programs::build(&paths, options)?;
    let keys = Keys::ensure()?;
    let components = sbom::shipped(&paths, &lock, &programs)?;
    let ingredients = stage::Ingredients {
        toolbox,
        base,
        firmware,
        zfs,
        programs,
        keys,
        components,
    };
    stage::Stage::new(options, &paths, ingredients, &lock).run()
}

/// Brings every input of a build into the caches: packages, crates and npm's modules. After this a
/// build needs no network.
pub fn fetch_inputs() -> Result<()> {
    let options = Options::default();
    let paths = paths::Paths::find(&options)?;
    let _building = paths.lock_builds()?;
    require_tools()?;
    let lock = lock::Lock::read(&paths)?;
    fetch::ensure(&paths, &lock, &lock.packages.iter().collect::<Vec<_>>())?;
    programs::fetch(&paths)
}

/// Compiles our programs and the web interface, and makes no image.
pub fn compile(options: &Options) -> Result<Programs> {
    programs::build(&paths::Paths::find(options)?, options)
}

/// The few programs the build machine itself must have; all others come in the toolbox.
fn require_tools() -> Result<()> {
    use crate::tools::Tool;
    let mut tools = vec![Tool::Mmdebstrap, Tool::DpkgDeb, Tool::DebianKeyring];
    if !rustix::process::geteuid().is_root() {
        tools.push(Tool::Newuidmap);
    }
    crate::tools::ensure(&tools).map_err(|error| Error::Invalid(format!("{error:#}")))
}

//! The lock file: each package of the image by version, size and hash.
//!
//! `packages.toml` says what we want, `packages.lock` what that means exactly. [`refresh`] makes the
//! second from the first and the mirror's present state; builds only ever read it.

use super::apt::{Apt, Record};
use super::changes::{self, Change};
use super::command::step;
use super::error::{At, Error, Result};
use super::mirror::Mirrors;
use super::paths::Paths;
use super::stamp::Hash;
use super::zfs;
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The list's file name under `image/`.
pub(super) const LIST: &str = "packages.toml";
/// The lock's file name under `image/`.
pub(super) const LOCK: &str = "packages.lock";

/// Where the archive of security updates has its packages.
pub(super) const SECURITY_POOL: &str = "pool/updates/";

/// Essential packages, less apt, which counts itself among them.
const ESSENTIAL: &str = "?and(?essential,?not(?name(^apt$)))";

/// What we want, as `packages.toml` writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    suite: String,
    root: Vec<String>,
    kernel: String,
    toolbox: Vec<String>,
    firmware: Vec<String>,
    storage: Vec<String>,
    modules: Vec<String>,
}

/// Where in the build a package is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Installed into the appliance's root.
    Root,
    /// Unpacked into the appliance's root.
    Kernel,
    /// Unpacked into the folder of build tools.
    Toolbox,
    /// Unpacked as the firmware of the machines that tests run in.
    Firmware,
    /// Unpacked into the appliance's root: the programs of kinds of storage.
    Storage,
    /// Unpacked into a second toolbox, which compiles ZFS's kernel modules.
    Modules,
}

impl Group {
    /// All of them.
    const ALL: [Self; 6] = [
        Self::Root,
        Self::Kernel,
        Self::Toolbox,
        Self::Firmware,
        Self::Storage,
        Self::Modules,
    ];

    /// The name in the lock and in the cache.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Kernel => "kernel",
            Self::Toolbox => "toolbox",
            Self::Firmware => "firmware",
            Self::Storage => "storage",
            Self::Modules => "modules",
        }
    }
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|group| group.as_str() == text)
            .ok_or_else(|| format!("unknown group {text:?}"))
    }
}

/// One locked package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub group: Group,
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub size: u64,
    pub sha256: String,
    /// Path below the mirror.
    pub path: String,
}

impl Package {
    /// The package's file name in the cache, without the colon that apt would escape.
    pub fn file_name(&self) -> String {
        let version = self.version.replace(':', "-");
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }

    /// Whether it comes from the archive of security updates.
    pub fn is_security_update(&self) -> bool {
        self.path.starts_with(SECURITY_POOL)
    }
}

/// All locked packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lock {
    pub suite: String,
    /// When the lock was made: the time stamp of everything in the image.
    pub epoch: u64,
    /// Hash of the list the lock was made from.
    list: String,
    pub packages: Vec<Package>,
}

impl Lock {
    /// Reads the lock and checks that it belongs to the list beside it.
    pub fn read(paths: &Paths) -> Result<Self> {
        let (list, lock) = (paths.package_list(), paths.package_lock());
        let text = fs::read_to_string(&lock).at("read", &lock)?;
        let parsed = Self::parse(&text, &lock)?;
        if parsed.list != list_hash(&fs::read_to_string(&list).at("read", &list)?) {
            return Err(Error::LockStale);
        }
        Ok(parsed)
    }

    /// A lock of these packages, for tests.
    #[cfg(test)]
    pub fn of(suite: &str, packages: Vec<Package>) -> Self {
        Self {
            suite: suite.to_owned(),
            epoch: 1,
            list: String::new(),
            packages,
        }
    }

    /// The packages of one group.
    pub fn group(&self, group: Group) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(move |package| package.group == group)
    }

    /// A hash over the given groups, which changes with any package in them.
    pub fn hash_groups(&self, groups: &[Group]) -> Hash {
        let mut hash = Hash::new();
        hash.text(&self.suite);
        hash.text(&self.epoch.to_string());
        for group in groups {
            for package in self.group(*group) {
                hash.text(&package.file_name());
                hash.text(&package.sha256);
            }
        }
        hash
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let (mut suite, mut epoch, mut list, mut packages) = (None, None, None, Vec::new());
        for (index, line) in text.lines().enumerate() {
            let fail = |reason: String| Error::Lock {
                path: path.to_owned(),
                line: index + 1,
                reason,
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["suite", name] => suite = Some(name.to_owned()),
                ["epoch", seconds] => {
                    epoch = Some(seconds.parse().map_err(|_| fail("not a time".to_owned()))?);
                }
                ["list", hash] => list = Some(hash.to_owned()),
                [group, name, version, architecture, size, sha256, path] => {
                    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                        return Err(fail(format!("{sha256:?} is no SHA-256")));
                    }
                    packages.push(Package {
                        group: group.parse().map_err(fail)?,
                        name: name.to_owned(),
                        version: version.to_owned(),
                        architecture: architecture.to_owned(),
                        size: size
                            .parse()
                            .map_err(|_| fail(format!("{size:?} is no size")))?,
                        sha256: sha256.to_owned(),
                        path: path.to_owned(),
                    });
                }
                _ => return Err(fail("neither a setting nor a package".to_owned())),
            }
        }
        let missing = |what: &str| Error::Lock {
            path: path.to_owned(),
            line: text.lines().count(),
            reason: format!("the file ends without `{what}`"),
        };
        Ok(Self {
            suite: suite.ok_or_else(|| missing("suite"))?,
            epoch: epoch.ok_or_else(|| missing("epoch"))?,
            list: list.ok_or_else(|| missing("list"))?,
            packages,
        })
    }

    fn render(&self) -> String {
        let mut text = String::from(
            "# Made by `cargo image lock` from packages.toml; not for editing.\n\
             # group name version architecture size sha256 path\n",
        );
        // Writing into a String cannot fail, so the results carry nothing.
        let _ = writeln!(
            text,
            "suite {}\nepoch {}\nlist {}",
            self.suite, self.epoch, self.list
        );
        for p in &self.packages {
            let _ = writeln!(
                text,
                "{} {} {} {} {} {} {}",
                p.group.as_str(),
                p.name,
                p.version,
                p.architecture,
                p.size,
                p.sha256,
                p.path
            );
        }
        text
    }
}

fn list_hash(list: &str) -> String {
    let mut hash = Hash::new();
    hash.text(list);
    hash.short()
}

/// Locks what the mirror has today. Returns what changed; the old lock stays when anything fails.
pub fn refresh() -> Result<Vec<Change>> {
    let paths = Paths::find(&super::Options::default())?;
    super::require_tools()?;
    let list_path = paths.package_list();
    let text = fs::read_to_string(&list_path).at("read", &list_path)?;
    let list: List = toml::from_str(&text)
        .map_err(|error| Error::Invalid(format!("{}: {error}", list_path.display())))?;
    step("asking the mirror for its packages");
    let mirrors = Mirrors::find()?;
    let apt = Apt::update(&paths.cache.join("apt"), &mirrors, &list.suite)?;
    let lock = resolve(&apt, list, list_hash(&text))?;
    let path = paths.package_lock();
    let before = fs::read_to_string(&path)
        .ok()
        .and_then(|old| Lock::parse(&old, &path).ok());
    let mut changes = changes::between(before.as_ref(), &lock);
    if changes.is_empty()
        && before
            .as_ref()
            .is_some_and(|before| before.list == lock.list)
    {
        return Ok(changes);
    }
    changes::name_fixes(&paths, &mirrors, &lock, &mut changes)?;
    zfs::configure(&paths, &lock)?;
    fs::write(&path, lock.render()).at("write", &path)?;
    Ok(changes)
}

fn resolve(apt: &Apt, list: List, hash: String) -> Result<Lock> {
    let with_essential = |mut names: Vec<String>| {
        names.push(ESSENTIAL.to_owned());
        names
    };
    let kernel_image = |name: &String| {
        // linux-image-6.12…: the package with the files, not the one that points to it.
        name.strip_prefix("linux-image-")
            .is_some_and(|rest| rest.starts_with(char::is_numeric))
    };
    let kernel: Vec<String> = apt
        .closure(&[list.kernel])?
        .into_iter()
        .filter(kernel_image)
        .collect();
    let mut modules = apt.closure(&with_essential(list.modules))?;
    // Named as they are: their dependencies are for a machine that has this kernel installed.
    modules.extend(kernel.iter().flat_map(|image| headers(image)));
    modules.push(zfs::SOURCE.to_owned());
    let groups = [
        (Group::Root, apt.closure(&with_essential(list.root))?),
        (Group::Kernel, kernel),
        (Group::Toolbox, apt.closure(&with_essential(list.toolbox))?),
        (Group::Firmware, apt.closure(&list.firmware)?),
        (Group::Storage, list.storage),
        (Group::Modules, modules),
    ];
    let mut packages = Vec::new();
    for (group, names) in groups {
        let mut records = apt.show(&names)?;
        records.sort_by(|a, b| a.name.cmp(&b.name));
        packages.extend(records.into_iter().map(|record| package(group, record)));
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Lock {
        suite: list.suite,
        epoch: now.as_secs(),
        list: hash,
        packages,
    })
}

/// The packages that modules for the kernel of the package `image` are compiled with.
fn headers(image: &str) -> [String; 3] {
    let full = image.trim_start_matches("linux-image-");
    let version = full.trim_end_matches("-amd64");
    [
        format!("linux-headers-{full}"),
        format!("linux-headers-{version}-common"),
        format!("linux-kbuild-{version}"),
    ]
}

fn package(group: Group, record: Record) -> Package {
    let Record {
        name,
        version,
        architecture,
        size,
        sha256,
        path,
    } = record;
    Package {
        group,
        name,
        version,
        architecture,
        size,
        sha256,
        path,
    }
}

/// The newer version of a package that left the mirror, if the mirror can tell.
pub(super) fn version_now(
    mirrors: &Mirrors,
    paths: &Paths,
    suite: &str,
    name: &str,
) -> Option<String> {
    let apt = Apt::update(&paths.cache.join("apt"), mirrors, suite).ok()?;
    let records = apt.show(&[name.to_owned()]).ok()?;
    records.into_iter().next().map(|record| record.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Lock {
        let package = |group, name: &str, version: &str| Package {
            group,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            size: 7,
            sha256: "ab".repeat(32),
            path: format!("pool/main/{name}.deb"),
        };
        Lock {
            suite: "trixie".to_owned(),
            epoch: 5,
            list: "x".to_owned(),
            packages: vec![
                package(Group::Root, "a", "1:2"),
                package(Group::Kernel, "linux", "6"),
                package(Group::Toolbox, "a", "1:2"),
            ],
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let lock = sample();
        assert_eq!(
            Lock::parse(&lock.render(), Path::new("l")).expect("reads"),
            lock
        );
    }

    #[test]
    fn errors_name_the_line() {
        let text = sample().render().replace("root a", "attic a");
        let error = Lock::parse(&text, Path::new("l")).expect_err("no such group");
        assert_eq!(error.to_string(), "l:6: unknown group \"attic\"");
        let error = Lock::parse("suite x\n", Path::new("l")).expect_err("it is cut short");
        assert_eq!(error.to_string(), "l:1: the file ends without `epoch`");
        let text = sample().render().replace("abab", "zz");
        assert!(Lock::parse(&text, Path::new("l")).is_err());
    }

    #[test]
    fn the_hash_changes_with_its_groups_only() {
        let lock = sample();
        let mut other = sample();
        other.packages[2].sha256 = "cd".repeat(32);
        let hash = |lock: &Lock, group| lock.hash_groups(&[group]).hex();
        assert_eq!(hash(&lock, Group::Root), hash(&other, Group::Root));
        assert_ne!(hash(&lock, Group::Toolbox), hash(&other, Group::Toolbox));
    }

    #[test]
    fn headers_are_those_of_the_kernel() {
        assert_eq!(
            headers("linux-image-6.12.1+deb13-amd64"),
            [
                "linux-headers-6.12.1+deb13-amd64",
                "linux-headers-6.12.1+deb13-common",
                "linux-kbuild-6.12.1+deb13"
            ]
        );
    }

    #[test]
    fn a_file_name_has_no_colon() {
        assert_eq!(sample().packages[0].file_name(), "a_1-2_amd64.deb");
    }
}

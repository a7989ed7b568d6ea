//! Brings locked packages into the cache, each checked against its hash.

use super::command::step;
use super::error::{At, Error, Result};
use super::lock::{self, Lock, Package};
use super::mirror::Mirrors;
use super::paths::Paths;
use super::{command, prune, stamp, tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// apt's own downloader: knows this machine's proxies and checks hashes.
const DOWNLOADER: &str = "/usr/lib/apt/apt-helper";

/// The folder of packages in the cache.
pub(super) const PACKAGES: &str = "packages";

/// How many files one downloader fetches; bounds the length of its command line.
const BATCH: usize = 40;

/// Makes sure that all `packages` are in the cache, and returns where.
pub(super) fn ensure(paths: &Paths, lock: &Lock, packages: &[&Package]) -> Result<PathBuf> {
    let dir = paths.cache.join(PACKAGES);
    if missing(&dir, packages).is_empty() {
        for package in packages {
            prune::mark(&dir.join(package.file_name()));
        }
        return Ok(dir);
    }
    ensure_from(&Mirrors::find()?, paths, lock, packages)
}

/// The same with the mirror named.
pub(super) fn ensure_from(
    mirrors: &Mirrors,
    paths: &Paths,
    lock: &Lock,
    packages: &[&Package],
) -> Result<PathBuf> {
    let dir = paths.cache.join(PACKAGES);
    tree::make_dir(&dir)?;
    let missing = missing(&dir, packages);
    if missing.is_empty() {
        return Ok(dir);
    }
    let bytes: u64 = missing.iter().map(|package| package.size).sum();
    step(&format!(
        "fetching {} packages, {} MB",
        missing.len(),
        bytes / 1_000_000
    ));
    let partial = paths.cache.join("partial");
    tree::fresh_dir(&partial)?;
    for batch in missing.chunks(BATCH) {
        fetch(mirrors, batch, &partial)
            .map_err(|error| explain(mirrors, paths, lock, &partial, batch, error))?;
        for package in batch {
            adopt(&partial, &dir, package)?;
        }
    }
    Ok(dir)
}

fn missing<'a>(dir: &Path, packages: &[&'a Package]) -> Vec<&'a Package> {
    let mut missing: Vec<&Package> = packages
        .iter()
        .copied()
        .filter(|package| !is_whole(dir, package))
        .collect();
    // Root and toolbox may name the same package.
    missing.sort_by_key(|package| package.file_name());
    missing.dedup_by_key(|package| package.file_name());
    missing
}

/// Whether the cache has the file in full. Its hash was checked when it came in.
fn is_whole(dir: &Path, package: &Package) -> bool {
    fs::metadata(dir.join(package.file_name())).is_ok_and(|meta| meta.len() == package.size)
}

fn fetch(mirrors: &Mirrors, batch: &[&Package], to: &Path) -> Result<()> {
    let mut downloader = Command::new(DOWNLOADER);
    downloader
        .arg("download-file")
        .args(["-o", "Acquire::Retries=2"]);
    for package in batch {
        downloader
            .arg(mirrors.uri(&escape(&package.path)))
            .arg(to.join(package.file_name()))
            .arg(format!("SHA256:{}", package.sha256));
    }
    command::run(&mut downloader)
}

/// A pool path with the characters that addresses must not contain written as `%xx`.
fn escape(path: &str) -> String {
    path.replace('~', "%7e")
        .replace('+', "%2b")
        .replace(':', "%3a")
}

fn adopt(partial: &Path, dir: &Path, package: &Package) -> Result<()> {
    let file = partial.join(package.file_name());
    let sha256 = stamp::sha256_file(&file)?;
    if sha256 != package.sha256 {
        return Err(Error::Invalid(format!(
            "{} {} came with SHA-256 {sha256}, but {} is locked",
            package.name, package.version, package.sha256
        )));
    }
    fs::rename(&file, dir.join(package.file_name())).at("move", &file)
}

/// Tells a package that left the mirror from other trouble.
fn explain(
    mirrors: &Mirrors,
    paths: &Paths,
    lock: &Lock,
    partial: &Path,
    batch: &[&Package],
    error: Error,
) -> Error {
    // What a web server and a folder say of a file that is not there.
    const ABSENT: [&str; 2] = ["404", "No such file or directory"];
    let said = error.to_string();
    if !ABSENT.iter().any(|absent| said.contains(absent)) {
        return error;
    }
    let absent = batch
        .iter()
        .find(|package| !partial.join(package.file_name()).exists());
    let Some(package) = absent else { return error };
    let newer = lock::version_now(mirrors, paths, &lock.suite, &package.name)
        .filter(|version| *version != package.version)
        .map(|version| format!(" (it has {version} now)"))
        .unwrap_or_default();
    Error::Gone {
        name: package.name.clone(),
        version: package.version.clone(),
        newer,
    }
}

/// Packages and a mirror for tests.
#[cfg(test)]
pub(super) mod samples {
    use super::super::stamp::sha256_file;
    use super::*;

    /// Builds a package in `dir` with this changelog.
    pub fn package(dir: &Path, name: &str, version: &str, changelog: &str) -> PathBuf {
        let tree = dir.join("tree");
        let (doc, control) = (tree.join("usr/share/doc").join(name), tree.join("DEBIAN"));
        fs::create_dir_all(&doc).unwrap();
        fs::create_dir_all(&control).unwrap();
        let text = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@example.org>\n\
             Description: a sample\n"
        );
        fs::write(control.join("control"), text).unwrap();
        fs::write(doc.join("changelog.Debian"), changelog).unwrap();
        let zipped = Command::new("gzip")
            .arg(doc.join("changelog.Debian"))
            .status();
        assert!(zipped.unwrap().success());
        let file = dir.join(format!("{name}_{version}_all.deb"));
        let mut build = Command::new("dpkg-deb");
        build
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&file);
        command::run(&mut build).unwrap();
        file
    }

    /// A mirror in `dir` whose suite has one package, at `pool/main/<file name>`.
    pub fn mirror(dir: &Path, package: &Path) -> Mirrors {
        let pool = dir.join("pool/main");
        fs::create_dir_all(&pool).unwrap();
        let name = package.file_name().unwrap().to_string_lossy().into_owned();
        fs::copy(package, pool.join(&name)).unwrap();
        let control = command::output(Command::new("dpkg-deb").arg("--field").arg(package));
        let index = format!(
            "{}\nFilename: pool/main/{name}\nSize: {}\nSHA256: {}\n\n",
            control.unwrap().trim_end(),
            fs::metadata(package).unwrap().len(),
            sha256_file(package).unwrap()
        );
        for suite in ["trixie", "trixie-security"] {
            let suite_dir = dir.join("dists").join(suite);
            let packages = suite_dir.join("main/binary-amd64/Packages");
            fs::create_dir_all(packages.parent().unwrap()).unwrap();
            fs::write(&packages, &index).unwrap();
            let release = format!(
                "Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n\
                 Date: Mon, 02 Feb 2026 00:00:00 UTC\nSHA256:\n {} {} main/binary-amd64/Packages\n",
                sha256_file(&packages).unwrap(),
                index.len()
            );
            fs::write(suite_dir.join("Release"), release).unwrap();
        }
        let uri = format!("file:{}", dir.display());
        Mirrors {
            main: uri.clone(),
            security: uri,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lock::Group;

    fn locked(version: &str, sha256: String, size: u64) -> Package {
        Package {
            group: Group::Root,
            name: "basalt-sample".to_owned(),
            version: version.to_owned(),
            architecture: "all".to_owned(),
            size,
            sha256,
            path: format!("pool/main/basalt-sample_{version}_all.deb"),
        }
    }

    #[test]
    fn pool_paths_are_escaped_for_addresses() {
        assert_eq!(escape("pool/a_1%2~b+c.deb"), "pool/a_1%2%7eb%2bc.deb");
    }

    #[test]
    fn what_the_mirror_has_is_fetched_and_what_left_it_is_named_with_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let file = samples::package(dir.path(), "basalt-sample", "2", "none");
        let mirrors = samples::mirror(&dir.path().join("mirror"), &file);
        let paths = Paths {
            workspace: dir.path().to_owned(),
            cache: dir.path().join("cache"),
            out: dir.path().to_owned(),
        };
        let sha256 = stamp::sha256_file(&file).unwrap();
        let size = fs::metadata(&file).unwrap().len();
        let (there, gone) = (
            locked("2", sha256.clone(), size),
            locked("1", "ab".repeat(32), 7),
        );
        let lock = Lock::of("trixie", vec![there.clone(), gone.clone()]);
        let fetched = ensure_from(&mirrors, &paths, &lock, &[&there]).unwrap();
        let copy = fetched.join(there.file_name());
        assert_eq!(stamp::sha256_file(&copy).unwrap(), sha256);
        let error = ensure_from(&mirrors, &paths, &lock, &[&gone]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "basalt-sample 1 is no longer on the mirror (it has 2 now); \
             run `cargo image lock` to move the lock to what it has now"
        );
        assert!(!paths.cache.join(PACKAGES).join(gone.file_name()).exists());
    }
}

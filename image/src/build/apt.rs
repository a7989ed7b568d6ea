//! A private apt: resolves packages of the image's suite without touching the machine's own apt.

use super::command;
use super::error::{At, Error, Result};
use super::mirror::Mirrors;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// apt with a state of its own, in which nothing is installed.
pub(super) struct Apt {
    config: PathBuf,
}

/// What the archive says of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub size: u64,
    pub sha256: String,
    pub path: String,
}

impl Apt {
    /// Prepares the state under `dir` and fetches the suite's package lists.
    pub fn update(dir: &Path, mirrors: &Mirrors, suite: &str) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(sub)).at("make", dir.join(sub))?;
        }
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let path = dir.join(name);
            fs::write(&path, text).at("write", &path)?;
            Ok(path)
        };
        write("status", String::new())?;
        let Mirrors { main, security } = mirrors;
        write(
            "sources.list",
            format!(
                "deb {} {main} {suite} main contrib\n\
                 deb {} {security} {suite}-security main contrib\n",
                Mirrors::options(main),
                Mirrors::options(security)
            ),
        )?;
        let dir = dir.display();
        let config = write(
            "apt.conf",
            format!(
                "Dir::State \"{dir}\";\nDir::State::lists \"{dir}/lists\";\n\
                 Dir::State::status \"{dir}/status\";\nDir::Cache \"{dir}/cache\";\n\
                 Dir::Etc::sourcelist \"{dir}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
                 APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
                 APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n\
                 Acquire::Languages \"none\";\n"
            ),
        )?;
        let apt = Self { config };
        command::run(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// The names of all packages that installing `wanted` on an empty system brings.
    pub fn closure(&self, wanted: &[String]) -> Result<Vec<String>> {
        let mut apt = self.command("apt-get");
        apt.args(["install", "--simulate", "--yes"]).args(wanted);
        let text = command::output(&mut apt)?;
        let mut names: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("Inst "))
            .filter_map(|rest| rest.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// What the archive has of each of `names`, in the version that would be installed.
    pub fn show(&self, names: &[String]) -> Result<Vec<Record>> {
        let mut apt = self.command("apt-cache");
        apt.args(["show", "--no-all-versions"]).args(names);
        let text = command::output(&mut apt)?;
        text.split("\n\n")
            .filter(|stanza| !stanza.trim().is_empty())
            .map(record)
            .collect()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", &self.config)
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

/// Reads one stanza of package control data.
fn record(stanza: &str) -> Result<Record> {
    let field = |name: &str| -> Result<String> {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| Error::Invalid(format!("apt-cache shows a package without {name}")))
    };
    let size = field("Size")?;
    Ok(Record {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        size: size
            .parse()
            .map_err(|_| Error::Invalid(format!("a package of size {size:?}")))?,
        sha256: field("SHA256")?,
        path: field("Filename")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stanza() {
        let text = "Package: a\nInstalled-Size: 9\nVersion: 1:2-3\nArchitecture: all\n\
                    Description: x\n Size: no\nFilename: pool/main/a/a.deb\nSize: 12\nSHA256: ab\n";
        let record = record(text).expect("complete");
        assert_eq!((record.name.as_str(), record.size), ("a", 12));
        assert_eq!(
            (record.version.as_str(), record.sha256.as_str()),
            ("1:2-3", "ab")
        );
    }

    #[test]
    fn an_incomplete_stanza_names_the_field() {
        let error = record("Package: a\nSize: 1\n").expect_err("incomplete");
        assert!(error.to_string().ends_with("without Version"));
    }
}

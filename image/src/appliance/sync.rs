//! `cargo image sync`: rebuilt programs and the web interface into a running development image.
//!
//! The appliance's `basalt-dev-sync` unpacks what we send below `/var/lib/basalt-dev/`, binds it
//! over the read-only files of the image and restarts the units that run it. A release image has
//! no such program, so nothing can be brought into it.

use super::node::Node;
use super::say;
use crate::build::{self, Options};
use crate::tools::{self, Tool};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

/// What a node was last sent, so that only changed files are stripped and sent.
const STATE: &str = "sync.json";

/// Modification time and size of every program, by name, as it was last sent.
#[derive(Default, Serialize, Deserialize)]
struct Sent {
    programs: BTreeMap<String, (SystemTime, u64)>,
    web: Option<String>,
}

/// Compiles, and brings into the running node what changed since the last time.
pub fn sync(node: &Node) -> Result<()> {
    let began = Instant::now();
    let there = node.ssh().output("command -v basalt-dev-sync")?;
    if !there.status.success() {
        bail!(
            "{} runs a release image, into which nothing can be brought",
            node.state().name
        );
    }
    tools::ensure(&[Tool::Objcopy, Tool::Zstd])?;
    let built = build::compile(&Options::default()).context("nothing was brought in")?;
    let state_file = node.dir().join(STATE);
    let mut sent = read_state(&state_file);
    let staging = tempfile::tempdir()?;
    let mut changed = stage_programs(&built.appliance, &mut sent, staging.path())?;
    if let Some(web) = &built.web {
        changed.extend(stage_web(web, &mut sent, staging.path())?);
    }
    if changed.is_empty() {
        say("nothing has changed");
        return Ok(());
    }
    send(node, staging.path())?;
    fs::write(&state_file, serde_json::to_string(&sent)?)?;
    say(&format!(
        "{} ({:.1} s)",
        changed.join(", "),
        began.elapsed().as_secs_f32()
    ));
    Ok(())
}

fn read_state(file: &Path) -> Sent {
    // Without a (readable) record everything counts as changed.
    fs::read_to_string(file)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Puts a stripped copy of every program that changed into `staging/bin`.
fn stage_programs(programs: &[PathBuf], sent: &mut Sent, staging: &Path) -> Result<Vec<String>> {
    let dir = staging.join("bin");
    fs::create_dir(&dir)?;
    let mut changed = Vec::new();
    for program in programs {
        let name = program.file_name().context("a program without a name")?;
        let name = name.to_string_lossy().into_owned();
        let meta = fs::metadata(program)?;
        let mark = (meta.modified()?, meta.len());
        if sent.programs.get(&name) == Some(&mark) {
            continue;
        }
        let status = Command::new("strip")
            .arg("-o")
            .arg(dir.join(&name))
            .arg(program)
            .status()?;
        if !status.success() {
            bail!("cannot strip {}", program.display());
        }
        sent.programs.insert(name.clone(), mark);
        changed.push(name);
    }
    Ok(changed)
}

/// Puts the web interface into `staging/web` when its content changed.
fn stage_web(dist: &Path, sent: &mut Sent, staging: &Path) -> Result<Option<String>> {
    let key = tree_hash(dist)?;
    if sent.web.as_ref() == Some(&key) {
        return Ok(None);
    }
    let copied = Command::new("cp")
        .arg("-r")
        .arg(dist)
        .arg(staging.join("web"))
        .status()?;
    if !copied.success() {
        bail!("cannot copy {}", dist.display());
    }
    sent.web = Some(key);
    Ok(Some("web".into()))
}

/// A hash over the names and contents of all files below `dir`.
fn tree_hash(dir: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut pending = vec![dir.to_owned()];
    let mut files = Vec::new();
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    for file in files {
        let content = fs::read(&file)?;
        hash.update(file.strip_prefix(dir)?.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(hex::encode(hash.finalize()))
}

fn send(node: &Node, staging: &Path) -> Result<()> {
    let mut tar = Command::new("tar")
        .args([
            "--create",
            "--owner=0",
            "--group=0",
            "--mode=a+rX,u+w",
            "--zstd",
            "--directory",
        ])
        .arg(staging)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let received = node
        .ssh()
        .command()
        .args(["--", "basalt-dev-sync", "receive"])
        .stdin(archive)
        .output()?;
    if !tar.wait()?.success() {
        bail!("tar could not pack the changes");
    }
    if !received.status.success() {
        let said = String::from_utf8_lossy(&received.stderr);
        bail!(
            "{} did not take the changes: {}",
            node.state().name,
            said.trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_changed_program_is_staged() {
        let ours = std::env::current_exe().unwrap();
        let mut sent = Sent::default();
        let stage = |sent: &mut Sent| {
            let staging = tempfile::tempdir().unwrap();
            stage_programs(std::slice::from_ref(&ours), sent, staging.path())
                .unwrap()
                .len()
        };
        assert_eq!(stage(&mut sent), 1);
        assert_eq!(stage(&mut sent), 0);
        sent.programs.values_mut().for_each(|mark| mark.1 += 1);
        assert_eq!(stage(&mut sent), 1);
    }

    #[test]
    fn a_trees_hash_sees_names_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        let first = tree_hash(dir.path()).unwrap();
        fs::write(dir.path().join("a"), "2").unwrap();
        let second = tree_hash(dir.path()).unwrap();
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        let third = tree_hash(dir.path()).unwrap();
        assert!(first != second && second != third);
    }
}

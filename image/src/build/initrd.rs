//! The initial RAM disk: one program of ours, a file system checker, and drivers for disks.

use super::command::{self, step};
use super::error::Result;
use super::stage::Stage;
use super::stamp::{Hash, Stamp};
use super::{erofs, tree};
use std::path::{Path, PathBuf};

/// Makes the archive, unless nothing changed.
pub(super) fn make(stage: &Stage, system: &Path) -> Result<PathBuf> {
    let archive = stage.out.join("initrd");
    let modules = stage.image().join("initrd/modules");
    let script = stage.script("make-initrd");
    let mut key = Hash::new();
    key.text(&system.to_string_lossy());
    stage.toolbox.add_to(&mut key);
    key.text(&stage.epoch.to_string());
    for file in [&script, &modules, &stage.programs.initrd] {
        key.file(file)?;
    }
    let stamp = Stamp::new(&stage.out, "initrd", &key, &[&archive]);
    if stamp.is_fresh() {
        return Ok(archive);
    }
    stamp.clear()?;
    step("making the initial RAM disk");
    let content = stage.work()?.join("initrd");
    tree::fresh_dir(&content)?;
    let init = content.join("init");
    tree::copy(&stage.programs.initrd, &init)?;
    erofs::strip(stage, &init)?;
    let dirs = [&stage.image(), system, &stage.out];
    let mut make = stage.toolbox.command(&dirs, &script.to_string_lossy());
    make.arg(system)
        .arg(&modules)
        .arg(&content)
        .arg(&archive)
        .arg(stage.epoch.to_string());
    command::run(&mut make)?;
    stamp.set()?;
    Ok(archive)
}

//! `cargo image publish`: a folder for a web server from which hosts take their updates.

use crate::build::Artifacts;
use crate::keys::Keys;
use anyhow::{Context, Result};
use basalt_update::channel::Release;
use std::fs;
use std::path::Path;

pub use basalt_update::channel::Channel;

/// Puts a bundle into `folder` and announces it as the latest of `channel`. A host that asks
/// meanwhile finds the old or the new announcement, and the bundle of either.
pub fn publish(built: &Artifacts, folder: &Path, channel: Channel) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let name = format!("basalt_{}.bundle", built.version);
    put(folder, &name, |new| fs::copy(&built.bundle, new).map(drop))?;
    let release = Release::new(channel, built.version.parse()?, &name);
    let key = Keys::ensure()?.update_key()?;
    let text = release.signed(|bytes| anyhow::Ok(key.sign(bytes)?))?;
    put(folder, &format!("{channel}.json"), |new| {
        fs::write(new, &text)
    })
}

/// Makes a file under another name and renames it.
fn put(folder: &Path, name: &str, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let path = folder.join(name);
    let new = folder.join(format!(".{name}.new"));
    write(&new)
        .and_then(|()| fs::File::open(&new)?.sync_all())
        .and_then(|()| fs::rename(&new, &path))
        .with_context(|| format!("write {}", path.display()))
}

//! `cargo image publish`: a folder for a web server from which hosts take their updates, and machines
//! the installer when they start over the network.

use crate::build::Artifacts;
use crate::build::netboot::Parts;
use crate::keys::Keys;
use anyhow::{Context, Result};
use basalt_layout::mode::MEDIUM;
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

/// The script for iPXE.
pub const SCRIPT: &str = "boot.ipxe";
/// The latest kernel image for network boot, under a name that a DHCP server can go on giving out.
pub const NETBOOT: &str = "netboot.efi";

/// Puts into `folder` what machines start the installer from: for UEFI a signed kernel image with
/// everything in it, for iPXE a script and, for machines without UEFI, the parts that it names. The
/// script comes last: whoever reads it finds all that it names.
pub fn publish_netboot(built: &Artifacts, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let parts = Parts::read(&built.uki)?;
    let name = |suffix: &str| format!("basalt_{}.{suffix}", built.version);
    put(folder, &name("linux"), |new| fs::write(new, &parts.linux))?;
    put(folder, &name("initrd"), |new| fs::write(new, &parts.initrd))?;
    put(folder, &name("iso"), |new| {
        fs::copy(&built.iso, new).map(drop)
    })?;
    let image = name(NETBOOT);
    put(folder, &image, |new| {
        fs::copy(&built.netboot, new).map(drop)
    })?;
    put(folder, NETBOOT, |new| {
        // Left over from an interrupted run.
        let _ = fs::remove_file(new);
        fs::hard_link(folder.join(&image), new)
    })?;
    let text = script(&built.version, &parts.cmdline);
    put(folder, SCRIPT, |new| fs::write(new, &text))
}

/// What iPXE does. A script that chains to this one may set `basalt` to more words for the kernel.
///
/// The medium comes last: iPXE makes an archive of it that has no end, behind which the kernel would
/// not look for another one.
fn script(version: &str, cmdline: &str) -> String {
    format!(
        "#!ipxe\n\
         # Starts the installer of Basalt {version}. What the variable `basalt` holds is added to the\n\
         # command line, as basalt.answer=http://...; a firmware with Secure Boot takes the signed one.\n\
         iseq ${{platform}} efi && goto efi ||\n\
         kernel basalt_{version}.linux {cmdline} ${{basalt}}\n\
         initrd basalt_{version}.initrd\n\
         initrd basalt_{version}.iso {MEDIUM}\n\
         boot\n\
         :efi\n\
         kernel basalt_{version}.{NETBOOT} {cmdline} ${{basalt}}\n\
         boot\n"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_names_what_is_published() {
        let text = script("0.1.0", "roothash=ab quiet");
        assert!(text.starts_with("#!ipxe\n"));
        for line in [
            "kernel basalt_0.1.0.linux roothash=ab quiet ${basalt}",
            "initrd basalt_0.1.0.iso /medium.iso",
            "kernel basalt_0.1.0.netboot.efi roothash=ab quiet ${basalt}",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}

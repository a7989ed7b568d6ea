//! The installer for machines that start over the network: one signed kernel image that carries the
//! whole medium beside its initial RAM disk.
//!
//! So nothing has to be fetched once the kernel runs, and everything that runs was signed. The initial
//! RAM disk finds the medium in its memory ([`mode::MEDIUM`]) and treats it like a disc. Machines
//! without UEFI have the same by iPXE, which can put any file beside an initial RAM disk.

use super::Artifacts;
use super::command::{self, step};
use super::error::{At, Error, Result};
use super::stage::Stage;
use super::stamp::{Hash, Stamp};
use super::uki::{STUB, ukify};
use super::{sign, tree};
use basalt_layout::mode;
use basalt_update::pe;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a kernel image is made of.
#[derive(Debug)]
pub struct Parts {
    /// The kernel.
    pub linux: Vec<u8>,
    /// Its initial RAM disk.
    pub initrd: Vec<u8>,
    /// What it is.
    pub os_release: Vec<u8>,
    /// The command line that starts the installer.
    pub cmdline: String,
}

impl Parts {
    /// Takes a kernel image apart.
    pub fn read(uki: &Path) -> Result<Self> {
        let image = fs::read(uki).at("read", uki)?;
        let section = |name: &str| {
            pe::content(&image, name)
                .ok_or_else(|| Error::Invalid(format!("{} has no section {name}", uki.display())))
        };
        let cmdline = String::from_utf8_lossy(section(".cmdline")?).into_owned();
        let cmdline = cmdline.trim_matches(['\0', '\n', ' ']);
        Ok(Self {
            linux: section(".linux")?.to_vec(),
            initrd: section(".initrd")?.to_vec(),
            os_release: section(".osrel")?.to_vec(),
            cmdline: format!("{cmdline} {}", mode::INSTALL),
        })
    }
}

/// Makes the image, unless nothing changed.
pub(super) fn make(stage: &Stage, artifacts: &Artifacts) -> Result<()> {
    let mut key = Hash::new();
    key.text(mode::INSTALL);
    stage.toolbox.add_to(&mut key);
    key.file(&artifacts.uki)?;
    key.file(&artifacts.iso)?;
    sign::add_to(stage, &mut key)?;
    let name = format!("netboot-{}", artifacts.version);
    let stamp = Stamp::new(&stage.out, &name, &key, &[&artifacts.netboot]);
    if stamp.is_fresh() {
        return Ok(());
    }
    stamp.clear()?;
    step("making the kernel image for network boot");
    let parts = Parts::read(&artifacts.uki)?;
    let work = stage.work()?.join("netboot");
    tree::fresh_dir(&work)?;
    let file = |name: &str, content: &[u8]| -> Result<PathBuf> {
        let path = work.join(name);
        fs::write(&path, content).at("write", &path)?;
        Ok(path)
    };
    let linux = file("linux", &parts.linux)?;
    let initrd = file("initrd", &parts.initrd)?;
    let os_release = file("os-release", &parts.os_release)?;
    let medium = work.join("medium.cpio");
    archive(&artifacts.iso, &medium).at("write", &medium)?;
    let unsigned = work.join("unsigned.efi");
    let mut ukify = ukify(stage, &[], &parts.cmdline, STUB, &unsigned);
    ukify.arg(format!("--linux={}", linux.display()));
    // The kernel looks for what it needs early at the beginning, and there only in plain archives.
    for part in [&medium, &initrd] {
        ukify.arg(format!("--initrd={}", part.display()));
    }
    ukify.arg(format!("--os-release=@{}", os_release.display()));
    command::run(&mut ukify)?;
    sign::sign(stage, &unsigned, &artifacts.netboot)?;
    tree::remove(&work)?;
    stamp.set()
}

/// Writes an archive that the kernel unpacks into its first memory, with `medium` as its only file.
fn archive(medium: &Path, target: &Path) -> io::Result<()> {
    let mut input = File::open(medium)?;
    let size = u32::try_from(input.metadata()?.len())
        .map_err(|_| io::Error::other("the medium is larger than 4 GiB"))?;
    let mut output = BufWriter::new(File::create(target)?);
    entry(
        &mut output,
        mode::MEDIUM.trim_start_matches('/'),
        0o100_444,
        size,
    )?;
    io::copy(&mut input, &mut output)?;
    pad(&mut output, u64::from(size))?;
    entry(&mut output, "TRAILER!!!", 0, 0)?;
    output.into_inner()?.sync_all()
}

/// The head of a file in the format `newc`: a magic number, 13 numbers of 8 hexadecimal digits, and
/// the name, filled up to a multiple of four.
fn entry(output: &mut impl Write, name: &str, mode: u32, size: u32) -> io::Result<()> {
    let length = name.len() as u32 + 1;
    // Number, mode, owner, group, links, time, size, four of devices, length of the name, checksum.
    let numbers = [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
    let mut head = String::from("070701");
    for number in numbers {
        head.push_str(&format!("{number:08x}"));
    }
    head.push_str(name);
    head.push('\0');
    output.write_all(head.as_bytes())?;
    pad(output, head.len() as u64)
}

fn pad(output: &mut impl Write, written: u64) -> io::Result<()> {
    let missing = written.next_multiple_of(4) - written;
    output.write_all(&[0; 4][..missing as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_the_medium() {
        let dir = tempfile::tempdir().unwrap();
        let (medium, target) = (dir.path().join("iso"), dir.path().join("cpio"));
        fs::write(&medium, b"medium").unwrap();
        archive(&medium, &target).unwrap();
        let bytes = fs::read(&target).unwrap();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[54..62], b"00000006");
        // 110 bytes of head and 11 of name end at 121; the content begins at 124.
        assert_eq!(&bytes[110..121], b"medium.iso\0");
        assert_eq!(&bytes[124..130], b"medium");
        assert_eq!(&bytes[132..138], b"070701");
        assert!(bytes.len().is_multiple_of(4));
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}

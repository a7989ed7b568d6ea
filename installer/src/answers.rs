//! Finds the answer file of an unattended installation.
//!
//! The first of these that is there counts: the URL that the kernel command line names
//! (`basalt.answer=`, with `basalt.answer.sha256=` if only these very bytes will do), a volume
//! labelled for it, and the installation medium itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use basalt_layout::disk::{ANSWER_FILE, ANSWER_LABEL};
use basalt_model::host::answer::AnswerFile;
use basalt_update::command;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sha2::{Digest, Sha256};

use crate::network;
use crate::report::Report;
use crate::source::Source;

/// Where its medium is looked at.
const MOUNT_POINT: &str = "/run/basalt-installer/answers";

/// Longest answer file that is read.
const MAX_SIZE: u64 = 1 << 20;

/// Reads the answer file, if there is one.
pub fn find(source: &Source, report: &mut Report) -> anyhow::Result<Option<AnswerFile>> {
    let cmdline = fs::read_to_string("/proc/cmdline").context("/proc/cmdline")?;
    let text = if let Some(place) = Place::of(&cmdline)? {
        report.line(&format!("Fetching the answer file from {}", place.url));
        Some(fetch(&place)?)
    } else if let Some(text) = on_volume()? {
        report.line(&format!(
            "Installing by the answer file on the volume {ANSWER_LABEL}."
        ));
        Some(text)
    } else {
        let text = source.file(ANSWER_FILE, MAX_SIZE)?;
        if text.is_some() {
            report.line("Installing by the answer file on the installation medium.");
        }
        text
    };
    Ok(text.map(|text| AnswerFile::parse(&text)).transpose()?)
}

/// Where an answer file is fetched from.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    url: String,
    sha256: Option<String>,
}

impl Place {
    fn of(cmdline: &str) -> anyhow::Result<Option<Self>> {
        let value = |key: &str| {
            cmdline
                .split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
                .map(str::to_owned)
        };
        let sha256 = value("basalt.answer.sha256");
        let Some(url) = value("basalt.answer") else {
            ensure!(
                sha256.is_none(),
                "basalt.answer.sha256 on the kernel command line needs basalt.answer"
            );
            return Ok(None);
        };
        ensure!(
            url.starts_with("https://") || url.starts_with("http://"),
            "basalt.answer on the kernel command line: expected https://… or http://…, got {url}"
        );
        let is_hash =
            |hash: &String| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(
            sha256.as_ref().is_none_or(is_hash),
            "basalt.answer.sha256 on the kernel command line: expected 64 hexadecimal digits"
        );
        Ok(Some(Self {
            url,
            sha256: sha256.map(|hash| hash.to_ascii_lowercase()),
        }))
    }

    fn check(&self, text: &str) -> anyhow::Result<()> {
        let found = hex::encode(Sha256::digest(text));
        match &self.sha256 {
            Some(wanted) if *wanted != found => bail!(
                "the answer file from {} is not the one that was meant: its SHA-256 is {found}, \
                 basalt.answer.sha256 says {wanted}",
                self.url
            ),
            _ => Ok(()),
        }
    }
}

fn fetch(place: &Place) -> anyhow::Result<String> {
    network::wait_for_address().with_context(|| format!("fetching {}", place.url))?;
    let size = MAX_SIZE.to_string();
    let arguments = [
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--proto",
        "=http,https",
        "--connect-timeout",
        "30",
        "--max-time",
        "120",
        "--max-filesize",
        &size,
        "--",
        &place.url,
    ];
    let text = command::run("curl", &arguments, "")
        .with_context(|| format!("the answer file {} cannot be fetched", place.url))?;
    place.check(&text)?;
    Ok(text)
}

fn on_volume() -> anyhow::Result<Option<String>> {
    let device = Path::new("/dev/disk/by-label").join(ANSWER_LABEL);
    if !device.exists() {
        return Ok(None);
    }
    read(&device).map(Some)
}

fn read(device: &Path) -> anyhow::Result<String> {
    let folder = PathBuf::from(MOUNT_POINT);
    fs::create_dir_all(&folder).context(MOUNT_POINT)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    let mounted = ["vfat", "iso9660", "ext4"]
        .iter()
        .any(|kind| mount(device, &folder, *kind, flags, None::<&std::ffi::CStr>).is_ok());
    if !mounted {
        bail!("the volume {ANSWER_LABEL} cannot be read: make it vfat, iso9660 or ext4");
    }
    let text = read_file(&folder.join(ANSWER_FILE), MAX_SIZE);
    unmount(&folder, UnmountFlags::DETACH).context(MOUNT_POINT)?;
    text?.with_context(|| format!("the volume {ANSWER_LABEL} has no file {ANSWER_FILE}"))
}

/// Reads a text file if it is there.
pub fn read_file(path: &Path, limit: u64) -> anyhow::Result<Option<String>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(meta) = fs::metadata(path) else {
        return Ok(None);
    };
    ensure!(meta.len() <= limit, "{name} is larger than {limit} bytes");
    let text = fs::read_to_string(path).with_context(|| format!("{name} is not UTF-8 text"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_place() {
        let hash = "AB".repeat(32);
        let line =
            format!("quiet basalt.answer=http://192.0.2.1/a.toml basalt.answer.sha256={hash}");
        let place = Place::of(&line).unwrap().unwrap();
        assert_eq!(place.url, "http://192.0.2.1/a.toml");
        let error = place.check("other").unwrap_err().to_string();
        assert!(error.contains("not the one that was meant"), "{error}");
        let own = Place {
            sha256: Some(hex::encode(Sha256::digest("text"))),
            ..place
        };
        own.check("text").unwrap();
        assert_eq!(Place::of("quiet basalt.answers=x").unwrap(), None);
        for wrong in [
            "basalt.answer=ftp://x/y",
            "basalt.answer=/dev/sda",
            "basalt.answer.sha256=00",
            "basalt.answer=http://x/ basalt.answer.sha256=00",
        ] {
            assert!(Place::of(wrong).is_err(), "{wrong}");
        }
    }
}

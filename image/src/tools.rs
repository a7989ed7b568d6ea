//! Programs of the build host that we call, and the packages they come in.
//!
//! [`ensure`] is called before the first use of a tool: what is missing is installed when we are
//! root on a Debian-like system, otherwise the error names the one command that installs it.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// A host program (or data file) that a part of `cargo image` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// Builds a Debian root file system without root rights.
    Mmdebstrap,
    /// Writes package indices of a local repository.
    AptFtparchive,
    /// Reads Debian packages.
    DpkgDeb,
    /// Maps a range of ids into a user namespace.
    Newuidmap,
    /// Makes the root file system image.
    MkfsErofs,
    /// Makes the dm-verity hash tree.
    Veritysetup,
    /// Makes vfat file systems.
    MkfsVfat,
    /// Copies files into vfat file systems without mounting.
    Mtools,
    /// Makes ext4 file systems (and fills them with `-d`).
    MkfsExt4,
    /// Partitions disks and images.
    Sfdisk,
    /// Writes the ISO.
    Xorriso,
    /// Compresses.
    Zstd,
    /// Decompresses kernel modules.
    Xz,
    /// Packs and unpacks initial RAM disks.
    Cpio,
    /// Cuts sections out of executables; also `strip`.
    Objcopy,
    /// Makes keys and certificates.
    Openssl,
    /// A token made of files, and the tool that fills it.
    SoftHsm,
    /// Checks signatures of EFI programs.
    SbVerify,
    /// Runs the appliance.
    Qemu,
    /// Makes disk images.
    QemuImg,
    /// Emulates a TPM 2.0.
    Swtpm,
    /// Talks to the appliance.
    Ssh,
    /// Ties a child's life to ours (`setpriv --pdeathsig`).
    Setpriv,
    /// A directory that speaks LDAP.
    Slapd,
    /// A domain controller of Active Directory.
    Samba,
    /// What a new domain is made of.
    SambaProvision,
    /// Shells in which completion is tested.
    Zsh,
    /// See [`Tool::Zsh`].
    Fish,
    /// Builds and tests the web interface.
    Npm,
    /// Runs Python clients in a virtual environment.
    PythonVenv,
    /// Switches guests off for a cluster that they are members of.
    FenceAgents,
    /// Makes templates of machines.
    Packer,
    /// The browser of the browser tests.
    Chromium,
    /// The archive keys of Debian, which verify what mmdebstrap downloads.
    DebianKeyring,
    /// A C compiler for crates with C parts.
    Cc,
    /// A C++ compiler for libFuzzer.
    Cxx,
}

impl Tool {
    /// Any of these files or commands proves the tool is there.
    fn proofs(self) -> &'static [&'static str] {
        match self {
            Self::Mmdebstrap => &["mmdebstrap"],
            Self::AptFtparchive => &["apt-ftparchive"],
            Self::DpkgDeb => &["dpkg-deb"],
            Self::Newuidmap => &["newuidmap"],
            Self::MkfsErofs => &["mkfs.erofs"],
            Self::Veritysetup => &["veritysetup"],
            Self::MkfsVfat => &["mkfs.vfat"],
            Self::Mtools => &["mcopy"],
            Self::MkfsExt4 => &["mkfs.ext4"],
            Self::Sfdisk => &["sfdisk"],
            Self::Xorriso => &["xorriso"],
            Self::Zstd => &["zstd"],
            Self::Xz => &["xz"],
            Self::Cpio => &["cpio"],
            Self::Objcopy => &["objcopy"],
            Self::Openssl => &["openssl"],
            Self::SoftHsm => &["softhsm2-util"],
            Self::SbVerify => &["sbverify"],
            Self::Qemu => &["qemu-system-x86_64"],
            Self::QemuImg => &["qemu-img", "qemu-io"],
            Self::Swtpm => &["swtpm"],
            Self::Ssh => &["ssh"],
            Self::Setpriv => &["setpriv"],
            Self::Slapd => &["slapd"],
            Self::Samba => &["samba"],
            Self::SambaProvision => &["/usr/share/samba/setup/provision.ldif"],
            Self::Zsh => &["zsh"],
            Self::Fish => &["fish"],
            Self::Npm => &["npm"],
            Self::PythonVenv => &["/usr/share/doc/python3-venv", "virtualenv"],
            Self::FenceAgents => &["fence_pve"],
            // Other packages have programs of that name.
            Self::Packer => &["/usr/bin/packer"],
            Self::Chromium => &["chromium"],
            Self::DebianKeyring => &["/usr/share/keyrings/debian-archive-keyring.gpg"],
            Self::Cc => &["cc"],
            Self::Cxx => &["c++"],
        }
    }

    /// The Debian package that brings it.
    fn package(self) -> &'static str {
        match self {
            Self::Mmdebstrap => "mmdebstrap",
            Self::AptFtparchive => "apt-utils",
            Self::DpkgDeb => "dpkg",
            Self::Newuidmap => "uidmap",
            Self::MkfsErofs => "erofs-utils",
            Self::Veritysetup => "cryptsetup-bin",
            Self::MkfsVfat => "dosfstools",
            Self::Mtools => "mtools",
            Self::MkfsExt4 => "e2fsprogs",
            Self::Sfdisk => "fdisk",
            Self::Xorriso => "xorriso",
            Self::Zstd => "zstd",
            Self::Xz => "xz-utils",
            Self::Cpio => "cpio",
            Self::Objcopy => "binutils",
            Self::Openssl => "openssl",
            Self::SoftHsm => "softhsm2",
            Self::SbVerify => "sbsigntool",
            Self::Qemu => "qemu-system-x86",
            Self::QemuImg => "qemu-utils",
            Self::Swtpm => "swtpm",
            Self::Ssh => "openssh-client",
            Self::Setpriv => "util-linux",
            Self::Slapd => "slapd",
            Self::Samba => "samba-ad-dc",
            Self::SambaProvision => "samba-ad-provision",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Npm => "npm",
            Self::PythonVenv => "python3-venv",
            Self::FenceAgents => "fence-agents",
            Self::Packer => "packer",
            Self::Chromium => "chromium",
            Self::DebianKeyring => "debian-archive-keyring",
            Self::Cc | Self::Cxx => "build-essential",
        }
    }

    fn present(self) -> bool {
        self.proofs().iter().any(|proof| find(proof).is_some())
    }
}

/// Where a command is: an absolute path that exists, or the first hit in `PATH` and the
/// administrator's directories (which an ordinary user's `PATH` lacks on Debian).
pub fn find(command: &str) -> Option<PathBuf> {
    if command.starts_with('/') {
        return Path::new(command).exists().then(|| command.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(command))
        .find(|file| file.is_file())
}

/// Makes sure that every one of `tools` is installed.
pub fn ensure(tools: &[Tool]) -> Result<()> {
    // A program is there before its package is set up: who finds it must not come between.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package()).collect();
    if !may_install() {
        bail!(
            "host tools are missing; install them with:\n    sudo apt-get install --yes {}",
            packages.join(" ")
        );
    }
    eprintln!("installing host tools: {}", packages.join(" "));
    install(&packages)?;
    let still: Vec<_> = missing.into_iter().filter(|tool| !tool.present()).collect();
    if still.is_empty() {
        Ok(())
    } else {
        bail!(
            "installed {}, but still missing: {still:?}",
            packages.join(" ")
        )
    }
}

fn missing(tools: &[Tool]) -> BTreeSet<Tool> {
    tools
        .iter()
        .copied()
        .filter(|tool| !tool.present())
        .collect()
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && find("apt-get").is_some()
}

fn install(packages: &[&str]) -> Result<()> {
    if apt(&["install"], packages)? {
        return Ok(());
    }
    // The package lists of a fresh machine are empty or old: fetch them and ask once more.
    apt(&["update"], &[])?;
    if apt(&["install"], packages)? {
        Ok(())
    } else {
        bail!("apt-get could not install {}", packages.join(" "))
    }
}

fn apt(action: &[&str], packages: &[&str]) -> Result<bool> {
    let status = Command::new("apt-get")
        .args([
            "-qq",
            "-o",
            "DPkg::Lock::Timeout=300",
            "--yes",
            "--no-install-recommends",
        ])
        .args(action)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("cannot run apt-get")?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_commands_in_path_and_absolute_files() {
        assert!(find("sh").is_some());
        assert!(find("/bin/sh").is_some());
        assert!(find("no-such-command-anywhere").is_none());
        assert!(find("/no/such/file").is_none());
    }

    #[test]
    fn a_tool_that_is_there_is_not_missing() {
        let cargo_runs_here = Tool::Cc;
        assert!(!missing(&[cargo_runs_here]).contains(&cargo_runs_here));
        assert!(
            cargo_runs_here
                .package()
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '-')
        );
    }
}

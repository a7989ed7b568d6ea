//! Opens the data where it is encrypted.
//!
//! The tools for that are in the root, which is mounted and verified before any data is touched, and run
//! there: hosts without encryption carry nothing of them in their initial RAM disk. [`encryption`] says
//! which keys there are. When neither the header nor the TPM gives one, the consoles ask for the
//! recovery key, and say why.

mod ask;

use crate::error::{At, Result};
use crate::modules::Modules;
use crate::root::{SYSROOT, say};
use crate::tpm;
use basalt_layout::encryption::{self, FirstBoot, TPM_TOKEN, opened};
use rustix::mount::{UnmountFlags, mount_bind_recursive, unmount};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The word by which this program knows that it is to become a tool in the root.
const INSIDE: &str = "--inside";

/// The tool that opens.
const CRYPTSETUP: &str = "/usr/sbin/cryptsetup";

/// What the root's tools must see of the running system.
const SHARED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// Opens the data, and returns the opened device; one that is not encrypted is returned as it is. Waits
/// for the recovery key when it is needed.
pub fn open(device: &Path, modules: &mut Modules) -> Result<PathBuf> {
    if !is_encrypted(device)? {
        return Ok(device.to_owned());
    }
    modules.load_for_encryption();
    let _view = View::new()?;
    if let Err(why) = open_unattended(device) {
        ask_and_open(device, &why, modules)?;
    }
    let target = PathBuf::from(opened(encryption::DATA));
    link(&target)?;
    Ok(target)
}

/// Asks until the right key comes, or nobody is there.
fn ask_and_open(device: &Path, why: &str, modules: &mut Modules) -> Result<()> {
    let mut question = ask::Question::new(why)?;
    loop {
        // A keyboard may be plugged in meanwhile.
        let typed = question.answer(|| modules.load_for_devices())?;
        if typed.trim().is_empty() {
            continue;
        }
        let key = encryption::typed_recovery_key(&typed);
        if open_with(device, &key) {
            question.say("Opened.");
            return Ok(());
        }
        question.say("This is not the recovery key.");
    }
}

fn is_encrypted(device: &Path) -> Result<bool> {
    let mut beginning = [0; 16];
    File::open(device)
        .and_then(|mut file| file.read_exact(&mut beginning))
        .at("read", device)?;
    Ok(encryption::is_encrypted(&beginning))
}

/// Opens a device by what needs nobody; says why that failed.
fn open_unattended(device: &Path) -> std::result::Result<(), String> {
    let path = device.to_string_lossy();
    let token = FirstBoot::TOKEN.to_string();
    let first = tool(&["token", "export", "--token-id", &token, &path], "");
    if let Some(first) = first.ok().and_then(|token| FirstBoot::parse(&token))
        && open_with(device, first.key())
    {
        return Ok(());
    }
    if !Path::new(tpm::DEVICE).exists() {
        return Err("This machine has no TPM 2.0, or its firmware has switched it off.".to_owned());
    }
    let arguments = [
        "open",
        "--type",
        "luks2",
        "--token-only",
        "--token-type",
        TPM_TOKEN,
        &path,
        encryption::DATA,
    ];
    tool(&arguments, "").map(drop).map_err(|reason| {
        say(&format!("the TPM does not open {path}: {reason}"));
        "The TPM does not give the key: the firmware's Secure Boot is not as it was, the TPM was \
         cleared, or this is another machine."
            .to_owned()
    })
}

/// Opens a device by a key, if it is the right one.
fn open_with(device: &Path, key: &str) -> bool {
    let path = device.to_string_lossy();
    let arguments = [
        "open",
        "--type",
        "luks2",
        "--key-file",
        "-",
        &path,
        encryption::DATA,
    ];
    tool(&arguments, key).is_ok()
}

/// Makes the node of an opened device the link that udev makes of it later.
fn link(node: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(node).at("find", node)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let kernel = format!("../dm-{}", rustix::fs::minor(meta.rdev()));
    fs::remove_file(node).at("remove", node)?;
    symlink(kernel, node).at("link", node)
}

/// Runs `cryptsetup` in the root, and returns what it printed, or else what it complained of.
fn tool(arguments: &[&str], input: &str) -> std::result::Result<String, String> {
    let run = || -> io::Result<_> {
        let mut child = Command::new("/proc/self/exe")
            .arg(INSIDE)
            .arg(CRYPTSETUP)
            .args(arguments)
            // There is no udev yet that would answer.
            .env("DM_DISABLE_UDEV", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that fails early closes its input; its exit status tells more than our error.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    };
    let output = run().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    Err(format!("{}: {said}", output.status))
}

/// Becomes a tool of the root when this process was started to be one; returns only when that failed,
/// or when it was not.
pub fn become_tool() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != INSIDE {
        return None;
    }
    let program = words.next()?;
    let entered = rustix::process::chroot(SYSROOT)
        .map_err(io::Error::from)
        .and_then(|()| std::env::set_current_dir("/"));
    let error = match entered {
        Ok(()) => Command::new(&program).args(words).exec(),
        Err(error) => error,
    };
    eprintln!("{}: {error}", Path::new(&program).display());
    Some(ExitCode::FAILURE)
}

/// The running system as the root's tools see it, until this is dropped.
struct View;

impl View {
    fn new() -> Result<Self> {
        // Whatever was mounted before a failure is taken away again.
        let view = Self;
        for name in SHARED {
            let (from, to) = (Path::new("/").join(name), Path::new(SYSROOT).join(name));
            mount_bind_recursive(&from, &to).at("show the root", &from)?;
        }
        Ok(view)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        for name in SHARED {
            // What was never mounted, or is in use, only stays hidden below what is moved there next.
            let _ = unmount(Path::new(SYSROOT).join(name), UnmountFlags::DETACH);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encrypted_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("device");
        let header = [b"LUKS\xba\xbe\0\x02".as_slice(), &[0; 64]].concat();
        std::fs::write(&device, header).unwrap();
        assert!(is_encrypted(&device).unwrap());
        std::fs::write(&device, [0; 64]).unwrap();
        assert!(!is_encrypted(&device).unwrap());
        std::fs::write(&device, []).unwrap();
        assert!(is_encrypted(&device).is_err());
    }

    #[test]
    fn a_link_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let node = dir.path().join("basalt-data");
        symlink("../dm-7", &node).unwrap();
        link(&node).unwrap();
        assert_eq!(fs::read_link(&node).unwrap(), Path::new("../dm-7"));
        assert!(link(&dir.path().join("missing")).is_err());
    }
}

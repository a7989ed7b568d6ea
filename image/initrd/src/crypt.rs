//! Opens what is encrypted: the data, and the pool beside it.
//!
//! The tools for that are in the root, which is mounted and verified before any data is touched, and run
//! there: hosts without encryption carry nothing of them in their initial RAM disk. [`encryption`] says
//! which keys there are. When neither the header nor the TPM gives one, the consoles ask for the
//! recovery key, and say why.

mod ask;

use crate::error::{At, Result};
use crate::modules::Modules;
use crate::root::{SYSROOT, say};
use basalt_layout::encryption::{self, FirstBoot, opened};
use rustix::mount::{UnmountFlags, mount_bind_recursive, unmount};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The word by which this program knows that it is to become a tool in the root.
const INSIDE: &str = "--inside";

/// What the root's tools must see of the running system.
const SHARED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// The TPM, as the kernel shares it among programs.
const TPM: &str = "/dev/tpmrm0";

/// A key that has opened something, for whatever is opened next.
#[derive(Default)]
pub struct Keys {
    recovery: Option<String>,
}

impl Keys {
    /// Opens a device under a name, and returns the opened device; one that is not encrypted is
    /// returned as it is. Waits for the recovery key when it is needed.
    pub fn open(&mut self, device: &Path, name: &str, modules: &mut Modules) -> Result<PathBuf> {
        if !is_encrypted(device)? {
            return Ok(device.to_owned());
        }
        modules.load_for_encryption();
        let _view = View::new()?;
        let target = PathBuf::from(opened(name));
        let Err(why) = open_unattended(device, name) else {
            return Ok(target);
        };
        if let Some(key) = &self.recovery
            && open_with(device, name, key)
        {
            return Ok(target);
        }
        let mut question = ask::Question::new(&why)?;
        loop {
            let typed = question.answer()?;
            let key = encryption::typed_recovery_key(&typed);
            if open_with(device, name, &key) {
                question.say("Opened.");
                self.recovery = Some(key);
                return Ok(target);
            }
            question.say("This is not the recovery key.");
        }
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
fn open_unattended(device: &Path, name: &str) -> std::result::Result<(), String> {
    let path = device.to_string_lossy();
    let token = FirstBoot::TOKEN.to_string();
    let arguments = ["token", "export", "--token-id", &token, &path];
    let first = tool("/usr/sbin/cryptsetup", &arguments, "");
    if let Some(first) = first.ok().and_then(|token| FirstBoot::parse(&token))
        && open_with(device, name, first.key())
    {
        return Ok(());
    }
    if !Path::new(TPM).exists() {
        return Err("This machine has no TPM 2.0, or its firmware has switched it off.".to_owned());
    }
    let arguments = ["attach", name, &path, "-", "tpm2-device=auto,headless=true"];
    tool("/usr/bin/systemd-cryptsetup", &arguments, "")
        .map(drop)
        .map_err(|reason| {
            say(&format!("the TPM does not open {path}: {reason}"));
            "The TPM does not give the key: the firmware's Secure Boot is not as it was, the TPM was \
             cleared, or this is another machine."
                .to_owned()
        })
}

/// Opens a device by a key, if it is the right one.
fn open_with(device: &Path, name: &str, key: &str) -> bool {
    let path = device.to_string_lossy();
    let arguments = ["open", "--type", "luks2", "--key-file", "-", &path, name];
    tool("/usr/sbin/cryptsetup", &arguments, key).is_ok()
}

/// Runs a tool of the root, and returns what it printed, or else what it complained of.
fn tool(program: &str, arguments: &[&str], input: &str) -> std::result::Result<String, String> {
    let run = || -> io::Result<_> {
        let mut child = Command::new("/proc/self/exe")
            .arg(INSIDE)
            .arg(program)
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
    Err(format!("{program}: {}: {said}", output.status))
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
        std::fs::write(
            &device,
            [b"LUKS\xba\xbe\0\x02".as_slice(), &[0; 64]].concat(),
        )
        .unwrap();
        assert!(is_encrypted(&device).unwrap());
        std::fs::write(&device, [0; 64]).unwrap();
        assert!(!is_encrypted(&device).unwrap());
        std::fs::write(&device, []).unwrap();
        assert!(is_encrypted(&device).is_err());
    }
}

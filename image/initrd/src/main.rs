//! The only program of the initial RAM disk: from the kernel's first breath to systemd.
//!
//! It loads drivers until the disk with the root partition shows ([`modules`], [`disks`]), sets up
//! dm-verity over it ([`verity`]), starts the mirror that the state may be on ([`array`]), opens state
//! that is encrypted ([`crypt`]), mounts root, state and a volatile `/etc` ([`root`]), loads ZFS where
//! it is used ([`zfs`]), locks the kernel down ([`lockdown`]), ends a factory reset ([`reset`]) and
//! hands over to systemd. A generic initial RAM disk does the same in ten times the size and several times the
//! time; both count, because this runs at each boot of each host.
//!
//! It never waits for ever: whatever fails, the machine starts again after a moment, and the boot
//! loader's count of tries leads back to the slot that worked.

mod array;
mod cmdline;
mod crypt;
mod device;
mod disks;
mod error;
mod gpt;
mod lockdown;
mod modules;
mod reset;
mod root;
mod tpm;
mod verity;
mod zfs;

use cmdline::{Cmdline, Mode};
use disks::Found;
use error::{Error, Result};
use modules::Modules;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// How long a fatal message stays on the screen before the machine starts again.
const READING_TIME: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Some(code) = crypt::become_tool() {
        return code;
    }
    let Err(error) = boot();
    root::say(&format!("cannot boot: {error}"));
    if cmdline::is_rescue() {
        root::say(
            "the rescue shell asks for root's password, which is on the data partition: without it \
             nobody is let in. Start the installation medium and choose to repair this host.",
        );
    }
    root::say("starting again in 10 seconds");
    // Time itself is meant: somebody may want to read it.
    std::thread::sleep(READING_TIME);
    rustix::fs::sync();
    if let Err(error) = rustix::system::reboot(rustix::system::RebootCommand::Restart) {
        // The kernel panics when its first process ends, and the panic time-out starts it again.
        root::say(&format!("cannot start again: {error}"));
    }
    ExitCode::FAILURE
}

/// Does everything; returns only when it failed.
fn boot() -> Result<std::convert::Infallible> {
    root::mount_kernel_interfaces()?;
    let mut modules = Modules::read()?;
    modules.load_always();
    let cmdline = Cmdline::read()?;
    let found = disks::wait_for_root(&cmdline, &mut modules)?;
    let device = verity::open(&found, &cmdline)?;
    root::mount_root(&device)?;
    let state = match cmdline.mode {
        Mode::Install => State::default(),
        Mode::Host => State::open(&found, &mut modules)?,
    };
    // Before anything is read that is not verified: a file system that somebody put there, too.
    tpm::close();
    root::mount_state(state.device.as_deref(), cmdline.mode)?;
    zfs::load_if_wanted(cmdline.mode, found.zfs);
    lockdown::enter()?;
    root::name_boot_disk(&found.root)?;
    root::name_devices(state.unlabelled(), found.esp.as_deref())?;
    root::mount_etc()?;
    root::switch()?;
    let init = "/usr/lib/systemd/systemd";
    Err(Error::io(
        "start",
        init,
        Command::new(init).arg0("/sbin/init").exec(),
    ))
}

/// Where the host's state is.
#[derive(Default)]
struct State {
    device: Option<PathBuf>,
    /// Whether it is on the very partition that the running system knows by its label.
    is_labelled: bool,
}

impl State {
    /// Starts the mirror that the state may be on, and opens state that is encrypted.
    fn open(found: &Found, modules: &mut Modules) -> Result<Self> {
        let device = match found.mirror.as_slice() {
            [] => found.data.clone(),
            parts => Some(array::start(parts)?),
        };
        let Some(device) = device else {
            return Ok(Self::default());
        };
        let opened = crypt::open(&device, modules)?;
        Ok(Self {
            is_labelled: Some(&opened) == found.data.as_ref(),
            device: Some(opened),
        })
    }

    /// The device that the running system has to be told of.
    fn unlabelled(&self) -> Option<&Path> {
        self.device.as_deref().filter(|_| !self.is_labelled)
    }
}

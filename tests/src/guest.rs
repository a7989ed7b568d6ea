//! The test guests on an appliance: a virtual machine and a container made of the same Debian.

use crate::api::{Api, NODE};
use crate::console::Console;
use anyhow::{Context, Result};
use basalt_image::appliance::ssh::Ssh;
use basalt_image::testing::guests::Guests;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longest time for a guest's whole boot on an emulated appliance.
pub const BOOT_LIMIT: Duration = Duration::from_secs(600);
/// Longest time for a task that copies an image.
pub const TASK_LIMIT: Duration = Duration::from_secs(300);

/// Virtual machine or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A virtual machine.
    Vm,
    /// A system container.
    Ct,
}

impl Kind {
    /// Its word in paths.
    pub fn path(self) -> &'static str {
        match self {
            Self::Vm => "qemu",
            Self::Ct => "lxc",
        }
    }
}

/// Volumes that are on the appliance under test from the start.
pub mod volume {
    /// Debian's kernel.
    pub const KERNEL: &str = "local:kernel/vmlinuz";
    /// Its initial RAM disk.
    pub const INITRD: &str = "local:kernel/initrd.img";
    /// The root file system as a raw image.
    pub const DISK: &str = "local:import/debian.raw";
    /// A disk that boots by UEFI, as a raw image.
    pub const UEFI_DISK: &str = "local:import/uefi.raw";
    /// The root file system as a container's template.
    pub const TEMPLATE: &str = "local:vztmpl/debian.tar.zst";
}

/// Puts the volumes onto an appliance, past the API: uploads have their own scenario.
pub fn preload(ssh: &Ssh, guests: &Guests) -> Result<()> {
    let files: [(PathBuf, &str); 4] = [
        (guests.kernel(), "template/kernel/vmlinuz"),
        (guests.initrd(), "template/kernel/initrd.img"),
        (guests.disk(), "import/debian.raw"),
        (guests.template(), "template/cache/debian.tar.zst"),
    ];
    files
        .iter()
        .try_for_each(|(file, target)| put(ssh, file, target))
}

/// Puts the disk that boots by UEFI onto an appliance.
pub fn preload_uefi(ssh: &Ssh, guests: &Guests) -> Result<()> {
    put(ssh, &guests.uefi_disk(), "import/uefi.raw")
}

/// Copies a file to a place below the local storage.
pub fn put(ssh: &Ssh, file: &Path, target: &str) -> Result<()> {
    put_at(ssh, file, &format!("/var/lib/vz/{target}"))
}

/// Copies a file to any place on an appliance.
pub fn put_at(ssh: &Ssh, file: &Path, target: &str) -> Result<()> {
    let mut zstd = Command::new("zstd")
        .args(["-1", "--quiet", "--stdout"])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run zstd")?;
    let packed = zstd.stdout.take().context("zstd has no output")?;
    let line = format!("mkdir -p $(dirname {target}) && zstd -q -d -f --sparse -o {target}");
    let status = ssh.command().args(["--", &line]).stdin(packed).status()?;
    anyhow::ensure!(
        zstd.wait()?.success() && status.success(),
        "cannot copy {}",
        file.display()
    );
    Ok(())
}

/// A guest under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub vmid: u32,
}

impl Guest {
    /// Creates the test virtual machine; `more` overrides or adds parameters.
    pub fn create_vm(api: &Api, vmid: u32, more: &[(&str, &str)]) -> Result<Self> {
        let defaults = [
            ("name", "test-vm"),
            ("memory", "384"),
            ("cores", "1"),
            ("kernel", volume::KERNEL),
            ("initrd", volume::INITRD),
            ("cmdline", "console=ttyS0 root=/dev/vda rw"),
            ("virtio0", "local:0,import-from=local:import/debian.raw"),
            ("net0", "virtio,bridge=vmbr0"),
            ("serial0", "socket"),
        ];
        Self::create(api, Kind::Vm, vmid, &defaults, more)
    }

    /// Creates a virtual machine that boots the UEFI disk; `more` overrides or adds parameters.
    pub fn create_uefi_vm(api: &Api, vmid: u32, more: &[(&str, &str)]) -> Result<Self> {
        let defaults = [
            ("name", "test-uefi"),
            ("memory", "512"),
            ("cores", "1"),
            ("bios", "ovmf"),
            ("efidisk0", "local:1,efitype=4m,pre-enrolled-keys=0"),
            ("virtio0", "local:0,import-from=local:import/uefi.raw"),
            ("boot", "order=virtio0"),
            ("net0", "virtio,bridge=vmbr0"),
            ("serial0", "socket"),
        ];
        Self::create(api, Kind::Vm, vmid, &defaults, more)
    }

    /// Creates the test container; `more` overrides or adds parameters.
    pub fn create_ct(api: &Api, vmid: u32, more: &[(&str, &str)]) -> Result<Self> {
        let defaults = [
            ("hostname", "test-ct"),
            ("ostemplate", volume::TEMPLATE),
            ("rootfs", "local:1"),
            ("memory", "256"),
            ("swap", "0"),
            ("net0", "name=eth0,bridge=vmbr0,ip=dhcp"),
            ("unprivileged", "1"),
        ];
        Self::create(api, Kind::Ct, vmid, &defaults, more)
    }

    fn create(
        api: &Api,
        kind: Kind,
        vmid: u32,
        defaults: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let number = vmid.to_string();
        let mut parameters = vec![("vmid", number.as_str())];
        parameters.extend(
            defaults
                .iter()
                .filter(|(key, _)| more.iter().all(|(k, _)| k != key)),
        );
        parameters.extend(more);
        let path = format!("/nodes/{NODE}/{}", kind.path());
        let upid = api.post(&path, &parameters)?;
        api.task(&upid, TASK_LIMIT)
            .with_context(|| format!("creating {vmid}"))?;
        Ok(Self { kind, vmid })
    }

    /// The guest's place in the API.
    pub fn path(self) -> String {
        format!("/nodes/{NODE}/{}/{}", self.kind.path(), self.vmid)
    }

    /// Runs `start`, `stop`, `shutdown` or `reboot` to its end.
    pub fn power(self, api: &Api, action: &str) -> Result<()> {
        let upid = api.post(&format!("{}/status/{action}", self.path()), &[])?;
        api.task(&upid, BOOT_LIMIT)
            .with_context(|| format!("{action} of {}", self.vmid))
    }

    /// Its current status.
    pub fn status(self, api: &Api) -> Result<Value> {
        api.get(&format!("{}/status/current", self.path()))
    }

    /// Whether it runs.
    pub fn runs(self, api: &Api) -> Result<bool> {
        Ok(self.status(api)?["status"] == "running")
    }

    /// Seconds it has been running, as the host counts them.
    pub fn uptime(self, api: &Api) -> Result<u64> {
        let status = self.status(api)?;
        status["uptime"]
            .as_u64()
            .with_context(|| format!("no uptime in {status}"))
    }

    /// Its console, once a shell is there.
    pub fn shell(self, api: &Api) -> Result<Console> {
        let mut console = Console::open(api, self.kind, self.vmid)?;
        console.shell(BOOT_LIMIT)?;
        Ok(console)
    }

    /// Removes it.
    pub fn delete(self, api: &Api) -> Result<()> {
        let upid = api.delete(&self.path())?;
        api.task(&upid, TASK_LIMIT)
            .with_context(|| format!("deleting {}", self.vmid))
    }
}

/// The id that changes with every boot of a guest's kernel or init.
pub fn boot_mark(console: &mut Console, kind: Kind) -> Result<String> {
    let (command, len) = match kind {
        Kind::Vm => ("cat /proc/sys/kernel/random/boot_id", Some(36)),
        // A container shares the host's boot id; the start time of its init is its own.
        Kind::Ct => ("cut -d' ' -f22 /proc/1/stat", None),
    };
    let said = console.run(command, Duration::from_secs(60))?;
    // The kernel of a machine that has just booted may say something in between.
    let mut words = said.split_whitespace();
    let mark = words.find(|word| len.is_none_or(|len| word.len() == len));
    mark.map(str::to_owned)
        .with_context(|| format!("{command}: {said:?}"))
}

/// A file's size in bytes.
pub fn size(file: &std::path::Path) -> Result<u64> {
    Ok(File::open(file)?.metadata()?.len())
}

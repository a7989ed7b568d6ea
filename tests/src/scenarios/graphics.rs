//! The screen of a virtual machine: what the guest draws is seen, what is typed arrives.
//!
//! The guest is the appliance's own kernel, which has the drivers, with the tests' initial RAM disk
//! and a shell on the first virtual terminal.

use crate::api::refusal;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest, Kind};
use crate::lab::Lab;
use crate::rfb::{Password, Screen};
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::ssh::Ssh;
use std::fs;
use std::time::Duration;

const KERNEL: &str = "template/kernel/graphics-vmlinuz";
const INITRD: &str = "template/kernel/graphics-initrd.img";
/// What the guest runs first; the archive before this one has busybox.
const INIT: &str = "#!/bin/busybox sh
PATH=/bin
busybox mkdir -p /proc /sys /dev
busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
for module in /graphics/*.ko; do busybox insmod $module; done
echo graphics: ready >/dev/ttyS0
exec busybox setsid -c busybox sh </dev/tty1 >/dev/tty1 2>&1
";
/// Longest time for a line to be typed, run and shown in an emulated guest.
const LINE_LIMIT: Duration = Duration::from_secs(180);
/// The text console of a kernel that has booted has more bright pixels than this.
const TEXT: usize = 2000;

/// The text console shows in the framebuffer, and a line typed into it is run.
pub fn shows_and_types(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    put_guest(&appliance.ssh(), lab)?;
    let api = appliance.api()?;
    let guest = Guest::create_vm(
        &api,
        120,
        &[
            ("kernel", "local:kernel/graphics-vmlinuz"),
            ("initrd", "local:kernel/graphics-initrd.img"),
            ("cmdline", "console=tty0 console=ttyS0"),
            ("virtio0", "local:1"),
            ("vga", "virtio"),
        ],
    )?;
    let refused = refusal(Screen::open(&api, guest.vmid, Password::Ticket).map(drop))?;
    ensure!(refused.reason.contains("not running"), "off: {refused}");
    guest.power(&api, "start")?;
    let mut serial = Console::open(&api, Kind::Vm, guest.vmid)?;
    serial.wait("graphics: ready", BOOT_LIMIT)?;

    let wrong = Screen::open(&api, guest.vmid, Password::Wrong).map(drop);
    let wrong = format!("{:#}", wrong.err().context("a wrong password is accepted")?);
    ensure!(wrong.contains("the password is wrong"), "{wrong}");

    let mut screen = Screen::open(&api, guest.vmid, Password::Ticket)?;
    let picture = lab.results.join("screen.png");
    let before = screen.wait(LINE_LIMIT, |bright| bright > TEXT);
    screen.save_png(&picture)?;
    let before = before?;
    ensure!(screen.size() == (1280, 800), "size: {:?}", screen.size());
    screen.type_line("echo \"Typed: $((6 * 7))\" | tee /dev/ttyS0")?;
    serial.wait("Typed: 42", LINE_LIMIT)?;
    screen.wait(LINE_LIMIT, |bright| bright > before)?;
    screen.save_png(&picture)?;

    // Two people may look at once, and a generated password is as good.
    let mut second = Screen::open(&api, guest.vmid, Password::Generated)?;
    second.wait(LINE_LIMIT, |bright| bright > before)?;

    guest.power(&api, "stop")?;
    api.put(&format!("{}/config", guest.path()), &[("vga", "none")])?;
    guest.power(&api, "start")?;
    let refused = refusal(Screen::open(&api, guest.vmid, Password::Ticket).map(drop))?;
    ensure!(refused.reason.contains("has no screen"), "none: {refused}");
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// Puts the guest's kernel and initial RAM disk onto the appliance.
fn put_guest(ssh: &Ssh, lab: &Lab<'_>) -> Result<()> {
    let uki = fs::read(&lab.shared.built.uki)?;
    let kernel = section(&uki, b".linux").context("the UKI has no kernel")?;
    put(ssh, kernel, KERNEL)?;
    let mut initrd = fs::read(lab.shared.guests.initrd())?;
    // The next archive begins where the kernel looks for one.
    initrd.resize(initrd.len().next_multiple_of(512), 0);
    let mut archive = Archive::default();
    archive.add("init", 0o100_755, INIT.as_bytes());
    archive.add("graphics", 0o040_755, &[]);
    let list = ssh.run(
        "modprobe --ignore-install --show-depends --all virtio_gpu virtio_input | \
         sed -n 's/^insmod \\([^ ]*\\).*/\\1/p'",
    )?;
    for (number, file) in list.lines().enumerate() {
        let line = format!("xz --decompress --stdout {file}");
        let output = ssh.command().args(["--", &line]).output()?;
        ensure!(output.status.success(), "{line}: {}", output.status);
        let name = format!("graphics/{number:02}.ko");
        archive.add(&name, 0o100_644, &output.stdout);
    }
    initrd.extend(archive.finish());
    put(ssh, &initrd, INITRD)
}

fn put(ssh: &Ssh, content: &[u8], target: &str) -> Result<()> {
    let line = format!("mkdir -p $(dirname /var/lib/vz/{target}) && cat >/var/lib/vz/{target}");
    ssh.feed(&line, content).map(drop)
}

/// A section of a PE file.
fn section<'a>(file: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let word = |at: usize| {
        let bytes = file.get(at..at + 4)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let head = word(0x3c)?;
    let count = word(head + 4)? >> 16;
    let table = head + 24 + (word(head + 20)? & 0xffff);
    let entry = (0..count)
        .map(|i| table + i * 40)
        .find(|at| file.get(*at..at + name.len()) == Some(name))?;
    let (size, from) = (word(entry + 8)?, word(entry + 20)?);
    file.get(from..from + size)
}

/// An initial RAM disk in the making (Linux's `buffer-format`, "newc").
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        let number = self.0.len() as u32 + 1;
        let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.0.extend(b"070701");
        for field in fields {
            self.0.extend(format!("{field:08x}").bytes());
        }
        self.0.extend(name.bytes().chain([0]));
        self.align();
        self.0.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_that_cpio_reads() {
        let mut archive = Archive::default();
        archive.add("hello", 0o100_644, b"world");
        let bytes = archive.finish();
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[110..116], b"hello\0");
        assert_eq!(&bytes[116..121], b"world");
        assert!(bytes.len() % 4 == 0 && bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
    }
}

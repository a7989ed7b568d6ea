//! What the machine starts is what was signed, and what runs may do little else than its work.

use crate::appliance::Appliance;
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::qemu::{FIRMWARE_VARS, Firmware};
use basalt_image::build::Emulator;
use serde_json::Value;
use std::time::Duration;

/// Prints the running version.
const VERSION: &str = ". /etc/os-release; echo $IMAGE_VERSION";
/// What firmware and boot loader say of a file that is not signed, in small letters.
const REFUSED: [&str; 2] = ["access denied", "security violation"];

/// On firmware without keys the boot loader enrols ours. From then on a kernel image in which one
/// byte differs is not started, and at the next start the one that works is; what runs is locked
/// down; and a boot loader without a signature is not started at all.
pub fn chain(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance()?;
    let version = appliance.ssh().run(VERSION)?;
    change_one_byte(&appliance, &version)?;
    appliance.node.kill();
    appliance.node.set_firmware(Firmware::Secure, false);
    let vars = Emulator::ensure()?.file(FIRMWARE_VARS);
    appliance.node.copy_vars(&vars)?;
    appliance.power_on()?;
    appliance
        .wait_serial("successfully enrolled", appliance.limit())
        .context("the boot loader did not enrol the keys")?;
    refused(&appliance).context("nobody refused the changed kernel image")?;

    // The try was counted before it failed.
    appliance.power_cut()?;
    appliance.healthy()?;
    let ssh = appliance.ssh();
    let now = ssh.run(VERSION)?;
    ensure!(now == version, "{now} runs");
    ssh.run("test -e /efi/EFI/Linux/basalt_9.0.0+0-1.efi")
        .context("the changed kernel image was not tried")?;
    let state = secure_boot(&appliance)?;
    ensure!(
        state == "enabled",
        "Secure Boot is {state} after the enrolment"
    );
    locked_down(&appliance)?;

    ssh.run(
        "for name in EFI/BOOT/BOOTX64.EFI EFI/systemd/systemd-bootx64.efi; do \
         cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi /efi/$name; done; sync",
    )?;
    appliance.power_cut()?;
    refused(&appliance).context("nobody refused the boot loader without a signature")?;
    appliance.done();
    Ok(())
}

/// Waits until something was refused since the machine was switched on.
fn refused(appliance: &Appliance) -> Result<()> {
    let seen = poll::until(appliance.limit(), Duration::from_millis(300), || {
        let said = appliance.node.log().text().to_lowercase();
        let refused = REFUSED.iter().any(|words| said.contains(words));
        Ok::<_, anyhow::Error>(refused.then_some(()))
    })?;
    seen.context("it was not said on the serial console")
}

/// Adds a newer kernel image, on its only try, in which one byte differs: it belongs to a word of the
/// command line that nothing depends on, so that unsigned it would boot.
fn change_one_byte(appliance: &Appliance, version: &str) -> Result<()> {
    let (good, bad) = (format!("basalt_{version}.efi"), "basalt_9.0.0+1.efi");
    appliance.ssh().run(&format!(
        "cd /efi/EFI/Linux && cp {good} {bad} && \
         at=$(grep --only-matching --byte-offset --binary --text 'systemd.firstboot=0' {bad} | \
         head -n 1 | cut -d : -f 1) && \
         printf 1 | dd of={bad} bs=1 seek=$((at + 18)) conv=notrunc status=none && \
         test $(cmp -l {good} {bad} | wc -l) = 1 && sync",
    ))?;
    Ok(())
}

/// Root itself cannot get at the running kernel.
fn locked_down(appliance: &Appliance) -> Result<()> {
    let ssh = appliance.ssh();
    let mode = ssh.run("cat /sys/kernel/security/lockdown")?;
    ensure!(
        mode.contains("[integrity]"),
        "the kernel is not locked down: {mode}"
    );
    // A driver of ours whose signature has been cut off.
    ssh.run(
        "xz --decompress --stdout $(modinfo --field filename dummy) > /run/dummy.ko && \
         truncate --size=-60 /run/dummy.ko",
    )?;
    for line in [
        "insmod /run/dummy.ko",
        "dd if=/dev/mem of=/dev/null bs=1 count=1",
    ] {
        let output = ssh.output(line)?;
        ensure!(!output.status.success(), "`{line}` succeeded");
    }
    ssh.run("modprobe dummy && rmmod dummy")
        .context("a signed driver was refused")?;
    Ok(())
}

/// How exposed each of our units may be, on systemd's scale from 0 (nothing) to 10 (everything).
/// Who adds a right to a unit raises its number here, and is asked why.
const EXPOSURE: [(&str, f64); 13] = [
    ("basalt-commit.service", 2.4),
    ("basalt-gateway.service", 1.2),
    ("basalt-health.service", 1.9),
    ("basalt-init.service", 2.0),
    ("basalt-installer.service", 8.3),
    ("basalt-mirror.service", 2.6),
    ("basalt-node.service", 6.6),
    ("basalt-pool.service", 2.6),
    // A shell of root's is to have every right.
    ("basalt-rescue.service", 9.5),
    ("basalt-reset.service", 2.1),
    ("basalt-seal.service", 2.7),
    ("basalt-setup.service", 5.5),
    ("basalt-zfs.service", 2.6),
];

/// No unit of ours is more exposed than it has to be.
pub fn exposure(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let text = appliance.ssh().run(
        "cd /usr/lib/systemd/system && for unit in basalt-*.service; do \
         systemd-analyze security --no-pager $unit | \
         sed -n 's/.*exposure level for \\(.*\\): \\([0-9.]*\\) .*/\\1 \\2/p'; done",
    )?;
    for (name, _) in EXPOSURE {
        ensure!(text.contains(name), "{name} is not in the table: {text}");
    }
    for line in text.lines() {
        let (unit, found) = line.split_once(' ').context("no number")?;
        // Only development images have this one.
        if unit == "basalt-dev-sync.service" {
            continue;
        }
        let found: f64 = found.parse()?;
        lab.shared
            .figures
            .record(&format!("exposure of {unit}"), found, "of 10");
        let most = EXPOSURE.iter().find(|(name, _)| *name == unit);
        let (_, most) = most.with_context(|| format!("{unit} has no limit; it is at {found}"))?;
        ensure!(
            found <= *most,
            "{unit} is exposed at {found}, more than {most}"
        );
    }
    appliance.done();
    Ok(())
}

fn secure_boot(appliance: &Appliance) -> Result<String> {
    let text = appliance
        .ssh()
        .run("/usr/lib/basalt/basalt-update status --json")?;
    let status: Value = serde_json::from_str(&text)?;
    Ok(status["secure_boot"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

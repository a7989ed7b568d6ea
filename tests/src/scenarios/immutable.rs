//! The root cannot be changed: not by root, not for the next boot, not on the disk.

use crate::lab::Lab;
use anyhow::{Context, Result, ensure};

/// Writes below /usr fail, and what is written below /etc is gone after a reboot.
pub fn read_only(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    for line in [
        "touch /usr/trespass",
        "echo x >> /usr/lib/basalt/basalt-node",
        "mount -o remount,rw /usr",
        "mount -o remount,rw / && touch /usr/trespass",
    ] {
        let output = ssh.output(line)?;
        ensure!(!output.status.success(), "`{line}` succeeded");
    }
    // Whether this one succeeds does not matter, only that nothing of it is left.
    ssh.output("echo trespass > /etc/trespass; echo trespass >> /etc/passwd")?;
    appliance.reboot()?;
    let left = appliance
        .ssh()
        .output("ls /etc/trespass; grep trespass /etc/passwd")?;
    ensure!(
        left.stdout.is_empty(),
        "something in /etc survived: {}",
        String::from_utf8_lossy(&left.stdout)
    );
    appliance.done();
    Ok(())
}

/// One flipped byte in the root partition, and the system refuses to run from it.
pub fn flipped_byte(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let ssh = appliance.ssh();
    let version = ssh.run(". /etc/os-release; echo $IMAGE_VERSION")?;
    let partition = format!("/dev/disk/by-partlabel/basalt_{version}");
    // Inside the file system's superblock, which every boot reads.
    let read = format!("dd if={partition} bs=1 skip=1040 count=1 status=none | od -An -tu1");
    let byte: u8 = ssh.run(&read)?.trim().parse().context("no byte")?;
    let octal = format!("{:03o}", byte ^ 0x10);
    ssh.run(&format!(
        "printf '\\{octal}' | dd of={partition} bs=1 seek=1040 conv=notrunc,fsync status=none"
    ))?;
    let now: u8 = ssh
        .run(&format!("blockdev --flushbufs {partition}; {read}"))?
        .trim()
        .parse()?;
    ensure!(now == byte ^ 0x10, "the byte was not flipped");
    let _ = ssh.output("systemctl reboot")?;
    ssh.close();
    appliance
        .wait_serial("is corrupted", appliance.limit())
        .context("dm-verity did not report the flipped byte")?;
    ensure!(
        appliance.node.log().text().contains("verity"),
        "something else reported corruption"
    );
    appliance.wait_serial("Kernel panic - not syncing", appliance.limit())?;
    appliance.done();
    Ok(())
}

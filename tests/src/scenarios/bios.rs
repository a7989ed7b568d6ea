//! Machines without UEFI: the medium starts, and a disk boots by the same rules as on UEFI.

use super::install::refused;
use crate::appliance::Appliance;
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::Attempt;
use basalt_image::appliance::poll;
use basalt_image::appliance::qemu::Firmware;
use std::time::Duration;

/// Names of the kernel images, in one line.
const IMAGES: &str = "systemctl start efi.mount && cd /efi/EFI/Linux && echo *.efi";

/// The medium starts the installer, as a USB stick; with `BASALT_ALL_MEDIA` as a disc too.
pub fn medium(lab: &mut Lab<'_>) -> Result<()> {
    let answer = Keys::ensure()?.answer("basalt")?.text;
    let mut attempt = Attempt {
        answer: Some(&answer),
        size: "2G",
        firmware: Firmware::Bios,
        stick: true,
        ..Attempt::default()
    };
    refused(lab, &attempt, &["disk", "GiB"]).context("as a USB stick")?;
    if std::env::var_os("BASALT_ALL_MEDIA").is_some() {
        attempt.stick = false;
        refused(lab, &attempt, &["disk", "GiB"]).context("as a disc")?;
    }
    Ok(())
}

/// A disk that was installed on UEFI boots. A newer version that cannot start gets its tries, not
/// one more, and then the old one boots; one that proves itself is kept.
pub fn installed_disk(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance_off()?;
    appliance.node.set_firmware(Firmware::Bios, false);
    appliance.power_on()?;
    appliance.healthy()?;
    appliance.ssh().run("test ! -e /sys/firmware/efi")?;
    let version = appliance
        .ssh()
        .run(". /etc/os-release; echo $IMAGE_VERSION")?;
    plant(&appliance, &version)?;

    let before = appliance.boot_id()?;
    let _ = appliance.ssh().output("systemctl reboot")?;
    appliance.ssh().close();
    appliance.wait_other_boot(&before)?;
    let log = appliance.node.log().text();
    let failed = log.matches("cannot boot: ").count();
    ensure!(failed == 2, "the broken version was tried {failed} times");
    appliance.node.skip_log();
    appliance.healthy()?;
    let wanted = format!("basalt_{version}.efi basalt_9.9.9+0-2.efi");
    let mut images = String::new();
    let settled = poll::until(appliance.limit(), Duration::from_secs(1), || {
        images = appliance.ssh().run(IMAGES)?;
        Ok::<_, anyhow::Error>((images == wanted).then_some(()))
    })?;
    settled.with_context(|| format!("the kernel images are {images}, not {wanted}"))?;
    appliance.done();
    Ok(())
}

/// Puts the running version on trial, and beside it a newer one with two tries, whose initial RAM
/// disk is told of no root.
fn plant(appliance: &Appliance, version: &str) -> Result<()> {
    let line = format!(
        "set -e; systemctl start efi.mount; cd /efi/EFI/Linux; \
         cp basalt_{version}.efi basalt_9.9.9+2.efi; \
         mv basalt_{version}.efi basalt_{version}+3.efi; \
         cd /efi/basalt; \
         sed -e 's/^order=.*/order=9/' -e \"s/roothash=[0-9a-f]*//\" {version}.cfg > 9.9.9.cfg; \
         sync"
    );
    appliance.ssh().run(&line)?;
    Ok(())
}

//! Installing a machine that has nothing but a network.

use crate::lab::Lab;
use crate::web;
use anyhow::{Result, bail, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, LIMIT, Outcome};
use basalt_image::appliance::qemu::Firmware;
use basalt_image::build::{self, Options};
use basalt_image::publish;
use std::fs;

/// What the machine's DHCP server names: the published script, with an answer file.
const START: &str = "start.ipxe";

/// A machine with an empty disk and no medium installs itself from a web server by iPXE, and boots.
/// QEMU's own iPXE is reliable on legacy BIOS; with `BASALT_ALL_MEDIA` UEFI comes too.
pub fn installs(lab: &mut Lab<'_>) -> Result<()> {
    let options = Options {
        netboot: true,
        ..Options::default()
    };
    let built = build::build(&options)?;
    let folder = lab.work().join("web");
    publish::publish_netboot(&built, &folder)?;
    let answer = Keys::ensure()?.answer("basalt")?.text;
    fs::write(folder.join("answer.toml"), answer)?;
    let url = web::serve(&folder)?;
    let script = format!(
        "#!ipxe\nset basalt basalt.answer={url}/answer.toml\nchain {url}/{}\n",
        publish::SCRIPT
    );
    fs::write(folder.join(START), script)?;
    installs_from(lab, &format!("{url}/{START}"), Firmware::Bios)?;
    if std::env::var_os("BASALT_ALL_MEDIA").is_some() {
        installs_from(lab, &format!("{url}/{START}"), Firmware::Uefi)?;
    }
    Ok(())
}

fn installs_from(lab: &mut Lab<'_>, script: &str, firmware: Firmware) -> Result<()> {
    let accel = lab.shared.snapshot.accel();
    let mut machine = lab.bare_machine()?;
    machine.node.set_firmware(firmware, false);
    let attempt = Attempt {
        netboot: Some(script),
        firmware,
        ..Attempt::default()
    };
    let iso = &lab.shared.built.iso;
    install::begin(&mut machine.node, iso, &attempt, accel)?;
    if let Outcome::Failed(why) = install::wait(&machine.node, LIMIT * accel.patience())? {
        bail!("{why}");
    }
    machine.power_on()?;
    machine.healthy()?;
    let name = machine.ssh().run("hostname")?;
    ensure!(name == "basalt", "the host is called {name}");
    machine.done();
    Ok(())
}

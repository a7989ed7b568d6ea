//! Installing a machine that has nothing but a network.

use crate::appliance::Appliance;
use crate::lab::{Guarded, Lab};
use crate::web;
use anyhow::{Result, bail, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, LIMIT, Netboot, Outcome};
use basalt_image::appliance::qemu::{Firmware, VARS};
use basalt_image::build::{self, Options};
use basalt_image::publish;
use std::fs::{self, File};

/// What the machine's DHCP server names: the published script, with an answer file.
const START: &str = "start.ipxe";

/// Size in bytes of the empty disk.
const DISK_SIZE: u64 = 32 << 30;

/// A machine on legacy BIOS with an empty disk and no medium installs itself from a web server by the
/// iPXE of its network card, with an answer file from there, and boots.
pub fn by_ipxe(lab: &mut Lab<'_>) -> Result<()> {
    let url = publish(lab)?;
    let script = format!(
        "#!ipxe\nset basalt basalt.answer={url}/answer.toml\nchain {url}/{}\n",
        publish::SCRIPT
    );
    fs::write(lab.work().join("web").join(START), script)?;
    let mut machine = lab.bare_machine()?;
    machine.node.set_firmware(Firmware::Bios, false);
    let start = format!("{url}/{START}");
    let attempt = Attempt {
        netboot: Some(Netboot::Ipxe(&start)),
        firmware: Firmware::Bios,
        ..Attempt::default()
    };
    installs(lab, &mut machine, &attempt)?;
    machine.done();
    Ok(())
}

/// A machine on UEFI with an empty disk and no medium starts the one signed file by HTTP boot of its
/// firmware, finds its answer file on a volume, installs itself and boots.
pub fn by_uefi(lab: &mut Lab<'_>) -> Result<()> {
    let url = publish(lab)?;
    let empty = lab.work().join("empty");
    File::create(&empty)?.set_len(DISK_SIZE)?;
    let mut other = lab.appliance()?;
    name_boot_file(&other, &format!("{url}/{}", publish::NETBOOT))?;
    other.node.kill();
    let mut machine = lab.appliance_with(&empty)?;
    machine.node.copy_vars(&other.node.dir().join(VARS))?;
    other.done();
    let answer = Keys::ensure()?.answer("basalt")?.text;
    let attempt = Attempt {
        answer: Some(&answer),
        netboot: Some(Netboot::Firmware),
        used: true,
        ..Attempt::default()
    };
    installs(lab, &mut machine, &attempt)?;
    machine.done();
    Ok(())
}

/// Offers what machines need; returns where.
fn publish(lab: &Lab<'_>) -> Result<String> {
    let options = Options {
        netboot: true,
        ..Options::default()
    };
    let built = build::build(&options)?;
    let folder = lab.work().join("web");
    publish::publish_netboot(&built, &folder)?;
    let answer = Keys::ensure()?.answer("basalt")?.text;
    fs::write(folder.join("answer.toml"), answer)?;
    web::serve(&folder)
}

/// Tells the firmware of a running appliance to start a file from a web server the next time: what a
/// person would type into its setup. QEMU's own DHCP server cannot say that it is one for HTTP boot.
fn name_boot_file(appliance: &Appliance, url: &str) -> Result<()> {
    // Kept over power cycles, seen at boot and at run time; UEFI 2.10 §8.2.
    let attributes = [7, 0, 0, 0];
    // A boot option, UEFI 2.10 §3.1.3: active; length of its path; its name; its path, which is a URI
    // and the end, §10.3.4.21 and §10.3.1.
    let uri_length = 4 + url.len() as u16;
    let mut option = Vec::from(attributes);
    option.extend([1, 0, 0, 0]);
    option.extend((uri_length + 4).to_le_bytes());
    option.extend("net\0".encode_utf16().flat_map(u16::to_le_bytes));
    option.extend([3, 24]);
    option.extend(uri_length.to_le_bytes());
    option.extend(url.as_bytes());
    option.extend([0x7f, 0xff, 4, 0]);
    let next = [attributes.as_slice(), &[0xba, 0x5a]].concat();
    for (name, value) in [("Boot5ABA", option), ("BootNext", next)] {
        let octal: String = value.iter().map(|byte| format!("\\0{byte:03o}")).collect();
        appliance.ssh().run(&format!(
            "printf '%b' '{octal}' | dd bs=4096 iflag=fullblock status=none \
             of=/sys/firmware/efi/efivars/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        ))?;
    }
    Ok(())
}

/// The installer comes over the network and installs; then the disk boots.
fn installs(lab: &Lab<'_>, machine: &mut Guarded, attempt: &Attempt<'_>) -> Result<()> {
    let accel = lab.shared.snapshot.accel();
    install::begin(&mut machine.node, &lab.shared.built.iso, attempt, accel)?;
    if let Outcome::Failed(why) = install::wait(&machine.node, LIMIT * accel.patience())? {
        bail!("{why}");
    }
    machine.power_on()?;
    machine.healthy()?;
    let name = machine.ssh().run("hostname")?;
    ensure!(name == "basalt", "the host is called {name}");
    Ok(())
}

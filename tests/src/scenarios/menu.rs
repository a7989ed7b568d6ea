//! The boot menu: a shell for whoever knows root's password, and a host that forgets everything.

use crate::api::{Api, NODE};
use crate::lab::Lab;
use crate::person::Person;
use anyhow::{Result, ensure};

/// What the boot loader takes for "show the menu" and, in it, for nothing.
const ANY_KEY: &str = " ";

/// Root's password after the reset.
const PASSWORD: &str = "another-horse";

/// A version on trial is started as a rescue shell: only root's password opens it, no guest and no
/// service runs, and the version stays on trial. Then the factory reset names what is there, destroys
/// it, and leaves a host that is healthy under its new name and password.
pub fn rescue_and_reset(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let created = [("vmid", "100"), ("name", "precious"), ("memory", "64")];
    let api = appliance.api()?;
    let task = api.post(&format!("/nodes/{NODE}/qemu"), &created)?;
    api.task(&task, appliance.limit())?;
    appliance.ssh().run(
        "set -e; systemctl start efi.mount; cd /efi/EFI/Linux; \
         for image in *.efi; do mv $image ${image%.efi}+3.efi; done; sync",
    )?;
    let old = appliance.password().to_owned();
    let mut person = Person::at(&appliance, appliance.limit())?;
    // The connection may end before the answer does.
    let _ = appliance.ssh().output("systemctl reboot")?;
    appliance.ssh().close();

    person.sees_while("Rescue shell", ANY_KEY)?;
    person.types("j\r")?;
    person.sees("rescue shell on basalt")?;
    person.answers("Enter root password", "not this one")?;
    person.sees("incorrect")?;
    person.answers("Enter root password", &old)?;
    // Only the shell joins the halves; the echo of what was typed does not.
    person.answers(
        "#",
        "mount -r /dev/disk/by-partlabel/basalt-esp /efi; echo o'n trial:' /efi/EFI/Linux/*; \
         echo sta'tes:' $(systemctl is-active basalt-node ssh boot-complete.target); umount /efi",
    )?;
    person.sees("on trial: /efi/EFI/Linux/basalt_")?;
    person.sees("+2-1.efi")?;
    person.sees("states: inactive inactive inactive")?;
    person.types("exit\r")?;

    person.sees_while("Factory reset", ANY_KEY)?;
    person.types("jj\r")?;
    person.sees("factory reset of basalt")?;
    person.sees("VM 100 (precious)")?;
    person.sees("storage local (/var/lib/vz)")?;
    for (question, answer) in [
        ("Press Enter to go on", ""),
        ("Password for root", PASSWORD),
        ("The same again", PASSWORD),
        ("Host name [basalt]", "fresh"),
        ("Keep the network", ""),
        ("or RESET to destroy all this", "basalt"),
    ] {
        person.answers(question, answer)?;
    }
    person.sees("Starting again to remove everything")?;
    person.sees("factory reset: done")?;
    person.sees("is healthy at")?;

    let api = Api::login(appliance.node.state().port, PASSWORD)?;
    let resources = api.get("/cluster/resources")?.to_string();
    ensure!(
        resources.contains("node/fresh") && !resources.contains("precious"),
        "after the reset there is {resources}"
    );
    ensure!(
        Api::login(appliance.node.state().port, &old).is_err(),
        "the old password still opens"
    );
    appliance.done();
    Ok(())
}

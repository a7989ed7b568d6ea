//! Debian as people bring it: a disk for clouds that is told who it is by cloud-init, and Debian's own
//! installer, by its kernel and from a disc.

use super::uefi::{in_an_emulator_that_lasts, slow_ticks};
use crate::api::{Api, encode};
use crate::appliance::Appliance;
use crate::console::Console;
use crate::guest::{Guest, Kind, put};
use crate::lab::Lab;
use crate::picture::Font;
use crate::rfb::{Password, Screen};
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::appliance::ssh::Ssh;
use basalt_image::testing::debian::Debian;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Longest time for firmware, a whole Debian and cloud-init where all of it is emulated.
const PATIENCE: Duration = Duration::from_secs(2400);
const MINUTE: Duration = Duration::from_secs(60);
/// Between two attempts to reach the guest.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const NAME: &str = "cloudy";
const USER: &str = "ops";
const SECRET: &str = "correct horse";
/// Private key on the appliance of who is let in.
const KEY: &str = "/run/guest-key";
/// The installer's first question.
const FIRST_DIALOG: &str = "Select a language";

/// A disk with nothing on it of ours boots by its own boot loader, becomes who its configuration says, is
/// reached over the network, and shows its consoles.
pub fn cloud(lab: &mut Lab<'_>) -> Result<()> {
    in_an_emulator_that_lasts(lab, cloud_on)
}

fn cloud_on(lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let (api, ssh) = (appliance.api()?, appliance.ssh());
    slow_ticks(&ssh)?;
    put(&ssh, &Debian::ensure()?.cloud_disk(), "import/cloud.raw")?;
    let key = ssh.run(&format!(
        "rm -f {KEY}*; ssh-keygen -q -t ed25519 -N '' -f {KEY} && cat {KEY}.pub"
    ))?;
    let (address, gateway) = free_address(&ssh)?;
    let addresses = format!("ip={address}/24,gw={gateway}");
    let vm = Guest::create_uefi_vm(
        &api,
        140,
        &[
            ("name", NAME),
            ("memory", "1024"),
            ("virtio0", "local:0,import-from=local:import/cloud.raw"),
            ("ide2", "local:cloudinit"),
            ("ciuser", USER),
            ("cipassword", SECRET),
            ("sshkeys", &encode(&key)),
            ("ciupgrade", "0"),
            ("ipconfig0", &addresses),
        ],
    )?;
    is_configured(&api, vm, &key)?;
    vm.power(&api, "start")?;

    let mut serial = Console::open(&api, Kind::Vm, vm.vmid)?;
    serial.wait(&format!("{NAME} login: "), PATIENCE)?;
    let within = Within { ssh: &ssh, address };
    within.reached()?;
    // Its exit status tells of warnings, too, which say what they are about.
    let done = within.run("cloud-init status --wait --long || true")?;
    ensure!(
        done.contains("status: done") && done.contains("recoverable_errors: {}"),
        "cloud-init is {done}"
    );
    let who = within
        .run("id -un; hostname; sudo -n id -u; uname -v; cat /sys/firmware/efi/fw_platform_size")?;
    let lines: Vec<&str> = who.lines().collect();
    ensure!(
        lines.len() == 5
            && lines[..3] == [USER, NAME, "0"]
            && lines[3].contains("Debian")
            && lines[4] == "64",
        "the guest says of itself {who:?}"
    );
    within.run(&format!("sudo -n ping -c 1 -W 10 {gateway}"))?;

    log_in(&mut serial)?;
    let mut screen = Screen::open(&api, vm.vmid, Password::Ticket)?;
    let picture = lab.results.join("screen.png");
    // Clears the screen, hides the cursor, and writes the table.
    let table = hex::encode_upper(format!("\x1bc\x1b[?25l{}", Font::table()));
    within.run(&format!(
        "sudo systemctl stop getty@tty1 && echo {table} | basenc --base16 -d | sudo tee /dev/tty1 >/dev/null"
    ))?;
    let font = screen.learn(MINUTE * 5, &picture)?;
    within.run("sudo systemctl start getty@tty1")?;
    // Lines are read without the blanks at their ends.
    screen.wait_text(&format!("{NAME} login:"), &font, MINUTE * 5, &picture)?;
    screen.type_line(USER)?;
    screen.wait_text(
        &format!("{NAME} login: {USER}"),
        &font,
        MINUTE * 5,
        &picture,
    )?;
    screen.wait_text("Password:", &font, MINUTE * 5, &picture)?;
    drop(screen);
    told_anew(&api, vm, &within)?;

    vm.power(&api, "stop")?;
    vm.delete(&api)?;
    let left = ssh.run("find /var/lib/vz/images -name 'vm-140-*'")?;
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

/// What the API shows of what cloud-init is told.
fn is_configured(api: &Api, vm: Guest, key: &str) -> Result<()> {
    let config = api.get(&format!("{}/config", vm.path()))?;
    let drive = config["ide2"].as_str().unwrap_or_default();
    ensure!(
        drive.starts_with("local:140/vm-140-cloudinit.raw") && drive.contains("media=cdrom"),
        "the drive is {config}"
    );
    ensure!(
        config["cipassword"] == "**********",
        "a password is shown: {config}"
    );
    let dump = dump(api, vm, "user")?;
    ensure!(
        dump.contains(key.trim())
            && dump.contains(&format!("name: \"{USER}\""))
            && !dump.contains(SECRET),
        "user-data: {dump}"
    );
    Ok(())
}

fn dump(api: &Api, vm: Guest, document: &str) -> Result<String> {
    let path = format!("{}/cloudinit/dump?type={document}", vm.path());
    let text = api.get(&path)?;
    text.as_str().map(str::to_owned).context("no document")
}

/// An address on the bridge that nobody has, and the gateway there.
fn free_address(ssh: &Ssh) -> Result<(String, String)> {
    let own = ssh.run("ip -4 -o addr show dev vmbr0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")?;
    let gateway = ssh.run("ip -4 route show default | sed 's/.*via \\([0-9.]*\\).*/\\1/'")?;
    let (network, _) = own.rsplit_once('.').context("the bridge has no address")?;
    Ok((format!("{network}.140"), gateway))
}

/// The guest, as the appliance reaches it over the bridge.
struct Within<'a> {
    ssh: &'a Ssh,
    address: String,
}

impl Within<'_> {
    fn line(&self, command: &str) -> String {
        format!(
            "ssh -i {KEY} -o BatchMode=yes -o ConnectTimeout=20 -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR {USER}@{} '{command}' </dev/null",
            self.address
        )
    }

    fn run(&self, command: &str) -> Result<String> {
        self.ssh.run(&self.line(command))
    }

    /// Waits until it lets us in: keys and host keys come after its first prompt.
    fn reached(&self) -> Result<()> {
        let mut last = String::new();
        let reached = poll::until(PATIENCE, LOOK_AGAIN, || {
            let output = self.ssh.output(&self.line("true"))?;
            last = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok::<_, anyhow::Error>(output.status.success().then_some(()))
        })?;
        reached.with_context(|| format!("the guest is not reached: {last}"))
    }
}

/// Logs in on the serial console, with the password.
fn log_in(serial: &mut Console) -> Result<()> {
    serial.type_text("\n")?;
    serial.wait(&format!("{NAME} login: "), MINUTE * 3)?;
    serial.type_text(&format!("{USER}\n"))?;
    serial.wait("Password: ", MINUTE * 3)?;
    serial.type_text(&format!("{SECRET}\n"))?;
    serial.wait(&format!("{USER}@{NAME}:~$ "), MINUTE * 5)?;
    Ok(())
}

/// A change waits until somebody asks for it, and then the guest has another disc.
fn told_anew(api: &Api, vm: Guest, within: &Within<'_>) -> Result<()> {
    let domain = "cloudy.example";
    api.put(
        &format!("{}/config", vm.path()),
        &[("searchdomain", domain)],
    )?;
    let path = format!("{}/cloudinit", vm.path());
    let waits = |entries: &Value| {
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().any(|entry| !entry["pending"].is_null())
    };
    let before = api.get(&path)?;
    ensure!(waits(&before), "nothing waits: {before}");
    api.put(&path, &[])?;
    let after = api.get(&path)?;
    ensure!(!waits(&after), "it waits still: {after}");
    let found = poll::until(MINUTE * 5, LOOK_AGAIN, || {
        let said = within
            .run("sudo blkid -p -s LABEL -o value /dev/sr0; sudo cat /dev/sr0 | tr -d \"\\000\"")?;
        Ok::<_, anyhow::Error>((said.starts_with("cidata") && said.contains(domain)).then_some(()))
    })?;
    found.context("the guest does not see what is said anew")
}

/// The installer asks its first question on the screen, booted by its kernel and from a disc.
pub fn installer(lab: &mut Lab<'_>) -> Result<()> {
    in_an_emulator_that_lasts(lab, installer_on)
}

fn installer_on(lab: &Lab<'_>, appliance: &Appliance) -> Result<()> {
    let (api, ssh) = (appliance.api()?, appliance.ssh());
    let debian = Debian::ensure()?;
    slow_ticks(&ssh)?;
    for (file, target) in [
        (debian.installer_kernel(), "template/kernel/installer-linux"),
        (
            debian.installer_initrd(),
            "template/kernel/installer-initrd",
        ),
        (debian.installer_disc(), "template/iso/installer.iso"),
    ] {
        put(&ssh, &file, target)?;
    }
    let by_kernel = Guest::create_vm(
        &api,
        141,
        &[
            ("memory", "1024"),
            ("kernel", "local:kernel/installer-linux"),
            ("initrd", "local:kernel/installer-initrd"),
            ("cmdline", "--- quiet"),
            ("virtio0", "local:4"),
        ],
    )?;
    let font = Font::of_bogl(&std::fs::read(debian.installer_font())?)?;
    asks(&api, by_kernel, &font, &lab.results.join("by-kernel.png"))?;
    let by_disc = Guest::create_uefi_vm(
        &api,
        142,
        &[
            ("memory", "1024"),
            ("virtio0", "local:4"),
            ("ide2", "local:iso/installer.iso,media=cdrom"),
            ("boot", "order=ide2"),
        ],
    )?;
    asks(&api, by_disc, &font, &lab.results.join("by-disc.png"))
}

fn asks(api: &Api, vm: Guest, font: &Font, picture: &Path) -> Result<()> {
    vm.power(api, "start")?;
    let mut screen = Screen::open(api, vm.vmid, Password::Ticket)?;
    let asked = screen.wait_text(FIRST_DIALOG, font, PATIENCE, picture);
    asked.with_context(|| format!("VM {}", vm.vmid))?;
    drop(screen);
    vm.power(api, "stop")?;
    vm.delete(api)
}

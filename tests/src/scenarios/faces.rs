//! An answer file from a server, and what the installer does when there is a Basalt already or the
//! disk goes away.

use crate::lab::Lab;
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::answer::Keys;
use basalt_image::appliance::install::{self, Attempt, LIMIT, Outcome};
use basalt_image::build::Emulator;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread;

/// Where the build machine is for the machine under test.
const HOST: &str = "10.0.2.2";

/// An answer file comes from a server; then the disk goes away in the middle of writing. The error
/// names the disk, and the other disk stays as it was.
pub fn vanishing_disk(lab: &mut Lab<'_>) -> Result<()> {
    let answer = Keys::ensure()?.answer("basalt")?.text;
    let hash = hex::encode(Sha256::digest(&answer));
    let port = serve_once(answer)?;
    let arguments =
        format!("basalt.answer=http://{HOST}:{port}/answer.toml basalt.answer.sha256={hash}");
    let accel = lab.shared.snapshot.accel();
    let limit = LIMIT * accel.patience();
    let mut machine = lab.bare_machine()?;
    let attempt = Attempt {
        second: Some("second.qcow2"),
        kernel_arguments: Some(&arguments),
        ..Attempt::default()
    };
    install::begin(&mut machine.node, &lab.shared.built.iso, &attempt, accel)?;
    machine.wait_serial("Copying Basalt", limit)?;
    let pull = json!({ "command-line": "drive_del disk0" });
    machine.node.qmp()?.execute("human-monitor-command", pull)?;
    match install::wait(&machine.node, limit)? {
        Outcome::Installed => bail!("it was installed on a disk that is gone"),
        Outcome::Failed(why) => ensure!(
            why.contains("the disk /dev/vda is gone or broken"),
            "the error does not name the disk: {why}"
        ),
    }
    machine.node.kill();
    untouched(&machine.node.dir().join("second.qcow2"))?;
    machine.done();
    Ok(())
}

/// Answers one request for a file; returns the port.
fn serve_once(text: String) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
        write!(stream, "{head} {}\r\n\r\n{text}", text.len())?;
        Ok(())
    });
    Ok(port)
}

/// An answer file that says nothing of a Basalt in use leaves it alone; one that asks for a repair
/// makes a host boot again whose boot files are gone, with its configuration and files.
pub fn existing(lab: &mut Lab<'_>) -> Result<()> {
    let accel = lab.shared.snapshot.accel();
    let iso = &lab.shared.built.iso;
    let mut machine = lab.appliance()?;
    machine
        .ssh()
        .run("echo precious > /var/lib/basalt/kept && rm -r /efi/EFI && sync")?;
    // The connection may end before the answer does.
    let _ = machine.ssh().output("systemctl poweroff")?;
    machine.node.wait_end(LIMIT * accel.patience())?;
    let answer = Keys::ensure()?.answer("renamed")?.text;
    let mut attempt = Attempt {
        answer: Some(&answer),
        used: true,
        ..Attempt::default()
    };
    match install::attempt(&mut machine.node, iso, &attempt, accel)? {
        Outcome::Installed => bail!("a Basalt in use was overwritten"),
        Outcome::Failed(why) => {
            for word in ["existing.action", "already holds Basalt", "keep-data"] {
                ensure!(why.contains(word), "the error does not say {word:?}: {why}");
            }
        }
    }
    let repair = format!("{answer}\n[existing]\naction = \"repair\"\n");
    attempt.answer = Some(&repair);
    if let Outcome::Failed(why) = install::attempt(&mut machine.node, iso, &attempt, accel)? {
        bail!("not repaired: {why}");
    }
    machine.power_on()?;
    machine.healthy()?;
    let kept = machine.ssh().run("cat /var/lib/basalt/kept; hostname")?;
    ensure!(
        kept.starts_with("precious") && !kept.contains("renamed"),
        "after the repair: {kept}"
    );
    machine.done();
    Ok(())
}

/// Nothing has ever been written to this disk.
pub(super) fn untouched(disk: &Path) -> Result<()> {
    let map = Emulator::ensure()?
        .command("qemu-img")
        .args(["map", "--force-share", "--output=json"])
        .arg(disk)
        .output()
        .context("cannot run qemu-img")?;
    let map = String::from_utf8_lossy(&map.stdout).into_owned();
    ensure!(
        !map.is_empty() && !map.contains("\"data\": true"),
        "something was written to {}: {map}",
        disk.display()
    );
    Ok(())
}

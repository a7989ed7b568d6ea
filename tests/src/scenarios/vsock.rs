//! Sockets between programs of the host and of a virtual machine's guest.

use crate::api::Api;
use crate::console::Console;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::ssh::Ssh;
use std::time::Duration;

const VMID: u32 = 183;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(240);
/// On the host it sends back what it gets.
const PORT: u32 = 1234;
/// Perl: a connection to the host, as S.
const CONNECT: &str =
    r#"socket(S,40,1,0)||die;connect(S,pack("SSLLL",40,0,1234,2,0))||die"no: $!";"#;
/// Pieces of 64 KiB that are sent and come back.
const PIECES: u32 = 128;

/// The guest reaches a program of the host by its context id, is known by the machine's number, and moves
/// data both ways. When the machine goes on from a saved state, the guest is told that its connections are
/// gone, and makes new ones.
pub fn connects(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let (api, ssh) = (appliance.api()?, appliance.ssh());
    echoes(&ssh)?;
    let guest = Guest::create_vm(&api, VMID, &[("vsock", "1")])?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    shell.run("udevadm settle", SOON)?;
    reaches_the_host(&mut shell, VMID)?;
    holds_a_connection(&mut shell)?;
    drop(shell);
    saved_and_back(&api, guest)?;
    let mut shell = guest.shell(&api)?;
    connection_has_ended(&mut shell)?;
    reaches_the_host(&mut shell, VMID)?;
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// Starts the host's program that sends back what it gets.
pub(super) fn echoes(ssh: &Ssh) -> Result<()> {
    ssh.run(&format!(
        "systemd-run --quiet --unit=echo --property=StandardInput=null \
         systemd-socket-activate --listen=vsock:2:{PORT} --accept --inetd cat"
    ))?;
    Ok(())
}

/// The guest is known as `context`, and everything that it sends to the host comes back.
pub(super) fn reaches_the_host(shell: &mut Console, context: u32) -> Result<()> {
    shell.run("modprobe vmw_vsock_virtio_transport", SOON)?;
    let own = r#"perl -e 'open F,"/dev/vsock";$b="\0"x4;ioctl(F,0x7b9,$b);print "own ",unpack("L",$b),"\n"'"#;
    says(shell, own, &format!("own {context}"))?;
    let send = format!(
        "perl -e '{CONNECT}for $i(1..{PIECES}){{$d=pack(\"L\",$i)x16384;$n=0;\
         $n+=syswrite(S,$d,65536-$n,$n) while $n<65536;$b=\"\";\
         sysread(S,$b,65536-length $b,length $b)||die\"end\" while length $b<65536;\
         $b eq $d||die\"other\"}}print \"moved \",{PIECES},\"\\n\"'"
    );
    says(shell, &send, &format!("moved {PIECES}")).context("data does not come back as it was sent")
}

/// The guest has a connection open.
pub(super) fn holds_a_connection(shell: &mut Console) -> Result<()> {
    let held = format!(
        "(perl -e '$|=1;{CONNECT}print \"held\\n\";sysread(S,$b,1);print \"ended\\n\"' >/run/held 2>&1 &) ; \
         until grep -q held /run/held; do sleep 1; done; echo waits"
    );
    says(shell, &held, "waits")
}

/// It learns that this is gone.
pub(super) fn connection_has_ended(shell: &mut Console) -> Result<()> {
    let ended = "until grep -q ended /run/held; do sleep 1; done; cat /run/held";
    says(shell, ended, "ended")
}

fn says(shell: &mut Console, command: &str, words: &str) -> Result<()> {
    let said = shell.run(command, SOON)?;
    ensure!(said.contains(words), "not '{words}', but {said}");
    Ok(())
}

fn saved_and_back(api: &Api, guest: Guest) -> Result<()> {
    let path = format!("{}/status/suspend", guest.path());
    let upid = api.post(&path, &[("todisk", "1")])?;
    api.task(&upid, BOOT_LIMIT)?;
    ensure!(!guest.runs(api)?, "it runs on");
    guest.power(api, "start")
}

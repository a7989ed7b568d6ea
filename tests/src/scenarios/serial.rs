//! A virtual machine's serial ports beside the first, and random numbers within a limit.

use crate::api::Api;
use crate::console::Console;
use crate::guest::Guest;
use crate::lab::Lab;
use anyhow::{Result, bail, ensure};
use std::time::{Duration, Instant};

const VMID: u32 = 181;
/// Longest time for a command in the guest.
const SOON: Duration = Duration::from_secs(120);
/// Least time for what [`TAKE`] takes: 64 bytes come in half a second, and the guest may have kept some.
const LIMITED: Duration = Duration::from_millis(1500);
const TAKE: &str = "dd if=/dev/hwrng of=/dev/null bs=64 count=8 iflag=fullblock && echo taken";

/// Each port has a console that keeps what nobody saw; the third shares its interrupt with the first, on
/// which the shell is.
pub fn talk(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let settings = [
        ("serial1", "socket"),
        ("serial2", "socket"),
        ("rng0", "source=/dev/urandom,max_bytes=64,period=500"),
    ];
    let guest = Guest::create_vm(&api, VMID, &settings)?;
    guest.power(&api, "start")?;
    let mut shell = guest.shell(&api)?;
    for port in 1..=2 {
        exchange(&api, &mut shell, port)?;
    }
    let Err(refused) = Console::open_port(&api, VMID, "serial3") else {
        bail!("there is a serial3");
    };
    let refused = format!("{refused:#}");
    ensure!(refused.contains("serial3"), "{refused}");

    shell.run("modprobe virtio_rng", SOON)?;
    let begun = Instant::now();
    let said = shell.run(TAKE, SOON)?;
    ensure!(said.contains("taken"), "no random numbers: {said}");
    let took = begun.elapsed();
    ensure!(took >= LIMITED, "there is no limit: it took {took:?}");
    guest.power(&api, "stop")?;
    guest.delete(&api)?;
    appliance.done();
    Ok(())
}

/// The guest prints while nobody looks, and reads what is typed later.
fn exchange(api: &Api, shell: &mut Console, port: u8) -> Result<()> {
    let device = format!("/dev/ttyS{port}");
    shell.run(
        &format!("exec 4<>{device} && stty -F {device} raw -echo && echo I am S{port} >&4"),
        SOON,
    )?;
    let mut other = Console::open_port(api, VMID, &format!("serial{port}"))?;
    other.wait(&format!("I am S{port}"), SOON)?;
    other.type_text(&format!("hello S{port}\n"))?;
    let heard = shell.run("read -r words <&4 && echo heard $words", SOON)?;
    ensure!(heard.contains(&format!("heard hello S{port}")), "{heard}");
    Ok(())
}

//! Reboots and power cuts.

use crate::api::{Api, NODE};
use crate::appliance::Appliance;
use crate::guest::{BOOT_LIMIT, Guest};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use rand::Rng;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// After a reboot, guests with `onboot` run again and the others do not.
pub fn onboot(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance()?;
    let api = appliance.api()?;
    let wanted = [
        Guest::create_vm(&api, 100, &[("onboot", "1")])?,
        Guest::create_ct(&api, 101, &[("onboot", "1")])?,
    ];
    let other = Guest::create_ct(&api, 102, &[])?;
    for guest in wanted.into_iter().chain([other]) {
        guest.power(&api, "start")?;
    }
    appliance.reboot()?;
    let api = appliance.api_again(appliance.limit())?;
    for guest in wanted {
        let running = poll::until(BOOT_LIMIT, Duration::from_secs(1), || {
            Ok::<_, anyhow::Error>(guest.runs(&api)?.then_some(()))
        })?;
        running.with_context(|| format!("{guest:?} does not run again"))?;
        guest
            .shell(&api)
            .with_context(|| format!("{guest:?} runs, but has no shell"))?;
    }
    ensure!(
        !other.runs(&api)?,
        "a guest without `onboot` runs after the reboot"
    );
    appliance.done();
    Ok(())
}

/// Pulls the plug at random moments while the configuration is being changed; every time the
/// appliance boots with everything it had acknowledged.
pub fn cuts(lab: &mut Lab<'_>) -> Result<()> {
    let mut appliance = lab.appliance_off()?;
    appliance.power_on()?;
    appliance.healthy()?;
    let guest = Guest::create_ct(&appliance.api_again(appliance.limit())?, 100, &[])?;
    let mut acknowledged = 0;
    for cut in 1..=count() {
        let delay = rand::thread_rng().gen_range(500..8000);
        acknowledged = change_until_cut(&mut appliance, guest, acknowledged, delay)
            .with_context(|| format!("power cut {cut} after {delay} ms"))?;
    }
    appliance.done();
    Ok(())
}

/// How often the plug is pulled: each time costs a boot.
fn count() -> u32 {
    std::env::var("BASALT_POWER_CUTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2)
}

/// Writes ever larger numbers into a guest's configuration, cuts the power after `delay`
/// milliseconds, and returns the number found after the next boot.
fn change_until_cut(appliance: &mut Appliance, guest: Guest, from: u64, delay: u64) -> Result<u64> {
    let api = appliance.api_again(appliance.limit())?;
    let acknowledged = AtomicU64::new(from);
    let cut = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !cut.load(Ordering::SeqCst) {
                let next = acknowledged.load(Ordering::SeqCst) + 1;
                let text = next.to_string();
                if api
                    .put(
                        &format!("{}/config", guest.path()),
                        &[("description", &text)],
                    )
                    .is_ok()
                {
                    acknowledged.store(next, Ordering::SeqCst);
                }
            }
        });
        // Time itself is meant: the plug is pulled at a random moment.
        thread::sleep(Duration::from_millis(delay));
        appliance.node.kill();
        cut.store(true, Ordering::SeqCst);
    });
    let acknowledged = acknowledged.into_inner();
    appliance.power_on()?;
    appliance.healthy()?;
    let api = appliance.api_again(appliance.limit())?;
    let found = description(&api, guest)?;
    // The change that was under way when the power failed may have come through.
    ensure!(
        (acknowledged..=acknowledged + 1).contains(&found),
        "{acknowledged} was acknowledged, {found} is stored"
    );
    ensure!(acknowledged > from, "nothing was changed before the cut");
    Ok(found)
}

fn description(api: &Api, guest: Guest) -> Result<u64> {
    let config = api.get(&format!(
        "/nodes/{NODE}/{}/{}/config",
        guest.kind.path(),
        guest.vmid
    ))?;
    let text = config["description"].as_str().unwrap_or("0");
    text.trim()
        .parse()
        .with_context(|| format!("description is {text:?}"))
}

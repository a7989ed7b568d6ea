//! Our daemons may restart or die at any time; guests go on, and stay manageable.

use crate::guest::{Guest, boot_mark};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

const BACK: Duration = Duration::from_secs(120);

/// Restarts and kills each daemon in turn while a virtual machine and a container run.
pub fn restarts(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let guests = [
        Guest::create_vm(&api, 100, &[])?,
        Guest::create_ct(&api, 101, &[])?,
    ];
    let mut marks = Vec::new();
    for guest in guests {
        guest.power(&api, "start")?;
        marks.push(boot_mark(&mut guest.shell(&api)?, guest.kind)?);
    }
    let mut uptimes = [0, 0];
    for unit in ["basalt-gateway", "basalt-node", "basalt-init"] {
        for how in ["restart", "kill --signal=KILL"] {
            let what = format!("systemctl {how} {unit}.service");
            let before = main_pid(&appliance, unit)?;
            appliance.ssh().run(&what)?;
            wait_for_other(&appliance, unit, &before).with_context(|| what.clone())?;
            let api = appliance.api_again(BACK).with_context(|| what.clone())?;
            for (guest, uptime) in guests.into_iter().zip(&mut uptimes) {
                ensure!(guest.runs(&api)?, "{guest:?} does not run after `{what}`");
                let now = guest.uptime(&api)?;
                ensure!(
                    now >= *uptime,
                    "{guest:?} is up {now} s after `{what}`, was {uptime} s"
                );
                *uptime = now;
            }
        }
    }
    let api = appliance.api_again(BACK)?;
    for (guest, mark) in guests.into_iter().zip(marks) {
        let now = boot_mark(&mut guest.shell(&api)?, guest.kind)?;
        ensure!(
            now == mark,
            "{guest:?} was started again: {mark} became {now}"
        );
        guest.power(&api, "shutdown")?;
        guest.delete(&api)?;
    }
    appliance.done();
    Ok(())
}

/// The main process of a unit.
pub(super) fn main_pid(appliance: &crate::appliance::Appliance, unit: &str) -> Result<String> {
    appliance.ssh().run(&format!(
        "systemctl show --property=MainPID --value {unit}.service"
    ))
}

/// Waits until the unit is active with another main process.
pub(super) fn wait_for_other(
    appliance: &crate::appliance::Appliance,
    unit: &str,
    before: &str,
) -> Result<()> {
    let line = format!(
        "for i in $(seq 1200); do \
           systemctl is-active --quiet {unit}.service && \
           [ \"$(systemctl show --property=MainPID --value {unit}.service)\" != {before} ] && exit 0; \
           sleep 0.1; \
         done; systemctl status --no-pager {unit}.service >&2; exit 1"
    );
    appliance.ssh().run(&line).map(drop)
}

//! Going back to the other slot, and making what runs the version that stays.

use basalt_layout::Version;

use crate::table::Table;
use crate::{Error, Host, formats};

/// Boots the other slot at the next start; it stays once it has proved itself.
pub fn roll_back(host: &Host) -> Result<Version, Error> {
    let _lock = host.lock()?;
    host.others.check_leading()?;
    let table = Table::read(&host.disk)?;
    let slot = host.running_slot(&table)?.other();
    let version = table
        .content_of(slot)
        .ok_or_else(|| Error::NothingToRollBack(format!("slot {} is empty", slot.letter())))?;
    let ukis = host.open_esp()?.ukis()?;
    let uki = ukis
        .iter()
        .find(|uki| uki.whole && uki.name.version == version)
        .ok_or_else(|| {
            Error::NothingToRollBack(format!("version {version} has no whole kernel image"))
        })?;
    if uki.name.is_exhausted() {
        return Err(Error::NothingToRollBack(format!(
            "version {version} did not become healthy when it was tried"
        )));
    }
    formats::check_known(host, &version)?;
    host.loader.set_next(&version)?;
    host.others.follow(host);
    Ok(version)
}

/// Makes the running version the one that is booted from now on. Called when its health checks
/// have passed.
pub fn commit(host: &Host) -> Result<(), Error> {
    let _lock = host.lock()?;
    keep(host)?;
    host.others.follow(host);
    Ok(())
}

fn keep(host: &Host) -> Result<(), Error> {
    let esp = host.open_esp()?;
    esp.settle()?;
    if host.loader.leaves_blessing_to_us() {
        esp.bless(&host.version)?;
    }
    let ukis = esp.ukis()?;
    // GRUB's wishes are on the same partition, which is mounted once at a time.
    drop(esp);
    // A newer version that is still to be tried, or was just left behind by a roll-back?
    let newest = ukis
        .iter()
        .filter(|uki| !uki.name.is_exhausted())
        .map(|uki| &uki.name.version)
        .max();
    if newest.is_some_and(|newest| *newest > host.version) {
        // One that was never booted is an update waiting for its reboot: it must get its turn. One that
        // is not whole never boots, and must not stand in the way.
        let waiting = ukis.iter().any(|uki| {
            uki.whole
                && uki.name.version > host.version
                && uki.name.tries.is_some_and(|tries| tries.done == 0)
        });
        if waiting {
            Ok(())
        } else {
            host.loader.set_default(&host.version)
        }
    } else if host.loader.has_default()? {
        host.loader.clear_default()
    } else {
        Ok(())
    }
}

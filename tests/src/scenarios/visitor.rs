//! Updates as users meet them: a channel with its own authority, a task that is stopped, bundles and
//! disks that cannot be used, a browser that installs and goes back.

use super::browser;
use super::update::{self, VERSION, running_version, state};
use crate::api::{Api, NODE, refusal};
use crate::appliance::Appliance;
use crate::lab::Lab;
use crate::web;
use anyhow::{Context, Result, ensure};
use basalt_image::appliance::poll;
use basalt_image::publish;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, repeat};
use std::path::Path;
use std::time::Duration;

/// Everything that decides what boots.
const BOOTS: &str = "sfdisk --dump /dev/vda; ls /efi/EFI/Linux; \
                     cat /sys/firmware/efi/efivars/LoaderEntry[DO]* 2>/dev/null | sha256sum";

/// A running appliance is updated the ways a user does it; whatever cannot be, changes nothing.
pub fn updates(lab: &mut Lab<'_>) -> Result<()> {
    let new = update::build_other()?;
    let folder = lab.work().join("channel");
    publish::publish(&new, &folder, publish::Channel::Testing)?;
    let mut appliance = lab.appliance()?;
    let old = running_version(&appliance)?;
    let boots = appliance.ssh().run(BOOTS)?;
    let api = appliance.api()?;

    own_authority(&api, &folder).context("a channel with its own authority")?;
    stopped(&api, &appliance).context("a task that is stopped")?;
    unchanged(&appliance, &boots).context("after a task that was stopped")?;
    bad_uploads(&api, &appliance, &new.bundle).context("uploads that cannot be used")?;
    unchanged(&appliance, &boots).context("after bad uploads")?;
    full_esp(&api, &appliance).context("a full EFI system partition")?;
    unchanged(&appliance, &boots).context("after a full EFI system partition")?;
    broken_slot(&appliance).context("a slot with a broken block")?;

    in_browser(
        &appliance,
        "install",
        &[("BASALT_BUNDLE", new.bundle.as_ref())],
    )?;
    let twice = install(&api, &appliance, &[])?;
    ensure!(twice.contains("is already in slot b"), "twice: {twice}");
    appliance.reboot()?;
    stays(&appliance, VERSION)?;
    older(&appliance, &lab.shared.built.bundle)?;

    let before = appliance.boot_id()?;
    in_browser(&appliance, "back", &[])?;
    appliance.ssh().close();
    appliance.wait_other_boot(&before)?;
    appliance.healthy()?;
    stays(&appliance, &old).context("after the roll-back")?;
    let api = appliance.api_again(appliance.limit())?;
    let next = api.post(&path("rollback"), &[])?;
    ensure!(next == VERSION, "the roll-back over the API says {next}");
    appliance.done();
    Ok(())
}

fn path(name: &str) -> String {
    format!("/nodes/{NODE}/update/{name}")
}

/// Installs, and returns how the task ended.
fn install(api: &Api, appliance: &Appliance, parameters: &[(&str, &str)]) -> Result<String> {
    let task = api.post(&path("install"), parameters)?;
    api.task_end(&task, appliance.limit())
}

fn unchanged(appliance: &Appliance, before: &str) -> Result<()> {
    let now = appliance.ssh().run(BOOTS)?;
    ensure!(now == before, "what boots has changed:\n{before}\n{now}");
    Ok(())
}

/// Who signed the certificate of the channel's server is not known before it is told.
fn own_authority(api: &Api, folder: &Path) -> Result<()> {
    let server = web::serve_securely(folder)?;
    let config = [("url", server.url.as_str()), ("channel", "testing")];
    api.put(&path("config"), &config)?;
    let unknown = refusal(api.get(&path("available")))?;
    ensure!(
        unknown.reason.contains("certificate is refused") && unknown.reason.contains("`ca`"),
        "an unknown authority: {unknown}"
    );
    let wrong = refusal(api.put(&path("config"), &[("ca", "no certificate")]))?;
    ensure!(
        wrong.errors.first().is_some_and(|(name, _)| name == "ca"),
        "no certificate: {wrong}"
    );
    api.put(&path("config"), &[("ca", &server.authority)])?;
    let available = api.get(&path("available"))?;
    ensure!(
        available["version"] == VERSION && available["newer"] == 1,
        "the channel has {available}"
    );
    Ok(())
}

/// Begins to install from the channel, and stops the task.
fn stopped(api: &Api, appliance: &Appliance) -> Result<()> {
    let task = api.post(&path("install"), &[])?;
    let begun = poll::until(appliance.limit(), Duration::from_millis(200), || {
        let begun = api.task_log(&task)?.contains("asking https://");
        Ok::<_, anyhow::Error>(begun.then_some(()))
    })?;
    begun.context("the installation does not begin")?;
    let upid = task.as_str().unwrap_or_default();
    api.delete(&format!("/nodes/{NODE}/tasks/{upid}"))?;
    let end = api.task_end(&task, appliance.limit())?;
    ensure!(end != "OK", "it went on to its end");
    Ok(())
}

/// Half a bundle, and more than there is room for.
fn bad_uploads(api: &Api, appliance: &Appliance, bundle: &Path) -> Result<()> {
    const HALF: u64 = 5 << 20;
    let upload =
        |from: &mut dyn Read, size| api.upload_to(&path("upload"), &[], "some.bundle", from, size);
    let task = upload(&mut File::open(bundle)?.take(HALF), HALF)?;
    let end = api.task_end(&task, appliance.limit())?;
    ensure!(end.contains("cut off"), "half a bundle: {end}");

    let room = "room=$(df --output=avail --block-size=1 /var | tail -n 1)";
    let keep: u64 = 80 << 20;
    let ssh = appliance.ssh();
    ssh.run(&format!(
        "{room} && fallocate --length $((room - {keep})) /var/tmp/filler"
    ))?;
    let size: u64 = 40 << 20;
    let refused = refusal(upload(&mut repeat(0), size))?;
    ensure!(
        refused.to_string().contains("too many"),
        "more than there is room for: {refused}"
    );
    ssh.run("rm /var/tmp/filler")?;
    let kept = ssh.run("stat --format=%s /var/lib/basalt/update/uploaded.bundle")?;
    ensure!(kept == "0", "an upload leaves {kept} bytes");
    Ok(())
}

/// The kernel image has no room; nothing is given up for it.
fn full_esp(api: &Api, appliance: &Appliance) -> Result<()> {
    let ssh = appliance.ssh();
    let room = "room=$(df --output=avail --block-size=1 /efi | tail -n 1)";
    ssh.run(&format!(
        "{room} && head --bytes=$((room - 4194304)) /dev/zero > /efi/filler && sync"
    ))?;
    let end = install(api, appliance, &[])?;
    ssh.run("rm /efi/filler && sync")?;
    ensure!(
        end.contains("the kernel image needs"),
        "without room for the kernel image: {end}"
    );
    Ok(())
}

/// One block of the other slot cannot be written: the error names the device, the running version
/// stays what boots.
fn broken_slot(appliance: &Appliance) -> Result<()> {
    let ssh = appliance.ssh();
    let ours = "ls /efi/EFI/Linux; /usr/lib/basalt/basalt-update status --json";
    let before = ssh.run(ours)?;
    ssh.run(
        "size=$(blockdev --getsz /dev/vda4) && printf '0 204800 linear /dev/vda4 0\\n\
         204800 8 error\\n204808 %s linear /dev/vda4 204808\\n' $((size - 204808)) \
         | dmsetup create broken && udevadm settle && mount --bind /dev/mapper/broken /dev/vda4",
    )?;
    let config = "/nodes/basalt/update/config";
    let url = appliance.api()?.get(config)?;
    let (url, ca) = (text(&url, "url")?, text(&url, "ca")?);
    ssh.run(&format!("cat > /run/ca.pem <<'END'\n{ca}\nEND"))?;
    let failed = ssh.output(&format!(
        "/usr/lib/basalt/basalt-update install --from {url} --channel testing --ca /run/ca.pem"
    ))?;
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    ssh.run("umount /dev/vda4 && dmsetup remove broken && rm /run/ca.pem")?;
    ensure!(
        !failed.status.success() && said.contains("/dev/vda4: Input/output error"),
        "a broken slot: {said}"
    );
    let after = ssh.run(ours)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("no {key} in {value}"))
}

/// An older version is refused unless it is asked for.
fn older(appliance: &Appliance, bundle: &Path) -> Result<()> {
    let folder = bundle.parent().context("a bundle in no folder")?;
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    let url = format!("{}/{name}", web::serve(folder)?);
    let api = appliance.api_again(appliance.limit())?;
    let end = install(&api, appliance, &[("url", &url)])?;
    ensure!(end.contains("is older than the running"), "older: {end}");
    let asked = [("url", url.as_str()), ("allow-downgrade", "1")];
    let end = install(&api, appliance, &asked)?;
    // It is in the slot from which the update came.
    ensure!(end.contains("is already in slot a"), "asked for: {end}");
    Ok(())
}

/// Waits until this version runs and is kept.
fn stays(appliance: &Appliance, version: &str) -> Result<()> {
    let now = running_version(appliance)?;
    ensure!(now == version, "{now} runs, not {version}");
    let kept = poll::until(appliance.limit(), Duration::from_secs(1), || {
        Ok::<_, anyhow::Error>((state(appliance, version)? == "good").then_some(()))
    })?;
    kept.with_context(|| format!("{version} was not committed"))
}

/// Does one act of `tests/browser/updates.mjs`.
pub(super) fn in_browser(
    appliance: &Appliance,
    act: &str,
    settings: &[(&str, &OsStr)],
) -> Result<()> {
    let url = appliance.node.url();
    let mut all: Vec<(&str, &OsStr)> = vec![
        ("BASALT_URL", url.as_ref()),
        ("BASALT_PASSWORD", appliance.password().as_ref()),
        ("BASALT_ACT", act.as_ref()),
        ("BASALT_VERSION", VERSION.as_ref()),
    ];
    all.extend(settings);
    browser::run("updates.mjs", &all).with_context(|| format!("in the browser: {act}"))
}

//! Bad input gets an error that names the field, and leaves nothing half-made behind.

use crate::api::{Api, NODE, refusal};
use crate::guest::{Guest, TASK_LIMIT};
use crate::lab::Lab;
use anyhow::{Result, ensure};
use basalt_image::appliance::poll;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::time::Duration;

const FILES: &str = "find /var/lib/vz -type f | sort";

/// Uploads: a whole one is kept; one that is cut off, has another checksum, or is not what it says
/// is refused.
pub fn uploads(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let size = content.len() as u64;
    let checksum = hex::encode(Sha256::digest(&content));
    let with = |sum: &'static str| [("checksum-algorithm", "sha256"), ("checksum", sum)];

    let upid = api.upload_from("iso", "good.iso", &content[..], size, &[])?;
    api.task(&upid, TASK_LIMIT)?;
    let listed = volumes(&api, "iso")?;
    ensure!(
        listed == [("local:iso/good.iso".to_owned(), size)],
        "listed: {listed:?}"
    );
    let stored = appliance
        .ssh()
        .run("sha256sum < /var/lib/vz/template/iso/good.iso")?;
    ensure!(
        stored.starts_with(&checksum),
        "the content has changed on the way"
    );
    let before = appliance.ssh().run(FILES)?;

    let wrong = with("0000000000000000000000000000000000000000000000000000000000000000");
    let corrupt = api.upload_from("iso", "corrupt.iso", &content[..], size, &wrong);
    let text = failure(&api, corrupt)?;
    ensure!(
        text.contains("checksum"),
        "a wrong checksum is reported as: {text}"
    );

    let half = Cursor::new(&content[..1_000_000]);
    let cut_off = api.upload_from("iso", "half.iso", half, size, &[]);
    ensure!(cut_off.is_err(), "half an upload was taken");

    let wrong_kind = refusal(api.upload_from("vztmpl", "x.exe", &content[..], size, &[]))?;
    ensure!(
        wrong_kind.to_string().contains("filename"),
        "no field named: {wrong_kind}"
    );
    let outside = refusal(api.upload_from("iso", "../../x.iso", &content[..1], 1, &[]))?;
    ensure!(outside.status == 400, "a path as a name: {outside}");

    // The appliance learns of the hang-up a moment after us.
    let clean = poll::until(Duration::from_secs(30), Duration::from_millis(500), || {
        Ok::<_, anyhow::Error>((appliance.ssh().run(FILES)? == before).then_some(()))
    })?;
    ensure!(
        clean.is_some(),
        "something was left behind:\n{}",
        appliance.ssh().run(FILES)?
    );
    appliance.done();
    Ok(())
}

/// Parameters that cannot be: each names its field, and no guest comes of it.
pub fn guests(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let vm = Guest::create_vm(&api, 100, &[])?;
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let upid = api.upload_from(
        "vztmpl",
        "noise.tar.zst",
        &noise[..],
        noise.len() as u64,
        &[],
    )?;
    api.task(&upid, TASK_LIMIT)?;
    let no_root = no_root_archive()?;
    let upid = api.upload_from(
        "vztmpl",
        "noroot.tar.zst",
        &no_root[..],
        no_root.len() as u64,
        &[],
    )?;
    api.task(&upid, TASK_LIMIT)?;
    let before = appliance.ssh().run(FILES)?;

    let taken = failure(&api, Guest::create_ct(&api, 100, &[]).map(|_| Value::Null))?;
    ensure!(
        taken.contains("vmid") || taken.contains("already exists"),
        "a taken number: {taken}"
    );

    let path = format!("/nodes/{NODE}/qemu");
    for (parameter, value) in [
        ("memory", "much"),
        ("cores", "0"),
        ("virtio0", "nowhere:4"),
        ("bios", "coreboot"),
        ("bogus", "1"),
    ] {
        let result = api.post(&path, &[("vmid", "103"), (parameter, value)]);
        let text = failure(&api, result)?;
        ensure!(text.contains(parameter), "{parameter}={value}: {text}");
    }
    for template in [
        "local:vztmpl/noise.tar.zst",
        "local:vztmpl/noroot.tar.zst",
        "local:vztmpl/none.tar.zst",
    ] {
        let result = Guest::create_ct(&api, 105, &[("ostemplate", template)]).map(|_| Value::Null);
        let text = failure(&api, result)?;
        ensure!(!text.is_empty(), "{template} was refused without a word");
        ensure!(
            api.get(&format!("/nodes/{NODE}/lxc/105/config")).is_err(),
            "{template} left a container"
        );
    }
    let missing =
        Guest::create_vm(&api, 106, &[("kernel", "local:kernel/none")]).map(|_| Value::Null);
    let text = failure(&api, missing)?;
    ensure!(text.contains("kernel"), "a missing kernel: {text}");

    let after = appliance.ssh().run(FILES)?;
    ensure!(before == after, "something was left behind:\n{after}");
    vm.delete(&api)?;
    appliance.done();
    Ok(())
}

/// What went wrong: with the request itself, or with the task it started.
fn failure(api: &Api, result: Result<Value>) -> Result<String> {
    match result {
        Ok(upid) => {
            let end = api.task_end(&upid, TASK_LIMIT)?;
            ensure!(end != "OK", "it succeeded");
            Ok(format!("{end}\n{}", api.task_log(&upid)?))
        }
        Err(error) => Ok(format!("{error:#}")),
    }
}

fn volumes(api: &Api, content: &str) -> Result<Vec<(String, u64)>> {
    let list = api.get(&format!(
        "/nodes/{NODE}/storage/local/content?content={content}"
    ))?;
    let list = list.as_array().cloned().unwrap_or_default();
    Ok(list
        .iter()
        .map(|entry| {
            (
                entry["volid"].as_str().unwrap_or("").to_owned(),
                entry["size"].as_u64().unwrap_or(0),
            )
        })
        .collect())
}

/// A well-formed archive with a single file in it.
fn no_root_archive() -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("letter.txt"), "not a root file system")?;
    let output = std::process::Command::new("tar")
        .args(["--create", "--zstd", "--directory"])
        .arg(dir.path())
        .arg("letter.txt")
        .output()?;
    ensure!(output.status.success(), "tar failed");
    Ok(output.stdout)
}

//! What well-known clients ask for, in the way that they ask.

use crate::rig::{JO, ROOT, Rig};
use serde_json::{Value, json};

/// A stopped guest as the store keeps it.
async fn with_guest(rig: &mut Rig, vmid: u32, kind: &str, config: Value) {
    let record = json!({"kind": kind, "config": config});
    rig.crash_with(&format!("guests/{vmid}"), &record).await;
}

#[tokio::test]
async fn lists_may_come_as_repeated_keys() {
    let rig = Rig::start().await;
    let path = rig.path("shelf").display().to_string();
    let form = format!("storage=shelf&type=dir&path={path}&nodes=n1&content=iso&content=images");
    rig.ask("POST /storage", ROOT, &form).await.data();
    let shown = rig.ask("GET /storage/shelf", ROOT, "").await;
    assert_eq!(shown.data()["content"], "images,iso");
    assert_eq!(shown.data()["nodes"], "n1");
    let path_twice = "storage=twice&type=dir&path=/srv/a&path=/srv/b";
    let refused = rig.ask("POST /storage", ROOT, path_twice).await;
    assert!(refused.body["errors"]["path"].is_string(), "{refused:?}");
    let kind = format!("{ROOT}Content-Type: application/json\r\n");
    let body = br#"{"content": ["iso"], "delete": ["nodes", "disable"]}"#;
    rig.send("PUT /storage/shelf", &kind, body).await.data();
    let shown = rig.ask("GET /storage/shelf", ROOT, "").await;
    assert_eq!(shown.data()["content"], "iso");
    assert!(shown.data()["nodes"].is_null(), "{shown:?}");
}

#[tokio::test]
async fn storages_are_for_nodes_that_are_there_and_listed_by_type() {
    let rig = Rig::start().await;
    let elsewhere = "storage=x1&type=dir&path=/srv/x1&nodes=n1,n2";
    let refused = rig.ask("POST /storage", ROOT, elsewhere).await;
    assert_eq!(
        refused.body["errors"]["nodes"],
        "there is no node 'n2', only 'n1'"
    );
    for (line, form, name) in [
        ("PUT /storage/local", "nodes=n2", "nodes"),
        ("PUT /storage/local", "delete=path", "delete"),
        (
            "PUT /storage/local",
            "content=iso&delete=content",
            "content",
        ),
        ("GET /storage?type=floppy", "", "type"),
    ] {
        let answer = rig.ask(line, ROOT, form).await;
        assert!(answer.body["errors"][name].is_string(), "{answer:?}");
    }
    let directories = rig.ask("GET /storage?type=dir", ROOT, "").await;
    assert_eq!(directories.data()[0]["storage"], "local");
    let zfs = rig.ask("GET /storage?type=zfspool", ROOT, "").await;
    assert_eq!(*zfs.data(), json!([]));
}

#[tokio::test]
async fn what_watches_a_host_finds_no_jobs_and_no_snapshots() {
    let mut rig = Rig::start().await;
    with_guest(
        &mut rig,
        100,
        "qemu",
        json!({"memory": "64", "name": "web"}),
    )
    .await;
    let rootfs = "local:101/vm-101-disk-0.raw,size=1G";
    with_guest(
        &mut rig,
        101,
        "lxc",
        json!({"rootfs": rootfs, "hostname": "db"}),
    )
    .await;
    let uncovered = "GET /cluster/backup-info/not-backed-up";
    let expected = json!([
        {"vmid": 100, "name": "web", "type": "qemu"},
        {"vmid": 101, "name": "db", "type": "lxc"},
    ]);
    assert_eq!(*rig.ask(uncovered, ROOT, "").await.data(), expected);
    let jobs = rig.ask("GET /nodes/n1/replication?guest=100", JO, "").await;
    assert_eq!(*jobs.data(), json!([]));
    for (path, other, title) in [
        ("qemu/100", "qemu/101", "VM 101"),
        ("lxc/101", "lxc/100", "CT 100"),
    ] {
        let list = rig
            .ask(&format!("GET /nodes/n1/{path}/snapshot"), ROOT, "")
            .await;
        let [current] = list.data().as_array().unwrap().as_slice() else {
            panic!("{list:?}");
        };
        assert_eq!(
            (&current["name"], &current["running"]),
            (&json!("current"), &json!(0))
        );
        let other = rig
            .ask(&format!("GET /nodes/n1/{other}/snapshot"), ROOT, "")
            .await;
        assert!(
            other.line.contains(&format!("{title} does not exist")),
            "{other:?}"
        );
    }
}

#[tokio::test]
async fn a_new_container_never_replaces_another() {
    let mut rig = Rig::start().await;
    let rootfs = "local:101/vm-101-disk-0.raw,size=1G";
    with_guest(
        &mut rig,
        101,
        "lxc",
        json!({"rootfs": rootfs, "hostname": "db"}),
    )
    .await;
    let form = "vmid=101&ostemplate=local:vztmpl/x.tar.zst&rootfs=local:1&force=1";
    let answer = rig.ask("POST /nodes/n1/lxc", ROOT, form).await;
    assert!(answer.line.contains("already exists"), "{answer:?}");
    let kept = rig.ask("GET /nodes/n1/lxc/101/config", ROOT, "").await;
    assert_eq!(kept.data()["hostname"], "db");
}

/// Terraform's providers read back what they wrote, word for word.
#[tokio::test]
async fn a_watchdog_is_kept_as_it_was_written_and_a_wrong_one_changes_nothing() {
    let mut rig = Rig::start().await;
    with_guest(&mut rig, 100, "qemu", json!({"memory": "64"})).await;
    let change = async |watchdog: &str| {
        let form = format!("watchdog={watchdog}");
        rig.ask("PUT /nodes/n1/qemu/100/config", ROOT, &form).await
    };
    let shown = async || {
        let answer = rig.ask("GET /nodes/n1/qemu/100/config", ROOT, "").await;
        answer.data()["watchdog"].clone()
    };
    change("model%3Di6300esb%2Caction%3Dpause").await.data();
    assert_eq!(shown().await, "i6300esb,action=pause");
    for (bad, hint) in [
        ("ib700", "use i6300esb"),
        ("i6300esb%2Caction%3Dexplode", "poweroff"),
        ("i6300esb%2Ctimeout%3D5", "timeout"),
    ] {
        let refused = change(bad).await;
        let error = refused.body["errors"]["watchdog"].as_str().unwrap();
        assert!(error.contains(hint), "{error}");
    }
    assert_eq!(shown().await, "i6300esb,action=pause");
}

/// Packer makes disks before their machine, knows drives by how they end, and looks at no task of a template
/// before it goes on.
#[tokio::test]
async fn a_machine_becomes_a_template_as_packer_asks() {
    let rig = Rig::start().await;
    std::fs::write(rig.path("vz/template/iso/disc.iso"), "a disc").unwrap();
    let content = "POST /nodes/n1/storage/local/content";
    let disk = "filename=vm-100-disk-0.raw&size=1G&vmid=100";
    let made = rig.ask(content, ROOT, disk).await;
    assert_eq!(made.data(), "local:100/vm-100-disk-0.raw");
    let machine = "agent=1&cores=1&cpu=kvm64&description=Packer+ephemeral+build+VM\
                   &ide2=local%3Aiso%2Fdisc.iso%2Cmedia%3Dcdrom&kvm=1&memory=256&name=building\
                   &net0=virtio%3D86%3A85%3A39%3A49%3A54%3A6F%2Cfirewall%3Dfalse&numa=0&onboot=0\
                   &ostype=other&scsi0=media%3Ddisk%2Csize%3D1G%2C\
                   file%3Dlocal%3A100%2Fvm-100-disk-0.raw%2Cformat%3Draw%2Ciothread%3Dfalse\
                   &scsihw=lsi&sockets=1&vmid=100";
    let task = rig.ask("POST /nodes/n1/qemu", ROOT, machine).await;
    assert_eq!(rig.wait(task.data()).await, "OK");
    let template = "POST /nodes/n1/qemu/100/template";
    rig.ask(template, ROOT, "").await.data();
    let change = "POST /nodes/n1/qemu/100/config";
    let named = "description=of+a+disc&name=made&delete=balloon%2C+vcpus%2C+vga";
    let task = rig.ask(change, ROOT, named).await;
    assert_eq!(rig.wait(task.data()).await, "OK");
    let config = async || {
        let answer = rig.ask("GET /nodes/n1/qemu/100/config", ROOT, "").await;
        answer.data().clone()
    };
    let drive = config().await["ide2"].as_str().unwrap().to_owned();
    assert!(drive.ends_with(",media=cdrom"), "{drive}");
    let empty = "ide2=none%2Cmedia%3Dcdrom";
    let task = rig.ask(change, ROOT, empty).await;
    assert_eq!(rig.wait(task.data()).await, "OK");
    let found = config().await;
    assert_eq!(
        (&found["template"], &found["name"], &found["ide2"]),
        (&json!(1), &json!("made"), &json!("none,media=cdrom"))
    );
    let disk = found["scsi0"].as_str().unwrap();
    assert!(disk.starts_with("local:100/base-100-disk-0.raw,"), "{disk}");
}

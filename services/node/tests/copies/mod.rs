//! Snapshots, templates and clones of guests that do not run, and what interruptions leave of them.

use crate::rig::{JO, ROOT, Rig};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;

const VM: &str = "/nodes/n1/qemu/100";

/// A machine with a qcow2 disk, variables of firmware, and a drive of cloud-init.
async fn machine() -> Rig {
    let rig = Rig::start().await;
    let form = "vmid=100&name=web&virtio0=local:1,format%3Dqcow2&tpmstate0=local:1\
                &ide2=local:cloudinit&net0=virtio&vmgenid=1";
    done(&rig, "POST /nodes/n1/qemu", form).await;
    rig
}

/// Has something done, and gives how it ended.
async fn end(rig: &Rig, line: &str, form: &str) -> String {
    let answer = rig.ask(line, ROOT, form).await;
    rig.wait(answer.data()).await
}

async fn done(rig: &Rig, line: &str, form: &str) {
    assert_eq!(end(rig, line, form).await, "OK", "{line} {form}");
}

/// What is refused at once, in words.
async fn refused(rig: &Rig, line: &str, form: &str) -> String {
    let answer = rig.ask(line, ROOT, form).await;
    assert!(answer.status() >= 400, "{line} {form}: {answer:?}");
    format!("{} {}", answer.line, answer.body)
}

async fn get(rig: &Rig, path: &str) -> Value {
    rig.ask(&format!("GET {path}"), ROOT, "")
        .await
        .data()
        .clone()
}

fn names(rig: &Rig, vmid: u32) -> Vec<String> {
    let folder = rig.path("vz/images").join(vmid.to_string());
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_machine_goes_back_to_what_it_was() {
    let rig = machine().await;
    let take = format!("POST {VM}/snapshot");
    let reserved = refused(&rig, &take, "snapname=current").await;
    assert!(reserved.contains("reserved name"), "{reserved}");
    done(&rig, &take, "snapname=first&description=before+all").await;
    let twice = refused(&rig, &take, "snapname=first").await;
    assert!(twice.contains("already used"), "{twice}");
    let change = format!("PUT {VM}/config");
    let added = "name=shop&virtio1=local:1,format%3Dqcow2";
    rig.ask(&change, ROOT, added).await.data();
    let tpm = rig.path("vz/images/100/vm-100-disk-1.raw");
    let tpm = File::options().write(true).open(tpm).unwrap();
    tpm.write_all_at(b"later", 0).unwrap();
    done(&rig, &take, "snapname=second").await;

    let list = get(&rig, &format!("{VM}/snapshot")).await;
    let tree: Vec<(&str, Option<&str>)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap(), entry["parent"].as_str()))
        .collect();
    assert_eq!(tree.len(), 3, "{list}");
    assert!(tree.contains(&("first", None)) && tree.contains(&("second", Some("first"))));
    assert_eq!(tree[2], ("current", Some("second")));
    assert!(list[0]["snaptime"].as_u64() > Some(0), "{list}");
    let was = get(&rig, &format!("{VM}/config?snapshot=first")).await;
    assert_eq!(
        (&was["name"], &was["virtio1"]),
        (&json!("web"), &Value::Null)
    );
    let about = format!("{VM}/snapshot/first/config");
    rig.ask(&format!("PUT {about}"), ROOT, "description=told+later")
        .await
        .data();
    let about = get(&rig, &about).await;
    assert_eq!(about["description"], "told later");
    assert_eq!(about["name"], "web");

    // A disk that a snapshot has cannot be removed.
    let detach = "delete=virtio1";
    rig.ask(&change, ROOT, detach).await.data();
    let kept = refused(&rig, &change, "delete=unused0").await;
    assert!(kept.contains("belongs to a snapshot"), "{kept}");

    let back = format!("POST {VM}/snapshot/first/rollback");
    done(&rig, &back, "").await;
    let now = get(&rig, &format!("{VM}/config")).await;
    assert_eq!(now["name"], "web");
    assert_eq!(now["unused0"], "local:100/vm-100-disk-2.qcow2");
    assert!(now["virtio1"].is_null(), "{now}");
    let restored = std::fs::read(rig.path("vz/images/100/vm-100-disk-1.raw")).unwrap();
    assert_eq!(&restored[..5], &[0; 5]);
    let list = get(&rig, &format!("{VM}/snapshot")).await;
    assert_eq!(list[2]["parent"], "first", "{list}");

    for name in ["first", "second"] {
        done(&rig, &format!("DELETE {VM}/snapshot/{name}"), "").await;
    }
    let gone = refused(&rig, &format!("DELETE {VM}/snapshot/first"), "").await;
    assert!(gone.contains("snapshot 'first' does not exist"), "{gone}");
    assert_eq!(
        names(&rig, 100),
        [
            "vm-100-cloudinit.raw",
            "vm-100-disk-0.qcow2",
            "vm-100-disk-1.raw",
            "vm-100-disk-2.qcow2"
        ]
    );
    let alone = get(&rig, &format!("{VM}/snapshot")).await;
    assert!(
        alone[0]["parent"].is_null() && alone[1].is_null(),
        "{alone}"
    );
}

#[tokio::test]
async fn raw_disks_say_that_they_have_no_snapshots() {
    let rig = Rig::start().await;
    done(&rig, "POST /nodes/n1/qemu", "vmid=100&virtio0=local:1").await;
    let text = refused(&rig, &format!("POST {VM}/snapshot"), "snapname=first").await;
    assert!(
        text.contains("virtio0") && text.contains("use qcow2"),
        "{text}"
    );
    let feature = |name: &str| format!("{VM}/feature?feature={name}");
    assert_eq!(get(&rig, &feature("snapshot")).await["hasFeature"], 0);
    let copy = get(&rig, &feature("copy")).await;
    assert_eq!(
        (&copy["hasFeature"], &copy["nodes"]),
        (&json!(1), &json!(["n1"]))
    );
    assert_eq!(get(&rig, &feature("clone")).await["hasFeature"], 0);
}

#[tokio::test]
async fn clones_are_guests_of_their_own() {
    let rig = machine().await;
    let clone = format!("POST {VM}/clone");
    done(&rig, &format!("POST {VM}/snapshot"), "snapname=first").await;
    done(&rig, &clone, "newid=101&snapname=first&description=copy").await;
    let form = "newid=102&name=raw&format=raw&bwlimit=1048576";
    done(&rig, &clone, form).await;
    let config = async |vmid: u32| get(&rig, &format!("/nodes/n1/qemu/{vmid}/config")).await;
    let (first, second, third) = (config(100).await, config(101).await, config(102).await);
    assert_eq!(second["name"], "Copy-of-VM-web");
    assert_eq!(second["description"], "copy");
    assert_eq!(third["name"], "raw");
    for key in ["net0", "smbios1", "vmgenid", "virtio0", "tpmstate0", "ide2"] {
        let values = [&first[key], &second[key], &third[key]];
        assert!(values.iter().all(|value| value.is_string()), "{key}");
        assert!(values[0] != values[1] && values[1] != values[2], "{key}");
    }
    let disk = second["virtio0"].as_str().unwrap();
    assert!(disk.starts_with("local:101/vm-101-disk-0.qcow2,"), "{disk}");
    let disk = third["virtio0"].as_str().unwrap();
    assert!(disk.starts_with("local:102/vm-102-disk-0.raw,"), "{disk}");
    assert_eq!(names(&rig, 101).len(), 3);

    let taken = refused(&rig, &clone, "newid=101").await;
    assert!(taken.contains("already exists"), "{taken}");
    let linked = refused(&rig, &clone, "newid=103&full=0").await;
    assert!(linked.contains("only clones of templates"), "{linked}");
    let away = refused(&rig, &clone, "newid=103&target=n2").await;
    assert!(away.contains("stays on the node"), "{away}");
    let missing = refused(&rig, &clone, "newid=103&snapname=other").await;
    assert!(
        missing.contains("snapshot 'other' does not exist"),
        "{missing}"
    );
    let templated = refused(&rig, &format!("POST {VM}/template"), "").await;
    assert!(templated.contains("contains snapshots"), "{templated}");
    assert!(names(&rig, 103).is_empty());
}

#[tokio::test]
async fn a_template_never_runs_and_its_clones_share_its_disks() {
    let rig = machine().await;
    let template = format!("POST {VM}/template");
    done(&rig, &template, "").await;
    let again = refused(&rig, &template, "").await;
    assert!(again.contains("template to a template"), "{again}");
    let config = get(&rig, &format!("{VM}/config")).await;
    assert_eq!(config["template"], 1);
    let disk = config["virtio0"].as_str().unwrap();
    assert!(
        disk.starts_with("local:100/base-100-disk-0.qcow2,"),
        "{disk}"
    );
    let list = get(&rig, "/nodes/n1/qemu").await;
    assert_eq!(list[0]["template"], 1, "{list}");
    let start = end(&rig, &format!("POST {VM}/status/start"), "").await;
    assert!(start.contains("you can't start a vm if it's a template"));
    for (line, form) in [
        (format!("POST {VM}/snapshot"), "snapname=first"),
        (format!("PUT {VM}/resize"), "disk=virtio0&size=%2B1G"),
        (format!("PUT {VM}/config"), "template=0"),
    ] {
        let text = refused(&rig, &line, form).await;
        assert!(text.contains("template"), "{text}");
    }
    let feature = get(&rig, &format!("{VM}/feature?feature=clone")).await;
    assert_eq!(feature["hasFeature"], 1);

    let clone = format!("POST {VM}/clone");
    let elsewhere = refused(&rig, &clone, "newid=101&storage=local").await;
    assert!(
        elsewhere.contains("not allowed for linked clones"),
        "{elsewhere}"
    );
    done(&rig, &clone, "newid=101").await;
    let config = get(&rig, "/nodes/n1/qemu/101/config").await;
    assert!(config["template"].is_null(), "{config}");
    assert_eq!(
        names(&rig, 101),
        [
            "vm-101-cloudinit.raw",
            "vm-101-disk-0.qcow2",
            "vm-101-disk-0.qcow2@__base.qcow2",
            "vm-101-disk-1.raw"
        ]
    );
    done(&rig, &format!("DELETE {VM}"), "").await;
    assert!(names(&rig, 100).is_empty());
    done(&rig, "POST /nodes/n1/qemu/101/snapshot", "snapname=first").await;
    done(&rig, "DELETE /nodes/n1/qemu/101", "").await;
    assert!(names(&rig, 101).is_empty());
}

#[tokio::test]
async fn a_container_is_copied_in_full() {
    let mut rig = Rig::start().await;
    let folder = rig.path("vz/images/100");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("vm-100-disk-0.raw"), vec![7; 4096]).unwrap();
    let config = json!({"hostname": "db", "rootfs": "local:100/vm-100-disk-0.raw,size=4K",
        "net0": "name=eth0,bridge=vmbr0,hwaddr=02:00:00:00:00:01"});
    let record = json!({"kind": "lxc", "config": config});
    rig.crash_with("guests/100", &record).await;
    let ct = "/nodes/n1/lxc/100";
    done(&rig, &format!("POST {ct}/clone"), "newid=101&hostname=copy").await;
    let copied = std::fs::read(rig.path("vz/images/101/vm-101-disk-0.raw")).unwrap();
    assert!(copied == vec![7; 4096]);
    let new = get(&rig, "/nodes/n1/lxc/101/config").await;
    assert_eq!(new["hostname"], "copy");
    assert!(!new["net0"].as_str().unwrap().contains("00:00:01"), "{new}");
    for (form, reason) in [
        ("disk=mp0&size=%2B1G", "there is no disk 'mp0'"),
        ("disk=rootfs&size=1K", "disks only grow"),
        ("disk=rootfs&size=%2B1G&digest=other", "read it again"),
    ] {
        let text = refused(&rig, &format!("PUT {ct}/resize"), form).await;
        assert!(text.contains(reason), "{text}");
    }
    rig.ask(&format!("POST {ct}/template"), ROOT, "")
        .await
        .data();
    let feature = get(&rig, &format!("{ct}/feature?feature=clone")).await;
    assert_eq!(feature, json!({"hasFeature": 0}));
    let linked = refused(&rig, &format!("POST {ct}/clone"), "newid=102").await;
    assert!(linked.contains("Linked clone feature"), "{linked}");
    done(&rig, &format!("POST {ct}/clone"), "newid=102&full=1").await;
    let start = end(&rig, &format!("POST {ct}/status/start"), "").await;
    assert!(start.contains("you can't start a CT"), "{start}");
}

#[tokio::test]
async fn interrupted_work_is_finished_or_leaves_nothing() {
    let mut rig = machine().await;
    done(&rig, &format!("POST {VM}/snapshot"), "snapname=first").await;
    let config = json!({"name": "web", "virtio0": "local:100/vm-100-disk-0.qcow2,size=1G"});
    let snapshot = |work: &str| {
        let mut one = json!({"kind": "qemu", "config": config.clone(), "time": 7});
        if !work.is_empty() {
            one["work"] = work.into();
        }
        one
    };
    let record = |lock: &str, snapshot: Value| {
        json!({"kind": "qemu", "config": config.clone(), "lock": lock,
            "history": {"parent": "first", "snapshots": {"first": snapshot}}})
    };
    let rollback = record("rollback", snapshot(""));
    rig.crash_with("guests/100", &rollback).await;
    let current = get(&rig, &format!("{VM}/status/current")).await;
    assert!(current["lock"].is_null(), "{current}");
    let list = get(&rig, &format!("{VM}/snapshot")).await;
    assert_eq!(list[1]["parent"], "first", "{list}");

    let half = record("snapshot", snapshot("prepare"));
    rig.crash_with("guests/100", &half).await;
    let list = get(&rig, &format!("{VM}/snapshot")).await;
    assert_eq!(list[0]["name"], "current", "{list}");
    assert!(!names(&rig, 100).contains(&"vm-100-disk-0.qcow2@first".to_owned()));

    let template = json!({"kind": "qemu", "config": config.clone(), "lock": "template"});
    rig.crash_with("guests/100", &template).await;
    let now = get(&rig, &format!("{VM}/config")).await;
    assert_eq!(now["template"], 1, "{now}");

    std::fs::create_dir_all(rig.path("vz/images/101")).unwrap();
    let left = rig.path("vz/images/101/vm-101-disk-0.qcow2");
    std::fs::write(&left, "half").unwrap();
    let clone = json!({"kind": "qemu", "lock": "clone",
        "config": {"virtio0": "local:101/vm-101-disk-0.qcow2"},
        "making": ["local:101/vm-101-disk-0.qcow2"]});
    rig.crash_with("guests/101", &clone).await;
    assert!(!left.exists());
    let gone = refused(&rig, "GET /nodes/n1/qemu/101/config", "").await;
    assert!(gone.contains("does not exist"), "{gone}");
}

#[tokio::test]
async fn room_on_the_storage_takes_a_right_of_its_own() {
    let rig = machine().await;
    for (path, privilege) in [("/vms/100", "VM.Clone"), ("/vms/101", "VM.Allocate")] {
        let name = privilege.replace('.', "-");
        let role = format!("roleid={name}&privs={privilege}");
        rig.ask("POST /access/roles", ROOT, &role).await.data();
        let form = format!("path={path}&users=jo%40pve&roles={name}");
        rig.ask("PUT /access/acl", ROOT, &form).await.data();
    }
    let clone = format!("POST {VM}/clone");
    let answer = rig.ask(&clone, JO, "newid=101").await;
    assert_eq!(answer.status(), 403, "{answer:?}");
    assert!(
        answer.line.contains("Datastore.AllocateSpace"),
        "{answer:?}"
    );
    let room = "path=/storage/local&users=jo%40pve&roles=PVEDatastoreUser";
    rig.ask("PUT /access/acl", ROOT, room).await.data();
    let answer = rig.ask(&clone, JO, "newid=101").await;
    assert_eq!(rig.wait(answer.data()).await, "OK");
}

#[tokio::test]
async fn what_is_the_hosts_is_copied_by_who_may_give_it() {
    let mut rig = Rig::start().await;
    let directory = "id=data&map=node%3Dn1,path%3D/srv/data";
    let directory = rig.ask("POST /cluster/mapping/dir", ROOT, directory).await;
    directory.data();
    let admin = "path=/vms&users=jo%40pve&roles=PVEVMAdmin";
    rig.ask("PUT /access/acl", ROOT, admin).await.data();
    let clone = format!("POST {VM}/clone");
    let cases = [
        ("hostpci0", "0000:01:00.0", "hostpci0"),
        ("hostpci1", "mapping=gpu", "/mapping/pci/gpu, Mapping.Use"),
        ("rng0", "/dev/hwrng", "/mapping/hwrng, Mapping.Use"),
        ("virtiofs0", "data", "/mapping/dir/data, Mapping.Use"),
    ];
    for (key, value, wanted) in cases {
        let record = json!({"kind": "qemu", "config": {"memory": "64", key: value}});
        rig.crash_with("guests/100", &record).await;
        let answer = rig.ask(&clone, JO, "newid=101").await;
        assert_eq!(answer.status(), 403, "{key}: {answer:?}");
        assert!(answer.line.contains(wanted), "{key}: {answer:?}");
        let gone = refused(&rig, "GET /nodes/n1/qemu/101/config", "").await;
        assert!(gone.contains("does not exist"), "{gone}");
    }
    let grant = "path=/mapping/dir/data&users=jo%40pve&roles=PVEMappingUser";
    rig.ask("PUT /access/acl", ROOT, grant).await.data();
    let answer = rig.ask(&clone, JO, "newid=101").await;
    assert_eq!(rig.wait(answer.data()).await, "OK");
}

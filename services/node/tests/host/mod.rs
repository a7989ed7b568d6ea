//! The node itself as clients see it, and the options of the cluster.

use crate::rig::{JO, ROOT, Rig};
use serde_json::json;

#[tokio::test]
async fn the_clusters_options_are_kept_and_take_effect() {
    let mut rig = Rig::start().await;
    let options = "GET /cluster/options";
    let usual = rig.ask(options, ROOT, "").await;
    assert_eq!(*usual.data(), json!({"mac_prefix": "BC:24:11"}));
    let change = "PUT /cluster/options";
    let form = "mac_prefix=02:AB&next-id=lower%3D500%2Cupper%3D510&keyboard=de&description=lab";
    rig.ask(change, ROOT, form).await.data();
    rig.crash().await;
    let next = rig.ask("GET /cluster/nextid", ROOT, "").await;
    assert_eq!(next.data(), "500");
    let made = rig
        .ask(
            "POST /nodes/n1/qemu",
            ROOT,
            "vmid=500&memory=64&net0=virtio",
        )
        .await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    let config = rig.ask("GET /nodes/n1/qemu/500/config", ROOT, "").await;
    let net = config.data()["net0"].as_str().unwrap();
    assert!(net.starts_with("virtio=02:AB:"), "{net}");
    let next = rig.ask("GET /cluster/nextid", ROOT, "").await;
    assert_eq!(next.data(), "501");
    let seen = rig.ask(options, JO, "").await;
    assert_eq!(*seen.data(), json!({"keyboard": "de"}));

    for (form, name) in [
        ("mac_prefix=03:00:00", "mac_prefix"),
        ("next-id=lower%3D9", "next-id"),
        ("console=tty", "console"),
        ("delete=colour", "delete"),
        ("migration_unsecure=1", "migration_unsecure"),
    ] {
        let answer = rig.ask(change, ROOT, form).await;
        assert_eq!(answer.status(), 400, "{form}: {answer:?}");
        assert!(answer.body["errors"][name].is_string(), "{answer:?}");
    }
    let form = "delete=next-id,keyboard,mac_prefix";
    rig.ask(change, ROOT, form).await.data();
    let left = rig.ask(options, ROOT, "").await;
    let expected = json!({"mac_prefix": "BC:24:11", "description": "lab"});
    assert_eq!(*left.data(), expected);
}

#[tokio::test]
async fn a_disk_is_unlinked_and_only_by_force_removed_at_once() {
    let rig = Rig::start().await;
    let form = "vmid=100&memory=64&virtio0=local:1&virtio1=local:1";
    let made = rig.ask("POST /nodes/n1/qemu", ROOT, form).await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    let unlink = "PUT /nodes/n1/qemu/100/unlink";
    let wrong = rig.ask(unlink, ROOT, "idlist=virtio0,memory").await;
    assert!(wrong.body["errors"]["idlist"].is_string(), "{wrong:?}");
    rig.ask(unlink, ROOT, "idlist=virtio0").await.data();
    let config = rig.ask("GET /nodes/n1/qemu/100/config", ROOT, "").await;
    assert!(config.data()["unused0"].is_string() && config.data()["virtio0"].is_null());
    let form = "idlist=virtio1,unused0&force=1";
    rig.ask(unlink, ROOT, form).await.data();
    let config = rig.ask("GET /nodes/n1/qemu/100/config", ROOT, "").await;
    let keys = config.data().as_object().unwrap().keys();
    let disks: Vec<_> = keys
        .filter(|k| k.starts_with("unused") || k.starts_with("virtio"))
        .collect();
    assert!(disks.is_empty(), "{disks:?}");
    let list = "GET /nodes/n1/storage/local/content?content=images";
    assert_eq!(*rig.ask(list, ROOT, "").await.data(), json!([]));
}

#[tokio::test]
async fn a_node_tells_of_itself() {
    let rig = Rig::start().await;
    let index = rig.ask("GET /nodes/n1", ROOT, "").await;
    for name in ["disks", "hardware", "journal", "services", "syslog"] {
        let child = json!({"subdir": name});
        assert!(index.data().as_array().unwrap().contains(&child), "{name}");
    }
    let hosts = rig.ask("GET /nodes/n1/hosts", ROOT, "").await;
    assert_eq!(hosts.data()["digest"].as_str().unwrap().len(), 64);
    let report = rig.ask("GET /nodes/n1/report", ROOT, "").await;
    let text = report.data().as_str().unwrap();
    assert!(
        text.contains("name: n1") && text.contains("local (dir): active"),
        "{text}"
    );
    let members = rig.ask("GET /cluster/config/nodes", ROOT, "").await;
    assert_eq!(*members.data(), json!([]));
    let totem = rig.ask("GET /cluster/config/totem", ROOT, "").await;
    assert_eq!(*totem.data(), json!({}));
    let groups = rig.ask("GET /nodes/n1/disks/lvm", ROOT, "").await;
    assert!(groups.data()["children"].is_array(), "{groups:?}");
    let pool = rig.ask("GET /nodes/n1/disks/zfs/nowhere", ROOT, "").await;
    assert!(pool.body["errors"]["name"].is_string(), "{pool:?}");
    let smart = "GET /nodes/n1/disks/smart?disk=/dev/null";
    let smart = rig.ask(smart, ROOT, "").await;
    assert!(smart.body["errors"]["disk"].is_string(), "{smart:?}");
    for line in [
        "disks/list",
        "disks/lvmthin",
        "disks/zfs",
        "hardware/pci",
        "hardware/usb",
        "netstat",
    ] {
        let answer = rig.ask(&format!("GET /nodes/n1/{line}"), ROOT, "").await;
        assert!(answer.data().is_array(), "{answer:?}");
    }
    let models = rig.ask("GET /nodes/n1/capabilities/qemu/cpu", JO, "").await;
    let names = models.data().as_array().unwrap().iter();
    let names: Vec<_> = names.map(|model| model["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"host") && names.contains(&"x86-64-v3"),
        "{names:?}"
    );
    let flags = "GET /nodes/n1/capabilities/qemu/cpu-flags";
    assert_eq!(rig.ask(flags, JO, "").await.data()[0]["name"], "aes");
    let arm = "GET /nodes/n1/capabilities/qemu/machines?arch=aarch64";
    assert_eq!(*rig.ask(arm, JO, "").await.data(), json!([]));
    let lo = rig.ask("GET /nodes/n1/network/nothing0", ROOT, "").await;
    assert!(lo.line.contains("does not exist"), "{lo:?}");
    for (line, name) in [
        ("syslog?since=yesterday", "since"),
        ("syslog?service=a/b", "service"),
        ("journal?startcursor=a%20b", "startcursor"),
        ("services/nonsense/state", "service"),
    ] {
        let answer = rig.ask(&format!("GET /nodes/n1/{line}"), ROOT, "").await;
        assert_eq!(answer.status(), 400, "{answer:?}");
        assert!(answer.body["errors"][name].is_string(), "{answer:?}");
    }
    let zone = rig
        .ask("PUT /nodes/n1/time", ROOT, "timezone=Nowhere/Land")
        .await;
    assert!(zone.body["errors"]["timezone"].is_string(), "{zone:?}");
    let stop = "POST /nodes/n1/services/basalt-node/stop";
    let refused = rig.ask(stop, ROOT, "").await;
    assert!(refused.line.contains("stands on"), "{refused:?}");
}

#[tokio::test]
async fn an_order_goes_to_the_guests_that_are_named_and_allowed() {
    let mut rig = Rig::start().await;
    let record = json!({"kind": "qemu", "config": {"memory": "64"}});
    rig.crash_with("guests/100", &record).await;
    rig.crash_with("guests/101", &record).await;
    let acl = "path=/vms/100&users=jo%40pve&roles=PVEVMUser";
    rig.ask("PUT /access/acl", ROOT, acl).await.data();
    for form in ["", "vms=100,101", "vms=101"] {
        let answer = rig.ask("POST /nodes/n1/startall", JO, form).await;
        assert_eq!(answer.status(), 403, "{form}: {answer:?}");
    }
    let missing = rig.ask("POST /nodes/n1/startall", ROOT, "vms=102").await;
    assert!(missing.body["errors"]["vms"].is_string(), "{missing:?}");
    // There is nothing here that could run it: that is a warning, and the order is done.
    let one = rig.ask("POST /nodes/n1/startall", JO, "vms=100").await;
    assert_eq!(rig.wait(one.data()).await, "WARNINGS: 1");
    // None of them starts with the host, and none runs.
    for (line, form) in [
        ("POST /nodes/n1/startall", ""),
        ("POST /nodes/n1/stopall", "timeout=1"),
        ("POST /nodes/n1/suspendall", ""),
        (
            "POST /cluster/bulk-action/guest/shutdown",
            "vms=100&vms=101",
        ),
        (
            "POST /cluster/bulk-action/guest/suspend",
            "vms=100&to-disk=1",
        ),
    ] {
        let upid = rig.ask(line, ROOT, form).await;
        assert_eq!(rig.wait(upid.data()).await, "OK", "{line}");
    }
}

#[tokio::test]
async fn who_changed_what_is_read_over_the_api() {
    let mut rig = Rig::start().await;
    let change = "PUT /cluster/options";
    rig.ask(change, ROOT, "description=x").await.data();
    assert_eq!(rig.ask(change, JO, "description=y").await.status(), 403);
    let login = "username=eve%40pve&password=much+too+secret";
    assert_eq!(
        rig.ask("POST /access/ticket", "", login).await.status(),
        401
    );
    rig.crash().await;
    let entries = rig.ask("GET /cluster/log", ROOT, "").await.data().clone();
    let entries = entries.as_array().unwrap();
    let all = |field: &str| json!(entries.iter().map(|e| &e[field]).collect::<Vec<_>>());
    assert_eq!(
        all("user"),
        json!(["eve@pve", "jo@pve!test", "root@pam!test"])
    );
    let from = "from 192.0.2.1";
    let expected = [
        format!("login {from}: authentication failure"),
        format!("PUT /cluster/options {from}: Permission check failed (/, Sys.Modify)"),
        format!("PUT /cluster/options {from}"),
    ];
    assert_eq!(all("msg"), json!(expected));
    assert_eq!(all("pri"), json!([4, 4, 6]));
    let own = rig
        .ask("GET /cluster/log?max=10", JO, "")
        .await
        .data()
        .clone();
    assert_eq!(own.as_array().unwrap().len(), 1);
    let file = std::fs::read_to_string(rig.path("state/audit.log")).unwrap();
    assert!(!file.contains("secret"), "{file}");
}

#[tokio::test]
async fn the_configuration_goes_into_a_file_and_back() {
    let mut rig = Rig::start().await;
    let options = "PUT /cluster/options";
    rig.ask(options, ROOT, "description=before").await.data();
    let file = rig.path("whole.json");
    let (state, socket) = (rig.path("state"), rig.path("node.sock"));
    let program = |word: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_basalt-node"));
        command.arg("--state").arg(&state);
        command.arg("--socket").arg(&socket);
        command.arg(word).arg(&file);
        command.output().unwrap()
    };
    assert!(program("export").status.success());
    let again = program("export");
    assert!(!again.status.success(), "an existing file was overwritten");
    rig.ask(options, ROOT, "description=after").await.data();
    let refused = program("import");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the service runs"), "{said}");
    rig.stop();
    let done = program("import");
    assert!(done.status.success(), "{done:?}");
    rig.crash().await;
    let shown = rig.ask("GET /cluster/options", ROOT, "").await;
    assert_eq!(shown.data()["description"], "before");
}

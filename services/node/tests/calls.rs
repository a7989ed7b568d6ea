//! Calls of the API as the gateway passes them on.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod acme;
#[path = "../../access/tests/authenticator/mod.rs"]
mod authenticator;
#[path = "../../acme/tests/rig/mod.rs"]
mod authority;
mod clients;
mod cloudinit;
mod copies;
mod factors;
mod host;
mod keys;
mod machines;
mod mappings;
mod metrics;
mod notifications;
mod openid;
mod pools;
#[path = "../../openid/tests/rig/mod.rs"]
mod provider;
mod realms;
mod rig;
mod schedules;
#[path = "../../directory/tests/rig/mod.rs"]
mod slapd;
mod walk;

use rig::{JO, ROOT, Rig};
use serde_json::json;

#[tokio::test]
async fn logins_tickets_and_what_they_prove() {
    let mut rig = Rig::start().await;
    let secret = "userid=ann%40pve&password=a+good+secret";
    rig.ask("POST /access/users", ROOT, secret).await.data();
    let login = "username=ann&realm=pve&password=a+good+secret";
    let answer = rig.ask("POST /access/ticket", "", login).await;
    let ticket = answer.data()["ticket"].as_str().unwrap().to_owned();
    assert!(ticket.starts_with("PVE:ann@pve:"));
    // A ticket is accepted as password, and over a restart.
    rig.crash().await;
    let renewal = format!(
        "username=ann%40pve&password={}",
        basalt_api::bag::encode(&ticket)
    );
    let renewed = rig.ask("POST /access/ticket", "", &renewal).await;
    let csrf = renewed.data()["CSRFPreventionToken"].as_str().unwrap();
    let cookie = format!(
        "Cookie: PVEAuthCookie={}\r\n",
        basalt_api::bag::encode(&ticket)
    );
    assert_eq!(
        rig.ask("GET /version", &cookie, "").await.data()["version"],
        "8.3.0"
    );
    let change = "userid=ann%40pve&comment=x";
    let put = "PUT /access/users/ann@pve";
    assert_eq!(
        rig.ask(put, &cookie, change).await.line,
        "HTTP/1.1 401 Permission denied - invalid csrf token"
    );
    let with_csrf = format!("{cookie}CSRFPreventionToken: {csrf}\r\n");
    assert_eq!(rig.ask(put, &with_csrf, change).await.status(), 403);
    // Failure takes its time and tells nothing.
    let begun = std::time::Instant::now();
    let wrong = rig
        .ask("POST /access/ticket", "", "username=ann%40pve&password=no")
        .await;
    assert_eq!(wrong.line, "HTTP/1.1 401 authentication failure");
    let nobody = rig
        .ask("POST /access/ticket", "", "username=eve%40pve&password=no")
        .await;
    assert_eq!(nobody.line, wrong.line);
    assert!(begun.elapsed().as_secs() >= 6);
    // A disabled account is out at once.
    rig.ask(put, ROOT, "enable=0").await.data();
    assert_eq!(rig.ask("GET /version", &cookie, "").await.status(), 401);
}

#[tokio::test]
async fn rights_tokens_and_roles() {
    let mut rig = Rig::start().await;
    let role = "roleid=Starter&privs=VM.PowerMgmt,VM.Audit";
    rig.ask("POST /access/roles", ROOT, role).await.data();
    let acl = "path=/vms/100&users=jo%40pve&roles=Starter&propagate=0";
    rig.ask("PUT /access/acl", ROOT, acl).await.data();
    rig.crash().await;
    let start = "POST /nodes/n1/qemu/100/status/start";
    assert_eq!(
        rig.ask(start, JO, "").await.line,
        "HTTP/1.1 500 VM 100 does not exist"
    );
    assert_eq!(
        rig.ask("POST /nodes/n1/qemu/101/status/start", JO, "")
            .await
            .status(),
        403
    );
    let made = rig
        .ask("POST /access/users/jo@pve/token/ci", JO, "privsep=1")
        .await;
    let secret = made.data()["value"].as_str().unwrap();
    let token = format!("Authorization: PVEAPIToken=jo@pve!ci={secret}\r\n");
    assert_eq!(rig.ask(start, &token, "").await.status(), 403);
    let shown = rig
        .ask("GET /access/permissions?userid=jo@pve", ROOT, "")
        .await;
    let expected = json!({"/vms/100": {"VM.Audit": 0, "VM.PowerMgmt": 0}});
    assert_eq!(*shown.data(), expected);
    let gone = rig.ask("DELETE /access/roles/Starter", ROOT, "").await;
    gone.data();
    assert_eq!(rig.ask(start, JO, "").await.status(), 403);
    for (line, form, name) in [
        (
            "PUT /access/acl",
            "path=/vms/../x&users=jo%40pve&roles=PVEAdmin",
            "path",
        ),
        (
            "PUT /access/acl",
            "path=/&users=eve%40pve&roles=PVEAdmin",
            "users",
        ),
        (
            "PUT /access/acl",
            "path=/&users=jo%40pve&roles=Nothing",
            "roles",
        ),
        (
            "POST /access/roles",
            "roleid=X&privs=VM.Everything",
            "privs",
        ),
        ("POST /access/users", "userid=x%40ldap", "userid"),
        (
            "POST /access/users",
            "userid=x%40pve&password=short",
            "password",
        ),
    ] {
        let answer = rig.ask(line, ROOT, form).await;
        assert_eq!(answer.status(), 400, "{answer:?}");
        assert!(
            answer.body["errors"][name].is_string(),
            "{name}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn wrong_input_is_named_and_changes_nothing() {
    let rig = Rig::start().await;
    let form = "vmid=9&memory=lots&colour=red&net0=bogus%3D1";
    let answer = rig.ask("POST /nodes/n1/qemu", ROOT, form).await;
    assert_eq!(answer.line, "HTTP/1.1 400 Parameter verification failed.");
    let names: Vec<&String> = answer.body["errors"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["colour", "memory", "net0", "vmid"]);
    let other = rig.ask("GET /nodes/elsewhere/status", ROOT, "").await;
    assert_eq!(other.status(), 500);
    assert_eq!(
        rig.ask("GET /nodes/localhost/qemu", ROOT, "").await.data(),
        &json!([])
    );
    let kind = format!("{ROOT}Content-Type: application/json\r\n");
    for (body, status) in [(&b"{"[..], 400), (b"[]", 400), (b"\xff", 400)] {
        assert_eq!(
            rig.send("POST /nodes/n1/qemu", &kind, body).await.status(),
            status
        );
    }
    let children = rig.ask("GET /access", ROOT, "").await;
    assert!(
        children
            .data()
            .as_array()
            .unwrap()
            .contains(&json!({"subdir": "acl", "name": "acl"}))
    );
}

/// Name, file name if it is a file, and content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn form(parts: &[Part<'_>]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file
            .map(|file| format!("; filename=\"{file}\""))
            .unwrap_or_default();
        let head = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--B--\r\n");
    (
        format!("{ROOT}Content-Type: multipart/form-data; boundary=B\r\n"),
        body,
    )
}

#[tokio::test]
async fn uploads_are_listed_deleted_and_never_left_half_made() {
    let rig = Rig::start().await;
    let content = vec![b'x'; 3 << 20];
    let upload = "POST /nodes/n1/storage/local/upload";
    let list = "GET /nodes/n1/storage/local/content?content=iso";
    let (headers, body) = form(&[
        ("content", None, b"iso"),
        ("filename", Some("a.iso"), &content),
    ]);
    let answer = rig.send(upload, &headers, &body).await;
    assert_eq!(rig.wait(answer.data()).await, "OK");
    let listed = rig.ask(list, ROOT, "").await;
    assert_eq!(listed.data()[0]["volid"], "local:iso/a.iso");
    assert_eq!(listed.data()[0]["size"], 3 << 20);
    let (wrong, tail) = form(&[
        ("filename", Some("b.iso"), &content),
        ("content", None, b"iso"),
    ]);
    assert_eq!(rig.send(upload, &wrong, &tail).await.status(), 400);
    let cut = &body[..body.len() - 100];
    assert_eq!(rig.send(upload, &headers, cut).await.status(), 400);
    let bad: [&[Part<'_>]; 3] = [
        &[
            ("content", None, b"iso"),
            ("filename", Some("../../evil.iso"), b"x"),
        ],
        &[
            ("content", None, b"nonsense"),
            ("filename", Some("c.iso"), b"x"),
        ],
        &[("content", None, b"iso")],
    ];
    for parts in bad {
        let (headers, body) = form(parts);
        let answer = rig.send(upload, &headers, &body).await;
        assert_eq!(answer.status(), 400, "{answer:?}");
    }
    assert_eq!(
        rig.ask(list, ROOT, "")
            .await
            .data()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let gone = rig
        .ask(
            "DELETE /nodes/n1/storage/local/content/local:iso/a.iso",
            ROOT,
            "",
        )
        .await;
    assert_eq!(rig.wait(gone.data()).await, "OK");
    let left = std::fs::read_dir(rig.path("vz/template/iso"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn storages_are_added_used_and_forgotten() {
    let mut rig = Rig::start().await;
    let path = rig.path("more").display().to_string();
    let form = format!("storage=more&type=dir&path={path}&content=iso,images");
    let made = rig.ask("POST /storage", ROOT, &form).await;
    assert_eq!(*made.data(), json!({"storage": "more", "type": "dir"}));
    let again = rig.ask("POST /storage", ROOT, &form).await;
    assert!(again.line.contains("already defined"), "{again:?}");
    rig.crash().await;
    let shown = rig.ask("GET /storage/more", ROOT, "").await;
    assert_eq!(shown.data()["path"], path.as_str());
    assert_eq!(shown.data()["content"], "images,iso");
    let volume = "vmid=100&filename=vm-100-disk-0.raw&size=4M";
    let content = "POST /nodes/n1/storage/more/content";
    let volume = rig.ask(content, ROOT, volume).await;
    assert_eq!(volume.data(), "more:100/vm-100-disk-0.raw");
    let status = rig.ask("GET /nodes/n1/storage/more/status", ROOT, "").await;
    assert_eq!(status.data()["active"], 1);

    for (line, form, name) in [
        ("POST /storage", "storage=x1&type=dir&path=/etc/x", "path"),
        ("POST /storage", "storage=x1&type=dir", "path"),
        ("POST /storage", "storage=x1&type=floppy", "type"),
        (
            "POST /storage",
            "storage=x1&type=lvmthin&vgname=-f&thinpool=x",
            "vgname",
        ),
        // There is no such group, or no LVM at all.
        (
            "POST /storage",
            "storage=x1&type=lvmthin&vgname=nowhere&thinpool=x",
            "thinpool",
        ),
        ("PUT /storage/more", "content=everything", "content"),
        ("DELETE /storage/local", "", "storage"),
    ] {
        let answer = rig.ask(line, ROOT, form).await;
        assert_eq!(answer.status(), 400, "{form}: {answer:?}");
        assert!(
            answer.body["errors"][name].is_string(),
            "{name}: {answer:?}"
        );
    }
    rig.ask("DELETE /storage/more", ROOT, "").await.data();
    assert_eq!(rig.ask("GET /storage/more", ROOT, "").await.status(), 500);
    assert!(rig.path("more/images/100/vm-100-disk-0.raw").exists());
    rig.crash().await;
    let left = rig.ask("GET /storage", ROOT, "").await;
    assert_eq!(left.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tasks_are_listed_read_and_kept() {
    let mut rig = Rig::start().await;
    let (headers, body) = form(&[("content", None, b"iso"), ("filename", Some("a.iso"), b"x")]);
    let answer = rig
        .send("POST /nodes/n1/storage/local/upload", &headers, &body)
        .await;
    let upid = answer.data().clone();
    rig.wait(&upid).await;
    rig.crash().await;
    let listed = rig
        .ask("GET /nodes/n1/tasks?source=all&limit=1", ROOT, "")
        .await;
    assert_eq!(listed.body["total"], 1);
    assert_eq!(listed.data()[0]["upid"], upid);
    assert_eq!(listed.data()[0]["status"], "OK");
    let encoded = basalt_api::bag::encode(upid.as_str().unwrap());
    let log = rig
        .ask(
            &format!("GET /nodes/n1/tasks/{encoded}/log?limit=500"),
            ROOT,
            "",
        )
        .await;
    let last = log.data().as_array().unwrap().last().unwrap();
    assert_eq!(last["t"], "TASK OK");
    let other = rig
        .ask(&format!("GET /nodes/n1/tasks/{encoded}/log"), JO, "")
        .await;
    assert_eq!(other.status(), 403);
    assert_eq!(
        *rig.ask("GET /nodes/n1/tasks", JO, "").await.data(),
        json!([])
    );
}

/// A record of a machine with a state on a storage, and the file that is the state.
fn with_state(rig: &Rig, lock: &str) -> (serde_json::Value, std::path::PathBuf) {
    let name = "vm-100-state-suspend-2026-11-28.raw";
    let folder = rig.path("vz/images/100");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, "state").unwrap();
    let volume = format!("local:100/{name}");
    let config = json!({"kind": "qemu", "config": {"memory": "64"}});
    let mut record = config.clone();
    record["lock"] = lock.into();
    match lock {
        "suspended" => record["suspended"] = json!({"vmstate": volume, "running": config}),
        _ => record["making"] = json!([volume]),
    }
    (record, file)
}

#[tokio::test]
async fn a_suspended_machine_keeps_its_state_until_it_is_stopped() {
    let mut rig = Rig::start().await;
    let (record, file) = with_state(&rig, "suspended");
    rig.crash_with("guests/100", &record).await;
    let change = rig
        .ask("PUT /nodes/n1/qemu/100/config", ROOT, "memory=128")
        .await;
    assert_eq!(change.line, "HTTP/1.1 500 VM 100 is locked (suspended)");
    // There is nothing here that could run it.
    let start = "POST /nodes/n1/qemu/100/status/start";
    let started = rig.ask(start, ROOT, "").await.data().clone();
    let end = rig.wait(&started).await;
    assert!(end.contains("its state is kept in 'local:100/"), "{end}");
    assert!(file.exists());
    let stop = "POST /nodes/n1/qemu/100/status/stop";
    let stopped = rig.ask(stop, ROOT, "").await.data().clone();
    assert_eq!(rig.wait(&stopped).await, "OK");
    assert!(!file.exists());
    let current = "GET /nodes/n1/qemu/100/status/current";
    let status = rig.ask(current, ROOT, "").await.data().clone();
    assert!(status["lock"].is_null(), "{status}");
    let again = "POST /nodes/n1/qemu/100/status/suspend";
    let again = rig.ask(again, ROOT, "todisk=1").await.data().clone();
    assert_eq!(rig.wait(&again).await, "VM 100 not running");
}

#[tokio::test]
async fn a_suspension_that_was_interrupted_is_undone() {
    let mut rig = Rig::start().await;
    let (record, file) = with_state(&rig, "suspending");
    rig.crash_with("guests/100", &record).await;
    let current = "GET /nodes/n1/qemu/100/status/current";
    while !rig.ask(current, ROOT, "").await.data()["lock"].is_null() {
        tokio::task::yield_now().await;
    }
    assert!(!file.exists());
}

#[tokio::test]
async fn the_node_remembers_what_happens_when_the_host_goes_down() {
    let mut rig = Rig::start().await;
    let config = "GET /nodes/n1/config";
    assert!(rig.ask(config, ROOT, "").await.data()["on-host-shutdown"].is_null());
    let change = "PUT /nodes/n1/config";
    let wrong = rig.ask(change, ROOT, "on-host-shutdown=sleep").await;
    assert_eq!(wrong.status(), 400, "{wrong:?}");
    rig.ask(change, ROOT, "on-host-shutdown=suspend")
        .await
        .data();
    rig.crash().await;
    assert_eq!(
        rig.ask(config, ROOT, "").await.data()["on-host-shutdown"],
        "suspend"
    );
    let old = rig.ask(config, ROOT, "").await.data()["digest"].clone();
    let form = format!("description=lab&digest={}", old.as_str().unwrap());
    rig.ask(change, ROOT, &form).await.data();
    let stale = rig.ask(change, ROOT, &form).await;
    assert!(stale.body["errors"]["digest"].is_string(), "{stale:?}");
    rig.ask(change, ROOT, "delete=on-host-shutdown")
        .await
        .data();
    let one = "GET /nodes/n1/config?property=description";
    let one = rig.ask(one, ROOT, "").await;
    assert_eq!(one.data()["description"], "lab");
    let all = rig.ask(config, ROOT, "").await;
    assert!(all.data()["on-host-shutdown"].is_null(), "{all:?}");
}

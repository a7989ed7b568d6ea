//! Pools, groups and what they give, as clients see them.

use crate::rig::{JO, ROOT, Rig};
use serde_json::{Value, json};

/// A stopped machine as the store keeps it.
async fn with_machine(rig: &mut Rig, vmid: u32) {
    let record = json!({"kind": "qemu", "config": {"memory": "64", "name": format!("vm{vmid}")}});
    rig.crash_with(&format!("guests/{vmid}"), &record).await;
}

async fn done(rig: &Rig, line: &str, form: &str) {
    rig.ask(line, ROOT, form).await.data();
}

async fn refused(rig: &Rig, line: &str, who: &str, form: &str, text: &str) {
    let answer = rig.ask(line, who, form).await;
    assert_ne!(answer.status(), 200, "{line} {form}: {answer:?}");
    assert!(answer.body.to_string().contains(text), "{text}: {answer:?}");
}

fn ids(members: &Value) -> Vec<&str> {
    let members = members.as_array().unwrap().iter();
    members.map(|m| m["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pools_nest_hold_guests_and_storages_and_give_rights_on_them() {
    let mut rig = Rig::start().await;
    with_machine(&mut rig, 100).await;
    done(&rig, "POST /pools", "poolid=dev&comment=first").await;
    done(&rig, "POST /pools", "poolid=dev/web").await;
    refused(&rig, "POST /pools", ROOT, "poolid=dev", "already exists").await;
    refused(
        &rig,
        "POST /pools",
        ROOT,
        "poolid=no/web",
        "pool 'no' does not exist",
    )
    .await;
    refused(&rig, "POST /pools", ROOT, "poolid=a/../b", "poolid").await;
    let put = "PUT /pools";
    refused(&rig, put, ROOT, "poolid=dev&vms=101", "does not exist").await;
    refused(
        &rig,
        put,
        ROOT,
        "poolid=dev&storage=nowhere",
        "does not exist",
    )
    .await;
    done(&rig, put, "poolid=dev&vms=100&storage=local").await;
    refused(&rig, put, ROOT, "poolid=dev/web&vms=100", "'dev'").await;
    done(&rig, put, "poolid=dev/web&vms=100&allow-move=1").await;
    rig.crash().await;

    let dev = rig.ask("GET /pools?poolid=dev", ROOT, "").await;
    let dev = &dev.data()[0];
    assert_eq!(
        (&dev["poolid"], &dev["comment"]),
        (&json!("dev"), &json!("first"))
    );
    assert_eq!(ids(&dev["members"]), ["storage/n1/local"]);
    let web = rig.ask("GET /pools/dev%2Fweb?type=qemu", ROOT, "").await;
    let members = &web.data()["members"];
    assert_eq!(ids(members), ["qemu/100"]);
    assert_eq!(
        (&members[0]["vmid"], &members[0]["node"]),
        (&json!(100), &json!("n1"))
    );
    let none = rig.ask("GET /pools/dev%2Fweb?type=lxc", ROOT, "").await;
    assert_eq!(none.data()["members"], json!([]));
    let all = rig.ask("GET /cluster/resources", ROOT, "").await;
    let all = all.data().as_array().unwrap();
    let pool = all.iter().find(|r| r["id"] == "/pool/dev/web").unwrap();
    assert_eq!(
        *pool,
        json!({"id": "/pool/dev/web", "type": "pool", "pool": "dev/web"})
    );
    let vm = all.iter().find(|r| r["id"] == "qemu/100").unwrap();
    assert_eq!(vm["pool"], "dev/web");

    let start = "POST /nodes/n1/qemu/100/status/start";
    assert_eq!(rig.ask(start, JO, "").await.status(), 403);
    let acl = "path=/pool/dev&users=jo%40pve&roles=PVEVMUser,PVEPoolUser";
    done(&rig, "PUT /access/acl", acl).await;
    assert_eq!(rig.ask(start, JO, "").await.status(), 200);
    let seen = rig.ask("GET /pools", JO, "").await;
    assert_eq!(seen.data().as_array().unwrap().len(), 2);
    refused(
        &rig,
        put,
        JO,
        "poolid=dev&vms=100&delete=1",
        "Permission check failed",
    )
    .await;

    refused(&rig, "DELETE /pools?poolid=dev", ROOT, "", "is not empty").await;
    refused(
        &rig,
        put,
        ROOT,
        "poolid=dev&vms=100&delete=1",
        "not a member",
    )
    .await;
    done(&rig, "PUT /pools/dev%2Fweb", "vms=100&delete=1").await;
    done(&rig, put, "poolid=dev&storage=local&delete=1").await;
    done(&rig, "DELETE /pools/dev%2Fweb", "").await;
    done(&rig, "DELETE /pools?poolid=dev", "").await;
    refused(
        &rig,
        "GET /pools/dev",
        ROOT,
        "",
        "pool 'dev' does not exist",
    )
    .await;
    let left = rig.ask("GET /access/acl", ROOT, "").await;
    assert_eq!(*left.data(), json!([]));
}

#[tokio::test]
async fn a_guest_is_made_in_a_pool_by_whom_the_pool_belongs_to_and_leaves_nothing() {
    let rig = Rig::start().await;
    done(&rig, "POST /pools", "poolid=dev").await;
    let acl = "path=/pool/dev&users=jo%40pve&roles=PVEVMAdmin";
    done(&rig, "PUT /access/acl", acl).await;
    let create = "POST /nodes/n1/qemu";
    let form = "vmid=100&memory=64";
    assert_eq!(rig.ask(create, JO, form).await.status(), 403);
    let into = |pool: &str| format!("{form}&pool={pool}");
    refused(
        &rig,
        create,
        ROOT,
        &into("nowhere"),
        "pool 'nowhere' does not exist",
    )
    .await;
    let made = rig.ask(create, JO, &into("dev")).await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    let own = rig.ask("GET /nodes/n1/qemu/100/config", JO, "").await;
    assert_eq!(own.status(), 200);
    let acl = "path=/vms/100&users=jo%40pve&roles=PVEAuditor";
    done(&rig, "PUT /access/acl", acl).await;
    let gone = rig.ask("DELETE /nodes/n1/qemu/100", JO, "").await;
    assert_eq!(rig.wait(gone.data()).await, "OK");
    let dev = rig.ask("GET /pools/dev", ROOT, "").await;
    assert_eq!(dev.data()["members"], json!([]));
    let left = rig.ask("GET /access/acl", ROOT, "").await;
    assert_eq!(left.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn groups_give_their_members_rights_and_command_over_members() {
    let mut rig = Rig::start().await;
    done(&rig, "POST /access/groups", "groupid=ops&comment=run").await;
    let ann = "userid=ann%40pve&groups=ops&firstname=Ann&expire=0";
    done(&rig, "POST /access/users", ann).await;
    done(&rig, "PUT /access/groups/ops", "").await;
    rig.crash().await;
    let ops = rig.ask("GET /access/groups/ops", ROOT, "").await;
    assert_eq!(
        *ops.data(),
        json!({"members": ["ann@pve"], "comment": "run"})
    );
    let user = rig.ask("GET /access/users/ann@pve", ROOT, "").await;
    assert_eq!(user.data()["groups"], json!(["ops"]));

    let change = "PUT /access/users/ann@pve";
    assert_eq!(rig.ask(change, JO, "comment=x").await.status(), 403);
    let acl = "path=/access/groups/ops&users=jo%40pve&roles=PVEUserAdmin";
    done(&rig, "PUT /access/acl", acl).await;
    rig.ask(change, JO, "comment=x").await.data();
    assert_eq!(rig.ask(change, JO, "groups=ops,admins").await.status(), 403);
    let acl = "path=/vms/7000&groups=ops&roles=PVEAuditor";
    done(&rig, "PUT /access/acl", acl).await;
    let seen = rig
        .ask(
            "GET /access/permissions?userid=ann@pve&path=/vms/7000",
            ROOT,
            "",
        )
        .await;
    assert_eq!(seen.data()["/vms/7000"]["VM.Audit"], 1);
    refused(
        &rig,
        "GET /access/permissions?userid=eve@pve",
        ROOT,
        "",
        "user 'eve@pve' does not exist",
    )
    .await;
    done(&rig, "DELETE /access/groups/ops", "").await;
    let left = rig.ask("GET /access/acl", ROOT, "").await;
    assert_eq!(*left.data(), json!([]));
    let user = rig.ask("GET /access/users/ann@pve", ROOT, "").await;
    assert_eq!(user.data()["groups"], json!([]));
}

#[tokio::test]
async fn the_master_of_a_guest_gives_no_more_than_it_has() {
    let rig = Rig::start().await;
    let acl = "path=/vms/100&users=jo%40pve&roles=PVEVMAdmin&propagate=0";
    done(&rig, "PUT /access/acl", acl).await;
    done(&rig, "POST /access/users", "userid=ann%40pve").await;
    let give = "PUT /access/acl";
    let ann = "path=/vms/100&users=ann%40pve";
    let with = |role: &str, propagate: u8| format!("{ann}&roles={role}&propagate={propagate}");
    rig.ask(give, JO, &with("PVEVMUser", 0)).await.data();
    for form in [with("PVEVMUser", 1), with("Administrator", 0)] {
        assert_eq!(rig.ask(give, JO, &form).await.status(), 403, "{form}");
    }
    // Nor does a token that has fewer privileges than its user make one that has them all.
    let token = "POST /access/users/jo@pve/token/few";
    let made = rig.ask(token, JO, "privsep=1").await;
    let secret = made.data()["value"].as_str().unwrap();
    let few = format!("Authorization: PVEAPIToken=jo@pve!few={secret}\r\n");
    let more = "POST /access/users/jo@pve/token/more";
    assert_eq!(rig.ask(more, &few, "privsep=0").await.status(), 403);
    let put = "PUT /access/users/jo@pve/token/few";
    rig.ask(put, ROOT, "comment=x&expire=1900000000")
        .await
        .data();
    let changed = rig.ask(put, ROOT, "delete=comment,expire").await;
    assert_eq!(*changed.data(), json!({"expire": 0, "privsep": 1}));
    refused(&rig, put, ROOT, "delete=secret", "delete").await;
}

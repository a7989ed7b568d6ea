//! Something of every kind on a node, so that no list is empty.

use crate::{Client, Gateway, ROOT};
use anyhow::{Context, Result, bail};
use basalt_api::bag::encode;
use basalt_store::Transaction;
use serde_json::json;

/// What is made by calls, in this order.
const CALLS: &[(&str, &str)] = &[
    ("POST /access/groups", "groupid=staff&comment=all"),
    (
        "POST /access/users",
        "userid=ann%40pve&password=a+good+secret&groups=staff&firstname=Ann&email=ann%40example.org",
    ),
    ("POST /access/users/ann@pve/token/ci", "comment=pipeline"),
    (
        "POST /access/roles",
        "roleid=Starter&privs=VM.PowerMgmt,VM.Audit",
    ),
    ("PUT /access/acl", "path=/vms&groups=staff&roles=Starter"),
    (
        "POST /access/domains",
        "realm=house&type=ldap&server1=192.0.2.1&base_dn=dc%3Dexample%2Cdc%3Dorg&user_attr=uid",
    ),
    ("POST /pools", "poolid=dev&comment=trial"),
    ("PUT /cluster/options", "keyboard=de&description=lab"),
    ("PUT /nodes/n1/config", "description=first"),
    (
        "POST /nodes/n1/qemu",
        "vmid=100&name=machine&memory=64&virtio0=local:1&net0=virtio&tags=a%3Bb&pool=dev&agent=1",
    ),
    (
        "POST /nodes/n1/storage/local/content",
        "vmid=100&filename=vm-100-disk-7.qcow2&size=4M&format=qcow2",
    ),
    // Nothing here could run it: a task that failed.
    ("POST /nodes/n1/qemu/100/status/start", ""),
];

/// What only a running guest or an archive could make: a container's configuration.
pub fn stored() -> Result<Transaction> {
    let container = json!({"kind": "lxc", "config": {
        "hostname": "container",
        "memory": 64,
        "rootfs": "local:101/vm-101-disk-0.raw,size=1G",
        "net0": "name=eth0,hwaddr=02:01:00:00:00:01,bridge=vmbr0",
    }});
    Ok(Transaction::new().put("guests/101", &container)?)
}

/// Makes the rest, and waits until every task ended.
pub async fn make(gateway: &Gateway) -> Result<()> {
    let mut client = Client::connect(gateway, ROOT).await?;
    for (line, form) in CALLS {
        let data = client.call(line, form).await?.data().context(*line)?;
        if let Some(upid) = data.as_str().filter(|text| text.starts_with("UPID:")) {
            ended(&mut client, upid).await?;
        }
    }
    Ok(())
}

async fn ended(client: &mut Client, upid: &str) -> Result<()> {
    let line = format!("GET /nodes/n1/tasks/{}/status", encode(upid));
    loop {
        let status = client.call(&line, "").await?.data()?;
        match status["status"].as_str() {
            Some("running") => tokio::task::yield_now().await,
            Some(_) => return Ok(()),
            None => bail!("{status}"),
        }
    }
}

//! Figures over time, and servers elsewhere that are told of them.

use crate::rig::{JO, ROOT, Rig};
use basalt_api::bag::encode;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::time::Duration;

/// Asks until the last row of an object has a figure.
async fn last_row(rig: &Rig, path: &str, figure: &str) -> Value {
    let line = format!("GET /nodes/n1/{path}/rrddata?timeframe=hour");
    loop {
        let answer = rig.ask(&line.replace("//", "/"), ROOT, "").await;
        let rows = answer.data().as_array().unwrap();
        assert_eq!(rows.len(), 60);
        if let Some(row) = rows.iter().find(|row| row[figure].is_number()) {
            return row.clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn figures_are_kept_and_shown_by_their_names() {
    let rig = Rig::start().await;
    let form = "vmid=100&memory=64&virtio0=local:1";
    let made = rig.ask("POST /nodes/n1/qemu", ROOT, form).await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    let node = last_row(&rig, "", "memtotal").await;
    assert!(node["memused"].as_f64().unwrap() <= node["memtotal"].as_f64().unwrap());
    assert!(node["maxcpu"].as_f64().unwrap() >= 1.0 && node["cpu"].is_number());
    assert_eq!(node["time"].as_u64().unwrap() % 60, 0);
    let storage = last_row(&rig, "storage/local", "total").await;
    assert!(storage["used"].is_number());
    let rows = |frame: &str| {
        let line = format!("GET /nodes/n1/qemu/100/rrddata?timeframe={frame}&cf=MAX");
        let rig = &rig;
        async move {
            rig.ask(&line, ROOT, "")
                .await
                .data()
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!(rows("day").await, 1440);
    assert_eq!(rows("week").await, 336);
    assert_eq!(rows("month").await, 1440);
    assert_eq!(rows("year").await, 1460);
    for (line, status) in [
        ("GET /nodes/n1/rrddata", 400),
        ("GET /nodes/n1/qemu/100/rrddata?timeframe=decade", 400),
        ("GET /nodes/n1/qemu/101/rrddata?timeframe=hour", 500),
        ("GET /nodes/n1/lxc/100/rrddata?timeframe=hour", 500),
        ("GET /nodes/n1/storage/none/rrddata?timeframe=hour", 500),
    ] {
        assert_eq!(rig.ask(line, ROOT, "").await.status(), status, "{line}");
    }
    let export = rig.ask("GET /cluster/metrics/export", ROOT, "").await;
    let data = export.data()["data"].as_array().unwrap();
    let of = |id: &str, metric: &str| {
        let found = data.iter().find(|m| m["id"] == id && m["metric"] == metric);
        found.unwrap_or_else(|| panic!("{id} {metric}")).clone()
    };
    assert_eq!(of("node/n1", "mem_total")["type"], "gauge");
    assert_eq!(of("node/n1", "net_in")["type"], "derive");
    assert!(of("storage/n1/local", "disk_total")["value"].is_number());
    let later = rig
        .ask(
            "GET /cluster/metrics/export?start-time=9999999999",
            ROOT,
            "",
        )
        .await;
    assert_eq!(*later.data(), json!({"data": []}));
}

#[tokio::test]
async fn a_server_is_told_of_figures() {
    let mut rig = Rig::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let form = format!("type=graphite&server=127.0.0.1&port={port}&path=lab");
    rig.ask("POST /cluster/metrics/server/g1", ROOT, &form)
        .await
        .data();
    // The first sample after a start comes within seconds.
    rig.crash().await;
    let reading = tokio::task::spawn_blocking(move || {
        let mut buffer = [0; 4096];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    });
    let text = reading.await.unwrap();
    assert!(text.starts_with("lab.nodes.n1.uptime "), "{text}");
    assert!(text.contains("\nlab.nodes.n1.memory.memtotal "), "{text}");
}

#[tokio::test]
async fn servers_are_configured_and_their_secrets_stay() {
    let mut rig = Rig::start().await;
    let form = "type=influxdb&server=influx.example.org&port=8086&influxdbproto=https\
                &bucket=lab&token=much-too-secret&disable=1";
    let post = "POST /cluster/metrics/server/i1";
    rig.ask(post, ROOT, form).await.data();
    assert!(
        rig.ask(post, ROOT, form)
            .await
            .line
            .contains("already exists")
    );
    rig.crash().await;
    let get = "GET /cluster/metrics/server/i1";
    let shown = rig.ask(get, ROOT, "").await.data().clone();
    assert_eq!(
        (shown["bucket"].as_str(), shown["port"].as_u64()),
        (Some("lab"), Some(8086))
    );
    assert!(!shown.to_string().contains("secret"), "{shown}");
    let list = rig.ask("GET /cluster/metrics/server", ROOT, "").await;
    let entry = json!([{"id": "i1", "type": "influxdb", "server": "influx.example.org",
        "port": 8086, "disable": 1}]);
    assert_eq!(*list.data(), entry);
    assert_eq!(rig.ask(get, JO, "").await.status(), 403);
    let put = "PUT /cluster/metrics/server/i1";
    let digest = shown["digest"].as_str().unwrap();
    for (form, name) in [
        ("server=evil.example.net", "token"),
        ("verify-certificate=0", "token"),
        ("mtu=100", "mtu"),
        ("path=lab", "path"),
        ("delete=colour", "delete"),
        ("digest=0000", "digest"),
        ("api-path-prefix=a%3Fb", "api-path-prefix"),
    ] {
        let refused = rig.ask(put, ROOT, form).await;
        assert_eq!(refused.status(), 400, "{form}: {refused:?}");
        assert!(refused.body["errors"][name].is_string(), "{refused:?}");
    }
    assert_eq!(*rig.ask(get, ROOT, "").await.data(), shown);
    let form = format!(
        "bucket=other&delete=disable,token&digest={}",
        encode(digest)
    );
    rig.ask(put, ROOT, &form).await.data();
    let shown = rig.ask(get, ROOT, "").await.data().clone();
    assert!(
        shown["bucket"] == "other" && shown["disable"].is_null(),
        "{shown}"
    );
    // Without a secret it may be any other server.
    rig.ask(put, ROOT, "server=other.example.org").await.data();
    let strange = "type=graphite&server=g&port=2003&token=x";
    let refused = rig
        .ask("POST /cluster/metrics/server/g", ROOT, strange)
        .await;
    assert!(refused.body["errors"]["token"].is_string(), "{refused:?}");
    let delete = "DELETE /cluster/metrics/server/i1";
    rig.ask(delete, ROOT, "").await.data();
    assert!(
        rig.ask(delete, ROOT, "")
            .await
            .line
            .contains("does not exist")
    );
    assert_eq!(
        *rig.ask("GET /cluster/metrics/server", ROOT, "")
            .await
            .data(),
        json!([])
    );
}

#[tokio::test]
async fn name_servers_are_set_and_wrong_ones_named() {
    let rig = Rig::start().await;
    let put = "PUT /nodes/n1/dns";
    let host = rig.path("state/host.json");
    std::fs::write(
        &host,
        r#"{"hostname": "n1", "network": {"bridge": "nobr0", "port": "first",
        "addressing": "dhcp"}}"#,
    )
    .unwrap();
    for (form, name) in [
        ("search=example.org&dns1=192.0.2", "dns1"),
        ("search=example.org&dns2=192.0.2.1", "dns2"),
        ("search=no+domain&dns1=192.0.2.1", "search"),
        ("dns1=192.0.2.1", "search"),
    ] {
        let refused = rig.ask(put, ROOT, form).await;
        assert!(
            refused.body["errors"][name].is_string(),
            "{form}: {refused:?}"
        );
    }
    let form = "search=example.org&dns1=192.0.2.1&dns2=2001%3Adb8%3A%3A1";
    rig.ask(put, ROOT, form).await.data();
    let shown = rig.ask("GET /nodes/n1/dns", ROOT, "").await;
    let expected = json!({"search": "example.org", "dns1": "192.0.2.1", "dns2": "2001:db8::1"});
    assert_eq!(*shown.data(), expected);
    let kept: Value = serde_json::from_slice(&std::fs::read(&host).unwrap()).unwrap();
    assert_eq!(kept["dns"]["servers"], json!(["192.0.2.1", "2001:db8::1"]));
}

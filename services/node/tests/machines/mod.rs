//! What machines may take of the host: kept as it is written, or refused by the name of the setting.

use crate::rig::{ROOT, Rig};
use serde_json::json;

const CONFIG: &str = "/nodes/n1/qemu/100/config";

/// A node with a machine that does not run.
async fn machine() -> Rig {
    let mut rig = Rig::start().await;
    let record = json!({"kind": "qemu", "config": {"memory": "512"}});
    rig.crash_with("guests/100", &record).await;
    rig
}

#[tokio::test]
async fn processor_time_and_places_are_kept_or_refused_by_name() {
    let rig = machine().await;
    let put = format!("PUT {CONFIG}");
    let get = format!("GET {CONFIG}");
    let answer = rig
        .ask(&put, ROOT, "cpulimit=1.5&cpuunits=262144&affinity=0,0-0")
        .await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let kept = rig.ask(&get, ROOT, "").await.data().clone();
    let kept = (&kept["cpulimit"], &kept["cpuunits"], &kept["affinity"]);
    assert_eq!(kept, (&json!(1.5), &json!(262_144), &json!("0,0")));

    for (form, field, said) in [
        ("cpulimit=129", "cpulimit", "128"),
        ("cpulimit=0.001", "cpulimit", "0.01"),
        ("cpuunits=0", "cpuunits", "at least 1"),
        ("affinity=3-1", "affinity", "1-3"),
        ("affinity=", "affinity", "0,5,8-11"),
        ("affinity=0,8191", "affinity", "no processor 8191"),
    ] {
        let answer = rig.ask(&put, ROOT, form).await;
        let error = answer.body["errors"][field].as_str().unwrap_or_default();
        assert!(
            answer.status() == 400 && error.contains(said),
            "{form}: {answer:?}"
        );
    }
    let after = rig.ask(&get, ROOT, "").await.data().clone();
    assert_eq!((&after["affinity"], &after["cpulimit"]), (kept.2, kept.0));

    let answer = rig.ask(&put, ROOT, "delete=affinity,cpulimit").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let after = rig.ask(&get, ROOT, "").await.data().clone();
    assert!(
        after.get("affinity").is_none() && after.get("cpulimit").is_none(),
        "{after}"
    );
}

/// Terraform's providers and `qm` write them so.
#[tokio::test]
async fn serial_ports_and_random_numbers_are_kept_or_refused_by_name() {
    let rig = machine().await;
    let put = format!("PUT {CONFIG}");
    let get = format!("GET {CONFIG}");
    let good = "serial0=socket&serial3=socket&vga=serial3&rng0=source%3D/dev/urandom,period=500";
    let answer = rig.ask(&put, ROOT, good).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let kept = rig.ask(&get, ROOT, "").await.data().clone();
    let shown = (&kept["serial3"], &kept["vga"], &kept["rng0"]);
    let rng = json!("/dev/urandom,period=500");
    assert_eq!(shown, (&json!("socket"), &json!("serial3"), &rng));

    for (form, field, said) in [
        ("serial1=/dev/ttyS0", "serial1", "Use socket"),
        ("serial1=pty", "serial1", "use socket"),
        ("serial4=socket", "serial4", "no such"),
        ("vga=serial2", "vga", "set serial2 to socket"),
        ("delete=serial3", "vga", "set serial3 to socket"),
        ("rng0=/dev/zero", "rng0", "/dev/hwrng"),
        ("rng0=/dev/random,period=0", "rng0", "period: 0"),
    ] {
        let answer = rig.ask(&put, ROOT, form).await;
        let error = answer.body["errors"][field].as_str().unwrap_or_default();
        assert!(
            answer.status() == 400 && error.contains(said),
            "{form}: {answer:?}"
        );
    }
    let after = rig.ask(&get, ROOT, "").await.data().clone();
    assert_eq!(
        (&after["serial3"], &after["rng0"]),
        (&json!("socket"), &rng)
    );
    assert!(after.get("serial1").is_none(), "{after}");

    let answer = rig.ask(&put, ROOT, "delete=vga,serial3,rng0").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
}

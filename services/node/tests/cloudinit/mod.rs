//! A virtual machine's drive of cloud-init: made, shown, filled and removed.

use crate::rig::{ROOT, Rig};
use serde_json::{Value, json};

const CONFIG: &str = "/nodes/n1/qemu/100/config";
const DRIVE: &str = "vz/images/100/vm-100-cloudinit.raw";

async fn dump(rig: &Rig, document: &str) -> String {
    let line = format!("GET /nodes/n1/qemu/100/cloudinit/dump?type={document}");
    rig.ask(&line, ROOT, "")
        .await
        .data()
        .as_str()
        .unwrap()
        .to_owned()
}

async fn config(rig: &Rig) -> Value {
    let answer = rig.ask(&format!("GET {CONFIG}"), ROOT, "").await;
    answer.data().clone()
}

#[tokio::test]
async fn a_drive_of_cloud_init_says_what_is_configured() {
    let rig = Rig::start().await;
    let form = "vmid=100&name=web&ide2=local:cloudinit&ciuser=me&cipassword=so+secret\
                &sshkeys=ssh-ed25519%2520AAAAC3NzaC1lZDI1NTE5AAAA%2520me%250A&ipconfig0=ip%3D192.0.2.9/24";
    let made = rig.ask("POST /nodes/n1/qemu", ROOT, form).await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    let shown = config(&rig).await;
    assert_eq!(
        shown["ide2"],
        "local:100/vm-100-cloudinit.raw,size=4M,media=cdrom"
    );
    assert_eq!(shown["cipassword"], "**********");
    assert_eq!(rig.path(DRIVE).metadata().unwrap().len(), 4 << 20);

    let user = dump(&rig, "user").await;
    assert!(user.contains("hostname: \"web\"") && user.contains("user:\n  name: \"me\""));
    assert!(user.contains("- \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me\""));
    assert!(!user.contains("secret") && !user.contains("$6$"), "{user}");
    let before = dump(&rig, "meta").await;

    let written = rig.ask("PUT /nodes/n1/qemu/100/cloudinit", ROOT, "").await;
    assert_eq!(*written.data(), Value::Null);
    let disc = std::fs::read(rig.path(DRIVE)).unwrap();
    let has = |text: &str| disc.windows(text.len()).any(|part| part == text.as_bytes());
    assert_eq!(&disc[32769..32774], b"CD001");
    assert!(has("hostname: \"web\"") && has("password: \"$6$") && has(before.trim()));

    let echoed = rig
        .ask(&format!("PUT {CONFIG}"), ROOT, "cipassword=**********")
        .await;
    assert_eq!(echoed.status(), 400);
    assert!(
        echoed.body["errors"]["cipassword"].is_string(),
        "{echoed:?}"
    );
    let wrong = rig
        .ask(
            &format!("PUT {CONFIG}"),
            ROOT,
            "sshkeys=hello&ipconfig0=gw%3D192.0.2.1",
        )
        .await;
    for field in ["sshkeys", "ipconfig0"] {
        assert!(wrong.body["errors"][field].is_string(), "{wrong:?}");
    }
    let second = rig
        .ask(&format!("PUT {CONFIG}"), ROOT, "ide0=local:cloudinit")
        .await;
    assert!(second.body["errors"].is_object(), "{second:?}");
    assert_eq!(config(&rig).await, shown);

    rig.ask(&format!("PUT {CONFIG}"), ROOT, "ciuser=you")
        .await
        .data();
    assert_ne!(dump(&rig, "meta").await, before);
    let entries = rig.ask("GET /nodes/n1/qemu/100/cloudinit", ROOT, "").await;
    let entries = entries.data().as_array().unwrap().clone();
    let named = |key: &str| entries.iter().find(|entry| entry["key"] == key);
    assert_eq!(named("ciuser").unwrap()["value"], "you");
    assert_eq!(named("cipassword").unwrap()["value"], "**********");
    assert!(named("name").is_none());

    rig.ask(&format!("PUT {CONFIG}"), ROOT, "delete=ide2")
        .await
        .data();
    let left = config(&rig).await;
    assert!(
        left["ide2"].is_null() && left["unused0"].is_null(),
        "{left}"
    );
    assert!(!rig.path(DRIVE).exists());
    let none = rig.ask("PUT /nodes/n1/qemu/100/cloudinit", ROOT, "").await;
    assert!(none.line.contains("has no drive of cloud-init"), "{none:?}");
    assert_eq!(none.body["data"], json!(null));
}

#[tokio::test]
async fn documents_of_ones_own_are_told_and_wrong_ones_refused() {
    let rig = Rig::start().await;
    let snippets = rig.path("vz/snippets");
    std::fs::create_dir_all(&snippets).unwrap();
    std::fs::write(
        snippets.join("user.yaml"),
        "#cloud-config\npackages: [nginx]\n",
    )
    .unwrap();
    std::fs::write(snippets.join("binary.yaml"), [0xff, 0xfe]).unwrap();
    std::fs::write(snippets.join("long.yaml"), "x".repeat((512 << 10) + 1)).unwrap();
    std::fs::create_dir_all(rig.path("vz/template/iso")).unwrap();
    std::fs::write(rig.path("vz/template/iso/a.iso"), "x").unwrap();
    let content = "PUT /storage/local";
    rig.ask(content, ROOT, "content=images,iso,snippets")
        .await
        .data();
    let form = "vmid=100&ide2=local:cloudinit&cicustom=user%3Dlocal:snippets/user.yaml";
    let made = rig.ask("POST /nodes/n1/qemu", ROOT, form).await;
    assert_eq!(rig.wait(made.data()).await, "OK");
    assert_eq!(
        config(&rig).await["cicustom"],
        "user=local:snippets/user.yaml"
    );
    assert_eq!(
        dump(&rig, "user").await,
        "#cloud-config\npackages: [nginx]\n"
    );
    let written = rig.ask("PUT /nodes/n1/qemu/100/cloudinit", ROOT, "").await;
    assert_eq!(*written.data(), Value::Null);
    let disc = std::fs::read(rig.path(DRIVE)).unwrap();
    let text = b"packages: [nginx]";
    assert!(disc.windows(text.len()).any(|part| part == text));
    for (value, said) in [
        ("local:snippets/none.yaml", "does not exist"),
        ("local:snippets/binary.yaml", "UTF-8"),
        ("local:snippets/long.yaml", "longer than"),
        ("local:iso/a.iso", "is no snippet"),
        ("other:snippets/user.yaml", "does not exist"),
    ] {
        let form = format!("cicustom=vendor%3D{value}");
        let refused = rig.ask(&format!("PUT {CONFIG}"), ROOT, &form).await;
        let text = refused.body["errors"]["cicustom"].as_str();
        assert!(
            text.is_some_and(|text| text.contains(said)),
            "{value}: {refused:?}"
        );
    }
    // Gone meanwhile: the start would say so, and so does who asks.
    std::fs::remove_file(snippets.join("user.yaml")).unwrap();
    let line = "GET /nodes/n1/qemu/100/cloudinit/dump?type=user";
    let gone = rig.ask(line, ROOT, "").await;
    assert!(gone.line.contains("cicustom"), "{gone:?}");
}

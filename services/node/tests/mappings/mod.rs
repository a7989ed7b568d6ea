//! Mapped directories: made, shown, changed and forgotten, and who may give them to a machine.

use crate::rig::{JO, ROOT, Rig};
use serde_json::{Value, json};

const DIRS: &str = "/cluster/mapping/dir";
const CONFIG: &str = "/nodes/n1/qemu/100/config";

async fn done(rig: &Rig, line: &str, form: &str) -> Value {
    rig.ask(line, ROOT, form).await.data().clone()
}

/// What a call says when it is refused, with its status.
async fn refused(rig: &Rig, line: &str, who: &str, form: &str) -> (u16, String) {
    let answer = rig.ask(line, who, form).await;
    assert_ne!(answer.status(), 200, "{line} {form}: {answer:?}");
    (answer.status(), format!("{} {}", answer.line, answer.body))
}

async fn names(rig: &Rig, who: &str) -> Vec<String> {
    let list = rig.ask(&format!("GET {DIRS}"), who, "").await;
    let list = list.data().as_array().unwrap().iter();
    list.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_mapping_is_made_looked_at_changed_and_forgotten() {
    let mut rig = Rig::start().await;
    let index = done(&rig, "GET /cluster/mapping", "").await;
    assert!(
        index
            .as_array()
            .unwrap()
            .contains(&json!({"subdir": "dir"}))
    );
    let post = format!("POST {DIRS}");
    for (form, field) in [
        ("id=data", "map"),
        ("id=data&map=path%3D/srv/a", "map"),
        ("id=data&map=node%3Dn1,path%3D/etc", "map"),
        ("id=data&map=node%3Dn1,path%3D/var/lib", "map"),
        (
            "id=data&map=node%3Dn1,path%3D/srv/a&map=node%3Dn1,path%3D/srv/b",
            "map",
        ),
        ("id=1data&map=node%3Dn1,path%3D/srv/a", "id"),
    ] {
        let answer = rig.ask(&post, ROOT, form).await;
        assert_eq!(answer.status(), 400, "{form}: {answer:?}");
        assert!(
            answer.body["errors"][field].is_string(),
            "{form}: {answer:?}"
        );
    }
    let form =
        "id=data&description=first&map=node%3Dn1,path%3D/srv/nowhere&map=path%3D/srv/b,node%3Dn2";
    done(&rig, &post, form).await;
    let (_, again) = refused(&rig, &post, ROOT, form).await;
    assert!(again.contains("already exists"), "{again}");
    rig.crash().await;

    let one = format!("{DIRS}/data");
    let shown = done(&rig, &format!("GET {one}"), "").await;
    let map = ["node=n1,path=/srv/nowhere", "node=n2,path=/srv/b"];
    assert_eq!((&shown["id"], &shown["map"]), (&json!("data"), &json!(map)));
    let checked = done(&rig, &format!("GET {DIRS}?check-node=n1"), "").await;
    assert_eq!(checked[0]["checks"][0]["severity"], "error");
    let text = checked[0]["checks"][0]["message"].as_str().unwrap();
    assert!(text.contains("/srv/nowhere"), "{text}");

    let put = format!("PUT {one}");
    let (status, stale) = refused(&rig, &put, ROOT, "description=x&digest=0").await;
    assert!(status == 400 && stale.contains("digest"), "{stale}");
    let (_, wrong) = refused(&rig, &put, ROOT, "delete=map").await;
    assert!(wrong.contains("delete"), "{wrong}");
    let digest = shown["digest"].as_str().unwrap();
    let change = format!("map=node%3Dn2,path%3D/srv/c&delete=description&digest={digest}");
    done(&rig, &put, &change).await;
    let shown = done(&rig, &format!("GET {one}"), "").await;
    assert_eq!(shown["map"], json!(["node=n2,path=/srv/c"]));
    assert!(
        shown.get("description").is_none_or(Value::is_null),
        "{shown}"
    );
    let checked = done(&rig, &format!("GET {DIRS}?check-node=n1"), "").await;
    assert_eq!(checked[0]["checks"][0]["severity"], "warning");

    done(&rig, &format!("DELETE {one}"), "").await;
    let (_, gone) = refused(&rig, &format!("GET {one}"), ROOT, "").await;
    assert!(gone.contains("does not exist"), "{gone}");
    refused(&rig, &format!("DELETE {one}"), ROOT, "").await;
}

#[tokio::test]
async fn a_machine_is_given_what_the_caller_may_use() {
    let mut rig = Rig::start().await;
    let record = json!({"kind": "qemu", "config": {"memory": "64"}});
    rig.crash_with("guests/100", &record).await;
    for id in ["data", "other"] {
        let form = format!("id={id}&map=node%3Dn1,path%3D/srv/{id}");
        done(&rig, &format!("POST {DIRS}"), &form).await;
    }
    assert!(names(&rig, JO).await.is_empty());
    let grant = async |path: &str, role: &str| {
        let form = format!("path={path}&users=jo%40pve&roles={role}");
        done(&rig, "PUT /access/acl", &form).await;
    };
    grant("/vms/100", "PVEVMAdmin").await;
    grant("/mapping/dir/data", "PVEMappingUser").await;
    assert_eq!(names(&rig, JO).await, ["data"]);

    let put = format!("PUT {CONFIG}");
    let (status, text) = refused(&rig, &put, JO, "virtiofs0=other").await;
    assert!(
        status == 403 && text.contains("/mapping/dir/other, Mapping.Use"),
        "{text}"
    );
    let wanted = "virtiofs0=data,cache%3Dnever";
    let answer = rig.ask(&put, JO, wanted).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let shown = done(&rig, &format!("GET {CONFIG}"), "").await;
    assert_eq!(shown["virtiofs0"], "data,cache=never");
    let answer = rig.ask(&put, ROOT, "virtiofs1=data,cache%3Dmuch").await;
    assert!(answer.body["errors"]["virtiofs1"].is_string(), "{answer:?}");

    // Rights on a name go with what had it.
    done(&rig, &format!("DELETE {DIRS}/data"), "").await;
    let form = "id=data&map=node%3Dn1,path%3D/srv/secret";
    done(&rig, &format!("POST {DIRS}"), form).await;
    assert!(names(&rig, JO).await.is_empty());
    let (status, _) = refused(&rig, &put, JO, wanted).await;
    assert_eq!(status, 403);
}

//! The daemons keep to the OpenAPI document: schemathesis calls every method with what it allows and
//! with what it does not, and looks at status, type and content of the answers.
//!
//! `BASALT_EXAMPLES` says how many calls are made up for each method, `BASALT_SEED` makes others.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use basalt_daemons::{Client, Gateway, Node, ROOT, programs, sample};
use basalt_image::build::paths;
use basalt_tests::python;
use serde_json::{Value, json};
use std::process::Command;

/// Calls for each method unless said otherwise.
const EXAMPLES: &str = "8";
const SEED: &str = "1";

/// Methods that are not called here, because they would reach out of the test.
const UNSAFE: &[(&str, &str)] = &[
    ("NodePower", "stops the host"),
    ("NodeTimePut", "changes the host's time zone"),
    ("PasswordSet", "changes the host's accounts"),
    ("StorageCreate", "makes folders anywhere"),
    ("StorageUpdate", "may switch the storage of the test off"),
    ("StorageDelete", "may forget the storage of the test"),
    ("UpdateInstall", "writes to the host's slots"),
    ("UpdateRollback", "changes what the host boots"),
    ("UpdateUpload", "writes updates"),
    ("UpdateConfigPut", "asks servers"),
    ("MetricServerCreate", "sends figures anywhere"),
    ("MetricServerUpdate", "sends figures anywhere"),
    ("NotifyTargetTest", "asks servers"),
    ("NodeDnsPut", "changes the host's name servers"),
    ("DomainSync", "asks directories"),
    ("AcmeTos", "asks authorities"),
    ("AcmeMetaGet", "asks authorities"),
    (
        "TicketCreate",
        "takes seconds on purpose when it is refused",
    ),
];

/// What there is of each parameter; the document alone leads to nothing but "does not exist".
async fn known(client: &mut Client) -> Value {
    let names = |data: Value, key: &str| -> Vec<Value> {
        let all = data.as_array().unwrap();
        all.iter().map(|one| one[key].clone()).collect()
    };
    let mut list = async |line: &str| client.call(line, "").await.unwrap().data().unwrap();
    let tasks = list("GET /nodes/n1/tasks?source=all").await;
    let volumes = list("GET /nodes/n1/storage/local/content").await;
    let interfaces = list("GET /nodes/n1/network").await;
    json!({
        "node": ["n1", "localhost"],
        "vmid": [100, 101],
        "storage": ["local"],
        "userid": ["ann@pve", "root@pam"],
        "tokenid": ["ci"],
        "groupid": ["staff"],
        "roleid": ["Starter", "PVEAuditor"],
        "realm": ["house", "pam"],
        "poolid": ["dev"],
        "service": ["basalt-node", "basalt-gateway"],
        "upid": names(tasks, "upid"),
        "volume": names(volumes, "volid"),
        "iface": names(interfaces, "iface"),
    })
}

/// The document, in which parameters of paths may also be what there is.
fn document(known: &Value) -> Value {
    let file = paths::workspace().join("services/api/openapi.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for (_, methods) in document["paths"].as_object_mut().unwrap() {
        for (_, method) in methods.as_object_mut().unwrap() {
            for parameter in method["parameters"].as_array_mut().unwrap() {
                let there = &known[parameter["name"].as_str().unwrap()];
                if parameter["in"] == "path" && there.as_array().is_some_and(|t| !t.is_empty()) {
                    let any = parameter["schema"].take();
                    parameter["schema"] = json!({ "anyOf": [{ "enum": there }, any] });
                }
            }
        }
    }
    document
}

#[tokio::test]
async fn the_daemons_keep_to_the_document() {
    let stored = sample::stored().unwrap();
    let node = Node::start_with(programs::node().unwrap(), stored).await;
    let node = node.unwrap();
    let program = programs::gateway().unwrap();
    let gateway = Gateway::start(program, node.socket()).await.unwrap();
    sample::make(&gateway).await.unwrap();
    let mut client = Client::connect(&gateway, ROOT).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let document = document(&known(&mut client).await);
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();

    let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.into());
    let url = format!("https://{}/api2/json", gateway.address());
    let mut command = Command::new(
        python::environment("schemathesis")
            .unwrap()
            .join("schemathesis"),
    );
    command
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_checks")
        .env("PYTHONPATH", python::file("."))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args([
            "run",
            "openapi.json",
            "--url",
            &url,
            "--tls-verify",
            "false",
        ])
        .args(["--header", ROOT.trim()])
        .args([
            "--checks",
            "status_code_conformance,content_type_conformance,response_schema_conformance,says_why",
        ])
        .args(["--phases", "coverage,fuzzing", "--mode", "all"])
        .args(["--max-examples", &setting("BASALT_EXAMPLES", EXAMPLES)])
        .args(["--seed", &setting("BASALT_SEED", SEED)])
        .args([
            "--generation-database",
            "none",
            "--suppress-health-check",
            "all",
        ])
        .args([
            "--continue-on-failure",
            "--no-color",
            "--request-timeout",
            "30",
        ]);
    for (method, _) in UNSAFE {
        command.args(["--exclude-operation-id", method]);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    println!("{said}");
    // Both are still those that were started; the connection of before was idle for too long.
    let mut client = Client::connect(&gateway, ROOT).await.unwrap();
    client
        .call("GET /version", "")
        .await
        .unwrap()
        .data()
        .unwrap();
}

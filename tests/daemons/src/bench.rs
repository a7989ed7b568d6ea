//! Measures the daemons with a thousand guests in the store, and writes `tests/daemons/README.md`.
//!
//! Everything runs on this machine: the daemons, the clients ([`load`]) and the service manager that
//! the node asks. Each figure is taken in several rounds; [`table`] makes the report of them.

mod load;
mod table;

use crate::{Client, Gateway, JO, Node, ROOT, programs};
use anyhow::{Context, Result, ensure};
use basalt_store::Transaction;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Guests in the store.
const GUESTS: u32 = 1000;
/// Every so-manieth is a container.
const CONTAINERS: u32 = 5;
const FIRST: u32 = 1000;
/// Calls for all resources in a second, and for how long.
const RATE: u32 = 200;
const RATE_TIME: Duration = Duration::from_secs(10);
/// Small calls are made on so many connections for so long.
const CONNECTIONS: usize = 16;
const SMALL_TIME: Duration = Duration::from_secs(5);
/// Where the results go, below the workspace.
const REPORT: &str = "tests/daemons/README.md";

/// What is measured, by its name in the report.
type Samples = BTreeMap<table::Figure, Vec<f64>>;

/// Measures in so many rounds.
pub async fn run(rounds: usize) -> Result<()> {
    ensure!(rounds > 0, "no rounds measure nothing");
    let mut samples = Samples::new();
    for round in 1..=rounds {
        measure(&mut samples).await?;
        eprintln!("round {round} of {rounds} is over");
    }
    let report = table::report(&samples, rounds);
    print!("{report}");
    if cfg!(debug_assertions) {
        eprintln!("not written down: this is a development build");
        return Ok(());
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let report_file = workspace
        .context("the crate is in no workspace")?
        .join(REPORT);
    std::fs::write(&report_file, report)
        .with_context(|| format!("cannot write {}", report_file.display()))
}

/// One round, with daemons of its own.
async fn measure(samples: &mut Samples) -> Result<()> {
    use table::Figure::*;
    let mut note = |figure, value| samples.entry(figure).or_default().push(value);
    let mut node = Node::start_with(programs::node()?, guests()?).await?;
    make_disks(&node)?;
    let gateway = Gateway::start(programs::gateway()?, node.socket()).await?;
    // The first start made keys and tables.
    node.kill()?;
    node.restart().await?;
    note(NodeStart, node.took().as_secs_f64() * 1e3);
    note(GatewayStart, gateway.took().as_secs_f64() * 1e3);
    let mut client = Client::connect(&gateway, ROOT).await?;
    client.call("GET /version", "").await?.data()?;
    note(NodeIdle, resident(node.id())?);
    note(GatewayIdle, resident(gateway.id())?);
    let acl = "path=/&users=jo%40pve&roles=PVEAuditor";
    client.call("PUT /access/acl", acl).await?.data()?;
    let ticket = ticket(&mut client).await?;

    let everything = client.call("GET /cluster/resources", "").await?.data()?;
    let seen = everything.as_array().map_or(0, Vec::len);
    ensure!(seen > GUESTS as usize, "only {seen} resources");
    for (figure, worst, login) in [
        (ResourcesRoot, None, ROOT),
        (ResourcesAuditor, Some(ResourcesWorst), JO),
    ] {
        let times = load::paced(&gateway, login, "GET /cluster/resources", RATE, RATE_TIME).await?;
        note(figure, times.percentile(99.0) * 1e3);
        if let Some(worst) = worst {
            note(ResourcesMedian, times.percentile(50.0) * 1e3);
            note(worst, times.percentile(100.0) * 1e3);
        }
    }
    for (figure, login) in [(SmallToken, JO), (SmallTicket, ticket.as_str())] {
        let calls = load::most(&gateway, login, "GET /version", CONNECTIONS, SMALL_TIME).await?;
        note(figure, calls);
    }
    note(NodeAfter, resident(node.id())?);
    note(GatewayAfter, resident(gateway.id())?);
    Ok(())
}

/// A thousand guests as they are stored.
fn guests() -> Result<Transaction> {
    let mut change = Transaction::new();
    for number in FIRST..FIRST + GUESTS {
        let record = match number % CONTAINERS {
            0 => container(number),
            _ => machine(number),
        };
        change = change.put(format!("guests/{number}"), &record)?;
    }
    Ok(change)
}

fn machine(number: u32) -> Value {
    json!({"kind": "qemu", "config": {
        "name": format!("machine-{number}"),
        "description": "one of many",
        "memory": "2048",
        "cores": 2,
        "ostype": "l26",
        "virtio0": format!("local:{number}/vm-{number}-disk-0.raw"),
        "net0": format!("virtio=02:00:00:00:{:02X}:{:02X},bridge=vmbr0", number >> 8, number & 255),
        "tags": "bench;many",
        "onboot": false,
    }})
}

fn container(number: u32) -> Value {
    json!({"kind": "lxc", "config": {
        "hostname": format!("container-{number}"),
        "memory": 512,
        "rootfs": format!("local:{number}/vm-{number}-disk-0.raw,size=8G"),
        "net0": format!("name=eth0,hwaddr=02:01:00:00:{:02X}:{:02X},bridge=vmbr0", number >> 8, number & 255),
        "tags": "bench",
    }})
}

/// Makes the guests' disks; they take no room.
fn make_disks(node: &Node) -> Result<()> {
    for number in FIRST..FIRST + GUESTS {
        let folder = node.path(&format!("vz/images/{number}"));
        std::fs::create_dir_all(&folder)?;
        let file = std::fs::File::create(folder.join(format!("vm-{number}-disk-0.raw")))?;
        file.set_len(8 << 30)?;
    }
    Ok(())
}

/// The login of a user by password.
async fn ticket(client: &mut Client) -> Result<String> {
    let user = "userid=ann%40pve&password=a+good+secret";
    client.call("POST /access/users", user).await?.data()?;
    let login = "username=ann%40pve&password=a+good+secret";
    let answer = client.call("POST /access/ticket", login).await?.data()?;
    let ticket = answer["ticket"].as_str().context("no ticket")?;
    let ticket = basalt_api::bag::encode(ticket);
    Ok(format!("Cookie: PVEAuthCookie={ticket}\r\n"))
}

/// Resident memory of a process in MiB.
fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("no VmRSS")? / 1024.0)
}

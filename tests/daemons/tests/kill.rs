//! `kill -9` of the gateway, of the node and of a store's writer under load: what was acknowledged
//! is there, and no task is lost without a reason.
//!
//! Each is killed ten times; `BASALT_KILLS` says how often else. The instants come from a seed that
//! is printed; `BASALT_SEED` repeats it.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod load;

use basalt_daemons::{Client, Gateway, Node, ROOT, programs, writer};
use basalt_store::{SqliteStore, Store, Transaction};
use load::{Ledger, Load};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// How often each is killed unless said otherwise.
const KILLS: usize = 10;
/// A kill comes after at most so many changes.
const MOST_CHANGES: usize = 60;

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Gateway,
    Node,
    /// The node, and again while it starts.
    NodeTwice,
    Both,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn kills() -> usize {
    number("BASALT_KILLS").map_or(KILLS, |n| n as usize)
}

fn chance() -> StdRng {
    let seed = number("BASALT_SEED").unwrap_or_else(rand::random);
    println!("BASALT_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Kills, starts again, and says what must hold after each time.
async fn survive(victims: &[Victim]) {
    let mut chance = chance();
    let guest = json!({"kind": "qemu", "config": {"memory": "64"}});
    let things = Transaction::new().put("guests/100", &guest).unwrap();
    let program = programs::node().unwrap();
    let mut node = Node::start_with(program, things).await.unwrap();
    let program = programs::gateway().unwrap();
    let mut gateway = Gateway::start(program, node.socket()).await.unwrap();
    let mut ledger = Ledger::default();
    for round in 0..kills() {
        let victim = victims[round % victims.len()];
        let changes = chance.gen_range(1..=MOST_CHANGES);
        println!("{round}: {victim:?} after {changes} changes");
        let load = Load::start(&gateway, ledger).await;
        load.after(changes).await;
        match victim {
            Victim::Gateway => gateway.kill().unwrap(),
            Victim::Node | Victim::NodeTwice => node.kill().unwrap(),
            Victim::Both => {
                gateway.kill().unwrap();
                node.kill().unwrap();
            }
        }
        ledger = load.end().await;
        match victim {
            Victim::Gateway => gateway.restart().await.unwrap(),
            Victim::Node => node.restart().await.unwrap(),
            Victim::NodeTwice => {
                node.restart_and_kill().await.unwrap();
                node.restart().await.unwrap();
            }
            Victim::Both => {
                node.restart().await.unwrap();
                gateway.restart().await.unwrap();
            }
        }
        let mut client = Client::connect(&gateway, ROOT).await.unwrap();
        ledger.check(&mut client).await;
    }
    println!("{}", ledger.summary());
}

#[tokio::test]
async fn the_node_loses_nothing() {
    survive(&[Victim::Node, Victim::NodeTwice]).await;
}

#[tokio::test]
async fn the_gateway_loses_nothing() {
    survive(&[Victim::Gateway, Victim::Gateway, Victim::Both]).await;
}

#[tokio::test]
async fn a_stores_writer_loses_nothing_and_leaves_nothing_half() {
    let mut chance = chance();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut known = [0; writer::WRITERS];
    for round in 0..kills() {
        let mut child = Command::new(env!("CARGO_BIN_EXE_basalt-daemons"))
            .arg("write")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let changes = chance.gen_range(1..=MOST_CHANGES);
        let mut note = |line: String| {
            let (writer, change) = line.split_once(' ').unwrap();
            known[writer.parse::<usize>().unwrap()] = change.parse::<u64>().unwrap();
        };
        for line in lines.by_ref().take(changes) {
            note(line.unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| note(line.unwrap()));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).unwrap());
        for (writer, acknowledged) in known.iter_mut().enumerate() {
            let [left, right] = writer::found(&store, writer).unwrap();
            assert_eq!(left, right, "round {round}: half of a change");
            // At most the change that was under way was done and not acknowledged.
            let range = *acknowledged..=*acknowledged + 1;
            assert!(range.contains(&left), "round {round}: {left}, {range:?}");
            *acknowledged = left;
        }
    }
    println!("{known:?} changes");
}

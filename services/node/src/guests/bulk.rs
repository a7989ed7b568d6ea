//! One order to many guests, as a task that gives each guest a task of its own.

use super::power::{Power, power};
use super::{Guest, suspend};
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::storage::StorageId;
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_tasks::{NewTask, Outcome, TaskContext};
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::time::Duration;

/// What each guest is told.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// Start, in the guests' order.
    Start,
    /// Shut down, in the reverse of their order.
    Shutdown {
        /// How long to wait for each.
        patience: Duration,
        /// Whether to stop it then.
        force: bool,
    },
    /// Stand still.
    Pause,
    /// Save the state and stop.
    Save,
}

impl Order {
    fn task(self) -> &'static str {
        match self {
            Self::Start => "startall",
            Self::Shutdown { .. } => "stopall",
            Self::Pause | Self::Save => "suspendall",
        }
    }
}

/// A guest that an order goes to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The guest.
    pub guest: Guest,
    /// Where its state is saved, when it is.
    pub storage: StorageId,
}

/// Gives an order to guests, `workers` at the same time. One that fails leaves a warning, and the
/// others go on.
pub fn bulk(
    node: &Node,
    user: &Authid,
    order: Order,
    targets: Vec<Target>,
    workers: usize,
) -> Result<Upid> {
    let task = NewTask {
        kind: order.task(),
        id: String::new(),
        user,
        lock: None,
    };
    let (work, user) = (node.clone(), user.clone());
    let spawned = node.tasks.spawn(task, |context| async move {
        for group in in_turn(order, targets) {
            let each = stream::iter(group).for_each_concurrent(workers, |target| {
                let (work, user, context) = (&work, &user, &context);
                async move {
                    let title = target.guest.title();
                    if let Err(error) = one(work, user, order, target, context).await {
                        context.warn(format_args!("{title}: {}", error.one_line()));
                    }
                }
            });
            each.await;
        }
        Ok::<_, Error>(())
    });
    spawned.map_err(Error::failed)
}

/// Guests whose turn comes together.
fn in_turn(order: Order, targets: Vec<Target>) -> Vec<Vec<Target>> {
    let mut turns = BTreeMap::<u32, Vec<Target>>::new();
    for target in targets {
        let turn = target.guest.record.config.startup().order;
        let turn = turn.unwrap_or(u32::MAX);
        turns.entry(turn).or_default().push(target);
    }
    let turns = turns.into_values();
    match order {
        Order::Start => turns.collect(),
        Order::Shutdown { .. } | Order::Pause | Order::Save => turns.rev().collect(),
    }
}

async fn one(
    node: &Node,
    user: &Authid,
    order: Order,
    target: Target,
    context: &TaskContext,
) -> Result<()> {
    let (kind, vmid) = (target.guest.kind(), target.guest.vmid);
    let runs = node.is_running(kind, vmid).await?;
    if context.is_cancelled() || runs == matches!(order, Order::Start) {
        return Ok(());
    }
    let upid = match order {
        Order::Start => power(node, user, kind, vmid, Power::Start).await?,
        Order::Pause => power(node, user, kind, vmid, Power::Suspend).await?,
        Order::Save => suspend::suspend(node, user, vmid, target.storage).await?,
        Order::Shutdown { patience, force } => {
            let patience = Some(patience);
            let shutdown = Power::Shutdown { patience, force };
            power(node, user, kind, vmid, shutdown).await?
        }
    };
    context.log(format_args!("{}: {upid}", target.guest.title()));
    match node.tasks.wait(&upid).await.map_err(Error::failed)? {
        Outcome::Failed(reason) => Err(Error::failed(reason)),
        Outcome::Ok | Outcome::Warnings(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::guest::GuestRecord;
    use basalt_model::vmid::Vmid;
    use serde_json::json;

    #[test]
    fn guests_come_up_in_their_order_and_go_down_the_other_way() {
        let target = |number: u32, startup: Option<&str>| {
            let config = json!({"kind": "qemu", "config": {"startup": startup.unwrap_or("up=1")}});
            let record: GuestRecord = serde_json::from_value(config).unwrap();
            Target {
                guest: Guest {
                    vmid: Vmid::new(number).unwrap(),
                    record,
                    digest: String::new(),
                },
                storage: StorageId::local(),
            }
        };
        let targets = vec![
            target(100, None),
            target(101, Some("order=2")),
            target(102, Some("order=1")),
            target(103, Some("order=2")),
        ];
        let numbers = |order| {
            let turns = in_turn(order, targets.clone()).into_iter();
            let turns = turns.map(|turn| turn.iter().map(|t| t.guest.vmid.get()).collect());
            turns.collect::<Vec<Vec<u32>>>()
        };
        assert_eq!(
            numbers(Order::Start),
            [vec![102], vec![101, 103], vec![100]]
        );
        assert_eq!(
            numbers(Order::Pause),
            [vec![100], vec![101, 103], vec![102]]
        );
    }
}

//! What every engine must do. Each engine's tests run [`run`] on an empty store of its own.

use crate::{Error, Expect, Store, Stored, Transaction};
use std::sync::Arc;

/// Runs every check on an empty store; panics where it does not conform.
pub async fn run(store: Arc<dyn Store>) {
    reads_what_was_written(&store).await;
    refuses_what_changed_meanwhile(&store).await;
    does_all_or_nothing(&store).await;
    tells_of_changes(&store).await;
    lists_by_prefix(&store).await;
    lets_one_of_many_win(&store).await;
    updates_lose_nothing(&store).await;
}

async fn put(store: &Arc<dyn Store>, key: &str, value: u32) -> u64 {
    let change = Transaction::new()
        .put(key, &value)
        .expect("a number is JSON"); // always is
    store
        .commit(change)
        .await
        .expect("an unguarded write is accepted") // the check itself
}

async fn reads_what_was_written(store: &Arc<dyn Store>) {
    assert_eq!(store.read::<u32>("a/1").ok().flatten(), None);
    let revision = put(store, "a/1", 7).await;
    assert_eq!(store.revision(), revision);
    let read = store.read::<u32>("a/1").ok().flatten();
    assert_eq!(read.map(|stored| stored.value), Some(7));
    assert!(matches!(
        store.read::<Vec<u32>>("a/1"),
        Err(Error::Value { .. })
    ));
    let gone = store
        .commit(Transaction::new().delete("a/1").delete("never"))
        .await;
    assert!(gone.is_ok() && store.get("a/1").is_none());
}

async fn refuses_what_changed_meanwhile(store: &Arc<dyn Store>) {
    put(store, "b", 1).await;
    let read: Option<Stored<u32>> = store.read("b").ok().flatten();
    put(store, "b", 2).await;
    let stale = Transaction::new()
        .expect("b", Expect::unchanged(&read))
        .delete("b");
    assert!(matches!(store.commit(stale).await, Err(Error::Conflict { key }) if key == "b"));
    for wrong in [Expect::Absent, Expect::Digest(String::new())] {
        let change = Transaction::new().expect("b", wrong).delete("b");
        assert!(store.commit(change).await.is_err());
    }
    let missing = Transaction::new()
        .expect("nothing", Expect::Present)
        .delete("b");
    assert!(store.commit(missing).await.is_err());
    assert_eq!(
        store.read::<u32>("b").ok().flatten().map(|s| s.value),
        Some(2)
    );
}

async fn does_all_or_nothing(store: &Arc<dyn Store>) {
    let before = store.revision();
    let change = Transaction::new()
        .delete("b")
        .expect("b", Expect::Absent)
        .put("c", &1)
        .expect("a number is JSON"); // always is
    assert!(store.commit(change).await.is_err());
    assert!(store.get("b").is_some() && store.get("c").is_none());
    assert_eq!(store.revision(), before);
}

async fn tells_of_changes(store: &Arc<dyn Store>) {
    let mut watch = store.watch();
    watch.mark_unchanged();
    let revision = put(store, "d", 1).await;
    assert!(watch.changed().await.is_ok());
    assert_eq!(*watch.borrow(), revision);
}

async fn lists_by_prefix(store: &Arc<dyn Store>) {
    for (key, value) in [("list/b", 2), ("list/a", 1), ("list0", 3), ("lis", 4)] {
        put(store, key, value).await;
    }
    let all = store.read_all::<u32>("list/").unwrap_or_default();
    let values: Vec<u32> = all.iter().map(|stored| stored.value).collect();
    assert_eq!(values, [1, 2]);
}

async fn lets_one_of_many_win(store: &Arc<dyn Store>) {
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..16_u32 {
        let store = Arc::clone(store);
        tries.spawn(async move {
            let change = Transaction::new()
                .expect("race", Expect::Absent)
                .put("race", &n);
            store
                .commit(change.expect("a number is JSON"))
                .await
                .is_ok() // always is
        });
    }
    let won = tries
        .join_all()
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(won, 1);
}

async fn updates_lose_nothing(store: &Arc<dyn Store>) {
    const EACH: u32 = 25;
    let count = async || {
        for _ in 0..EACH {
            let next = |before: Option<Stored<u32>>| Ok::<_, ()>(before.map_or(1, |b| b.value + 1));
            assert!(matches!(store.update("sum", next).await, Ok(Ok(()))));
        }
    };
    tokio::join!(count(), count(), count(), count());
    let sum = store.read::<u32>("sum").ok().flatten();
    assert_eq!(sum.map(|sum| sum.value), Some(4 * EACH));
    let refused = store
        .update("sum", |_: Option<Stored<u32>>| Err("no"))
        .await;
    assert!(matches!(refused, Ok(Err("no"))));
    let sum = store.read::<u32>("sum").ok().flatten();
    assert_eq!(sum.map(|sum| sum.value), Some(4 * EACH));
}

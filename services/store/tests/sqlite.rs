//! The SQLite engine: conformance, durability and what it says of a bad file.

use basalt_store::{Error, SqliteStore, Store, Transaction, conformance, export, import};
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

#[tokio::test]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run(Arc::new(
        SqliteStore::open(folder.path().join("store.db")).unwrap(),
    ))
    .await;
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..50 {
        let change = Transaction::new().put(format!("k/{n:02}"), &n).unwrap();
        store.commit(change).await.unwrap();
    }
    // A copy of the files while the store is open is what a power cut leaves behind.
    let copy = tempfile::tempdir().unwrap();
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let again: Arc<dyn Store> = Arc::new(SqliteStore::open(copy.path().join("store.db")).unwrap());
    assert_eq!(again.revision(), 50);
    assert_eq!(again.read_all::<u32>("k/").unwrap().len(), 50);
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8192]);
}

#[tokio::test]
async fn a_damaged_page_is_found_when_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..200 {
        let change = Transaction::new()
            .put(format!("k/{n}"), &"x".repeat(200))
            .unwrap();
        store.commit(change).await.unwrap();
    }
    drop(store);
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&[0xff; 3 * 4096]).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    store
        .commit(Transaction::new().put("a", &1).unwrap())
        .await
        .unwrap();
    drop(store);
    let limited = SqliteStore::open_limited(&path, 8).unwrap();
    let error = limited
        .commit(Transaction::new().put("b", &"x".repeat(1 << 20)).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Full), "{error}");
    assert!(limited.get("b").is_none() && limited.revision() == 1);
    limited
        .commit(Transaction::new().put("a", &2).unwrap())
        .await
        .unwrap();
    assert_eq!(limited.revision(), 2);
}

#[tokio::test]
async fn an_exported_configuration_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("store.db")).unwrap();
    let value = serde_json::json!({"b": [1, "ü"], "a": {"x": null, "y": 0.1}});
    let change = Transaction::new().put("guests/100", &value).unwrap();
    store.commit(change.put("n", &7).unwrap()).await.unwrap();
    let text = export(&store).unwrap();

    let other = SqliteStore::open(folder.path().join("other.db")).unwrap();
    let before = Transaction::new()
        .put("n", &1)
        .and_then(|c| c.put("gone", &1));
    other.commit(before.unwrap()).await.unwrap();
    for wrong in [
        "",
        "{}",
        r#"{"format": 0, "entries": {}}"#,
        r#"{"format": 99, "entries": {}}"#,
        r#"{"format": 1, "entries": {}, "more": 1}"#,
        &text[..text.len() - 1],
    ] {
        let refused = import(&other, wrong);
        assert!(matches!(refused, Err(Error::Import(_))), "{wrong}");
    }
    let change = import(&other, &text).unwrap();
    other.commit(change).await.unwrap();
    assert_eq!(other.list("").len(), 2);
    for key in ["guests/100", "n"] {
        let (one, two) = (store.get(key).unwrap(), other.get(key).unwrap());
        assert_eq!(one.digest(), two.digest(), "{key}");
    }
    assert_eq!(export(&other).unwrap(), text);
}

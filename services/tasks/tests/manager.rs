//! Tasks from start to end, over a restart, and what is refused.

use basalt_model::userid::{Authid, Userid};
use basalt_tasks::{Error, Filter, NewTask, Outcome, Source, TaskManager};
use std::time::Duration;
use tokio::sync::oneshot;

fn root() -> Authid {
    Userid::root().into()
}

fn new<'a>(kind: &'a str, id: &str, user: &'a Authid) -> NewTask<'a> {
    NewTask {
        kind,
        id: id.into(),
        user,
        lock: None,
    }
}

#[tokio::test]
async fn a_task_logs_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let user = root();
    let (go, wait) = oneshot::channel::<()>();
    let upid = tasks
        .spawn(new("qmstart", "100", &user), |ctx| async move {
            ctx.log("one\ntwo");
            ctx.progress(50);
            wait.await.map_err(|e| e.to_string())
        })
        .unwrap();
    assert!(tasks.get(&upid).unwrap().end.is_none());
    go.send(()).unwrap();
    assert_eq!(tasks.wait(&upid).await.unwrap(), Outcome::Ok);
    let log = tasks.log(&upid, 1, 50).await.unwrap();
    assert_eq!(
        (log.items, log.total),
        (vec!["two".to_owned(), "TASK OK".to_owned()], 3)
    );
    assert_eq!(tasks.list(&Filter::default(), 0, 50, |_| true).total, 1);
    assert_eq!(tasks.list(&Filter::default(), 0, 50, |_| false).total, 0);
}

#[tokio::test]
async fn an_id_cannot_break_out_of_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let user = root();
    let upid = tasks
        .spawn(new("imgdel", "local:iso/../x y", &user), |_| async {
            Ok::<(), String>(())
        })
        .unwrap();
    tasks.wait(&upid).await.unwrap();
    assert_eq!(upid.id, "local-iso-..-x-y");
    assert_eq!(upid.to_string().parse(), Ok(upid));
}

#[tokio::test]
async fn errors_warnings_and_panics_are_how_a_task_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let user = root();
    let failed = tasks
        .spawn(new("a", "", &user), |_| async { Err("no\nspace") })
        .unwrap();
    let warned = tasks
        .spawn(new("b", "", &user), |ctx| async move {
            ctx.warn("careful");
            Ok::<(), String>(())
        })
        .unwrap();
    let broke = tasks
        .spawn(new("c", "", &user), |_| async {
            assert!(folder_is_missing(), "broken");
            Ok::<(), String>(())
        })
        .unwrap();
    assert_eq!(
        tasks.wait(&failed).await.unwrap(),
        Outcome::Failed("no; space".into())
    );
    assert_eq!(tasks.wait(&warned).await.unwrap(), Outcome::Warnings(1));
    assert!(matches!(
        tasks.wait(&broke).await.unwrap(),
        Outcome::Failed(_)
    ));
    let errors = Filter {
        errors: true,
        source: Source::All,
        ..Filter::default()
    };
    assert_eq!(tasks.list(&errors, 0, 50, |_| true).total, 2);
}

fn folder_is_missing() -> bool {
    false
}

#[tokio::test]
async fn a_task_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let user = root();
    let upid = tasks
        .spawn(new("x", "", &user), |ctx| async move {
            ctx.unless_cancelled(std::future::pending::<()>()).await
        })
        .unwrap();
    tasks.stop(&upid).unwrap();
    assert_eq!(
        tasks.wait(&upid).await.unwrap(),
        Outcome::Failed("stopped by request".into())
    );
    tasks.stop(&upid).unwrap();
}

#[tokio::test]
async fn a_guest_is_held_by_one_task_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let user = root();
    let lock = Some(tasks.lock("VM 100", "start").unwrap());
    let (go, wait) = oneshot::channel::<()>();
    let task = NewTask {
        lock,
        ..new("qmstart", "100", &user)
    };
    let upid = tasks
        .spawn(task, |_| async { wait.await.map_err(|e| e.to_string()) })
        .unwrap();
    let refused = tasks.lock("VM 100", "stop").unwrap_err();
    assert_eq!(refused.to_string(), "VM 100 is locked (start)");
    let _other = tasks.lock("VM 101", "stop").unwrap();
    go.send(()).unwrap();
    tasks.wait(&upid).await.unwrap();
    let _again = tasks.lock("VM 100", "stop").unwrap();
}

#[tokio::test]
async fn short_work_is_waited_for_and_long_work_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let held = tasks.lock("VM 100", "template").unwrap();
    let refused = tasks.lock_within("VM 100", "config", Duration::from_millis(1));
    assert_eq!(
        refused.await.unwrap_err().to_string(),
        "VM 100 is locked (template)"
    );
    // Polled in this order: the one waits when the other lets go.
    let waiting = tasks.lock_within("VM 100", "config", Duration::from_secs(60));
    let (lock, ()) = tokio::join!(waiting, async { drop(held) });
    let _lock = lock.unwrap();
}

#[tokio::test]
async fn a_restart_ends_what_was_running_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let user = root();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let done = tasks
        .spawn(new("a", "", &user), |_| async { Ok::<(), String>(()) })
        .unwrap();
    tasks.wait(&done).await.unwrap();
    let lost = tasks
        .spawn(new("b", "", &user), |_| {
            std::future::pending::<Result<(), String>>()
        })
        .unwrap();
    let again = TaskManager::open("n1", folder.path()).unwrap();
    assert_eq!(again.wait(&done).await.unwrap(), Outcome::Ok);
    let outcome = again.wait(&lost).await.unwrap();
    assert!(outcome.to_string().contains("restarted"), "{outcome}");
    let log = again.log(&lost, 0, 50).await.unwrap();
    assert!(log.items[0].starts_with("TASK ERROR"));
    assert!(matches!(
        again.get(
            &"UPID:n1:00000001:00000001:00000001:x::root@pam:"
                .parse()
                .unwrap()
        ),
        Err(Error::NoSuchTask)
    ));
}

#[tokio::test]
async fn a_cut_off_index_line_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let user = root();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let done = tasks
        .spawn(new("a", "", &user), |_| async { Ok::<(), String>(()) })
        .unwrap();
    tasks.wait(&done).await.unwrap();
    let path = folder.path().join("index");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("UPID:n1:0000");
    std::fs::write(&path, text).unwrap();
    let again = TaskManager::open("n1", folder.path()).unwrap();
    assert_eq!(again.list(&Filter::default(), 0, 50, |_| true).total, 1);
    let more = again
        .spawn(new("c", "", &user), |_| async { Ok::<(), String>(()) })
        .unwrap();
    again.wait(&more).await.unwrap();
    let third = TaskManager::open("n1", folder.path()).unwrap();
    assert_eq!(third.list(&Filter::default(), 0, 50, |_| true).total, 2);
}

#[tokio::test]
async fn an_end_that_could_not_be_written_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let user = root();
    let tasks = TaskManager::open("n1", folder.path()).unwrap();
    let index = folder.path().join("index");
    // Nothing can be written to a directory.
    std::fs::create_dir(&index).unwrap();
    let run = || {
        tasks
            .spawn(new("a", "", &user), |_| async { Ok::<(), String>(()) })
            .unwrap()
    };
    let first = run();
    assert_eq!(tasks.wait(&first).await.unwrap(), Outcome::Ok);
    let again = TaskManager::open("n1", folder.path());
    assert!(matches!(again, Err(Error::Files { .. })));
    std::fs::remove_dir(&index).unwrap();
    let second = run();
    tasks.wait(&second).await.unwrap();
    let again = TaskManager::open("n1", folder.path()).unwrap();
    for upid in [first, second] {
        assert_eq!(again.wait(&upid).await.unwrap(), Outcome::Ok);
    }
}

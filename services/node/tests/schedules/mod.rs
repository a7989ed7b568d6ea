//! Jobs that the node does by itself at certain times.

use crate::notifications::Listener;
use crate::rig::{JO, ROOT, Rig};
use serde_json::{Value, json};

/// A realm whose directory nobody answers for.
async fn realm(rig: &Rig) {
    let form = "realm=corp&type=ldap&server1=127.0.0.1&port=1&base_dn=dc%3Dexample&user_attr=uid";
    rig.ask("POST /access/domains", ROOT, form).await.data();
}

#[tokio::test]
async fn jobs_are_set_and_kept() {
    let mut rig = Rig::start().await;
    realm(&rig).await;
    let post = "POST /cluster/jobs/realm-sync/nightly";
    let form = "realm=corp&schedule=mon..fri+22:30&scope=both&comment=lab";
    rig.ask(post, ROOT, form).await.data();
    let again = rig.ask(post, ROOT, form).await;
    assert!(again.line.contains("already exists"), "{again:?}");
    rig.crash().await;
    let list = rig.ask("GET /cluster/jobs/realm-sync", ROOT, "").await;
    let job = &list.data()[0];
    assert_eq!(job["schedule"], "mon..fri 22:30");
    assert_eq!(
        (&job["enabled"], &job["last-run"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(job["next-run"].as_u64().unwrap() % 60, 0);
    let put = "PUT /cluster/jobs/realm-sync/nightly";
    let change = "enabled=0&schedule=daily&delete=comment";
    rig.ask(put, ROOT, change).await.data();
    let get = "GET /cluster/jobs/realm-sync/nightly";
    let shown = rig.ask(get, ROOT, "").await.data().clone();
    let expected = json!({"id": "nightly", "realm": "corp", "schedule": "daily", "enabled": 0,
        "scope": "both"});
    assert_eq!(shown, expected);
    let list = rig.ask("GET /cluster/jobs/realm-sync", ROOT, "").await;
    assert!(list.data()[0]["next-run"].is_null(), "{list:?}");
    // Whoever may change users may not let other realms' users in.
    let role = "roleid=Users&privs=User.Modify";
    rig.ask("POST /access/roles", ROOT, role).await.data();
    let acl = "path=/access/groups&users=jo%40pve&roles=Users";
    rig.ask("PUT /access/acl", ROOT, acl).await.data();
    let denied = rig.ask(put, JO, "enabled=1").await;
    assert_eq!(denied.status(), 403, "{denied:?}");
    for (line, form, name) in [
        (post, "realm=pam&schedule=daily&scope=both", "realm"),
        (post, "realm=corp&schedule=often&scope=both", "schedule"),
        (
            post,
            "realm=corp&schedule=daily&remove-vanished=x",
            "remove-vanished",
        ),
        (put, "delete=schedule", "delete"),
        (put, "delete=scope", "scope"),
    ] {
        let answer = rig.ask(line, ROOT, form).await;
        assert_eq!(answer.status(), 400, "{form}: {answer:?}");
        assert!(
            answer.body["errors"][name].is_string(),
            "{name}: {answer:?}"
        );
    }
    assert_eq!(*rig.ask(get, ROOT, "").await.data(), expected);
    let delete = "DELETE /cluster/jobs/realm-sync/nightly";
    rig.ask(delete, ROOT, "").await.data();
    let gone = rig.ask(delete, ROOT, "").await;
    assert!(gone.line.contains("does not exist"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_at_its_time_and_a_failure_is_told_of() {
    let rig = Rig::start().await;
    realm(&rig).await;
    let listener = Listener::start();
    listener.subscribe(&rig).await;
    let post = "POST /cluster/jobs/realm-sync/often";
    // Every second.
    let form = "realm=corp&schedule=*:*:*&scope=both";
    rig.ask(post, ROOT, form).await.data();
    let title = "n1: the realm corp was not synchronised";
    assert_eq!(listener.title().await, title);
    let list = rig.ask("GET /cluster/jobs/realm-sync", ROOT, "").await;
    assert!(list.data()[0]["last-run"].is_u64(), "{list:?}");
    let tasks = rig
        .ask("GET /nodes/n1/tasks?typefilter=auth-realm-sync", ROOT, "")
        .await;
    assert_eq!(tasks.data()[0]["user"], "root@pam");
    let values = rig
        .ask("GET /cluster/notifications/matcher-field-values", ROOT, "")
        .await;
    let job = json!({"field": "job-id", "value": "often"});
    assert!(
        values.data().as_array().unwrap().contains(&job),
        "{values:?}"
    );
}

#[tokio::test]
async fn a_schedule_is_told_in_advance() {
    let rig = Rig::start().await;
    let query = "schedule=*-*-1+0/30&starttime=1800000000&iterations=3";
    let line = format!("GET /cluster/jobs/schedule-analyze?{query}");
    let shown = rig
        .ask(&line, JO, "")
        .await
        .data()
        .as_array()
        .unwrap()
        .clone();
    let times: Vec<u64> = shown
        .iter()
        .map(|one| one["timestamp"].as_u64().unwrap())
        .collect();
    assert_eq!(times.len(), 3);
    assert!(
        times
            .iter()
            .all(|time| time % 1800 == 0 && *time > 1_800_000_000)
    );
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
    // In universal time it may still be the day before.
    let utc = shown[0]["utc"].as_str().unwrap();
    assert!(
        ["Sun 2027-01-31", "Mon 2027-02-01"].contains(&&utc[..14]),
        "{utc}"
    );
    let line = format!(
        "GET /cluster/jobs/schedule-analyze?schedule=daily&starttime={}",
        u64::MAX
    );
    assert_eq!(*rig.ask(&line, JO, "").await.data(), json!([]));
    let line = "GET /cluster/jobs/schedule-analyze?schedule=never";
    let wrong = rig.ask(line, JO, "").await;
    assert!(wrong.body["errors"]["schedule"].is_string(), "{wrong:?}");
}

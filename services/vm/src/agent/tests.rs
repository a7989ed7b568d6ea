use super::*;
use std::path::PathBuf;
use tokio::net::UnixListener;

/// An agent that answers each line it hears with what `answer` makes of it.
fn agent(answer: impl Fn(&Value) -> Vec<u8> + Send + 'static) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        loop {
            let mut heard = Vec::new();
            if stream.read_until(b'\n', &mut heard).await.unwrap() == 0 {
                return;
            }
            let start = heard
                .iter()
                .rposition(|b| *b == SENTINEL)
                .map_or(0, |i| i + 1);
            let heard: Value = serde_json::from_slice(&heard[start..]).unwrap();
            let said = match heard["execute"].as_str() {
                Some("guest-sync-delimited") => {
                    // What is left of an earlier conversation comes first.
                    let mut said = b"\"half an old answer\"}\n\xff{\"return\": 1}\n\xff".to_vec();
                    let id = &heard["arguments"]["id"];
                    said.extend(format!("{{\"return\": {id}}}\n").bytes());
                    said
                }
                _ => answer(&heard),
            };
            if stream.get_mut().write_all(&said).await.is_err() {
                return;
            }
        }
    });
    (directory, path)
}

fn says(answer: &'static str) -> impl Fn(&Value) -> Vec<u8> + Send + 'static {
    move |_| format!("{answer}\n").into_bytes()
}

#[tokio::test]
async fn answers_are_told_apart_from_what_was_left() {
    let (_directory, path) = agent(says(r#"{"return": {"host-name": "guest"}}"#));
    let mut agent = Agent::connect(&path).await.unwrap();
    let answer = agent.ask(Question::HOST_NAME).await.unwrap();
    assert_eq!(answer, json!({"host-name": "guest"}));
}

#[tokio::test]
async fn refusals_are_short_and_printable() {
    let answer = json!({"error": {"class": "GenericError", "desc": "no\u{1b}[31m ".repeat(400)}});
    let (_directory, path) = agent(move |_| format!("{answer}\n").into_bytes());
    let mut agent = Agent::connect(&path).await.unwrap();
    let error = agent.ask(Question::PING).await.unwrap_err().to_string();
    assert!(error.starts_with("guest agent: no[31m no"), "{error}");
    assert!(error.len() < 600 && !error.contains('\u{1b}'), "{error}");
}

#[tokio::test]
async fn nonsense_and_floods_are_refused() {
    for answer in ["[]", "{}", "not json", r#"{"return""#] {
        let (_directory, path) = agent(says(answer));
        let mut agent = Agent::connect(&path).await.unwrap();
        let error = agent.ask(Question::PING).await.unwrap_err();
        assert!(matches!(error, AgentError::Nonsense { .. }), "{error}");
    }
    let (_directory, path) = agent(|_| vec![b'x'; USUAL_ANSWER + 2]);
    let mut agent = Agent::connect(&path).await.unwrap();
    let error = agent.ask(Question::PING).await.unwrap_err().to_string();
    assert!(error.contains("longer than"), "{error}");
}

#[tokio::test]
async fn a_guest_that_leaves_need_not_say_so() {
    let (_directory, path) = agent(|_| Vec::new());
    let mut leaving = Agent::connect(&path).await.unwrap();
    leaving.dismiss(Farewell::Shutdown).await.unwrap();
    let (_directory, path) = agent(says(r#"{"error": {"desc": "not supported"}}"#));
    let mut staying = Agent::connect(&path).await.unwrap();
    let error = staying.dismiss(Farewell::SuspendRam).await.unwrap_err();
    assert_eq!(error.to_string(), "guest agent: not supported");
}

#[tokio::test]
async fn files_are_read_in_parts_and_programs_tell_their_output() {
    let (_directory, path) = agent(|heard| {
        let result = match heard["execute"].as_str().unwrap() {
            "guest-file-open" => json!(1000),
            "guest-file-read" if heard["arguments"]["count"] == 5 => {
                json!({"count": 3, "buf-b64": "YWJj", "eof": false})
            }
            "guest-file-read" => json!({"count": 2, "buf-b64": "ZGU=", "eof": false}),
            "guest-exec-status" => json!({"exited": true, "exitcode": 3, "out-data": "YWJj"}),
            _ => json!({}),
        };
        format!("{}\n", json!({"return": result})).into_bytes()
    });
    let mut agent = Agent::connect(&path).await.unwrap();
    let content = agent.read_file("/etc/hostname", 0, 5).await.unwrap();
    assert_eq!(content.bytes, b"abcde");
    assert!(content.truncated);
    let finished = agent.executed(7).await.unwrap();
    assert_eq!(finished.output().unwrap().as_deref(), Some("abc"));
    assert_eq!(finished.exitcode, Some(3));
}

#[tokio::test]
async fn a_file_of_more_bytes_than_asked_for_is_refused() {
    let (_directory, path) = agent(|heard| {
        let result = match heard["execute"].as_str().unwrap() {
            "guest-file-read" => json!({"count": 3, "buf-b64": "YWJj", "eof": false}),
            _ => json!({}),
        };
        format!("{}\n", json!({"return": result})).into_bytes()
    });
    let mut agent = Agent::connect(&path).await.unwrap();
    let error = agent.read_file("/x", 0, 2).await.unwrap_err();
    assert!(matches!(error, AgentError::Nonsense { .. }), "{error}");
}

use super::*;

/// What could come next, without anybody to ask.
fn words(line: &str) -> Vec<String> {
    let client = Client::new("/nonexistent/node.sock".into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let found = runtime.block_on(next(&client, &line::split(line)));
    found.into_iter().map(|found| found.word).collect()
}

#[test]
fn nouns_and_verbs_are_offered() {
    assert!(words("basalt ").contains(&"vm".to_owned()));
    assert_eq!(words("basalt v"), ["version", "vm", "volume"]);
    assert!(words("basalt vm st").contains(&"start".to_owned()));
    assert!(words("qm li").contains(&"list".to_owned()));
    assert!(
        !words("qm ").contains(&"monitor".to_owned()),
        "a method that is not there"
    );
    assert!(!words("basalt ").contains(&"complete".to_owned()));
}

#[test]
fn options_and_their_words_are_offered() {
    assert!(words("qm set 100 --mem").contains(&"--memory".to_owned()));
    assert!(words("pct set 100 --onboot ").contains(&"1".to_owned()));
    assert_eq!(
        words("basalt --output-format=js"),
        ["--output-format=json", "--output-format=json-pretty"]
    );
    assert!(words("basalt completion ").contains(&"zsh".to_owned()));
}

#[test]
fn values_that_nobody_knows_are_none() {
    assert!(words("qm start ").is_empty());
    assert!(words("qm set 100 --name ").is_empty());
    assert!(words("rm ").is_empty());
}

#[test]
fn paths_are_completed_a_level_at_a_time() {
    assert!(words("pvesh get /").contains(&"/version".to_owned()));
    assert_eq!(words("pvesh get /acc"), ["/access/"]);
    assert!(words("basalt api get /access/").contains(&"/access/users/".to_owned()));
}

#[test]
fn files_are_left_to_the_shell() {
    assert_eq!(words("basalt storage upload local "), [FILES]);
}

//! Completion in real shells, with a node that has two guests. A shell that the host has not is left
//! out; the tests of the whole image install them.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

const GUESTS: &str = r#"{"data":[
    {"vmid":100,"type":"qemu","name":"web","status":"running"},
    {"vmid":101,"type":"lxc","name":"db","status":"stopped"}]}"#;
const NOTHING: &str = r#"{"data":[]}"#;

/// A node that answers what guests there are, and the folder in which `basalt` has all its names.
struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["basalt", "qm", "pct", "pvesh"] {
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_basalt"), link).unwrap();
        }
        let listener = UnixListener::bind(folder.path().join("node.sock")).unwrap();
        std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
        Self { folder }
    }

    fn script(&self, shell: &str) -> PathBuf {
        let script = Command::new(env!("CARGO_BIN_EXE_basalt"))
            .args(["completion", shell])
            .output()
            .unwrap();
        assert!(script.status.success());
        let file = self.folder.path().join(format!("_basalt.{shell}"));
        std::fs::write(&file, script.stdout).unwrap();
        file
    }

    /// What a shell prints; none when the host has no such shell.
    fn run(&self, shell: &str, options: &[&str], line: &str) -> Option<Vec<String>> {
        let path = std::env::var("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).any(|dir| dir.join(shell).is_file());
        if !there {
            eprintln!("this host has no {shell}: left out");
            return None;
        }
        let output = Command::new(shell)
            .args(options)
            .args(["-c", line])
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("BASALT_SOCKET", self.folder.path().join("node.sock"))
            .env("HOME", self.folder.path())
            .env("TERM", "dumb")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{shell}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        Some(text.lines().map(str::to_owned).collect())
    }
}

fn answer(stream: UnixStream) {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    let mut line = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
    }
    let body = if first.contains("/cluster/resources") {
        GUESTS
    } else {
        NOTHING
    };
    let mut stream = &stream;
    let _gone = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn bash(rig: &Rig, script: &Path, line: &str) -> Option<Vec<String>> {
    let words: Vec<&str> = line.split(' ').collect();
    let last = words.len() - 1;
    rig.run(
        "bash",
        &["--norc"],
        &format!(
            "source {}; COMP_WORDBREAKS=$' \\t\\n\"><=;|&(:'; COMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({}'') COMP_CWORD={last}; \
             _basalt; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            line.len(),
            words.join(" "),
        ),
    )
}

#[test]
fn bash_completes_guests_verbs_and_paths() {
    let rig = Rig::new();
    let script = rig.script("bash");
    let Some(found) = bash(&rig, &script, "qm start ") else {
        return;
    };
    assert_eq!(found, ["100"]);
    assert_eq!(bash(&rig, &script, "pct start ").unwrap(), ["101"]);
    assert_eq!(
        bash(&rig, &script, "basalt vm sta").unwrap(),
        ["start", "status"]
    );
    assert_eq!(bash(&rig, &script, "pvesh get /acc").unwrap(), ["/access/"]);
    // What stands before a break of the word stays.
    let formats = bash(&rig, &script, "qm list --output-format=y").unwrap();
    assert_eq!(formats, ["yaml"]);
}

#[test]
fn zsh_completes_guests_with_their_names() {
    let rig = Rig::new();
    let script = rig.script("zsh");
    let zsh = |words: &str, current: usize| {
        // What completion would show, printed: both are there only while the line is edited.
        let line = format!(
            "autoload -Uz compinit; compinit -u -D; source {}; \
             _describe() {{ print -l -- \"${{(@P)4}}\" }}; compadd() {{ print -l -- \"${{@[4,-1]}}\" }}; \
             words=({words}); CURRENT={current}; _basalt",
            script.display()
        );
        rig.run("zsh", &["-f"], &line)
    };
    let Some(found) = zsh("qm start ''", 3) else {
        return;
    };
    assert_eq!(found, ["100:web"]);
    let found = zsh("pvesh get /acc", 3).unwrap();
    assert_eq!(found, ["/access/"]);
}

#[test]
fn fish_completes_guests_with_their_names() {
    let rig = Rig::new();
    let script = rig.script("fish");
    let fish = |line: &str| {
        let line = format!("source {}; complete -C '{line}'", script.display());
        rig.run("fish", &["--no-config"], &line)
    };
    let Some(found) = fish("pct start ") else {
        return;
    };
    assert_eq!(found, ["101\tdb"]);
    let verbs = fish("basalt vm sta").unwrap();
    assert!(
        verbs.iter().any(|verb| verb.starts_with("start\t")),
        "{verbs:?}"
    );
}

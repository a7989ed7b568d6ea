//! A hook program as an administrator would write one: it changes a zone, which is a file.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The plugin's data comes on standard input, what is to be done as arguments.
const PROGRAM: &str = r#"#!/bin/sh
set -eu
while IFS='=' read -r key value; do
    [ "$key" = ZONE ] && zone=$value
done
case $1 in
    add) echo "$2 $3" >> "$zone" ;;
    remove) grep -vxF "$2 $3" "$zone" > "$zone.new" || true; mv "$zone.new" "$zone" ;;
    *) exit 2 ;;
esac
"#;

pub struct Hook {
    folder: tempfile::TempDir,
}

impl Hook {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("zonefile");
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
        Self { folder }
    }

    pub fn zone(&self) -> PathBuf {
        self.folder.path().join("zone")
    }

    pub fn run(&self, what: &str, name: &str, value: &str) -> Result<(), String> {
        // By the shell: a file just written may still be open for writing in a child of another test.
        let mut child = Command::new("/bin/sh")
            .arg(self.folder.path().join("zonefile"))
            .args([what, name, value])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let data = format!("ZONE={}\n", self.zone().display());
        child
            .stdin
            .take()
            .unwrap()
            .write_all(data.as_bytes())
            .unwrap();
        match child.wait().unwrap() {
            status if status.success() => Ok(()),
            status => Err(status.to_string()),
        }
    }
}

//! Hooks: programs of the administrator that set and remove records in DNS.
//!
//! The image is read-only, so they lie on the data partition, in `/var/lib/basalt/acme/hooks`, and
//! belong to root alone. A hook is called as `NAME add RECORD TEXT` and `NAME remove RECORD TEXT`,
//! where RECORD is the whole name of a TXT record; there may be several with one name. What the
//! plugin's `data` says is its standard input, never an argument, which everybody could read. What
//! it prints goes into the task's log. It ends with 0 when the record is set or gone.
//!
//! Each call is a unit of its own: without rights, with nothing to write to but a folder for the
//! moment, and with a deadline.

use super::plugins::Dns;
use crate::program::{Program, words};
use basalt_unit::{Property, Units};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a hook sees the folder of hooks: the real one is closed to everybody but root.
const SEEN: &str = "/run/basalt/acme-hooks";
/// Who hooks run as; owns nothing.
const USER: &str = "basalt-acme";
/// A hook may take so long.
const DEADLINE: Duration = Duration::from_secs(120);
/// So much of what a hook prints is told.
const LONGEST_TEXT: u64 = 8 << 10;

/// What a hook is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set a record.
    Add,
    /// Remove it.
    Remove,
}

/// A call of a hook.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// What to do.
    pub action: Action,
    /// Whole name of the record.
    pub record: &'a str,
    /// Its text.
    pub text: &'a str,
}

fn folder(state: &Path) -> PathBuf {
    super::folder(state).join("hooks")
}

/// Whether a hook could have this name.
pub fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && !text.starts_with('.') && text.bytes().all(good)
}

/// Names of the hooks that are there and can be used.
pub fn list(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder(state)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| check(state, name).is_ok()).collect();
    names.sort();
    names
}

/// Refuses a hook that is not there, or that somebody else than root could change.
pub fn check(state: &Path, name: &str) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!("'{name}' is no name of a hook"));
    }
    let folder = folder(state);
    for (path, is_program) in [(folder.clone(), false), (folder.join(name), true)] {
        let refused = |why: &str| format!("hook {}: {why}", path.display());
        let found = fs::symlink_metadata(&path).map_err(|error| refused(&error.to_string()))?;
        match is_program {
            true if !found.is_file() => return Err(refused("is no ordinary file")),
            false if !found.is_dir() => return Err(refused("is no folder")),
            _ => {}
        }
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
            return Err(refused(
                "must belong to root, and nobody else may change it",
            ));
        }
        if found.mode() & 0o555 != 0o555 {
            return Err(refused("must be executable for everybody (chmod 0755)"));
        }
    }
    Ok(())
}

/// Calls a hook and waits for its end; answers what it printed. When this is dropped, the hook
/// still comes to its end or to its deadline.
pub async fn run(
    units: &Units,
    state: &Path,
    plugin: &Dns,
    order: Order<'_>,
) -> Result<Vec<String>, String> {
    check(state, &plugin.api)?;
    let name = &plugin.api;
    let ran = program(state, plugin, order).run(units, LONGEST_TEXT).await;
    let (done, printed) = ran.map_err(|error| format!("hook {name}: {error}"))?;
    let printed = lines(&printed);
    match done {
        Ok(()) => Ok(printed),
        Err(error) => {
            let last = printed.last().map_or("it printed nothing", String::as_str);
            Err(format!("hook {name}: {error}: {last}"))
        }
    }
}

/// A call as a program.
fn program<'a>(state: &Path, plugin: &'a Dns, order: Order<'_>) -> Program<'a> {
    let action = match order.action {
        Action::Add => "add",
        Action::Remove => "remove",
    };
    Program {
        name: "basalt-acme-hook",
        description: format!("ACME hook {}: {action} a record", plugin.api),
        executable: Path::new(SEEN).join(&plugin.api),
        arguments: words(&[action, order.record, order.text]),
        user: Some(USER),
        input: &plugin.data,
        deadline: DEADLINE,
        rights: rights(state),
    }
}

/// It talks to others, and sees the hooks.
fn rights(state: &Path) -> Vec<Property> {
    let families = words(&["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]);
    let hooks = folder(state).to_string_lossy().into_owned();
    let seen = vec![(hooks, SEEN.to_owned(), false, 0_u64)];
    vec![
        Property::new("CapabilityBoundingSet", 0_u64),
        Property::new("RestrictAddressFamilies", (true, families)),
        Property::new("BindReadOnlyPaths", seen),
        Property::new("PrivateDevices", true),
    ]
}

/// The lines that a hook printed.
fn lines(printed: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(printed);
    let plain = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let lines = text.lines().map(plain).filter(|line| !line.is_empty());
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_what_nobody_else_can_change_is_called() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert!(list(state).is_empty());
        fs::create_dir_all(folder(state)).unwrap();
        mode(&folder(state), 0o755);
        for (name, bits) in [("good", 0o755), ("open", 0o777), ("text", 0o644)] {
            let path = folder(state).join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            mode(&path, bits);
        }
        fs::create_dir(folder(state).join("folder")).unwrap();
        std::os::unix::fs::symlink("good", folder(state).join("link")).unwrap();
        assert_eq!(list(state), ["good"]);
        for bad in [
            "open",
            "text",
            "folder",
            "link",
            "none",
            "../hooks/good",
            "",
        ] {
            assert!(check(state, bad).is_err(), "{bad}");
        }
        mode(&folder(state), 0o777);
        assert!(check(state, "good").is_err());
    }

    #[test]
    fn what_a_hook_is_given_is_no_argument() {
        let plugin = Dns {
            api: "zone".to_owned(),
            data: b"TOKEN=secret\n".to_vec().into(),
            delay: Duration::ZERO,
        };
        let order = Order {
            action: Action::Add,
            record: "_acme-challenge.a.example",
            text: "digest",
        };
        let state = Path::new("/var/lib/basalt");
        let (spec, mut output) = program(state, &plugin, order).prepare().unwrap();
        assert_eq!(
            spec.arguments,
            ["add", "_acme-challenge.a.example", "digest"]
        );
        let mut input = String::new();
        File::from(spec.stdin).read_to_string(&mut input).unwrap();
        assert_eq!(input, "TOKEN=secret\n");
        output.write_all(b"one\n\n\x1b[1mtwo\n").unwrap();
        let printed = program::read(&mut output, LONGEST_TEXT).unwrap();
        assert_eq!(lines(&printed), ["one", "[1mtwo"]);
    }
}

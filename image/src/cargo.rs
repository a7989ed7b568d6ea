//! Calling cargo from a program that cargo has started.
//!
//! `cargo run` tells the program about its package in environment variables. Handed on to another cargo,
//! they look like a changed environment to build scripts that read them (ring's does), and everything
//! above such a crate would be compiled again by turns.

use std::ffi::OsStr;
use std::process::Command;

/// Variables that describe the package that runs.
const SET_BY_CARGO: [&str; 6] = [
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];
/// Begins the names of more of them.
const PACKAGE: &str = "CARGO_PKG_";

/// Cargo as it would be called from a shell.
pub fn command() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| describes_package(name)) {
        command.env_remove(name);
    }
    command
}

fn describes_package(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| SET_BY_CARGO.contains(&name) || name.starts_with(PACKAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_running_package_is_handed_on() {
        // Cargo and nextest set these for tests as well.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let command = command();
        let kept = |name: &str| {
            !command
                .get_envs()
                .any(|(n, value)| n == name && value.is_none())
        };
        assert!(!kept("CARGO_MANIFEST_DIR") && !kept("CARGO_PKG_NAME"));
        assert!(kept("PATH") && kept("CARGO_TARGET_DIR"));
    }
}

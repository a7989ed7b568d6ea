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
    use std::collections::BTreeSet;

    /// The dependencies of the workspace along edges of these kinds, each with its features.
    fn dependencies(kinds: &str) -> BTreeSet<String> {
        let output = command()
            .current_dir(crate::build::paths::workspace())
            .args(["tree", "--workspace", "--locked", "--quiet", "--no-dedupe"])
            .args(["--prefix=none", "--format={p} {f}", "--edges", kinds])
            .output()
            .expect("cargo runs");
        let text = String::from_utf8(output.stdout).expect("names");
        assert!(output.status.success() && text.contains("basalt-node"));
        text.lines().map(str::to_owned).collect()
    }

    /// Else everything above such a dependency is compiled twice: for the tests, and for the image.
    #[test]
    fn tests_ask_no_dependency_of_the_product_for_more_features() {
        let product = dependencies("normal,build");
        let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let known: BTreeSet<String> = product.iter().map(|line| name(line)).collect();
        let changed: Vec<String> = dependencies("normal,build,dev")
            .into_iter()
            .filter(|line| known.contains(&name(line)) && !product.contains(line))
            .collect();
        assert_eq!(changed, Vec::<String>::new());
    }

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

//! The compiler: which version a release is made with.
//!
//! The pin stands in `toolchain.toml` and not in a `rust-toolchain.toml`, which would make rustup
//! refuse machines that have the right compiler under another name and cannot download.

use super::Variant;
use super::command::{self, step};
use super::error::{At, Error, Result};
use super::paths::Paths;
use serde::Deserialize;
use std::fs;
use std::process::Command;

/// The pin's file name under `image/`.
const PIN: &str = "toolchain.toml";

/// What `toolchain.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    rust: String,
}

/// Checks the compiler that cargo will call: a release needs the pinned one, a development image
/// gets a remark when it is another.
pub(super) fn check(paths: &Paths, variant: Variant) -> Result<()> {
    let file = paths.image().join(PIN);
    let text = fs::read_to_string(&file).at("read", &file)?;
    let pin: Pin = toml::from_str(&text)
        .map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = command::output(
        Command::new(rustc)
            .current_dir(&paths.workspace)
            .arg("--version"),
    )?;
    judge(&pin.rust, &said, variant).map(|remark| {
        if let Some(remark) = remark {
            step(&remark);
        }
    })
}

/// What to say about a compiler that calls itself `said`; an error when it must not be used.
fn judge(pinned: &str, said: &str, variant: Variant) -> Result<Option<String>> {
    let found = said
        .split_whitespace()
        .nth(1)
        .unwrap_or("of unknown version");
    if found == pinned {
        return Ok(None);
    }
    match variant {
        Variant::Development => Ok(Some(format!(
            "compiling with Rust {found}; releases are made with {pinned}, which gives other bits"
        ))),
        Variant::Release => Err(Error::Toolchain {
            found: found.to_owned(),
            pinned: pinned.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_needs_the_pinned_compiler_and_a_development_image_only_mentions_it() {
        let said = "rustc 1.96.1 (abc 2026-06-01)\n";
        let error = judge("1.95.0", said, Variant::Release).expect_err("another version");
        let text = error.to_string();
        assert!(text.contains("1.96.1") && text.contains("rustup toolchain install 1.95.0"));
        let remark = judge("1.95.0", said, Variant::Development).expect("allowed");
        assert!(remark.is_some_and(|remark| remark.contains("1.96.1")));
        let same = judge("1.96.1", said, Variant::Release).expect("the pinned one");
        assert_eq!(same, None);
    }
}

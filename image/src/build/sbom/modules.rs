//! The npm modules that may be bundled into the web interface: all but those of development.

use super::super::error::{At, Result};
use super::super::programs::MODULES;
use super::{Component, Source, invalid, texts_in};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// `package-lock.json`, version 3: modules by their folder.
#[derive(Debug, Deserialize)]
struct Lock {
    packages: BTreeMap<String, Module>,
}

#[derive(Debug, Deserialize)]
struct Module {
    version: Option<String>,
    license: Option<String>,
    integrity: Option<String>,
    #[serde(default)]
    dev: bool,
}

/// The modules in the lock file of `web`, with the texts that npm has unpacked.
pub(super) fn bundled(web: &Path) -> Result<Vec<Component>> {
    let path = web.join("package-lock.json");
    let text = fs::read_to_string(&path).at("read", &path)?;
    let lock: Lock = serde_json::from_str(&text)
        .map_err(|error| invalid(&format!("{}: {error}", path.display())))?;
    let mut components = Vec::new();
    for (folder, module) in lock.packages {
        let Some((_, name)) = folder.rsplit_once(&format!("{MODULES}/")) else {
            continue; // the interface itself
        };
        let Some(version) = module.version.filter(|_| !module.dev) else {
            continue;
        };
        components.push(Component {
            source: Source::Npm,
            name: name.to_owned(),
            version,
            licence: module.license,
            checksum: module.integrity.as_deref().and_then(checksum),
            texts: texts_in(&web.join(&folder))?,
        });
    }
    Ok(components)
}

/// The algorithm and hex digits of an `integrity` field (Subresource Integrity, section 3.5).
fn checksum(integrity: &str) -> Option<(String, String)> {
    let digits = base64(integrity.strip_prefix("sha512-")?)?;
    Some(("SHA512".to_owned(), hex::encode(digits)))
}

/// Decodes padded base64 (RFC 4648, section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_development_are_left_out() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let module = dir.path().join("node_modules/@scope/used");
        fs::create_dir_all(&module).expect("writable");
        fs::write(module.join("LICENSE.md"), "do as you like").expect("writable");
        let lock = r#"{"packages": {"": {"version": "1.0.0"},
            "node_modules/@scope/used": {"version": "2.0.0", "license": "MIT", "integrity": "sha512-TWFu"},
            "node_modules/tool": {"version": "3.0.0", "dev": true}}}"#;
        fs::write(dir.path().join("package-lock.json"), lock).expect("writable");
        let found = bundled(dir.path()).expect("reads");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].version.as_str()),
            ("@scope/used", "2.0.0")
        );
        assert_eq!(
            found[0].checksum,
            Some(("SHA512".to_owned(), hex::encode("Man")))
        );
        assert_eq!(found[0].texts, ["do as you like"]);
    }

    #[test]
    fn base64_with_padding_and_nonsense() {
        assert_eq!(base64("TWE=").as_deref(), Some(b"Ma".as_slice()));
        assert_eq!(base64("/+8=").as_deref(), Some([0xff, 0xef].as_slice()));
        assert_eq!(base64("!"), None);
    }
}

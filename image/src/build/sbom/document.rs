//! The SPDX 2.3 document in JSON.

use super::super::error::Result;
use super::super::stamp::Hash;
use super::debian::identifier;
use super::{Component, Source, invalid};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Renders the document. It depends on nothing but its arguments; `licences` are those that SPDX
/// has no name for.
pub(super) fn render(
    components: &[Component],
    licences: &BTreeMap<String, String>,
    version: &str,
    epoch: u64,
) -> Result<String> {
    let mut packages = vec![image(version)];
    packages.extend(components.iter().map(package));
    let contained = components.iter().map(|component| {
        json!({
            "spdxElementId": IMAGE,
            "relationshipType": "CONTAINS",
            "relatedSpdxElement": id(component),
        })
    });
    let describes = json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": IMAGE,
    });
    let relationships: Vec<Value> = std::iter::once(describes).chain(contained).collect();
    let extracted: Vec<Value> = licences
        .iter()
        .map(|(id, text)| json!({"licenseId": id, "extractedText": text}))
        .collect();
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("basalt-{version}"),
        "documentNamespace": namespace(components, version),
        "creationInfo": {
            "created": created(epoch)?,
            "creators": [format!("Tool: cargo-image-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
        "hasExtractedLicensingInfos": extracted,
    });
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| invalid(&format!("bill of materials: {error}")))?;
    text.push('\n');
    Ok(text)
}

const IMAGE: &str = "SPDXRef-basalt";

fn image(version: &str) -> Value {
    json!({
        "SPDXID": IMAGE,
        "name": "basalt",
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": env!("CARGO_PKG_LICENSE"),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })
}

fn package(component: &Component) -> Value {
    let mut package = json!({
        "SPDXID": id(component),
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": component.licence.as_deref().unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package_url(component),
        }],
    });
    if let Some((algorithm, value)) = &component.checksum {
        package["checksums"] = json!([{"algorithm": algorithm, "checksumValue": value}]);
    }
    package
}

fn id(component: &Component) -> String {
    let Component { name, version, .. } = component;
    let source = component.source.as_str();
    format!(
        "SPDXRef-{source}-{}-{}",
        identifier(name),
        identifier(version)
    )
}

/// The package URL (purl-spec, "How to build purl string from its components").
fn package_url(component: &Component) -> String {
    let escape = |text: &str| {
        let mut escaped = String::new();
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z'
                | b'A'..=b'Z'
                | b'0'..=b'9'
                | b'.'
                | b'-'
                | b'_'
                | b'~'
                | b'/'
                | b':' => {
                    escaped.push(char::from(byte));
                }
                other => escaped.push_str(&format!("%{other:02X}")),
            }
        }
        escaped
    };
    let (name, version) = (escape(&component.name), escape(&component.version));
    match component.source {
        Source::Debian => format!("pkg:deb/debian/{name}@{version}"),
        Source::Crate => format!("pkg:cargo/{name}@{version}"),
        Source::Npm => format!("pkg:npm/{name}@{version}"),
    }
}

/// A name for this content alone, as SPDX asks for, that equal builds share.
fn namespace(components: &[Component], version: &str) -> String {
    let mut hash = Hash::new();
    hash.text(version);
    for component in components {
        hash.text(&package_url(component));
    }
    let hex = hash.hex();
    // A UUID of version 8, one that its maker defines.
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

fn created(epoch: u64) -> Result<String> {
    let seconds = i64::try_from(epoch).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(|| invalid("the lock's time is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn sample() -> Vec<Component> {
        let component = |source, name: &str, version: &str| Component {
            source,
            name: name.to_owned(),
            version: version.to_owned(),
            licence: Some("MIT".to_owned()),
            checksum: Some(("SHA256".to_owned(), "ab".repeat(32))),
            texts: Vec::new(),
        };
        vec![
            component(Source::Debian, "libstdc++6", "14.2.0-19"),
            component(Source::Debian, "login", "1:4.16.0-2+really2.41-5"),
            component(Source::Crate, "syn", "1.0.0"),
            component(Source::Crate, "syn", "2.0.0"),
            component(Source::Npm, "@scope/module", "2.0.0"),
        ]
    }

    #[test]
    fn the_document_has_what_spdx_asks_for() {
        let unknown = BTreeMap::from([("LicenseRef-x".to_owned(), "text".to_owned())]);
        let text = render(&sample(), &unknown, "0.1.0", 1_700_000_000).expect("renders");
        let document: Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(document["creationInfo"]["created"], "2023-11-14T22:13:20Z");
        let packages = document["packages"].as_array().expect("a list");
        assert_eq!(packages.len(), 6);
        let mut ids = BTreeSet::new();
        for package in packages {
            let id = package["SPDXID"].as_str().expect("a string");
            let rest = id.strip_prefix("SPDXRef-").expect("the prefix");
            assert!(
                rest.chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
            );
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            for field in ["name", "versionInfo", "downloadLocation", "licenseDeclared"] {
                assert!(package[field].is_string(), "{id} has no {field}");
            }
        }
        for relationship in document["relationships"].as_array().expect("a list") {
            let to = relationship["relatedSpdxElement"]
                .as_str()
                .expect("a string");
            assert!(ids.contains(to), "nothing is called {to}");
        }
        assert_eq!(
            document["hasExtractedLicensingInfos"][0]["licenseId"],
            "LicenseRef-x"
        );
    }

    #[test]
    fn package_urls_escape_what_they_must() {
        let urls: Vec<String> = sample().iter().map(package_url).collect();
        assert_eq!(urls[0], "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19");
        assert_eq!(urls[1], "pkg:deb/debian/login@1:4.16.0-2%2Breally2.41-5");
        assert_eq!(urls[4], "pkg:npm/%40scope/module@2.0.0");
    }

    #[test]
    fn equal_inputs_give_equal_documents() {
        let render = |components: &[Component]| {
            render(components, &BTreeMap::new(), "0.1.0", 7).expect("renders")
        };
        assert_eq!(render(&sample()), render(&sample()));
        assert_ne!(
            namespace(&sample(), "0.1.0"),
            namespace(&sample()[1..], "0.1.0")
        );
    }
}

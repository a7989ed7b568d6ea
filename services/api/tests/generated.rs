//! The files made from the declarations are up to date.

use std::path::Path;

fn same(path: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is out of date: cargo run --bin generate"
    );
}

#[test]
fn openapi_document() {
    same(
        "openapi.json",
        &format!("{:#}\n", basalt_api::openapi::document()),
    );
}

#[test]
fn typescript_types() {
    same(
        "../../web/src/api/schema.ts",
        &basalt_api::typescript::file(),
    );
}

#[test]
fn coverage_table() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tested = basalt_api::surface::Tested::find(&workspace).unwrap();
    let table = basalt_api::surface::table(&tested);
    same("../../docs/api-coverage.md", &table);
}

#[test]
fn every_operation_has_what_openapi_asks_for() {
    let document = basalt_api::openapi::document();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            let listed = operation["parameters"].as_array().unwrap();
            let named: Vec<&str> = listed
                .iter()
                .filter(|p| p["in"] == "path")
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            let wanted: Vec<&str> = path
                .split('/')
                .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(named.len(), wanted.len(), "{verb} {path}");
            assert!(
                wanted.iter().all(|name| named.contains(name)),
                "{verb} {path}"
            );
            let response = &operation["responses"]["200"];
            assert!(response["description"].is_string(), "{verb} {path}");
        }
    }
    // A value inside a result is absent, but a whole result can be nothing.
    let text = document.to_string();
    let text = text.replace(r#""data":{"type":["string","null"]}"#, "");
    assert!(!text.contains(r#""type":"boolean""#) && !text.contains(r#","null"]"#));
}

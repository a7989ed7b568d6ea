//! Writes the files that are made from the declarations: the OpenAPI document, the types of the
//! web interface and the table of what is there, which names tests by their sources. A test of the crate fails when they are out of
//! date.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = format!("{:#}\n", basalt_api::openapi::document());
    std::fs::write(root.join("openapi.json"), document)?;
    let types = root.join("../../web/src/api/schema.ts");
    if let Some(folder) = types.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(types, basalt_api::typescript::file())?;
    let workspace = root.join("../..");
    let tested = basalt_api::surface::Tested::find(&workspace)?;
    let table = basalt_api::surface::table(&tested);
    std::fs::write(workspace.join("docs/api-coverage.md"), table)
}

//! What the browser loads, part of the program.

/// A file of the page.
pub struct File {
    /// Its media type.
    pub kind: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The file at a path.
pub fn file(path: &str) -> Option<File> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/script.js" => (
            "text/javascript; charset=utf-8",
            include_str!("page/script.js"),
        ),
        _ => return None,
    };
    Some(File { kind, text })
}

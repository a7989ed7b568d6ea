//! Serves the web interface.
//!
//! The folder is listed once at the start; a request is looked up in that list, so no path of a
//! client ever reaches the file system. A path that names no file gets `index.html`, whose router
//! knows it.

use crate::server::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// The files of a folder, by the path under which they are asked for.
#[derive(Debug)]
pub struct Files {
    known: HashMap<String, File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    kind: &'static str,
    etag: String,
}

impl Files {
    /// Lists `folder`.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut known = HashMap::new();
        let mut pending = vec![folder.to_path_buf()];
        while let Some(current) = pending.pop() {
            for entry in std::fs::read_dir(&current)? {
                let path = entry?.path();
                if path.is_dir() {
                    pending.push(path);
                    continue;
                }
                let relative = path.strip_prefix(folder).unwrap_or(&path);
                if let Some(name) = relative.to_str() {
                    let etag = etag(&std::fs::read(&path)?);
                    let name = format!("/{name}");
                    let kind = content_type(&name);
                    known.insert(name, File { path, kind, etag });
                }
            }
        }
        Ok(Self { known })
    }

    /// Answers a request for a file.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        let path = request.uri().path();
        let named = self.known.get(path);
        let is_asset = path.starts_with("/assets/");
        let Some(file) = named.or_else(|| (!is_asset).then(|| self.known.get("/index.html"))?)
        else {
            return plain(StatusCode::NOT_FOUND, "no such file");
        };
        // Assets carry a hash in their names: what is under a name never changes.
        let caching = if is_asset {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let builder = Response::builder()
            .header(header::CONTENT_TYPE, file.kind)
            .header(header::ETAG, &file.etag)
            .header(header::CACHE_CONTROL, caching);
        let has = request.headers().get(header::IF_NONE_MATCH);
        if has.is_some_and(|tag| tag.as_bytes() == file.etag.as_bytes()) {
            return finish(
                builder
                    .status(StatusCode::NOT_MODIFIED)
                    .body(full(Bytes::new())),
            );
        }
        match std::fs::read(&file.path) {
            Ok(bytes) => finish(builder.body(full(bytes.into()))),
            Err(e) => {
                tracing::error!(path = %file.path.display(), error = %e, "cannot read a web file");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot read the file")
            }
        }
    }
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]))
}

fn finish(response: http::Result<Response<Body>>) -> Response<Body> {
    response.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, "bad header"))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// A body that is all there.
pub fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(files: &Files, path: &str) -> (StatusCode, String) {
        let response = files.answer(&Request::builder().uri(path).body(()).unwrap());
        let kind = response.headers().get(header::CONTENT_TYPE);
        (
            response.status(),
            kind.map_or(String::new(), |k| k.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn only_listed_files_are_served_and_routes_get_the_page() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("assets")).unwrap();
        std::fs::write(folder.path().join("index.html"), "page").unwrap();
        std::fs::write(folder.path().join("assets/a-1.js"), "code").unwrap();
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(
            status(&files, "/assets/a-1.js").1,
            "text/javascript; charset=utf-8"
        );
        assert_eq!(status(&files, "/nodes/a").1, "text/html; charset=utf-8");
        assert_eq!(
            status(&files, "/../etc/passwd").1,
            "text/html; charset=utf-8"
        );
        assert_eq!(status(&files, "/assets/../../x").0, StatusCode::NOT_FOUND);
        assert_eq!(status(&files, "/assets/gone.js").0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "page").unwrap();
        let files = Files::open(folder.path()).unwrap();
        let first = files.answer(&Request::builder().uri("/").body(()).unwrap());
        let tag = first.headers()[header::ETAG].clone();
        let again = Request::builder()
            .uri("/")
            .header(header::IF_NONE_MATCH, tag)
            .body(())
            .unwrap();
        assert_eq!(files.answer(&again).status(), StatusCode::NOT_MODIFIED);
    }
}

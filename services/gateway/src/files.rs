//! The web interface: files of one folder, and its first page for every other address.

use crate::body::{Body, whole};
use basalt_api::bag::decode;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Names below this folder change with their content, so browsers may keep them for ever.
const HASHED: &str = "assets/";
const FIRST_PAGE: &str = "index.html";

/// The files of the web interface.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The files of a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Answers a request for a file.
    pub async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let Some(name) = plain_path(request.uri().path()) else {
            return status(StatusCode::NOT_FOUND);
        };
        let head = request.method() == Method::HEAD;
        if !name.is_empty()
            && let Some(response) = self.file(&name, request.headers(), head).await
        {
            return response;
        }
        // Addresses of the interface itself have no dot in their last part; files have.
        if name
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains('.'))
        {
            return status(StatusCode::NOT_FOUND);
        }
        let page = self.file(FIRST_PAGE, request.headers(), head).await;
        page.unwrap_or_else(|| status(StatusCode::NOT_FOUND))
    }

    async fn file(&self, name: &str, headers: &HeaderMap, head: bool) -> Option<Response<Body>> {
        let accepted = headers
            .get(ACCEPT_ENCODING)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let accepts = |coding: &str| accepted.split(',').any(|c| c.trim().starts_with(coding));
        let mut found = None;
        for (coding, ending) in [(Some("br"), ".br"), (Some("gzip"), ".gz"), (None, "")] {
            if coding.is_some_and(|coding| !accepts(coding)) {
                continue;
            }
            let path = self.folder.join(format!("{name}{ending}"));
            if let Ok(meta) = tokio::fs::metadata(&path).await
                && meta.is_file()
            {
                found = Some((coding, path, meta));
                break;
            }
        }
        let (coding, path, meta) = found?;
        let modified = meta
            .modified()
            .ok()?
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos());
        let tag = format!("\"{:x}-{modified:x}{}\"", meta.len(), coding.unwrap_or(""));
        let known = headers
            .get(IF_NONE_MATCH)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let mut response = if known.split(',').any(|t| t.trim() == tag) {
            status(StatusCode::NOT_MODIFIED)
        } else if head {
            Response::new(whole(Bytes::new()))
        } else {
            Response::new(whole(tokio::fs::read(&path).await.ok()?))
        };
        let out = response.headers_mut();
        out.insert(CONTENT_TYPE, HeaderValue::from_static(kind(name)));
        out.insert(ETAG, HeaderValue::from_str(&tag).ok()?);
        out.insert(VARY, HeaderValue::from_static("accept-encoding"));
        let keep = if name.starts_with(HASHED) {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        out.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        if let Some(coding) = coding {
            out.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        Some(response)
    }
}

/// The path without its first slash; none when it could leave the folder or names a hidden file.
fn plain_path(path: &str) -> Option<String> {
    let decoded = decode(path)?;
    let name = decoded.trim_matches('/');
    let plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    (name.is_empty() || name.split('/').all(plain)).then(|| name.to_owned())
}

fn kind(name: &str) -> &'static str {
    match Path::new(name)
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or("")
    {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn get(files: &Files, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = files.answer(&request.body(()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            parts.headers,
            String::from_utf8(body.into()).unwrap(),
        )
    }

    fn folder() -> (tempfile::TempDir, Files) {
        let outer = tempfile::tempdir().unwrap();
        let web = outer.path().join("web");
        std::fs::create_dir_all(web.join("assets")).unwrap();
        std::fs::write(outer.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(web.join("index.html"), "page").unwrap();
        std::fs::write(web.join("assets/a-1.js"), "plain").unwrap();
        std::fs::write(web.join("assets/a-1.js.br"), "small").unwrap();
        (outer, Files::new(web))
    }

    #[tokio::test]
    async fn unknown_addresses_are_the_first_page_and_unknown_files_are_not_there() {
        let (_keep, files) = folder();
        for path in ["/", "/vm/100/console"] {
            let (status, headers, body) = get(&files, path, &[]).await;
            assert_eq!((status, body.as_str()), (200, "page"));
            assert_eq!(headers[CACHE_CONTROL], "no-cache");
        }
        assert_eq!(get(&files, "/assets/gone.js", &[]).await.0, 404);
    }

    #[tokio::test]
    async fn a_compressed_file_is_preferred_and_kept() {
        let (_keep, files) = folder();
        let accept = ("accept-encoding", "gzip, br;q=1");
        let (status, headers, body) = get(&files, "/assets/a-1.js", &[accept]).await;
        assert_eq!((status, body.as_str()), (200, "small"));
        assert_eq!(headers[CONTENT_ENCODING], "br");
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        let tag = headers[ETAG].to_str().unwrap().to_owned();
        let again = get(&files, "/assets/a-1.js", &[accept, ("if-none-match", &tag)]).await;
        assert_eq!((again.0, again.2.as_str()), (304, ""));
        assert_eq!(get(&files, "/assets/a-1.js", &[]).await.2, "plain");
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_served() {
        let (_keep, files) = folder();
        for path in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/assets/..%2f..%2fsecret.txt",
            "/%00",
        ] {
            assert_eq!(get(&files, path, &[]).await.0, 404, "{path}");
        }
    }
}

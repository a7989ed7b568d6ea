//! Answers for proofs by http (RFC 8555, section 8.3): on a listening socket, only as long as
//! proofs are to be seen, and nothing but them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where servers look.
const FOLDER: &str = "/.well-known/acme-challenge/";
/// No more connections at a time; a server comes with a handful.
const MOST: usize = 64;
/// Who asks has so long in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// No head of a request is longer in bytes.
const LONGEST: usize = 4096;

/// What is to be seen: the page of each token. Clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Pages(Arc<Mutex<BTreeMap<String, String>>>);

impl Pages {
    /// Shows a page.
    pub fn show(&self, token: &str, text: &str) {
        self.pages().insert(token.to_owned(), text.to_owned());
    }

    /// Shows it no longer.
    pub fn withdraw(&self, token: &str) {
        self.pages().remove(token);
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to the head of a request.
    fn answer(&self, head: &[u8]) -> String {
        let page = requested(head).and_then(|token| self.pages().get(token).cloned());
        let (status, text) = match page {
            Some(text) => ("200 OK", text),
            None => ("404 Not Found", String::new()),
        };
        let length = text.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )
    }
}

/// The token that a request is about.
fn requested(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (verb, path, version) = (words.next()?, words.next()?, words.next()?);
    let whole = words.next().is_none() && version.starts_with("HTTP/1.");
    let token = path.strip_prefix(FOLDER)?;
    (whole && verb == "GET").then_some(token)
}

/// Answers whoever connects, until it is dropped.
pub async fn serve(listener: TcpListener, pages: Pages) {
    let mut open = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        // Those that ended make room.
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if open.len() < MOST => {
                let pages = pages.clone();
                open.spawn(tokio::time::timeout(PATIENCE, converse(stream, pages)));
            }
            Ok(_) => {}
            // Usually no more descriptors; accepting again at once would only burn the processor.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(mut stream: TcpStream, pages: Pages) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut part).await?;
        if count == 0 || head.len() + count > LONGEST {
            return Ok(());
        }
        head.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    stream.write_all(pages.answer(&head).as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_proofs_is_to_be_seen() {
        let pages = Pages::default();
        pages.show("tok-1", "tok-1.print");
        let status = |head: &str| {
            let answer = pages.answer(head.as_bytes());
            answer.split("\r\n").next().unwrap().to_owned()
        };
        let good = "GET /.well-known/acme-challenge/tok-1 HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(status(good), "HTTP/1.1 200 OK");
        assert!(
            pages
                .answer(good.as_bytes())
                .ends_with("\r\n\r\ntok-1.print")
        );
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "POST /.well-known/acme-challenge/tok-1 HTTP/1.1\r\n\r\n",
            "GET /.well-known/acme-challenge/../tok-1 HTTP/1.1\r\n\r\n",
            "GET /.well-known/acme-challenge/ HTTP/1.1\r\n\r\n",
            "GET /.well-known/acme-challenge/tok-1 HTTP/1.1 x\r\n\r\n",
            "\u{ff}\r\n\r\n",
            "",
        ] {
            assert_eq!(status(bad), "HTTP/1.1 404 Not Found", "{bad}");
        }
        pages.withdraw("tok-1");
        assert_eq!(status(good), "HTTP/1.1 404 Not Found");
    }
}

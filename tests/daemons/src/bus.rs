//! A system bus with a service manager behind it that runs nothing, as far as a node asks.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

const RETURN: u8 = 2;
const ERROR: u8 = 3;

/// Answers on every connection as long as the runtime lives.
pub(crate) fn play(listener: UnixListener) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The node goes away in the middle of a message when it is killed.
                let _ = serve(stream).await;
            });
        }
    });
}

async fn serve(stream: UnixStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_start_matches('\0').split_whitespace().next() {
            Some("AUTH") => {
                stream
                    .write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")
                    .await?
            }
            Some("NEGOTIATE_UNIX_FD") => stream.write_all(b"AGREE_UNIX_FD\r\n").await?,
            Some("BEGIN") => break,
            other => bail!("{other:?} is no greeting"),
        }
    }
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head).await?;
        let [body, serial, fields] = [4, 8, 12].map(|at| number(&head, at));
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        stream.read_exact(&mut rest).await?;
        let member = member(&rest[..fields]).context("a message without a member")?;
        let answer = answer(&member, serial as u32);
        stream.write_all(&answer).await?;
    }
}

/// The number of four bytes at a place.
fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes.iter().skip(at).take(4);
    four.rev()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// The name of the method in the header's fields.
fn member(fields: &[u8]) -> Option<String> {
    let mut at = 0;
    loop {
        at = usize::next_multiple_of(at, 8);
        let (code, kind) = (*fields.get(at)?, *fields.get(at + 2)?);
        at += 4;
        if kind == b'g' {
            at += usize::from(*fields.get(at)?) + 2;
            continue;
        }
        at = at.next_multiple_of(4);
        let value = number(fields, at);
        at += 4;
        if kind == b'u' {
            continue;
        }
        if code == 3 {
            let name = fields.get(at..at + value)?;
            return Some(String::from_utf8_lossy(name).into_owned());
        }
        at += value + 1;
    }
}

/// What the methods return that a node without guests calls.
fn answer(member: &str, serial: u32) -> Vec<u8> {
    let mut body = Vec::new();
    let signature = match member {
        "Hello" => {
            text(&mut body, ":1.1");
            "s"
        }
        "GetNameOwner" => {
            text(&mut body, ":1.0");
            "s"
        }
        "ListUnitsByPatterns" => {
            body.extend_from_slice(&[0; 8]);
            "a(ssssssouso)"
        }
        "GetAll" => {
            body.extend_from_slice(&[0; 8]);
            "a{sv}"
        }
        _ => "",
    };
    let mut fields = vec![5, 1, b'u', 0];
    fields.extend_from_slice(&serial.to_le_bytes());
    fields.extend_from_slice(&[7, 1, b's', 0]);
    text(&mut fields, ":1.0");
    if !signature.is_empty() {
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend_from_slice(&[8, 1, b'g', 0, signature.len() as u8]);
        fields.extend_from_slice(signature.as_bytes());
        fields.push(0);
    }
    let mut kind = RETURN;
    if member == "GetUnit" {
        kind = ERROR;
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend_from_slice(&[4, 1, b's', 0]);
        text(&mut fields, "org.freedesktop.systemd1.NoSuchUnit");
    }
    let mut message = vec![b'l', kind, 1, 1];
    for number in [body.len(), 1, fields.len()] {
        message.extend_from_slice(&(number as u32).to_le_bytes());
    }
    message.append(&mut fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message.append(&mut body);
    message
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

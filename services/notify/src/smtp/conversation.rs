//! Commands and replies (RFC 5321, section 4).

use super::stream::Stream;
use crate::{Error, Network, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};

/// Most bytes of a reply, over all of its lines.
const LONGEST: usize = 16 << 10;
/// So many characters of what a server says are told on.
const TOLD: usize = 200;

/// What a server can do, as it says itself (RFC 5321, section 4.1.1.1).
pub struct Offers(Vec<String>);

impl Offers {
    /// Whether it can do this.
    pub fn has(&self, keyword: &str) -> bool {
        self.words(keyword).is_some()
    }

    /// What it says of this.
    fn words(&self, keyword: &str) -> Option<Vec<String>> {
        self.0.iter().find_map(|line| {
            let mut words = line.split([' ', '=']).map(str::to_ascii_uppercase);
            (words.next()? == keyword).then(|| words.collect())
        })
    }
}

struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// A conversation with a server.
pub struct Conversation {
    server: String,
    stream: Option<Stream>,
    /// What was received and not yet read.
    buffer: Vec<u8>,
}

impl Conversation {
    /// Over a new connection.
    pub fn new(server: String, stream: Stream) -> Self {
        Self {
            server,
            stream: Some(stream),
            buffer: Vec::new(),
        }
    }

    /// The server says something that it should not.
    pub fn refused(&self, reason: &str) -> Error {
        Error::Refused {
            server: self.server.clone(),
            reason: reason.to_owned(),
        }
    }

    fn unreachable(&self, reason: impl ToString) -> Error {
        Error::Unreachable {
            server: self.server.clone(),
            reason: reason.to_string(),
        }
    }

    /// Waits until the server says that it listens.
    pub fn greeting(&mut self) -> Result<()> {
        let reply = self.reply()?;
        self.good(reply, 200..300).map(drop)
    }

    /// Says who asks; what the server can do. One that knows no EHLO can do nothing besides.
    pub fn hello(&mut self, host: &str) -> Result<Offers> {
        self.write(&format!("EHLO {host}\r\n"))?;
        let reply = self.reply()?;
        if reply.code == 500 || reply.code == 502 {
            self.ask(&format!("HELO {host}"))?;
            return Ok(Offers(Vec::new()));
        }
        let reply = self.good(reply, 200..300)?;
        Ok(Offers(reply.lines.into_iter().skip(1).collect()))
    }

    /// Sends a command that has to be accepted.
    pub fn ask(&mut self, command: &str) -> Result<()> {
        self.write(&format!("{command}\r\n"))?;
        let reply = self.reply()?;
        self.good(reply, 200..400).map(drop)
    }

    /// Goes on by TLS.
    pub fn secure(&mut self, host: &str, network: &Network) -> Result<()> {
        // Bytes that came in the clear would be taken for what the server says in secret.
        if !self.buffer.is_empty() {
            return Err(self.unreachable("it says more than it was asked before TLS begins"));
        }
        let Some(plain) = self.stream.take() else {
            return Err(self.unreachable("the connection is gone"));
        };
        self.stream = Some(plain.secured(host, network)?);
        Ok(())
    }

    /// Proves who asks, by PLAIN (RFC 4616) or by LOGIN, which older servers have.
    pub fn login(&mut self, offers: &Offers, user: &str, password: &str) -> Result<()> {
        let ways = offers.words("AUTH").unwrap_or_default();
        let has = |way: &str| ways.iter().any(|known| known == way);
        if has("PLAIN") {
            let proof = STANDARD.encode(format!("\0{user}\0{password}"));
            return self.ask(&format!("AUTH PLAIN {proof}"));
        }
        if has("LOGIN") {
            self.ask("AUTH LOGIN")?;
            self.ask(&STANDARD.encode(user))?;
            return self.ask(&STANDARD.encode(password));
        }
        Err(self.refused("it offers no login by PLAIN or LOGIN: leave 'username' out, or use TLS"))
    }

    /// Sends the message, after DATA was accepted.
    pub fn data(&mut self, message: &str) -> Result<()> {
        // A line that begins with a dot gets another one (section 4.5.2).
        let lines = message
            .split_inclusive("\r\n")
            .map(|line| match line.starts_with('.') {
                true => format!(".{line}"),
                false => line.to_owned(),
            });
        let text: String = lines.collect();
        self.write(&format!("{text}.\r\n"))?;
        let reply = self.reply()?;
        self.good(reply, 200..300).map(drop)
    }

    /// Says that this was all. The mail is on its way whatever becomes of that.
    pub fn goodbye(&mut self) {
        let said = self.write("QUIT\r\n").and_then(|()| self.reply());
        if let Err(error) = said {
            tracing::debug!(%error, "a mail server did not say goodbye");
        }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let Some(stream) = &mut self.stream else {
            return Err(self.unreachable("the connection is gone"));
        };
        let written = stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush());
        written.map_err(|error| self.unreachable(error))
    }

    /// Reads a reply: lines `250-…`, and a last one `250 …`.
    fn reply(&mut self) -> Result<Reply> {
        let mut lines = Vec::new();
        let mut room = LONGEST;
        loop {
            let line = self.line(&mut room)?;
            let strange = || self.unreachable("what it says is no SMTP");
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let code = code
                .filter(|code| (200..600).contains(code))
                .ok_or_else(strange)?;
            let text = line.get(4..).unwrap_or_default().to_owned();
            lines.push(text);
            match line.as_bytes().get(3) {
                Some(b'-') => {}
                Some(b' ') | None => return Ok(Reply { code, lines }),
                Some(_) => return Err(strange()),
            }
        }
    }

    /// Reads a line; all lines of a reply share some room.
    fn line(&mut self, room: &mut usize) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                *room = room.saturating_sub(line.len());
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() >= *room {
                return Err(self.unreachable("its reply has no end"));
            }
            let mut bytes = [0; 1024];
            let Some(stream) = &mut self.stream else {
                return Err(self.unreachable("the connection is gone"));
            };
            match stream.read(&mut bytes) {
                Ok(0) => return Err(self.unreachable("it closes the connection")),
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                Err(error) => return Err(self.unreachable(error)),
            }
        }
    }

    fn good(&self, reply: Reply, codes: std::ops::Range<u16>) -> Result<Reply> {
        if codes.contains(&reply.code) {
            return Ok(reply);
        }
        let server = self.server.clone();
        let text = reply.lines.join(" ");
        let text: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(TOLD)
            .collect();
        let reason = format!("{} {text}", reply.code);
        Err(match reply.code {
            400..500 => Error::NotNow { server, reason },
            _ => Error::Refused { server, reason },
        })
    }
}

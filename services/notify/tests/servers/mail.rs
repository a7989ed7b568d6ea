//! A mail server that writes down what it is told.

use super::PATIENCE;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// How a server behaves.
#[derive(Clone, Default)]
pub struct Manner {
    /// What it offers after EHLO.
    pub offers: &'static [&'static str],
    /// Its certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether TLS is there from the beginning.
    pub from_start: bool,
    /// What it answers to commands that begin so.
    pub replies: &'static [(&'static str, &'static str)],
}

/// What it was told over one connection.
#[derive(Debug, Default)]
pub struct Told {
    /// Commands, those within TLS with `TLS ` before them.
    pub commands: Vec<String>,
    /// The message.
    pub message: String,
}

impl Told {
    /// What the message says below its head.
    pub fn body(&self) -> String {
        use base64::Engine;
        let (_, body) = self.message.split_once("\r\n\r\n").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(body.replace("\r\n", ""));
        String::from_utf8(bytes.unwrap()).unwrap()
    }
}

pub struct Server {
    pub port: u16,
    told: Receiver<Told>,
}

impl Server {
    /// Listens until the test ends.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (found, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut one = Told::default();
                // A client that does not like something hangs up.
                let _ = serve(stream, &manner, &mut one);
                if found.send(one).is_err() {
                    return;
                }
            }
        });
        Self { port, told }
    }

    /// What it was told over the next connection.
    pub fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("nobody connects")
    }
}

fn secret(manner: &Manner, stream: TcpStream) -> Box<dyn Both> {
    let config = Arc::clone(manner.tls.as_ref().unwrap());
    let connection = ServerConnection::new(config).unwrap();
    Box::new(StreamOwned::new(connection, stream))
}

fn serve(tcp: TcpStream, manner: &Manner, told: &mut Told) -> std::io::Result<()> {
    let mut is_secret = manner.from_start;
    let mut stream: BufReader<Box<dyn Both>> = BufReader::new(match is_secret {
        true => secret(manner, tcp.try_clone()?),
        false => Box::new(tcp.try_clone()?),
    });
    stream.get_mut().write_all(b"220 mail.example.org\r\n")?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let secretly = if is_secret { "TLS " } else { "" };
        told.commands.push(format!("{secretly}{line}"));
        let own = manner
            .replies
            .iter()
            .find(|(begin, _)| line.starts_with(begin));
        let reply = match (own, line.split(' ').next().unwrap_or_default()) {
            (Some((_, reply)), _) => (*reply).to_owned(),
            (None, "EHLO") => {
                let offers = manner.offers.iter().map(|one| format!("250-{one}\r\n"));
                format!(
                    "250-mail.example.org\r\n{}250 8BITMIME",
                    offers.collect::<String>()
                )
            }
            (None, "STARTTLS") => "220 go on".to_owned(),
            (None, "AUTH") if line == "AUTH LOGIN" => "334 VXNlcm5hbWU6".to_owned(),
            (None, "AUTH") => "235 welcome".to_owned(),
            (None, "DATA") => "354 go on".to_owned(),
            (None, "QUIT") => "221 goodbye".to_owned(),
            (None, _) => "250 fine".to_owned(),
        };
        stream
            .get_mut()
            .write_all(format!("{reply}\r\n").as_bytes())?;
        stream.get_mut().flush()?;
        if line == "STARTTLS" && reply.starts_with("220") {
            is_secret = true;
            stream = BufReader::new(secret(manner, tcp.try_clone()?));
        }
        if line == "QUIT" {
            return Ok(());
        }
        if line == "DATA" && reply.starts_with("354") {
            told.message = message(&mut stream)?;
            stream.get_mut().write_all(b"250 queued\r\n")?;
        }
    }
}

fn message(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut message = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.strip_prefix('.') {
            Some("\r\n") => return Ok(message),
            Some(rest) => message.push_str(rest),
            None => message.push_str(&line),
        }
    }
}

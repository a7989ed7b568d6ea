//! A machine's screen as clients see it: `vncproxy`, then RFB (RFC 6143) through a WebSocket.

use crate::api::{Api, NODE, encode};
use crate::picture::{Font, Picture};
use anyhow::{Context, Result, bail, ensure};
use basalt_image::appliance::{https, poll};
use des::Des;
use des::cipher::generic_array::GenericArray;
use des::cipher::{BlockEncrypt, KeyInit};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{Error, Message, client};

/// How long a single read waits before the limit is looked at again.
const READ_SLICE: Duration = Duration::from_millis(500);
/// Between two readings of the picture.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Longest time for an answer of the server.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const VERSION: &[u8] = b"RFB 003.008\n";
const RAW: i32 = 0;
const DESKTOP_SIZE: i32 = -223;
const RETURN: u32 = 0xff0d;

/// What to log in to a screen with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// The console's ticket.
    Ticket,
    /// One that the server generates.
    Generated,
    /// A wrong one.
    Wrong,
}

/// An open screen.
pub struct Screen {
    socket: WebSocket<https::Stream>,
    received: Vec<u8>,
    width: usize,
    height: usize,
    /// Pixels of four bytes: blue, green, red, nothing.
    pixels: Vec<u8>,
}

impl Screen {
    /// Opens the screen of a running machine.
    pub fn open(api: &Api, vmid: u32, password: Password) -> Result<Self> {
        let guest = format!("/nodes/{NODE}/qemu/{vmid}");
        let generate = match password {
            Password::Generated => "1",
            Password::Ticket | Password::Wrong => "0",
        };
        let parameters = [("websocket", "1"), ("generate-password", generate)];
        let proxy = api.post(&format!("{guest}/vncproxy"), &parameters)?;
        let ticket = proxy["ticket"].as_str().context("no ticket")?;
        let cert = proxy["cert"].as_str().context("no certificate")?;
        ensure!(cert.contains("BEGIN CERTIFICATE"), "no PEM: {cert}");
        let secret = match password {
            Password::Ticket => ticket,
            Password::Generated => proxy["password"].as_str().context("no password")?,
            Password::Wrong => "wrong",
        };
        let uri = format!(
            "wss://localhost/api2/json{guest}/vncwebsocket?port={}&vncticket={}",
            proxy["port"],
            encode(ticket)
        );
        let mut request = uri.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Cookie", HeaderValue::from_str(&api.cookie())?);
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("binary"));
        let (socket, _) = client::client(request, api.client().connect()?)
            .map_err(|error| anyhow::anyhow!("the screen's WebSocket does not open: {error}"))?;
        socket.get_ref().sock.set_read_timeout(Some(READ_SLICE))?;
        let mut screen = Self {
            socket,
            received: Vec::new(),
            width: 0,
            height: 0,
            pixels: Vec::new(),
        };
        screen
            .log_in(secret)
            .context("the screen does not let us in")?;
        Ok(screen)
    }

    fn log_in(&mut self, password: &str) -> Result<()> {
        ensure!(self.take(12)? == VERSION, "another version");
        self.send(VERSION)?;
        ensure!(self.take(2)? == [1, 2], "no VNC authentication");
        self.send(&[2])?;
        let mut response = self.take(16)?;
        let mut key = [0; 8];
        key.iter_mut()
            .zip(password.bytes())
            .for_each(|(to, from)| *to = from.reverse_bits());
        let cipher = Des::new(GenericArray::from_slice(&key));
        for block in response.chunks_exact_mut(8) {
            cipher.encrypt_block(GenericArray::from_mut_slice(block));
        }
        self.send(&response)?;
        if self.take(4)? != [0; 4] {
            let len = self.number(4)?;
            let reason = self.take(len)?;
            bail!("{}", String::from_utf8_lossy(&reason));
        }
        self.send(&[1])?;
        let (width, height) = (self.number(2)?, self.number(2)?);
        self.resize(width, height);
        self.take(16)?;
        let len = self.number(4)?;
        self.take(len)?;
        let mut encodings = vec![2, 0, 0, 2];
        encodings.extend(RAW.to_be_bytes());
        encodings.extend(DESKTOP_SIZE.to_be_bytes());
        self.send(&encodings)
    }

    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels = vec![0; width * height * 4];
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let message = Message::binary(bytes.to_vec());
        self.socket.send(message).context("screen")
    }

    /// The next so many bytes.
    fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        while self.received.len() < len {
            ensure!(Instant::now() < deadline, "the screen says nothing more");
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.received.extend_from_slice(&bytes),
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => {}
                Err(error) => bail!("the screen closed: {error}"),
            }
        }
        Ok(self.received.drain(..len).collect())
    }

    fn number(&mut self, bytes: usize) -> Result<usize> {
        let bytes = self.take(bytes)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Fetches all of the picture.
    pub fn look(&mut self) -> Result<()> {
        loop {
            let mut request = vec![3, 0, 0, 0, 0, 0];
            request.extend((self.width as u16).to_be_bytes());
            request.extend((self.height as u16).to_be_bytes());
            self.send(&request)?;
            if self.update()? {
                return Ok(());
            }
        }
    }

    /// Reads an update; whether it had pixels.
    fn update(&mut self) -> Result<bool> {
        ensure!(self.take(2)? == [0, 0], "no update");
        let mut drawn = false;
        for _ in 0..self.number(2)? {
            let (x, y) = (self.number(2)?, self.number(2)?);
            let (width, height) = (self.number(2)?, self.number(2)?);
            let encoding = self.number(4)? as u32 as i32;
            match encoding {
                RAW => {
                    let pixels = self.take(width * height * 4)?;
                    for (row, pixels) in pixels.chunks_exact(width * 4).enumerate() {
                        let at = ((y + row) * self.width + x) * 4;
                        self.pixels[at..at + width * 4].copy_from_slice(pixels);
                    }
                    drawn = true;
                }
                DESKTOP_SIZE => self.resize(width, height),
                other => bail!("encoding {other} was not asked for"),
            }
        }
        Ok(drawn)
    }

    /// Looks until `is_right` says so of the number of bright pixels, and returns it.
    pub fn wait(&mut self, limit: Duration, is_right: impl Fn(usize) -> bool) -> Result<usize> {
        let deadline = Instant::now() + limit;
        loop {
            self.look()?;
            let bright = self.bright();
            if is_right(bright) {
                return Ok(bright);
            }
            ensure!(
                Instant::now() < deadline,
                "after {} s the screen of {}x{} has {bright} bright pixels",
                limit.as_secs(),
                self.width,
                self.height
            );
        }
    }

    /// Pixels that are part of text rather than of its background.
    fn bright(&self) -> usize {
        let pixels = self.pixels.chunks_exact(4);
        pixels.filter(|p| p[..3].iter().any(|c| *c > 0x80)).count()
    }

    /// Types a line as its characters, without shift: the server knows which need it.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        for keysym in line.bytes().map(u32::from).chain([RETURN]) {
            for down in [1, 0] {
                let mut message = vec![4, down, 0, 0];
                message.extend(keysym.to_be_bytes());
                self.send(&message)?;
            }
        }
        Ok(())
    }

    /// The picture that was fetched last.
    pub fn picture(&self) -> Picture {
        Picture::from_rfb(self.width, &self.pixels)
    }

    /// Writes the picture to a file.
    pub fn save_png(&self, file: &Path) -> Result<()> {
        self.picture().save_png(file)
    }

    /// Looks until `wanted` can be read on the picture, which is kept in `file` as it is then, or at the
    /// end of `limit`.
    pub fn wait_text(
        &mut self,
        wanted: &str,
        font: &Font,
        limit: Duration,
        file: &Path,
    ) -> Result<()> {
        let mut last = String::new();
        let found = poll::until(limit, READ_AGAIN, || {
            self.look()?;
            last = self.picture().text(font);
            Ok::<_, anyhow::Error>(last.contains(wanted).then_some(()))
        });
        self.save_png(file)?;
        found?.with_context(|| format!("no {wanted:?} on the screen; there is:\n{last}"))
    }

    /// Looks until the screen's first line is [`Font::table`], and learns its letters.
    pub fn learn(&mut self, limit: Duration, file: &Path) -> Result<Font> {
        let found = poll::until(limit, READ_AGAIN, || {
            self.look()?;
            Ok::<_, anyhow::Error>(Font::learn(&self.picture()))
        });
        self.save_png(file)?;
        found?.context("the screen shows no table of letters")
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

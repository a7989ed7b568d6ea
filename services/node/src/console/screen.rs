//! A graphical console: RFB (RFC 6143) through the websocket, byte for byte, once the client has
//! shown that it knows the password.
//!
//! The monitor asks for none; whoever reaches its socket is let in. Clients expect VNC
//! authentication with the console's ticket as password, as Proxmox VE asks for it. So the node
//! speaks the beginning of the protocol with both sides, and then only passes on.

use super::{payload, show};
use des::Des;
use des::cipher::generic_array::GenericArray;
use des::cipher::{BlockEncrypt, KeyInit};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

const VERSION: &[u8; 12] = b"RFB 003.008\n";
const SECURITY_NONE: u8 = 1;
const SECURITY_VNC: u8 = 2;
/// Length of a generated password; VNC authentication reads no more.
const PASSWORD: usize = 8;
const CHALLENGE: usize = 16;
/// So long both sides may take to agree.
const PATIENCE: Duration = Duration::from_secs(10);

/// A new password of printable characters.
pub fn password() -> String {
    let character = || char::from(rand::Rng::gen_range(&mut rand::thread_rng(), b'!'..=b'~'));
    std::iter::repeat_with(character).take(PASSWORD).collect()
}

/// Joins a client and a machine's screen until either goes or `closed` is.
pub async fn serve<S>(
    socket: WebSocketStream<S>,
    mut guest: UnixStream,
    password: &str,
    closed: &mut oneshot::Sender<()>,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut to_client, stream) = socket.split();
    let mut from_client = Bytes {
        stream,
        waiting: Vec::new(),
    };
    let agreed = async {
        greet_guest(&mut guest).await?;
        admit(&mut from_client, &mut to_client, password).await
    };
    let agreed = tokio::time::timeout(PATIENCE, agreed).await;
    let agreed = agreed.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    if !matches!(agreed, Ok(true)) {
        // The client may be gone already.
        let _ = to_client.close().await;
        return agreed.map(|_| ());
    }
    let (mut guest_out, mut guest_in) = guest.into_split();
    let typed = async {
        guest_in.write_all(&from_client.waiting).await?;
        loop {
            match from_client.stream.next().await {
                Some(Ok(message)) => guest_in.write_all(&payload(message)).await?,
                Some(Err(_)) | None => return Ok::<(), Error>(()),
            }
        }
    };
    let shown = show(&mut guest_out, &mut to_client);
    let ended = tokio::select! {
        ended = typed => ended,
        ended = shown => ended,
        () = closed.closed() => Ok(()),
    };
    let _ = to_client.close().await;
    ended
}

/// The client's bytes, whatever messages they come in.
struct Bytes<S> {
    stream: S,
    waiting: Vec<u8>,
}

impl<S> Bytes<S>
where
    S: Stream<Item = tungstenite::Result<Message>> + Unpin,
{
    async fn read<const N: usize>(&mut self) -> Result<[u8; N]> {
        loop {
            if let Some(bytes) = self.waiting.first_chunk::<N>().copied() {
                self.waiting.drain(..N);
                return Ok(bytes);
            }
            match self.stream.next().await {
                Some(Ok(message)) => self.waiting.extend_from_slice(&payload(message)),
                Some(Err(error)) => return Err(Error::other(error)),
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// The versions of the protocol, which begin differently (section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// The server chooses how to authenticate.
    V3,
    /// The client does.
    V7,
    /// And is told why it failed.
    V8,
}

impl Version {
    fn parse(line: &[u8; 12]) -> Option<Self> {
        match line {
            b"RFB 003.003\n" | b"RFB 003.005\n" => Some(Self::V3),
            b"RFB 003.007\n" => Some(Self::V7),
            b"RFB 003.008\n" | b"RFB 003.889\n" | b"RFB 004.000\n" | b"RFB 004.001\n"
            | b"RFB 005.000\n" => Some(Self::V8),
            _ => None,
        }
    }
}

/// Asks a client for the password; whether it knows it.
async fn admit<S, T>(from: &mut Bytes<S>, to: &mut T, password: &str) -> Result<bool>
where
    S: Stream<Item = tungstenite::Result<Message>> + Unpin,
    T: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    send(to, VERSION).await?;
    let version = Version::parse(&from.read().await?)
        .ok_or_else(|| Error::other("the client speaks an unknown version"))?;
    if version == Version::V3 {
        send(to, &u32::from(SECURITY_VNC).to_be_bytes()).await?;
    } else {
        send(to, &[1, SECURITY_VNC]).await?;
        if from.read::<1>().await? != [SECURITY_VNC] {
            return refuse(to, version, "VNC authentication is the only way in").await;
        }
    }
    let challenge: [u8; CHALLENGE] = rand::random();
    send(to, &challenge).await?;
    let response: [u8; CHALLENGE] = from.read().await?;
    let expected = respond(challenge, password);
    if bool::from(response.ct_eq(&expected)) {
        send(to, &[0; 4]).await?;
        return Ok(true);
    }
    refuse(
        to,
        version,
        "the password is wrong: use the console's ticket",
    )
    .await
}

async fn refuse<T>(to: &mut T, version: Version, reason: &str) -> Result<bool>
where
    T: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let mut message = vec![0, 0, 0, 1];
    if version == Version::V8 {
        message.extend((reason.len() as u32).to_be_bytes());
        message.extend(reason.as_bytes());
    }
    send(to, &message).await?;
    Ok(false)
}

async fn send<T>(to: &mut T, bytes: &[u8]) -> Result<()>
where
    T: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let message = Message::binary(bytes.to_vec());
    to.send(message).await.map_err(Error::other)
}

/// A challenge's answer (section 7.2.2): DES with the password's first eight bytes, the bits of
/// each in reverse.
pub(super) fn respond(challenge: [u8; CHALLENGE], password: &str) -> [u8; CHALLENGE] {
    let mut key = [0; 8];
    for (to, from) in key.iter_mut().zip(password.bytes()) {
        *to = from.reverse_bits();
    }
    let cipher = Des::new(GenericArray::from_slice(&key));
    let mut response = challenge;
    for block in response.chunks_exact_mut(8) {
        cipher.encrypt_block(GenericArray::from_mut_slice(block));
    }
    response
}

/// Passes the beginning with the monitor, which lets everybody in.
/// Is let in by the monitor, as the client that it takes us for.
pub(super) async fn greet_guest(guest: &mut UnixStream) -> Result<()> {
    let strange = || Error::other("the monitor does not speak RFB 3.8 without password");
    let mut version = [0; 12];
    guest.read_exact(&mut version).await?;
    if version != *VERSION {
        return Err(strange());
    }
    guest.write_all(VERSION).await?;
    let mut types = vec![0; usize::from(guest.read_u8().await?)];
    guest.read_exact(&mut types).await?;
    if !types.contains(&SECURITY_NONE) {
        return Err(strange());
    }
    guest.write_u8(SECURITY_NONE).await?;
    match guest.read_u32().await? {
        0 => Ok(()),
        _ => Err(strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_that_of_other_implementations() {
        // The password "password" as vncpasswd's and noVNC's DES see it.
        let challenge = *b"0123456789abcdef";
        let response = respond(challenge, "password");
        assert_eq!(
            response,
            respond(challenge, "password and what comes after")
        );
        assert_ne!(response, respond(challenge, "passwore"));
        // DES with an all-zero key, a published vector (NIST SP 500-20).
        let zero = respond([0; CHALLENGE], "");
        assert_eq!(zero[..8], [0x8c, 0xa6, 0x4d, 0xe9, 0xc1, 0xb1, 0x23, 0xa7]);
        assert_eq!(zero[..8], zero[8..]);
    }

    #[test]
    fn passwords_are_printable_and_differ() {
        let (one, other) = (password(), password());
        assert_ne!(one, other);
        assert!(one.len() == PASSWORD && one.bytes().all(|b| b.is_ascii_graphic()));
    }
}

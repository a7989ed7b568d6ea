//! Keys for a machine's keyboard, typed through its screen: RFB key events (RFC 6143, section 7.5.4)
//! to its monitor.
//!
//! A combination is written as people who know QEMU's monitor write it, e.g. `ctrl-alt-delete`.

use super::screen;
use std::io::{Error, Result};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Most keys of one combination.
const MOST: usize = 8;
/// So long the monitor may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// Message types of a client.
const KEY_EVENT: u8 = 4;
/// Bytes of the server's first message before its name: size and pixel format.
const SERVER_INIT: usize = 20;

/// Names of keys that are no single character, and their keysyms (X11, `keysymdef.h`).
const NAMES: &[(&str, u32)] = &[
    ("alt", 0xffe9),
    ("alt_r", 0xffea),
    ("altgr", 0xfe03),
    ("apostrophe", 0x27),
    ("asterisk", 0xffaa),
    ("backslash", 0x5c),
    ("backspace", 0xff08),
    ("bracket_left", 0x5b),
    ("bracket_right", 0x5d),
    ("caps_lock", 0xffe5),
    ("comma", 0x2c),
    ("ctrl", 0xffe3),
    ("ctrl_r", 0xffe4),
    ("delete", 0xffff),
    ("dot", 0x2e),
    ("down", 0xff54),
    ("end", 0xff57),
    ("equal", 0x3d),
    ("esc", 0xff1b),
    ("grave_accent", 0x60),
    ("home", 0xff50),
    ("insert", 0xff63),
    ("kp_add", 0xffab),
    ("kp_decimal", 0xffae),
    ("kp_divide", 0xffaf),
    ("kp_enter", 0xff8d),
    ("kp_multiply", 0xffaa),
    ("kp_subtract", 0xffad),
    ("left", 0xff51),
    ("menu", 0xff67),
    ("meta_l", 0xffeb),
    ("meta_r", 0xffec),
    ("minus", 0x2d),
    ("num_lock", 0xff7f),
    ("pause", 0xff13),
    ("pgdn", 0xff56),
    ("pgup", 0xff55),
    ("print", 0xff61),
    ("ret", 0xff0d),
    ("right", 0xff53),
    ("scroll_lock", 0xff14),
    ("semicolon", 0x3b),
    ("shift", 0xffe1),
    ("shift_r", 0xffe2),
    ("slash", 0x2f),
    ("spc", 0x20),
    ("sysrq", 0xff15),
    ("tab", 0xff09),
    ("up", 0xff52),
];

/// Keys that are held down together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chord(Vec<u32>);

impl FromStr for Chord {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let keys: std::result::Result<Vec<u32>, String> = text
            .split('-')
            .map(|name| keysym(name).ok_or_else(|| format!("there is no key '{name}'")))
            .collect();
        match keys? {
            keys if keys.len() > MOST => Err(format!("more than {MOST} keys at once")),
            keys => Ok(Self(keys)),
        }
    }
}

impl Chord {
    /// All keys down in order, then up the other way round.
    fn events(&self) -> Vec<u8> {
        let down = self.0.iter().map(|key| (1, *key));
        let up = self.0.iter().rev().map(|key| (0, *key));
        down.chain(up)
            .flat_map(|(down, key)| {
                let [a, b, c, d] = key.to_be_bytes();
                [KEY_EVENT, down, 0, 0, a, b, c, d]
            })
            .collect()
    }
}

fn keysym(name: &str) -> Option<u32> {
    if let Some((_, keysym)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*keysym);
    }
    if let Some(digit) = name.strip_prefix("kp_") {
        let digit: u32 = digit.parse().ok().filter(|digit| *digit < 10)?;
        return Some(0xffb0 + digit);
    }
    if let Some(number) = name.strip_prefix('f').filter(|rest| !rest.is_empty()) {
        let number: u32 = number.parse().ok().filter(|n| (1..=24).contains(n))?;
        return Some(0xffbd + number);
    }
    match name.as_bytes() {
        [letter] if letter.is_ascii_lowercase() || letter.is_ascii_digit() => {
            Some(u32::from(*letter))
        }
        _ => None,
    }
}

/// Types a combination at the screen whose monitor listens on `socket`.
pub async fn press(socket: &Path, chord: &Chord) -> Result<()> {
    let typed = async {
        let mut guest = UnixStream::connect(socket).await?;
        screen::greet_guest(&mut guest).await?;
        // Others may go on looking.
        guest.write_u8(1).await?;
        guest.read_exact(&mut [0; SERVER_INIT]).await?;
        let name = guest.read_u32().await?;
        tokio::io::copy(
            &mut (&mut guest).take(u64::from(name)),
            &mut tokio::io::sink(),
        )
        .await?;
        guest.write_all(&chord.events()).await?;
        guest.shutdown().await?;
        // The monitor closes its side when it has read everything.
        tokio::io::copy(&mut guest, &mut tokio::io::sink()).await?;
        Ok(())
    };
    let typed = tokio::time::timeout(PATIENCE, typed).await;
    typed.unwrap_or_else(|_| Err(Error::from(std::io::ErrorKind::TimedOut)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[test]
    fn combinations_are_read_by_name() {
        let chord: Chord = "ctrl-alt-delete".parse().unwrap();
        assert_eq!(chord.0, [0xffe3, 0xffe9, 0xffff]);
        assert_eq!("f12".parse::<Chord>().unwrap().0, [0xffc9]);
        assert_eq!("a-7-kp_3".parse::<Chord>().unwrap().0, [0x61, 0x37, 0xffb3]);
        for bad in [
            "",
            "ctrl-",
            "CTRL",
            "f0",
            "f25",
            "kp_x",
            "ä",
            "a-a-a-a-a-a-a-a-a",
        ] {
            assert!(bad.parse::<Chord>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn keys_go_down_in_order_and_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("screen");
        let listener = UnixListener::bind(&socket).unwrap();
        let monitor = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"RFB 003.008\n").await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            stream.write_all(&[1, 1]).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), 1);
            stream.write_u32(0).await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(&[0; 20]).await.unwrap();
            stream.write_all(b"\0\0\0\x02vm").await.unwrap();
            let mut events = Vec::new();
            stream.read_to_end(&mut events).await.unwrap();
            events
        });
        press(&socket, &"shift-a".parse().unwrap()).await.unwrap();
        let events = monitor.await.unwrap();
        let shift = |down| [4, down, 0, 0, 0, 0, 0xff, 0xe1];
        let a = |down| [4, down, 0, 0, 0, 0, 0, 0x61];
        assert_eq!(events, [shift(1), a(1), a(0), shift(0)].concat());
    }
}

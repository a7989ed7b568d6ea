//! What a console's client sends, cut out of a stream of bytes.

/// Longest text of one message.
const LONGEST: usize = 1 << 20;

/// One message of a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// Typed bytes.
    Data(Vec<u8>),
    /// Another size of the window, in characters.
    Resize(Size),
    /// Still there.
    Ping,
}

/// The size of a console's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// Bytes that are no message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the console's client sent something that is no message")]
pub struct Malformed;

/// Bytes that came in and are not yet used.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Adds bytes that came in.
    pub fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Number of bytes not yet used.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// A whole line, without its end.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|b| *b == b'\n')?;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    /// The next whole message; none until more bytes come.
    pub fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        match self.buffer.first() {
            None => Ok(None),
            Some(b'0') => self.data(),
            Some(b'1') => self.resize(),
            Some(b'2') => {
                self.buffer.remove(0);
                Ok(Some(Frame::Ping))
            }
            Some(_) => Err(Malformed),
        }
    }

    /// `0:LENGTH:DATA`
    fn data(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some((length, start)) = self.number(1)? else {
            return Ok(None);
        };
        if length > LONGEST {
            return Err(Malformed);
        }
        if self.buffer.len() < start + length {
            return Ok(None);
        }
        let data = self.buffer[start..start + length].to_vec();
        self.buffer.drain(..start + length);
        Ok(Some(Frame::Data(data)))
    }

    /// `1:COLS:ROWS:`
    fn resize(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some((columns, next)) = self.number(1)? else {
            return Ok(None);
        };
        // The colon that ended the first number starts the second.
        let Some((rows, end)) = self.number(next - 1)? else {
            return Ok(None);
        };
        let in_range = |length: usize| u16::try_from(length).map_err(|_| Malformed);
        let (columns, rows) = (in_range(columns)?, in_range(rows)?);
        self.buffer.drain(..end);
        Ok(Some(Frame::Resize(Size { columns, rows })))
    }

    /// Reads `:NUMBER:` at `at`; answers the number and where what follows begins.
    fn number(&self, at: usize) -> Result<Option<(usize, usize)>, Malformed> {
        match self.buffer.get(at) {
            None => return Ok(None),
            Some(b':') => {}
            Some(_) => return Err(Malformed),
        }
        let rest = &self.buffer[at + 1..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 8 {
            return Err(Malformed);
        }
        match rest.get(digits) {
            None => return Ok(None),
            Some(b':') => {}
            Some(_) => return Err(Malformed),
        }
        let text = std::str::from_utf8(&rest[..digits]).map_err(|_| Malformed)?;
        let number = text.parse().map_err(|_| Malformed)?;
        Ok(Some((number, at + 1 + digits + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut Frames) -> Vec<Frame> {
        std::iter::from_fn(|| frames.next().unwrap()).collect()
    }

    #[test]
    fn messages_are_cut_out_however_they_arrive() {
        let bytes = b"root@pam:T\n0:3:a:b21:80:24:20:0:";
        let expected = [
            Frame::Data(b"a:b".to_vec()),
            Frame::Ping,
            Frame::Resize(Size {
                columns: 80,
                rows: 24,
            }),
            Frame::Ping,
            Frame::Data(Vec::new()),
        ];
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            let mut line = None;
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.add(piece);
                line = line.or_else(|| frames.line());
                if line.is_some() {
                    found.extend(all(&mut frames));
                }
            }
            assert_eq!(line.unwrap(), b"root@pam:T");
            assert_eq!(found, expected, "pieces of {size}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "x",
            "0x",
            "0:a:",
            "0:999999999:",
            "0:9999999:",
            "1:80:x",
            "1:80:65536:",
        ] {
            let mut frames = Frames::default();
            frames.add(bad.as_bytes());
            assert_eq!(frames.next(), Err(Malformed), "{bad}");
        }
    }
}

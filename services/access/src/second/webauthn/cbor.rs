//! The part of CBOR (RFC 8949) that security keys use: definite lengths, no tags, no floats.

/// A value; text and bytes are borrowed from the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer, positive or negative.
    Integer(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// Values in a row.
    Array(Vec<Value<'a>>),
    /// Pairs in the order they came.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// True, false or null, which nothing here looks at.
    Simple,
}

/// Values lie this deep in one another at most; those of security keys lie three deep.
const DEEPEST: u8 = 8;

impl<'a> Value<'a> {
    /// Reads one value; what follows it is left.
    pub(super) fn read(input: &mut &'a [u8]) -> Option<Self> {
        Self::at_depth(input, DEEPEST)
    }

    fn at_depth(input: &mut &'a [u8], depth: u8) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let (kind, number) = head(input)?;
        // Every item takes a byte at least, so nothing is ever reserved for more than there are.
        let count = || {
            usize::try_from(number)
                .ok()
                .filter(|count| *count <= input.len())
        };
        match kind {
            0 => i64::try_from(number).ok().map(Self::Integer),
            1 => i64::try_from(number).ok().map(|n| Self::Integer(-1 - n)),
            2 => take(input, number).map(Self::Bytes),
            3 => {
                let text = std::str::from_utf8(take(input, number)?);
                text.ok().map(Self::Text)
            }
            4 => {
                let count = count()?;
                let items = (0..count).map(|_| Self::at_depth(input, depth));
                items.collect::<Option<Vec<_>>>().map(Self::Array)
            }
            5 => {
                let count = count()?;
                let pairs = (0..count).map(|_| {
                    let key = Self::at_depth(input, depth)?;
                    Some((key, Self::at_depth(input, depth)?))
                });
                pairs.collect::<Option<Vec<_>>>().map(Self::Map)
            }
            7 if (20..=23).contains(&number) => Some(Self::Simple),
            _ => None,
        }
    }

    /// The value of a key in a map; none when it is there twice.
    pub(super) fn get(&self, wanted: &Value<'_>) -> Option<&Value<'a>> {
        let Self::Map(pairs) = self else { return None };
        let mut found = pairs.iter().filter(|(key, _)| key == wanted);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }
}

/// The first byte of a value with the number that belongs to it.
fn head(input: &mut &[u8]) -> Option<(u8, u64)> {
    let first = *take(input, 1)?.first()?;
    let number = match first & 0x1f {
        small @ 0..=23 => small.into(),
        size @ 24..=27 => {
            let bytes = take(input, 1 << (size - 24))?;
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    Some((first >> 5, number))
}

fn take<'a>(input: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(usize::try_from(count).ok()?)?;
    *input = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<(Value<'_>, usize)> {
        let mut input = bytes;
        let value = Value::read(&mut input)?;
        Some((value, input.len()))
    }

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn values_are_read() {
        assert_eq!(read(&[0x19, 0x03, 0xe8]), Some((Value::Integer(1000), 0)));
        assert_eq!(read(&[0x39, 0x03, 0xe7]), Some((Value::Integer(-1000), 0)));
        assert_eq!(
            read(&[0x44, 1, 2, 3, 4, 9]),
            Some((Value::Bytes(&[1, 2, 3, 4]), 1))
        );
        assert_eq!(read(b"\x64IETF"), Some((Value::Text("IETF"), 0)));
        let (map, left) = read(b"\xa2\x61a\x01\x61b\x82\x02\xf6").unwrap();
        let list = Value::Array(vec![Value::Integer(2), Value::Simple]);
        assert_eq!((map.get(&Value::Text("b")), left), (Some(&list), 0));
        assert_eq!(map.get(&Value::Text("c")), None);
        let (twice, _) = read(b"\xa2\x01\x01\x01\x02").unwrap();
        assert_eq!(twice.get(&Value::Integer(1)), None);
    }

    #[test]
    fn what_is_broken_is_refused() {
        for bad in [
            &b""[..],
            b"\x44abc",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x61\xff",
            b"\x9f\xff",
            b"\xc0\x00",
            b"\xfb\x00\x00\x00\x00\x00\x00\x00\x00",
            &[0x81; 100],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}

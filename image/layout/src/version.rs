//! The version of an image: `MAJOR.MINOR.PATCH`, optionally `~IDENT` for a pre-release.
//!
//! The grammar is strict because versions become partition labels (36 characters at most), file
//! names in the ESP and glob patterns for the boot loader, and because our ordering must be the
//! boot loader's: the newest entry is booted. `0.2.0~rc1` is older than `0.2.0`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest version that still fits the label `basalt_<version>_verity` in a GPT entry.
pub const MAX_LENGTH: usize = 22;

/// The version of an image, ordered as the boot loader orders it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    numbers: [u32; 3],
    pre: Option<String>,
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no version: {reason}")]
pub struct VersionError {
    text: String,
    reason: &'static str,
}

impl Version {
    /// True for `1.2.3~something`.
    pub fn is_prerelease(&self) -> bool {
        self.pre.is_some()
    }

    /// A text that sorts, byte by byte, as versions do: for boot loaders that compare only texts.
    pub fn sort_key(&self) -> String {
        let mut key: String = self.numbers.map(|number| format!("{number:010}")).concat();
        let Some(pre) = &self.pre else {
            key.push('1');
            return key;
        };
        key.push('0');
        for run in runs(pre) {
            match run {
                Run::Letters(text) => key.push_str(&format!("a{text}.")),
                Run::Digits(length, text) => key.push_str(&format!("b{length:02}{text}.")),
            }
        }
        key.push_str(&format!("-{pre}"));
        key
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| VersionError {
            text: text.to_owned(),
            reason,
        };
        if text.len() > MAX_LENGTH {
            return Err(wrong("it is longer than 22 characters"));
        }
        let (core, pre) = match text.split_once('~') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for number in &mut numbers {
            *number = parts
                .next()
                .and_then(parse_number)
                .ok_or_else(|| wrong("expected MAJOR.MINOR.PATCH without leading zeros"))?;
        }
        if parts.next().is_some() {
            return Err(wrong("expected exactly three numbers"));
        }
        if let Some(pre) = pre
            && (pre.is_empty()
                || !pre
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        {
            return Err(wrong(
                "what follows `~` must be lower-case letters and digits",
            ));
        }
        Ok(Self {
            numbers,
            pre: pre.map(str::to_owned),
        })
    }
}

fn parse_number(text: &str) -> Option<u32> {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        match &self.pre {
            Some(pre) => write!(f, "~{pre}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| match (&self.pre, &other.pre) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                // The text decides between `rc01` and `rc1`, so that the order agrees with equality.
                (Some(a), Some(b)) => runs(a).cmp(&runs(b)).then_with(|| a.cmp(b)),
            })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A run of letters or of digits in a pre-release; letters are older than digits, as the boot
/// loader has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Run<'a> {
    Letters(&'a str),
    /// Compared by length first: digits without leading zeros.
    Digits(usize, &'a str),
}

fn runs(text: &str) -> Vec<Run<'_>> {
    text.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .map(|run| {
            if run.as_bytes()[0].is_ascii_digit() {
                let digits = run.trim_start_matches('0');
                Run::Digits(digits.len(), digits)
            } else {
                Run::Letters(run)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_the_boot_loaders() {
        let ascending = [
            "0.1.0~alpha",
            "0.1.0~rc1",
            "0.1.0~rc1a",
            "0.1.0~rc2",
            "0.1.0~rc10",
            "0.1.0",
            "0.1.1",
            "0.1.10",
            "0.2.0~1",
            "0.2.0",
            "1.0.0~a",
            "1.0.0~1",
            "10.0.0",
        ];
        for pair in ascending.windows(2) {
            let [older, newer] = [version(pair[0]), version(pair[1])];
            assert!(older < newer, "{pair:?}");
            assert!(older.sort_key() < newer.sort_key(), "{pair:?}");
        }
    }

    #[test]
    fn text_survives() {
        for text in ["0.1.0", "12.0.3~rc4", "0.0.0"] {
            assert_eq!(version(text).to_string(), text);
            assert_eq!(String::from(version(text)), text);
        }
    }

    #[test]
    fn what_is_no_version_says_why() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-rc1",
            "1.2.3+3",
            "1.2.3~",
            "1.2.3~RC",
            "1.2.3~a.b",
            "a.b.c",
            "1.2.3 ",
            "1.2.3/..",
            "4294967296.0.0",
            "100000.100000.1000000000",
        ] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains("is no version"), "{error}");
        }
    }
}

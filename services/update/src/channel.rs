//! Folders on web servers that updates come from.
//!
//! `<folder>/<channel>.json` says which bundle is the latest of a channel. It is one file, so that
//! it can be replaced in one step: a text, and the signature over exactly this text by the key
//! that signs bundles. The bundle's own signature is checked all the same.

use std::fmt;
use std::str::FromStr;

use basalt_layout::{ARCHITECTURE, IMAGE_ID, Version};
use serde::{Deserialize, Serialize};

use crate::signature::Keys;
use crate::{Error, Host};

/// Longest channel file that is read.
const LONGEST: u64 = 64 << 10;

/// What a host follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// For hosts that people rely on.
    #[default]
    Stable,
    /// For those who try what will be stable.
    Testing,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::Testing => "testing",
        })
    }
}

/// A text that names no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no channel: there are `stable` and `testing`")]
pub struct ChannelError(String);

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "stable" => Ok(Self::Stable),
            "testing" => Ok(Self::Testing),
            other => Err(ChannelError(other.to_owned())),
        }
    }
}

/// The latest release of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// [`IMAGE_ID`].
    pub name: String,
    /// [`ARCHITECTURE`].
    pub architecture: String,
    /// Which channel this is the latest of.
    pub channel: Channel,
    /// Its version.
    pub version: Version,
    /// Where its bundle is, seen from the folder.
    pub bundle: String,
}

/// A channel file.
#[derive(Serialize, Deserialize)]
struct Signed {
    /// A [`Release`] as JSON.
    release: String,
    /// Ed25519 over these bytes, in hexadecimal digits.
    signature: String,
}

impl Release {
    /// A release of this product.
    pub fn new(channel: Channel, version: Version, bundle: &str) -> Self {
        Self {
            name: IMAGE_ID.to_owned(),
            architecture: ARCHITECTURE.to_owned(),
            channel,
            version,
            bundle: bundle.to_owned(),
        }
    }

    /// The channel file that announces this release.
    ///
    /// # Errors
    /// When it cannot be written as JSON, or not be signed.
    pub fn signed<E: From<serde_json::Error>>(
        &self,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<String, E> {
        let release = serde_json::to_string(self)?;
        let signature = hex::encode(sign(release.as_bytes())?);
        Ok(serde_json::to_string_pretty(&Signed {
            release,
            signature,
        })?)
    }

    /// Where the bundle is.
    pub fn url(&self, folder: &str) -> String {
        format!("{}/{}", folder.trim_end_matches('/'), self.bundle)
    }
}

/// Asks a folder for the latest release of a channel.
pub fn latest(host: &Host, folder: &str, channel: Channel) -> Result<Release, Error> {
    let url = format!("{}/{channel}.json", folder.trim_end_matches('/'));
    let text = host.web().small(&url, LONGEST)?;
    read(&text, &host.keys()?, channel).map_err(|reason| Error::Http {
        url,
        reason: reason.to_string(),
    })
}

fn read(text: &[u8], keys: &Keys, channel: Channel) -> Result<Release, Error> {
    let wrong = |error: serde_json::Error| Error::Bundle(format!("no channel file: {error}"));
    let signed: Signed = serde_json::from_slice(text).map_err(wrong)?;
    let signature = hex::decode(&signed.signature).unwrap_or_default();
    keys.verify(signed.release.as_bytes(), &signature)?;
    let release: Release = serde_json::from_str(&signed.release).map_err(wrong)?;
    for (what, found, expected) in [
        ("product", &release.name, IMAGE_ID),
        ("architecture", &release.architecture, ARCHITECTURE),
    ] {
        if found != expected {
            return Err(Error::WrongTarget {
                what,
                found: found.clone(),
                expected,
            });
        }
    }
    if release.channel != channel {
        return Err(Error::Bundle(format!(
            "it is the file of channel `{}`, not `{channel}`",
            release.channel
        )));
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use ed25519_dalek::Signer;

    #[test]
    fn only_a_signed_release_of_the_channel_counts() {
        let fake = testing::host();
        let keys = fake.host.keys().unwrap();
        let mut release = Release::new(
            Channel::Stable,
            "0.2.0".parse().unwrap(),
            "basalt_0.2.0.bundle",
        );
        let text = |release: &Release, seed| {
            release
                .signed(|bytes| serde_json::Result::Ok(testing::key(seed).sign(bytes).to_bytes()))
                .unwrap()
        };
        let good = text(&release, testing::KEY);
        let found = read(good.as_bytes(), &keys, Channel::Stable).unwrap();
        assert_eq!(found, release);
        assert_eq!(
            found.url("http://example.org/basalt/"),
            "http://example.org/basalt/basalt_0.2.0.bundle"
        );
        let refuse = |text: &str, channel, expected: &str| {
            let error = read(text.as_bytes(), &keys, channel)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        refuse(&good, Channel::Testing, "channel `stable`, not `testing`");
        refuse(&text(&release, 2), Channel::Stable, "no key that this host");
        refuse(
            &good.replace("0.2.0", "0.3.0"),
            Channel::Stable,
            "was changed",
        );
        refuse("{}", Channel::Stable, "no channel file");
        release.architecture = "aarch64".to_owned();
        refuse(
            &text(&release, testing::KEY),
            Channel::Stable,
            "architecture `aarch64`",
        );
    }
}

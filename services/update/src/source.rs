//! Where an update comes from.

use std::path::PathBuf;

use crate::channel::{self, Channel};
use crate::install::{Installed, Options, install};
use crate::observer::Span;
use crate::{Error, Host, Observer, fetch};

/// Where an update comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A bundle on this host.
    File(PathBuf),
    /// A bundle on a web server.
    Url(String),
    /// The latest bundle of a channel.
    Channel {
        /// The folder on a web server.
        folder: String,
        /// Its channel.
        channel: Channel,
    },
}

impl Source {
    /// A text that names a file or an address.
    pub fn of(text: &str) -> Self {
        if is_url(text) {
            Self::Url(text.to_owned())
        } else {
            Self::File(PathBuf::from(text))
        }
    }

    /// Installs from here; the next boot tries it.
    pub fn install(
        &self,
        host: &Host,
        options: Options,
        observer: &mut dyn Observer,
    ) -> Result<Installed, Error> {
        match self {
            Self::File(path) => install(host, path, options, Span { from: 0, to: 100 }, observer),
            Self::Url(url) => fetch::install_from(host, url, options, observer),
            Self::Channel { folder, channel } => {
                let release = channel::latest(host, folder, *channel)?;
                observer.say(&format!(
                    "channel {channel} has version {}",
                    release.version
                ));
                fetch::install_from(host, &release.url(folder), options, observer)
            }
        }
    }
}

/// Whether a text is an address on a web server.
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

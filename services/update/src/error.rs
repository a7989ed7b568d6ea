//! What can go wrong with an update, in words for the person in front of the console.

use std::io;
use std::path::Path;

use basalt_layout::Version;

/// Why nothing was installed, or nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{path}: {reason}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        reason: io::Error,
    },
    /// Somebody else works on a disk.
    #[error("{disk} is locked by another program: wait until it is done, then try again")]
    InUse {
        /// The disk.
        disk: String,
    },
    /// A disk tool failed.
    #[error("{program}: {reason}")]
    Tool {
        /// Which one.
        program: String,
        /// What it said.
        reason: String,
    },
    /// The running system is not an installed Basalt.
    #[error("this is not an installed Basalt: {reason}")]
    NotInstalled {
        /// What is missing.
        reason: String,
    },
    /// The file is no update bundle, or a damaged one.
    #[error("the bundle cannot be used: {0}")]
    Bundle(String),
    /// Nobody this host trusts made the update.
    #[error("the signature is not valid: {0}")]
    Signature(String),
    /// The bundle is for something else.
    #[error("the bundle is for {what} `{found}`, this host is `{expected}`")]
    WrongTarget {
        /// Product or architecture.
        what: &'static str,
        /// What the bundle says.
        found: String,
        /// What this host is.
        expected: &'static str,
    },
    /// The bundle's version is the one that runs.
    #[error("version {0} is already running")]
    AlreadyRunning(Version),
    /// The bundle's version waits in the other slot already.
    #[error(
        "version {version} is already in slot {slot}: there is nothing to install; a roll-back \
         boots it, and so does the next reboot when it is new"
    )]
    AlreadyInstalled {
        /// The bundle's version.
        version: Version,
        /// The slot's letter.
        slot: char,
    },
    /// The bundle is older than what runs.
    #[error(
        "version {offered} is older than the running {running}: it is installed only when a \
         downgrade is asked for (--allow-downgrade)"
    )]
    Older {
        /// The bundle's version.
        offered: Version,
        /// The running version.
        running: Version,
    },
    /// A version could not open the configuration as it is.
    #[error(
        "version {version} cannot open this host's configuration: it is in format {found}, and \
         that version understands formats {oldest} to {newest}"
    )]
    StoreFormat {
        /// The version.
        version: Version,
        /// The store's format.
        found: u32,
        /// The oldest format the version opens.
        oldest: u32,
        /// The newest format the version opens.
        newest: u32,
    },
    /// After the update there would be no way back.
    #[error(
        "version {version} writes the configuration in format {writes}, which the running \
         {running} cannot open when it has to take over again: install a version between them \
         first"
    )]
    NoWayBack {
        /// The version.
        version: Version,
        /// The format it writes.
        writes: u32,
        /// The running version.
        running: Version,
    },
    /// A part does not fit its place.
    #[error("{what} needs {needed} bytes, but {place} has room for {room}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its size.
        needed: u64,
        /// Where it should go.
        place: String,
        /// The room there.
        room: u64,
    },
    /// There is nothing to go back to.
    #[error("there is no other version to go back to: {0}")]
    NothingToRollBack(String),
    /// The server does not give what was asked for.
    #[error("{url}: {reason}")]
    Http {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server cannot prove who it is.
    #[error(
        "{url}: the server's certificate is refused ({reason}); an authority of your own is trusted \
         when its certificate is given with the place that updates come from (`ca`)"
    )]
    Untrusted {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody asked to stop.
    #[error("stopped by request")]
    Cancelled,
    /// Somebody else is at it.
    #[error("another update is in progress")]
    Busy,
    /// The mirror is not as it must be for what was asked.
    #[error("mirror: {0}")]
    Mirror(String),
    /// The firmware's variables cannot be used.
    #[error("the firmware's boot variables cannot be used: {0}")]
    Firmware(String),
}

impl Error {
    /// An I/O error with its path.
    pub fn io(path: &Path, reason: io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            reason,
        }
    }
}

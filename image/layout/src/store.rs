//! The format of the configuration store on the data partition, as one number.
//!
//! Both slots share the data partition, so a version must be able to open what the version after
//! it has written. Therefore a format comes in two releases: the first one reads it
//! ([`NEWEST_FORMAT`]) and goes on writing the old one, the next one writes it
//! ([`WRITTEN_FORMAT`]). The updater refuses whatever would leave one of the slots with a store it
//! cannot open.

/// The oldest format that is still opened, and turned into [`WRITTEN_FORMAT`].
pub const OLDEST_FORMAT: u32 = 1;

/// The newest format that is opened.
pub const NEWEST_FORMAT: u32 = 1;

/// The format that is written.
pub const WRITTEN_FORMAT: u32 = 1;

const _: () = assert!(OLDEST_FORMAT <= WRITTEN_FORMAT && WRITTEN_FORMAT <= NEWEST_FORMAT);

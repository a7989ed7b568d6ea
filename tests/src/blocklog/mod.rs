//! Power cuts at any instant, without cutting any power: everything a machine wrote to its disk is
//! recorded once, and the disk is then rebuilt as it would have been found after a cut at any
//! moment of the recording.
//!
//! QEMU's `blklogwrites` driver records ([`log`] reads it). [`cuts`] chooses the moments, and
//! [`replay`] makes the disk of each: everything that was flushed before the cut is there, and of
//! what came later any part may be. [`disk`] then judges it as firmware, boot loader, kernel and
//! node would: [`gpt`], [`esp`], [`verity`] and [`data`] read one layer each.

pub mod cuts;
pub mod data;
pub mod disk;
pub mod esp;
pub mod gpt;
pub mod log;
pub mod replay;
pub mod verity;

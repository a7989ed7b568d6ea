//! Files that lie in memory only.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

/// A file with this content.
pub fn with(content: &[u8]) -> File {
    let file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a memfd can be had"));
    file.write_all_at(content, 0)
        .expect("memory can be written");
    file
}

/// A file of so many zeroes.
pub fn of(len: u64) -> File {
    let file = with(&[]);
    file.set_len(len).expect("memory can grow");
    file
}

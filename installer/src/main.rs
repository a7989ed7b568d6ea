//! From booted ISO to installed disk.

fn main() {}

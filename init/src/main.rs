//! The supervisor beside systemd.

fn main() {}

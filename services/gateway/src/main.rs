//! The only door: TLS on 8006, web files, authentication, forwarding.

fn main() {}
